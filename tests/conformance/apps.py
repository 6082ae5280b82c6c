"""The apps under test, on our server: `python apps.py APP [PORT]`.

Prints `listening PORT` when ready and ends gracefully on SIGTERM. `node_peer.mjs` has the same apps
on Node's server.
"""

from __future__ import annotations

import secrets
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import trio
from handlers_app import add_handlers
from traps_app import make_traps
from typed_app import make_typed

from broker import Broker, ConnectError, Request, ResponseHeaders, Socket
from broker.engine import Engine, Session

ALLOWED_ORIGIN = "https://app.example"


async def echo(session: Session) -> None:
    async for message in session:
        await session.send(message)


def make_engine(**options: Any) -> Engine:
    engine = Engine(path="/engine.io/", **{"cors_allowed_origins": "*", **options})
    engine.on_session(echo)
    return engine


def make_broker(**options: Any) -> Broker:
    broker = Broker(cors_allowed_origins="*", **options)
    add_echo_handlers(broker)
    return broker


def add_echo_handlers(broker: Broker) -> None:
    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.emit("auth", socket.handshake.auth)

    @broker.on("message")
    async def message(socket: Socket, *args: object) -> None:
        await socket.emit("message-back", *args)

    @broker.on("message-with-ack")
    async def message_with_ack(socket: Socket, *args: object) -> tuple[object, ...]:
        return args

    @broker.of("/custom").on("connection")
    async def connected_to_custom(socket: Socket) -> None:
        await socket.emit("auth", socket.handshake.auth)


def make_meeting(**options: Any) -> Broker:
    broker = make_broker(**options)
    add_meeting_handlers(broker)
    return broker


def add_meeting_handlers(broker: Broker) -> None:
    chat = broker.of("/chat")

    async def join(socket: Socket, *rooms: str) -> list[str]:
        await socket.join(*rooms)
        return sorted(socket.joined_rooms)

    async def leave(socket: Socket, room: str) -> list[str]:
        await socket.leave(room)
        return sorted(socket.joined_rooms)

    async def tell_others(socket: Socket, room: str, *args: object) -> bool:
        await socket.to(room).emit("told", *args)
        return True

    async def tell_all(socket: Socket, rooms: list[str], *args: object) -> bool:
        await socket.namespace.to(*rooms).emit("told", *args)
        return True

    async def tell_except(socket: Socket, room: str, *args: object) -> bool:
        await socket.namespace.except_(room).emit("told", *args)
        return True

    async def ask_me(socket: Socket, *args: object) -> object:
        return await socket.emit_with_ack("question", *args, timeout=5)

    async def ask_room(socket: Socket, room: str, seconds: float, *args: object) -> object:
        target = socket.namespace.to(room).timeout(seconds)
        answers = await target.emit_with_ack("question", *args)
        return {"values": list(answers), "missing": bool(answers.missing)}

    async def kick_me(socket: Socket, close: bool) -> None:
        await socket.disconnect(close=close)

    async def gone(socket: Socket, reason: str) -> None:
        await socket.namespace.to("watchers").emit(
            "gone", socket.handshake.auth.get("name"), str(reason)
        )

    for namespace in (broker.of("/"), chat):
        namespace.on("join", join)
        namespace.on("leave", leave)
        namespace.on("tell-others", tell_others)
        namespace.on("tell-all", tell_all)
        namespace.on("tell-except", tell_except)
        namespace.on("ask-me", ask_me)
        namespace.on("ask-room", ask_room)
        namespace.on("kick-me", kick_me)
        namespace.on("disconnect", gone)

    @chat.on("message-with-ack")
    async def message_with_ack(socket: Socket, *args: object) -> tuple[object, ...]:
        return args

    @broker.on("count")
    async def count(socket: Socket) -> None:
        """Count aloud, a thousand times a second, until told to stop or gone."""

        async def count_aloud() -> None:
            number = 0
            while not socket.data.get("stop"):
                await socket.emit("number", number)
                number += 1
                await trio.sleep(0.001)
            await socket.emit("counted", number)

        socket.nursery.start_soon(count_aloud)

    @broker.on("stop")
    async def stop(socket: Socket) -> None:
        socket.data["stop"] = True


def make_door(**options: Any) -> Broker:
    async def allow_request(request: Request) -> None:
        if "banned" in request.query:
            raise ConnectError("you are banned")

    async def generate_id(request: Request) -> str:
        await trio.lowlevel.checkpoint()
        return f"door-{secrets.token_urlsafe(8)}"

    broker = make_broker(allow_request=allow_request, generate_id=generate_id, **options)
    failures: list[int] = []
    broker.on_connection_error(lambda failure: failures.append(failure.code))

    @broker.on_initial_headers
    def initial(headers: ResponseHeaders, request: Request) -> None:
        headers["X-Initial"] = request.query["transport"]
        headers["Set-Cookie"] = "seen=yes"

    @broker.on_headers
    def every(headers: ResponseHeaders, request: Request) -> None:
        headers["X-Every"] = request.query["transport"]

    @broker.on("failures")
    async def heard(socket: Socket) -> tuple[list[int]]:
        return (failures[:],)

    return broker


def make_handlers(**options: Any) -> Broker:
    broker = Broker(cors_allowed_origins="*", **options)
    add_handlers(broker)
    return broker


# That of the outside suites. It is so quick that a test of something else, on a busy machine, may
# find a ping where it expects an answer; hence the calm apps, with the default heartbeat.
QUICK = {"ping_interval": 0.3, "ping_timeout": 0.2}

# Where the real clients go: pings mix with the traffic, and a pong may take its time.
LENIENT = {"ping_interval": 0.3, "ping_timeout": 10.0}

APPS: dict[str, Callable[[], Engine | Broker]] = {
    "engine": partial(make_engine, **QUICK),
    "calm-engine": make_engine,
    "lenient-engine": partial(make_engine, **LENIENT),
    "guarded-engine": partial(make_engine, cors_allowed_origins=[ALLOWED_ORIGIN], cookie="io"),
    "broker": partial(make_broker, connect_timeout=1.0, **QUICK),
    "calm-broker": make_broker,
    "calm-msgpack": partial(make_broker, parser="msgpack"),
    "meeting": partial(make_meeting, **LENIENT),
    "door": partial(make_door, **LENIENT),
    "limited": partial(
        make_meeting,
        max_packets_per_second=30,
        rate_burst=1.0,
        max_connections_per_address=3,
        **LENIENT,
    ),
    "drained-meeting": partial(make_meeting, **LENIENT),
    "msgpack-meeting": partial(make_meeting, parser="msgpack", **LENIENT),
    "handlers": partial(make_handlers, **LENIENT),
    "deflated-meeting": partial(make_meeting, per_message_deflate=True, **LENIENT),
    "traps": make_traps,
    "typed": partial(make_typed, **LENIENT),
    "msgpack-typed": partial(make_typed, parser="msgpack", **LENIENT),
}

# The others are closed when they have to end.
DRAINED = {"drained-meeting"}


async def serve(app: str, port: int) -> None:
    server = APPS[app]()
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            address = await nursery.start(server.serve, "127.0.0.1", port)
            sys.stdout.write(f"listening {address.port}\n")
            sys.stdout.flush()
            await anext(aiter(signals))
            if app in DRAINED:
                await server.drain(batch=1, interval=0.5)
            else:
                await server.close()


if __name__ == "__main__":
    trio.run(serve, sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
