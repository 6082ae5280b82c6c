"""An event has either handlers or one loop, which has it until it is left."""

from __future__ import annotations

import gc
from contextlib import aclosing

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket


async def handler(socket: Socket) -> str:
    """Handle any event."""
    return "handler"


async def test_a_loop_without_names_has_what_has_no_handler() -> None:
    broker = Broker()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for received in socket.events():
            received.ack("loop")

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        async def own() -> str:
            return "own"

        socket.on("own", own)
        socket.on("error", own)

    broker.on("all", handler)
    async with broker.test_client() as client:
        assert await client.call("own") == "own"
        assert await client.call("error") == "own"
        assert await client.call("all") == "handler"
        assert await client.call("x") == "loop"
        assert await client.call("connection") == "loop"
        broker.on("x", handler)
        assert await client.call("x") == "handler"


async def test_a_loop_with_names_has_these_only_and_others_are_dropped_as_ever() -> None:
    broker = Broker()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for received in socket.events("a", "b"):
            received.ack(received.event)

    broker.on("h", handler)
    async with broker.test_client() as client:
        assert await client.call("a") == "a"
        await client.emit("nobody's")
        assert await client.call("b") == "b"
        await client.emit("nobody's")
        assert await client.call("h") == "handler"
        assert broker.statistics().dropped == 0  # they were never meant for anybody


@pytest.mark.parametrize("of_socket", [False, True])
async def test_an_event_with_a_handler_has_no_loop(*, of_socket: bool) -> None:
    broker = Broker()
    broker.on("y", handler)
    async with broker.test_client():
        (socket,) = broker.sockets.values()
        (socket if of_socket else broker).on("x", handler)
        with pytest.raises(ValueError, match=r"'x' has a handler.*on\('x'\)"):
            socket.events("z", "x")
        socket.events("z")


@pytest.mark.parametrize("of_socket", [False, True])
async def test_an_event_with_a_loop_has_no_handler(*, of_socket: bool) -> None:
    broker = Broker()
    async with broker.test_client():
        (socket,) = broker.sockets.values()
        target = socket if of_socket else broker
        loop = socket.events("x", "x", "y")
        for name in ("x", "y"):
            with pytest.raises(RuntimeError, match=rf"events\('{name}'\).*on\('{name}'\)"):
                target.on(name, handler)
        target.on("z", handler)
        await loop.aclose()
        target.on("x", handler)


async def test_the_last_loop_of_all_sockets_gives_its_events_back() -> None:
    broker = Broker()
    async with broker.test_client(), broker.test_client():
        one, two = [socket.events("x") for socket in broker.sockets.values()]
        await one.aclose()
        with pytest.raises(RuntimeError, match=r"events\('x'\)"):
            broker.on("x", handler)
        await two.aclose()
        broker.on("x", handler)


async def test_a_pattern_has_no_handler_for_what_a_loop_in_its_namespaces_takes() -> None:
    async def fits(name: str, auth: object) -> bool:
        return True

    broker = Broker()
    dynamic = broker.of(fits)
    loops: list[object] = []

    @dynamic.on_socket
    async def life(socket: Socket) -> None:
        loops.append(socket.events("x"))
        await trio.sleep_forever()

    async with broker:
        async with broker.test_client("/any"):
            await wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match=r"events\('x'\)"):
                dynamic.on("x", handler)
        dynamic.on("x", handler)  # what its sockets claimed has gone with them


