"""A program that rests on Node's traps: an app for `apps.py`."""

from __future__ import annotations

import logging
from typing import Any

import trio

from broker import Broker, ConnectError, Request, Socket


class Planned(Exception):  # noqa: N818 - it is what the program does
    """What a handler fails with on purpose: no traceback that a test should find."""


def is_unplanned(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], Planned))


def make_traps(**options: Any) -> Broker:
    async def allow_request(request: Request) -> bool:
        return "banned" not in request.query

    async def never(name: str, auth: object) -> bool:
        if name == "/never":
            await trio.sleep_forever()
        return False

    broker = Broker(profile="node", allow_request=allow_request, connect_timeout=1.0, **options)
    broker.of(never)
    logging.getLogger("atrio.socket").addFilter(is_unplanned)

    @broker.on("echo")
    async def echo(socket: Socket, text: str) -> str:
        return text

    @broker.on("fail")
    async def fail(socket: Socket) -> None:
        raise Planned("swordfish")

    @broker.on("error")
    async def know(socket: Socket, error: Exception, event: str) -> None:
        pass

    @broker.on("join")
    async def join(socket: Socket, room: str) -> bool:
        await socket.join(room)
        return True

    @broker.on("leave-own")
    async def leave_own(socket: Socket) -> bool:
        await socket.leave(socket.id)
        return socket.id in socket.rooms

    @broker.on("tell")
    async def tell(socket: Socket, rooms: list[str], text: str) -> None:
        await broker.to(*rooms).emit("told", text)

    @broker.on("tell-others")
    async def tell_others(socket: Socket, room: str, text: str) -> None:
        await socket.to(room).emit("told", text)

    @broker.on("tell-me")
    async def tell_me(socket: Socket, text: str) -> None:
        await socket.emit("told", text)

    @broker.of("/greeting").use
    async def greet(socket: Socket) -> None:
        await socket.emit("session", "before")
        if "refuse" in socket.handshake.auth:
            raise ConnectError("no")

    @broker.of("/failing").use
    async def fail_to_decide(socket: Socket) -> None:
        raise Planned("the database has gone")

    return broker
