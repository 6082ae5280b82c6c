"""Listeners to what goes to a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

from broker import Broker, Socket

Heard = list[tuple[object, ...]]


async def listening(broker: Broker, heard: Heard) -> None:
    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.on_any_outgoing
        def hears(event: str, *args: object) -> None:
            heard.append((event, *args))

        await socket.join("room")


async def test_it_hears_emits_broadcasts_and_questions_and_no_acks(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()
    heard: Heard = []
    await listening(broker, heard)

    @broker.on("go")
    async def go(socket: Socket) -> str:
        await socket.emit("direct", (1, 2), {"b": b"\x01"})
        socket.emit_nowait("nowait")
        await broker.to("room").emit("room", b"\x02", b"\x03")
        await broker.emit("all")
        await socket.broadcast.emit("not for it")
        await socket.emit_with_ack("question", "?")
        return "ack"

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('420["go"]')
        while (question := str(await client.get())) != '420["question","?"]':
            assert not question.startswith("43")
        await client.send("430[1]")
        assert await client.get() == '430["ack"]'
    assert heard == [
        ("direct", [1, 2], {"b": b"\x01"}),
        ("nowait",),
        ("room", b"\x02", b"\x03"),
        ("all",),
        ("question", "?"),
    ]


async def test_the_arguments_are_as_the_client_gets_them() -> None:
    broker = Broker()
    heard: Heard = []
    await listening(broker, heard)
    async with broker.test_client() as client:
        await broker.emit("mixed", (1, 2), {"b": b"\x01", "c": [b"\x02"]}, "ü")
        assert await client.expect("mixed") == ([1, 2], {"b": b"\x01", "c": [b"\x02"]}, "ü")
    assert heard == [("mixed", [1, 2], {"b": b"\x01", "c": [b"\x02"]}, "ü")]


async def test_events_of_one_turn_are_heard_one_by_one() -> None:
    broker = Broker()
    heard: Heard = []
    await listening(broker, heard)
    async with broker.test_client() as client:
        for number in range(3):
            broker.to("room").emit_nowait("n", number)
        for number in range(3):
            assert await client.expect("n") == (number,)
    assert heard == [("n", 0), ("n", 1), ("n", 2)]


async def test_what_is_dropped_is_not_heard() -> None:
    broker = Broker(overflow="drop_newest", max_outbox_packets=5)
    heard: Heard = []
    await listening(broker, heard)
    async with broker.test_client() as client:
        for number in range(9):
            broker.to("room").emit_nowait("n", number)
        await wait_all_tasks_blocked()
        assert [await client.expect("n") for _ in heard] == [(number,) for number in range(5)]
    assert heard == [("n", number) for number in range(5)]


async def test_what_middleware_emits_is_heard_when_it_goes() -> None:
    broker = Broker()
    heard: Heard = []

    @broker.use
    async def check(socket: Socket) -> None:
        await socket.emit("early")
        socket.on_any_outgoing(lambda *event: heard.append(event))
        assert heard == []

    async with broker.test_client() as client:
        await client.expect("early")
    assert heard == [("early",)]


async def test_a_listener_that_fails_hurts_nobody() -> None:
    broker = Broker()
    errors: list[tuple[object, ...]] = []
    heard: Heard = []

    @broker.on("error")
    async def error(socket: Socket, raised: Exception, event: str) -> None:
        errors.append((socket.id, str(raised), event))

    @broker.on("fail")
    async def fail(socket: Socket) -> None:
        @socket.on_any_outgoing
        def fails(event: str, *args: object) -> None:
            raise LookupError("listener")

        socket.on_any_outgoing(lambda *event: heard.append(event))

    async with broker.test_client() as one, broker.test_client() as other:
        await one.call("fail")
        delivery = await broker.emit("news")
        assert delivery.recipients == 2
        await one.expect("news")
        await other.expect("news")
        await wait_all_tasks_blocked()
        assert errors == [(one.id, "listener", "news")]
    assert heard == [("news",)]


@pytest.mark.parametrize("broadcast", [False, True])
async def test_a_listener_that_changes_what_it_hears_changes_nothing_of_what_goes_out(
    broadcast: bool,
) -> None:
    broker = Broker()
    heard: list[object] = []

    def spoils(_event: str, *args: Any) -> None:
        args[0]["list"].append("spoilt")
        args[0]["bytes"] = None

    async with broker.test_client() as one, broker.test_client() as other:
        for client in (one, other):
            broker.sockets[client.id].on_any_outgoing(spoils)
        broker.sockets[other.id].on_any_outgoing(lambda _event, *args: heard.append(args))
        value = {"list": [1], "bytes": b"\0\1"}
        if broadcast:
            await broker.emit("news", value)
            assert await one.expect("news") == ({"list": [1], "bytes": b"\0\1"},)
        else:
            await broker.sockets[other.id].emit("news", value)
        assert await other.expect("news") == ({"list": [1], "bytes": b"\0\1"},)
    assert value == {"list": [1], "bytes": b"\0\1"}
    times = 2 if broadcast else 1  # the listeners of one event share what they hear
    assert heard == [({"list": [1] + ["spoilt"] * times, "bytes": None},)]


async def test_prepend_off_and_list() -> None:
    broker = Broker()
    order: list[str] = []
    sockets: list[Socket] = []

    def one(event: str, *args: object) -> None:
        order.append("one")

    def two(event: str, *args: object) -> None:
        order.append("two")

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)
        socket.on_any_outgoing(one)
        socket.prepend_any_outgoing(two)
        assert socket.listeners_any_outgoing() == [two, one]

    async with broker.test_client():
        (socket,) = sockets
        await socket.emit("a")
        socket.off_any_outgoing(two)
        await socket.emit("b")
        socket.off_any_outgoing()
        await socket.emit("c")
    assert order == ["two", "one", "one"]


async def test_who_has_gone_is_not_revived_by_a_listener() -> None:
    broker = Broker()
    sockets: list[Socket] = []
    heard: Heard = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)

    async with broker.test_client():
        pass
    sockets[0].on_any_outgoing(lambda *event: heard.append(event))
    await sockets[0].emit("late")
    assert heard == []


async def test_one_that_nobody_listens_to_has_the_shortest_way() -> None:
    broker = Broker()
    sockets: list[Socket] = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)

    async with broker.test_client(), broker.test_client():
        plain, heard = sockets
        heard.on_any_outgoing(print)
        assert plain.push == plain._session.outbox.push
        assert heard.push != heard._session.outbox.push


async def test_a_listener_is_sync_and_takes_any_event(wire: Callable[..., Any]) -> None:
    broker = Broker()
    refused: list[str] = []

    async def waits(event: str, *args: object) -> None: ...
    def fixed(event: str, text: str) -> None: ...

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        for bad in (waits, fixed, 3):
            with pytest.raises(TypeError, match="on_any_outgoing") as error:
                socket.on_any_outgoing(bad)  # type: ignore[type-var]
            refused.append(str(error.value))

    async with broker.test_client():
        pass
    assert "`def` function" in refused[0]
    assert "(event, *args)" in refused[1]
