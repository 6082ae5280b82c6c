"""A function for the whole life of a socket, and its loop over the client's events."""

from __future__ import annotations

import re

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker import Broker, EventError, JoinRefused, Socket


async def test_a_function_loops_over_the_events_of_its_client() -> None:
    broker = Broker()
    seen: list[tuple[object, ...]] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for event, *args in socket.events():
            seen.append((event, *args))

    async with broker.test_client() as client:
        await client.emit("move", 1, 2)
        await client.emit("stop")
        await client.emit("move", b"bytes", {"k": [None]})
        await wait_all_tasks_blocked()
    assert seen == [("move", 1, 2), ("stop",), ("move", b"bytes", {"k": [None]})]


async def test_it_starts_when_the_connection_hooks_have_finished() -> None:
    broker = Broker()
    log: list[str] = []
    go = trio.Event()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        log.append("life")
        async for event, *_ in socket.events():
            log.append(event)

    @broker.on("connection")
    async def first(socket: Socket) -> None:
        await go.wait()
        log.append("first")

    @broker.on("connection")
    async def second(socket: Socket) -> None:
        await trio.lowlevel.checkpoint()
        log.append("second")

    async with broker.test_client() as client:
        await client.emit("event")
        await wait_all_tasks_blocked()
        assert log == []
        go.set()
        await wait_all_tasks_blocked()
        assert log == ["first", "second", "life", "event"]


async def test_it_does_not_start_for_a_client_that_left_meanwhile() -> None:
    broker = Broker()
    log: list[str] = []
    go = trio.Event()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        log.append("life")

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await go.wait()

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        log.append(reason)

    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.disconnect)
        await wait_all_tasks_blocked()
        go.set()
        await wait_all_tasks_blocked()
    assert log == ["client namespace disconnect"]


async def test_each_function_has_a_task_of_its_own() -> None:
    broker = Broker()
    tasks: dict[str, trio.lowlevel.Task] = {}

    @broker.on_socket
    async def one(socket: Socket) -> None:
        tasks["one"] = trio.lowlevel.current_task()
        await trio.sleep_forever()

    @broker.on_socket
    async def two(socket: Socket) -> None:
        tasks["two"] = trio.lowlevel.current_task()
        async for received in socket.events():
            received.ack("two")

    async with broker.test_client() as client:
        assert await client.call("x") == "two"
        assert tasks["one"] is not tasks["two"]


async def test_it_is_cancelled_when_the_client_goes_and_the_hooks_come_after() -> None:
    broker = Broker()
    log: list[object] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        try:
            async for _ in socket.events():
                pass
        finally:
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
            log.append(("life", socket.connected))

    @broker.on("disconnecting")
    async def disconnecting(socket: Socket, reason: str) -> None:
        log.append(reason)

    async with broker:
        async with broker.test_client():
            await wait_all_tasks_blocked()
        assert log == [("life", False), "transport close"]
        assert broker.statistics().dropped == 0


async def test_an_exception_goes_to_the_error_hook_and_ends_that_socket_alone() -> None:
    broker = Broker()
    log: list[object] = []
    failure = ValueError("broken")

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for _ in socket.events():
            raise failure

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: object) -> None:
        log.append((socket.id, error, event))

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        log.append((socket.id, reason))

    async with broker, broker.test_client() as other, broker.test_client() as client:
        await client.emit("x")
        await wait_all_tasks_blocked()
        assert log == [(client.id, failure, None), (client.id, "server error")]
        assert not client.connected
        assert other.connected


async def test_a_function_that_returns_ends_nothing_else() -> None:
    broker = Broker()

    @broker.on_socket
    async def short(socket: Socket) -> None:
        pass

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for received in socket.events("loop"):
            received.ack("loop")

    @broker.on("handler")
    async def handler(socket: Socket) -> str:
        return "handler"

    async with broker.test_client() as client:
        await wait_all_tasks_blocked()
        assert await client.call("loop") == "loop"
        assert await client.call("handler") == "handler"
        assert client.connected


async def test_dynamic_namespaces_have_it_too() -> None:
    broker = Broker()
    names: list[str] = []
    pattern = broker.of(re.compile(r"^/org-\w+$"))

    @pattern.on_socket
    async def of_all(socket: Socket) -> None:
        names.append(socket.namespace.name)

    @broker.of("/org-a").on_socket
    async def of_one(socket: Socket) -> None:
        names.append("a")

    async with broker, broker.test_client("/org-a"), broker.test_client("/org-b"):
        await wait_all_tasks_blocked()
    assert sorted(names) == ["/org-a", "/org-b", "a"]


def test_what_cannot_be_called_with_a_socket_is_refused() -> None:
    async def none() -> None: ...

    def not_async(socket: Socket) -> None: ...

    with pytest.raises(TypeError, match=r"\(socket\); .*none"):
        Broker().on_socket(none)
    with pytest.raises(TypeError, match="async def"):
        Broker().on_socket(not_async)  # type: ignore[type-var]


async def test_rooms_are_left_when_it_is_cancelled_before_the_hooks_run() -> None:
    broker = Broker()
    rooms: list[object] = []
    joined = trio.Event()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async with socket.joined("general", "vip"):
            joined.set()
            async for received in socket.events():
                received.ack(*sorted(socket.joined_rooms))

    @broker.on("disconnecting")
    async def disconnecting(socket: Socket, reason: str) -> None:
        rooms.append((socket.joined_rooms, dict(broker.rooms)))

    async with broker:
        async with broker.test_client() as client:
            assert await client.call("rooms") == ("general", "vip")
        assert rooms == [(frozenset(), {})]


async def test_a_refusal_that_nobody_catches_ends_the_socket() -> None:
    broker = Broker()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        (other,) = [each for each in broker.sockets.values() if each is not socket] or [socket]
        async with socket.joined(other.id):
            await trio.sleep_forever()

    async with broker, broker.test_client(), broker.test_client() as two:
        error = await two.expect_error(EventError)
        assert isinstance(error, JoinRefused)
        assert not two.connected


async def test_tasks_of_the_sockets_nursery_go_on_when_it_returns() -> None:
    broker = Broker()
    log: list[str] = []

    async def tick(socket: Socket) -> None:
        try:
            async for received in socket.events("tick"):
                received.ack("tock")
        finally:
            log.append("cancelled")

    @broker.on_socket
    async def life(socket: Socket) -> None:
        socket.nursery.start_soon(tick, socket)

    async with broker:
        async with broker.test_client() as client:
            await wait_all_tasks_blocked()
            assert await client.call("tick") == "tock"
        assert log == ["cancelled"]
