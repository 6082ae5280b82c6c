"""Who takes which event, and in which order: handlers and loops of one socket."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket


async def handler(socket: Socket) -> str:
    """Handle any event."""
    return "handler"


async def test_events_are_taken_in_the_order_they_came_one_at_a_time() -> None:
    broker = Broker()
    log: list[object] = []
    busy = 0

    async def handle(who: str, number: int) -> None:
        nonlocal busy
        busy += 1
        assert busy == 1
        for _ in range(number % 4):
            await trio.lowlevel.checkpoint()
        log.append((who, number))
        busy -= 1

    @broker.on("h")
    async def handler(socket: Socket, number: int) -> None:
        await handle("h", number)

    @broker.on_socket
    async def one(socket: Socket) -> None:
        async for _, number in socket.events("a"):
            await handle("a", number)

    @broker.on_socket
    async def two(socket: Socket) -> None:
        async for event, number in socket.events("b", "c"):
            await handle(event, number)

    sent = [("hhabcahbbcah"[number % 12], number) for number in range(48)]
    async with broker.test_client() as client:
        for event, number in sent:
            await client.emit(event, number)
        await wait_all_tasks_blocked()
    assert log == sent


async def test_while_a_body_is_busy_later_events_wait_whoever_they_are_for() -> None:
    broker = Broker()
    log: list[str] = []
    go = trio.Event()

    @broker.on("handler")
    async def handle(socket: Socket) -> None:
        log.append("handler")

    @broker.on_socket
    async def one(socket: Socket) -> None:
        async for _ in socket.events("slow"):
            await go.wait()
            log.append("slow")

    @broker.on_socket
    async def two(socket: Socket) -> None:
        async for event, *_ in socket.events("quick"):
            log.append(event)

    async with broker.test_client() as client:
        for event in ("slow", "handler", "slow", "quick", "handler"):
            await client.emit(event)
        await wait_all_tasks_blocked()
        assert log == []
        go.set()
        await wait_all_tasks_blocked()
        assert log == ["slow", "handler", "slow", "quick", "handler"]


async def test_while_a_handler_runs_loops_wait() -> None:
    broker = Broker()
    log: list[str] = []
    go = trio.Event()

    @broker.on("handler")
    async def handle(socket: Socket) -> None:
        await go.wait()
        log.append("handler")

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for event, *_ in socket.events():
            log.append(event)

    async with broker.test_client() as client:
        for event in ("x", "handler", "y"):
            await client.emit(event)
        await wait_all_tasks_blocked()
        assert log == ["x"]
        go.set()
        await wait_all_tasks_blocked()
        assert log == ["x", "handler", "y"]


async def test_a_loop_that_is_left_keeps_no_handler_waiting() -> None:
    broker = Broker()
    left = trio.Event()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for _ in socket.events("x"):
            await left.wait()
            break
        await trio.sleep_forever()

    broker.on("h", handler)
    async with broker.test_client() as client, trio.open_nursery() as nursery:
        await client.emit("x")
        nursery.start_soon(client.call, "h")
        await wait_all_tasks_blocked()
        left.set()  # the call returns


@pytest.mark.parametrize("in_child", [False, True])
async def test_a_body_may_hold_another_loop(*, in_child: bool) -> None:
    """Also one that a task in its nursery runs; and what nobody can come for is dropped."""
    broker = Broker()
    log: list[object] = []

    async def play(socket: Socket) -> None:
        async for event, *_ in socket.events("move", "stop"):
            log.append(event)
            if event == "stop":
                break

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for event, *_ in socket.events("start"):
            log.append(event)
            if in_child:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(play, socket)
            else:
                await play(socket)

    async with broker.test_client() as client:
        for event in ("start", "move", "stop", "move", "start", "move", "stop"):
            await client.emit(event)
        await wait_all_tasks_blocked()
        assert log == ["start", "move", "stop", "start", "move", "stop"]
        await client.emit("start")
        await wait_all_tasks_blocked()
        if not in_child:  # else the outer loop may yet come for it
            for event in ("start", "move", "stop"):
                await client.emit(event)
            await wait_all_tasks_blocked()
            assert log[6:] == ["start", "move", "stop"]


async def test_an_event_waits_for_a_function_to_begin_its_loop() -> None:
    broker = Broker()
    log: list[object] = []
    go = trio.Event()

    @broker.on_socket
    async def early(socket: Socket) -> None:
        async for event, *_ in socket.events("early"):
            log.append(event)

    @broker.on_socket
    async def late(socket: Socket) -> None:
        await go.wait()
        async for event, *_ in socket.events("late"):
            log.append(event)

    @broker.on("handler")
    async def handle(socket: Socket) -> None:
        log.append("handler")

    async with broker.test_client() as client:
        for event in ("early", "late", "handler", "early"):
            await client.emit(event)
        await wait_all_tasks_blocked()
        assert log == ["early"]
        go.set()
        await wait_all_tasks_blocked()
        assert log == ["early", "late", "handler", "early"]


async def test_when_the_last_function_has_ended_what_waits_is_as_ever() -> None:
    broker = Broker()
    go = trio.Event()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        await anext(socket.events("x"))
        await go.wait()

    broker.on("h", handler)
    async with broker.test_client() as client, trio.open_nursery() as nursery:
        for event in ("x", "x", "nobody's", "x"):
            await client.emit(event)
        nursery.start_soon(client.call, "h")
        await wait_all_tasks_blocked()
        go.set()  # the call returns


async def test_a_function_that_never_asks_keeps_events_for_connect_timeout_only(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(connect_timeout=4.0)
    go = trio.Event()
    log: list[object] = []

    @broker.on_socket
    async def ticker(socket: Socket) -> None:
        await go.wait()
        async for event, *_ in socket.events():
            log.append(event)
            if event == "enough":
                break
        await trio.sleep(2.0)
        log.append((await anext(socket.events()))[0])

    broker.on("h", handler)
    async with broker.test_client() as client:
        await trio.sleep(10)
        start = trio.current_time()
        await client.emit("nobody's")
        assert await client.call("h") == "handler"
        assert trio.current_time() - start == pytest.approx(4.0)
        (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
        for word in ("ticker", "nobody's", "connect_timeout=4", "socket.nursery"):
            assert word in record.getMessage()
        for _ in range(3):
            await client.emit("nobody's")
            assert await client.call("h") == "handler"
        assert trio.current_time() - start == pytest.approx(4.0)
        assert broker.statistics().dropped == 4
        go.set()
        for event in ("late", "enough", "patience again"):
            await client.emit(event)
        await trio.sleep(3.0)
        assert log == ["late", "enough", "patience again"]


async def test_a_handler_or_hook_cannot_wait_for_its_own_sockets_events() -> None:
    broker = Broker()
    messages: list[str] = []

    async def loop(socket: Socket) -> None:
        try:
            async for _ in socket.events():
                pass
        except RuntimeError as error:
            messages.append(str(error))

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await loop(socket)

    @broker.on("x")
    async def handle(socket: Socket) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop, socket)

    async with broker.test_client() as client:
        await client.call("x")
        assert len(messages) == 2
        assert all("`on_socket`" in message for message in messages)


async def test_a_handler_has_no_context_variables_of_a_loop() -> None:
    broker = Broker()
    variable = contextvars.ContextVar("variable", default="clean")

    @broker.on_socket
    async def life(socket: Socket) -> None:
        variable.set("of the loop")
        async for _ in socket.events():
            await trio.testing.wait_all_tasks_blocked()

    @broker.on("h")
    async def handle(socket: Socket) -> str:
        return variable.get()

    async with broker.test_client() as client:
        await client.emit("x")
        assert await client.call("h") == "clean"


async def test_an_early_event_of_a_namespace_that_is_looked_for_waits_too(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()
    go = trio.Event()
    log: list[object] = []

    async def fits(name: str, auth: object) -> bool:
        await go.wait()
        return True

    @broker.of(fits).on_socket
    async def life(socket: Socket) -> None:
        async for event, *_ in socket.events():
            log.append(event)

    async with broker, wire(broker) as client:
        await client.send("40/x,", '42/x,["early"]')
        await wait_all_tasks_blocked()
        assert log == []
        go.set()
        await wait_all_tasks_blocked()
        assert log == ["early"]
