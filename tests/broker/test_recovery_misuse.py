"""Clients that tell what is not true, or tell it twice: they come as new ones, and harm nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio_websocket
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Recovery, Socket

from .returning import Returning


@pytest.fixture
def broker() -> Broker:
    return Broker(connection_state_recovery=Recovery())


async def come(client: Any, auth: dict[str, Any], namespace: str = "/") -> dict[str, Any]:
    prefix = "" if namespace == "/" else f"{namespace},"
    await client.send(f"40{prefix}{json.dumps(auth)}")
    answer: dict[str, Any] = json.loads(str(await client.get())[2 + len(prefix) :])
    return answer


@pytest.mark.parametrize(
    "auth",
    [
        {"pid": "nobody's", "offset": None},
        {"pid": "OWN", "offset": "no such offset"},
        {"pid": "OWN", "offset": 7},
        {"pid": "OWN", "offset": ["list"]},
        {"pid": "OWN"},  # it has had an event, but there is more before that than is kept
        {"pid": ["OWN"], "offset": "OWN"},
        {"pid": {"a": 1}},
        {"offset": "OWN"},
    ],
)
async def test_what_does_not_fit_is_a_new_client(
    wire: Callable[..., Any], auth: dict[str, Any]
) -> None:
    broker = Broker(connection_state_recovery=Recovery(max_packets=2))
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            for number in range(4):
                await broker.emit(f"e{number}")
        own = {"pid": client.pid, "offset": client.offset}
        told = {key: own[key] if value == "OWN" else value for key, value in auth.items()}
        async with wire(broker) as line:
            answer = await come(line, told)
            assert answer["sid"] != client.sid
            assert answer["pid"] != client.pid
            assert not broker.sockets[answer["sid"]].recovered
        async with client.connection():  # the seat is still there for who tells the truth
            assert client.recovered


async def test_a_pid_of_another_namespace_is_unknown(
    broker: Broker, wire: Callable[..., Any]
) -> None:
    broker.of("/other")
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("e")
        async with wire(broker) as line:
            told = {"pid": client.pid, "offset": client.offset}
            answer = await come(line, told, "/other")
            assert answer["pid"] != client.pid
        async with client.connection():
            assert client.recovered


async def test_of_two_who_come_at_once_with_one_pid_one_is_recovered(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(connection_state_recovery=Recovery(skip_middlewares=False))
    asked = 0

    @broker.use
    async def slow(_socket: Socket) -> None:
        nonlocal asked
        asked += 1
        await trio.sleep(1)

    client = Returning(broker, wire)
    answers: list[dict[str, Any]] = []

    async def try_it(line: Any) -> None:
        answers.append(await come(line, {"pid": client.pid, "offset": client.offset}))

    async with broker:
        async with client.connection():
            await broker.emit("e")
        async with wire(broker) as one, wire(broker) as two:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(try_it, one)
                nursery.start_soon(try_it, two)
            assert sorted(a["pid"] == client.pid for a in answers) == [False, True]
            assert len({a["sid"] for a in answers}) == 2
            assert len(broker.sockets) == 2
            assert sum(s.recovered for s in broker.sockets.values()) == 1
    assert asked == 3


async def test_a_pid_that_comes_again_and_again_leaves_one_socket(
    broker: Broker, wire: Callable[..., Any]
) -> None:
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("e")
        told = {"pid": client.pid, "offset": client.offset}
        async with wire(broker) as one, wire(broker) as two, wire(broker) as three:
            for line in (one, two, three):
                assert (await come(line, told))["sid"] == client.sid
                await wait_all_tasks_blocked()
                assert list(broker.sockets) == [client.sid]
            assert (await broker.emit("last")).recipients == 1
            assert str(await three.get()).startswith('42["last"')


async def test_who_fails_on_its_way_in_leaves_the_place_as_it_was(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(connection_state_recovery=Recovery(skip_middlewares=False))

    @broker.use
    async def slow(socket: Socket) -> None:
        if socket.recovered:
            await socket.join("early")
            await socket.broadcast.emit("never")
            await broker.to("general", "early").emit("all")
            await trio.sleep(1)

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join("general")

    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("a")
            sid = client.sid
        async with wire(broker) as line:  # breaks off while middleware runs
            await line.send(f'40{{"pid":"{client.pid}","offset":"{client.offset}"}}')
            await wait_all_tasks_blocked()
        await broker.to("general").emit("b")
        await broker.to("early").emit("never")
        async with client.connection():
            assert client.recovered
            assert client.sid == sid
            assert broker.sockets[sid].joined_rooms == {"general", "early"}
        assert broker.statistics().rooms == 0
    assert client.names == ["a", "all", "b", "all"]


async def test_too_much_for_who_is_on_its_way_in_ends_it_and_is_no_part(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(connection_state_recovery=Recovery(skip_middlewares=False, max_packets=3))

    @broker.use
    async def flood(socket: Socket) -> None:
        if socket.recovered:
            for number in range(4):
                await broker.emit(f"flood {number}")

    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await broker.emit("a")
        async with wire(broker) as line:
            await line.send(f'40{{"pid":"{client.pid}","offset":"{client.offset}"}}')
            await wait_all_tasks_blocked()
            with pytest.raises(trio_websocket.ConnectionClosed):
                await line.get()
        async with client.connection():
            assert not client.recovered
    assert client.names == ["a"]


async def test_an_offset_of_an_event_it_cannot_have_got_skips_to_there(
    broker: Broker, wire: Callable[..., Any]
) -> None:
    """Two who share a room share its offsets: what one tells for the other is believed."""
    one, two = Returning(broker, wire), Returning(broker, wire)
    async with broker, two.connection():
        async with one.connection():
            await broker.emit("a")
        await broker.emit("b")
        await wait_all_tasks_blocked()
        one.offset = two.offset
        await broker.emit("c")
        async with one.connection():
            assert one.recovered
    assert one.names == ["a", "c"]