@pytest.mark.parametrize(
    ("first", "second"), [((), ()), (("x", "y"), ("z", "x")), ((), ("x",)), (("x",), ())]
)
async def test_two_loops_want_no_event_both(
    first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    broker = Broker()
    async with broker.test_client():
        (socket,) = broker.sockets.values()
        loop = socket.events(*first)
        with pytest.raises(RuntimeError, match="another loop of this socket"):
            socket.events(*second)
        await loop.aclose()
        other = socket.events(*second)
        with pytest.raises(StopAsyncIteration):
            await anext(loop)
        await other.aclose()


@pytest.mark.parametrize("name", ["disconnect", "connect_error", "newListener"])
async def test_no_loop_is_over_what_no_client_can_send(name: str) -> None:
    broker = Broker()
    async with broker.test_client():
        (socket,) = broker.sockets.values()
        with pytest.raises(ValueError, match=name):
            socket.events(name)
        with pytest.raises(TypeError, match="name"):
            socket.events(3)  # type: ignore[arg-type]


async def test_a_loop_that_is_left_leaves_its_events_to_the_next() -> None:
    broker = Broker()
    log: list[object] = []
    go = trio.Event()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for _, name in socket.events("login"):
            log.append(name)
            break
        await go.wait()  # what arrives meanwhile is lost for nobody
        async for event, *args in socket.events():
            log.append((event, *args))
            if event == "logout":
                break
        _, name = await anext(socket.events("login"))
        log.append(name)

    async with broker.test_client() as client:
        await client.emit("login", "Ann")
        await client.emit("move", 1)
        await wait_all_tasks_blocked()
        go.set()
        await client.emit("move", 2)
        await client.emit("logout")
        await client.emit("move", 3)
        await client.emit("login", "Bob")
        await wait_all_tasks_blocked()
    assert log == ["Ann", ("move", 1), ("move", 2), ("logout",), "Bob"]


async def test_a_loop_that_a_timeout_ends_is_left(autojump_clock: MockClock) -> None:
    broker = Broker()
    log: list[object] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        for _ in range(3):
            with trio.move_on_after(1):
                async for event, *_ in socket.events("x"):
                    log.append(event)
            log.append("late")
        broker.on("x", handler)

    async with broker.test_client() as client:
        await trio.sleep(1.5)
        await client.emit("x")
        await trio.sleep(2)
        assert log == ["late", "x", "late", "late"]
        assert await client.call("x") == "handler"


async def test_a_loop_ends_with_its_function_whoever_refers_to_it() -> None:
    broker = Broker()
    loops: list[object] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        events = socket.events("x")
        loops.append(events)
        await anext(events)

    broker.on("h", handler)
    async with broker.test_client() as client:
        await client.emit("x")
        assert await client.call("h") == "handler"
        broker.on("x", handler)
        assert await client.call("x") == "handler"


async def test_a_loop_in_a_cycle_is_left_when_the_cycle_is_found() -> None:
    broker = Broker()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        cycle: list[object] = [socket.events("x")]
        cycle.append(cycle)
        await anext(cycle[0])  # type: ignore[call-overload]
        del cycle
        gc.collect()
        await trio.sleep_forever()

    broker.on("h", handler)
    async with broker.test_client() as client:
        await client.emit("x")
        assert await client.call("h") == "handler"


async def test_aclose_ends_a_loop_that_is_referred_to() -> None:
    broker = Broker()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async with aclosing(socket.events("x")) as events:
            await anext(events)
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        await trio.sleep_forever()

    broker.on("h", handler)
    async with broker.test_client() as client:
        await client.emit("x")
        assert await client.call("h") == "handler"


async def test_one_loop_is_for_one_task() -> None:
    broker = Broker()
    async with broker.test_client(), trio.open_nursery() as nursery:
        (socket,) = broker.sockets.values()
        events = socket.events()

        async def take() -> None:
            await anext(events)

        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await anext(events)
        nursery.cancel_scope.cancel()


async def test_two_loops_in_tasks_of_their_own_take_one_event_at_a_time() -> None:
    broker = Broker()
    log: list[str] = []
    go = trio.Event()

    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]

        async def slow() -> None:
            async for _ in socket.events("a"):
                log.append("a begins")
                await go.wait()
                log.append("a ends")

        async def late() -> None:
            await wait_all_tasks_blocked()
            async for _ in socket.events("b"):
                await trio.lowlevel.checkpoint()
                log.append("b")

        socket.nursery.start_soon(slow)
        await wait_all_tasks_blocked()
        await client.emit("a")
        await client.emit("b")
        socket.nursery.start_soon(late)
        await wait_all_tasks_blocked()
        assert log == ["a begins"]
        go.set()
        await wait_all_tasks_blocked()
        assert log == ["a begins", "a ends", "b"]
