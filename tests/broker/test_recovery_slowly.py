"""Who comes back takes long: last hooks of the old socket, or middleware of the new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, ConnectError, Recovery, Socket
from broker.values.profile import ProfileName

from .returning import Returning

LONG = 20.0  # seconds: more than twice what `make` keeps events for


def make(**options: Any) -> Broker:
    """Return a broker that keeps what was sent for 4 s, and forgets it after 8 s at the latest."""
    recovery = Recovery(max_disconnection=1.0, skip_middlewares=False)
    broker = Broker(
        ping_interval=1.0, ping_timeout=1.0, connection_state_recovery=recovery, **options
    )

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        if not socket.recovered:
            await socket.join("general")

    return broker


async def test_nothing_is_lost_while_middleware_of_who_comes_back_runs(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = make(middleware_timeout=2 * LONG)

    @broker.use
    async def slow(socket: Socket) -> None:
        if socket.recovered:
            await trio.sleep(LONG)

    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("had")
        for name in ("a", "b", "c"):
            await broker.to("general").emit(name)
        async with client.connection():
            assert client.recovered
            await broker.emit("d")
    assert client.names == ["had", "a", "b", "c", "d"]


async def test_nothing_is_lost_while_the_last_hooks_run(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Who has come waits for them, and is not away: so its window does not pass either."""
    broker = make(disconnect_timeout=2 * LONG)
    ended = trio.Event()

    @broker.on("disconnecting")
    async def slow(_socket: Socket, _reason: str) -> None:
        if not ended.is_set():
            for name in ("a", "b", "c"):
                await broker.to("general").emit(name)
            await trio.sleep(LONG)
            ended.set()

    client = Returning(broker, wire)
    async with broker, client.connection():
        await broker.emit("had")
        await wait_all_tasks_blocked()
        async with client.connection():  # ends the old socket
            assert ended.is_set()
            assert client.recovered
    assert client.names == ["had", "a", "b", "c"]


async def test_what_was_sent_is_forgotten_again_once_it_is_back(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("had")
        for name in ("a", "b"):
            await broker.to("general").emit(name)
        async with client.connection():
            assert client.recovered
            seat = broker.sockets[client.sid].seat
            assert seat is not None
            assert len(seat.history) == 2
            await trio.sleep(LONG)
            assert len(seat.history) == 0
        async with client.connection():
            assert client.recovered
    assert client.names == ["had", "a", "b"]


async def test_who_is_refused_leaves_nothing_behind(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = make()
    refuses = True
    seen: list[dict[str, Any]] = []

    @broker.use
    async def check(socket: Socket) -> None:
        if socket.recovered:
            seen.append(dict(socket.data))
            await socket.emit(f"hello {refuses}")
            await broker.to("general").emit(f"to all {refuses}")
            await socket.join("early")
            await broker.to("early").emit(f"to early {refuses}")
            await socket.emit(f"bye {refuses}")
            socket.data["tries"] = socket.data.get("tries", 0) + 1
            if refuses:
                raise ConnectError("no")

    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("had")
            broker.sockets[client.sid].data["name"] = "Ann"
        await broker.to("general").emit("a")
        async with client.connection():
            assert client.refused == {"message": "no"}
        refuses = False
        async with client.connection():
            assert client.recovered
            socket = broker.sockets[client.sid]
            assert socket.data == {"name": "Ann", "tries": 1}
            assert socket.joined_rooms == {"general", "early"}
        async with client.connection():
            assert client.recovered
    assert seen == [{"name": "Ann"}, {"name": "Ann"}, {"name": "Ann", "tries": 1}]
    told = ["hello False", "to all False", "to early False", "bye False"]
    assert client.names == ["had", "a", "to all True", *told, *told]


@pytest.mark.parametrize("profile", ["strict", "node"])
async def test_what_middleware_emits_to_who_comes_back_comes_once(
    wire: Callable[..., Any], profile: ProfileName
) -> None:
    """In Node's profile, what middleware emits goes out ahead of CONNECT, but not here."""
    broker = Broker(profile=profile, connection_state_recovery=Recovery(skip_middlewares=False))

    @broker.use
    async def check(socket: Socket) -> None:
        if socket.recovered:
            await socket.emit("hello")

    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("had")
        await broker.emit("missed")
        async with client.connection():  # which fails if an event comes before CONNECT
            assert client.recovered
    assert client.names == ["had", "missed", "hello"]
