"""Handlers that are called once, and that are taken away again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from broker import Broker, Socket


def answering(answer: object) -> Callable[..., Awaitable[object]]:
    async def handler(*args: object) -> object:
        return answer

    return handler


async def test_once_is_for_the_first_event_only() -> None:
    broker = Broker()
    broker.once("ask", answering("once"))
    broker.on("ask", answering("always"))
    async with broker.test_client() as client:
        assert await client.call("ask") == "once"
        assert await client.call("ask") == "always"


async def test_a_wrong_arity_does_not_use_it_up() -> None:
    broker = Broker()

    @broker.once("ask")
    async def ask(socket: Socket, number: int) -> int:
        return number

    async with broker.test_client() as client:
        assert (await client.call("ask"))["error"]["code"] == "bad_arguments"
        assert await client.call("ask", 3) == 3


async def test_once_is_taken_away_before_it_is_called() -> None:
    broker = Broker()
    calls: list[str] = []
    go = trio.Event()

    @broker.once("ask")
    async def ask(socket: Socket) -> None:
        calls.append(socket.id)
        await go.wait()

    broker.on("ask", answering(1))

    async with broker.test_client() as one, broker.test_client() as other:
        await one.emit("ask")
        await trio.testing.wait_all_tasks_blocked()
        assert await other.call("ask") == 1
        go.set()
    assert calls == [one.id]


async def test_once_of_a_socket_and_of_a_hook() -> None:
    broker = Broker()
    greeted: list[str] = []

    @broker.once("connection")
    async def first(socket: Socket) -> None:
        greeted.append(socket.id)

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        socket.once("ask", answering("own"))

    async with broker.test_client() as one, broker.test_client() as other:
        assert await one.call("ask") == "own"
        assert await other.call("ask") == "own"
    assert greeted == [one.id]


async def test_off_takes_away_one_or_all_of_an_event_or_all() -> None:
    broker = Broker()
    one, two = answering(1), answering(2)
    broker.on("ask", one)
    broker.on("ask", two)
    broker.on("other", one)
    seen: list[str] = []

    @broker.on("connect")
    async def connected(socket: Socket) -> None:
        seen.append(socket.id)

    assert broker.listeners("ask") == [one, two]
    assert broker.listeners("connection") == [connected]
    async with broker.test_client() as client:
        assert await client.call("ask") == 1
        broker.off("ask", one)
        assert await client.call("ask") == 2
        broker.off("ask", one)  # it is away already
        broker.off("ask")
        assert broker.listeners("ask") == []
        assert await client.call("other") == 1
        broker.off()
        assert broker.listeners("other") == broker.listeners("connection") == []
    assert len(seen) == 1


def test_off_takes_away_the_latest_registration() -> None:
    broker = Broker()
    one, two = answering(1), answering(2)
    for handler in (one, two, one):
        broker.on("ask", handler)
    broker.once("ask", two)
    broker.off("ask", one)
    broker.off("ask", two)
    assert broker.listeners("ask") == [one, two]


async def test_an_event_goes_on_with_the_handlers_it_began_with() -> None:
    broker = Broker()

    @broker.on("ask")
    async def first(socket: Socket) -> None:
        broker.off("ask")

    broker.on("ask", answering("second"))
    broker.on_unhandled(answering("nobody"))
    async with broker.test_client() as client:
        assert await client.call("ask") == "second"
        assert await client.call("ask") == "nobody"


async def test_what_a_socket_takes_away_is_its_own() -> None:
    broker = Broker()
    broker.on("ask", answering("all"))

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        socket.on("ask", answering("own"))
        socket.off("ask")
        assert socket.listeners("ask") == []

    async with broker.test_client() as client:
        assert await client.call("ask") == "all"


@pytest.mark.parametrize("bad", [3, "", ("x",)])
def test_off_wants_a_name(bad: object) -> None:
    with pytest.raises(TypeError, match="expected an event's name"):
        Broker().off(bad)  # type: ignore[arg-type]
