"""What becomes of loops and their events when the client goes."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket


class Outside:
    """A loop in a nursery of the test's own; `log` also has the hooks of the socket's end."""

    def __init__(self, broker: Broker, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.log: list[object] = []
        self.go = trio.Semaphore(0)
        broker.on("connection", self.connected)
        broker.on("disconnecting", self.disconnecting)

    async def connected(self, socket: Socket) -> None:
        self.nursery.start_soon(self.loop, socket)

    async def loop(self, socket: Socket) -> None:
        async for _, number in socket.events("n"):
            await self.go.acquire()
            self.log.append((number, socket.connected))
        self.log.append("over")

    async def disconnecting(self, socket: Socket, reason: str) -> None:
        self.log.append("disconnecting")


async def test_a_loop_outside_ends_when_what_had_arrived_is_taken() -> None:
    broker = Broker()
    async with broker, trio.open_nursery() as nursery:
        outside = Outside(broker, nursery)

        @broker.on("h")
        async def handle(socket: Socket) -> None:
            outside.log.append("h")

        async with broker.test_client() as client:
            for number in range(3):
                await client.emit("n", number)
                await client.emit("h")
            await wait_all_tasks_blocked()
            nursery.start_soon(client.disconnect)
            await wait_all_tasks_blocked()
            assert outside.log == []
            for _ in range(3):
                outside.go.release()
        await wait_all_tasks_blocked()
        assert sorted(outside.log[6:], key=str) == ["disconnecting", "over"]
        assert outside.log[:6] == [(0, False), "h", (1, False), "h", (2, False), "h"]
        assert broker.statistics().dropped == 0


async def test_a_loop_outside_that_waits_ends_at_once() -> None:
    broker = Broker()
    async with broker, trio.open_nursery() as nursery:
        outside = Outside(broker, nursery)
        async with broker.test_client():
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert sorted(outside.log, key=str) == ["disconnecting", "over"]


async def test_a_loop_outside_ends_after_handler_grace_and_the_rest_is_dropped(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(handler_grace=3.0)
    async with broker, trio.open_nursery() as nursery:
        outside = Outside(broker, nursery)
        async with broker.test_client() as client:
            for number in range(4):
                await client.emit("n", number)
            await wait_all_tasks_blocked()
            start = trio.current_time()
        assert trio.current_time() - start == pytest.approx(3.0)
        assert outside.log == ["disconnecting"]
        assert broker.statistics().dropped == 3
        outside.go.release()
        await wait_all_tasks_blocked()
        assert outside.log == ["disconnecting", (0, False), "over"]


async def test_when_the_server_disconnects_the_rest_is_dropped_at_once() -> None:
    broker = Broker()
    async with broker, trio.open_nursery() as nursery:
        outside = Outside(broker, nursery)
        async with broker.test_client() as client:
            for number in range(4):
                await client.emit("n", number)
            await wait_all_tasks_blocked()
            (socket,) = broker.sockets.values()
            await socket.disconnect()
            assert broker.statistics().dropped == 3
            outside.go.release()
        await wait_all_tasks_blocked()
        assert sorted(outside.log[1:], key=str) == ["disconnecting", "over"]


async def test_what_an_on_socket_function_has_not_taken_is_dropped_and_counted() -> None:
    broker = Broker()
    log: list[object] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        try:
            async for _ in socket.events("n"):
                await trio.sleep_forever()
        finally:
            log.append("cancelled")

    @broker.on("h")
    async def handle(socket: Socket) -> None:
        log.append("h")

    @broker.on("disconnecting")
    async def disconnecting(socket: Socket, reason: str) -> None:
        log.append("disconnecting")

    async with broker:
        async with broker.test_client() as client:
            for event in ("n", "n", "h", "n"):
                await client.emit(event)
            await wait_all_tasks_blocked()
        assert log == ["cancelled", "h", "disconnecting"]
        assert broker.statistics().dropped == 2


async def test_what_waits_for_a_function_to_begin_is_dropped_and_counted() -> None:
    broker = Broker()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        await trio.sleep_forever()

    async with broker:
        async with broker.test_client() as client:
            await client.emit("x")
            await client.emit("x")
            await wait_all_tasks_blocked()
        assert broker.statistics().dropped == 2


async def test_when_the_client_goes_nothing_waits_for_a_function_to_begin(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    log: list[object] = []

    @broker.on_socket
    async def stubborn(socket: Socket) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(3.0)

    @broker.on("h")
    async def handle(socket: Socket) -> None:
        log.append(trio.current_time() - start)

    async with broker:
        async with broker.test_client() as client:
            for event in ("x", "y", "h"):
                await client.emit(event)
            await wait_all_tasks_blocked()
            start = trio.current_time()
            assert log == []
        assert log == [0]
        assert broker.statistics().dropped == 2
        life = broker._life
        assert life is not None
        timers = life.services.timers._heap
        assert [timer for _, _, timer in timers if timer._action is not None] == []


async def test_a_function_that_does_not_end_keeps_the_hooks_for_a_while_only(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(handler_grace=1.0, disconnect_timeout=2.0)
    log: list[object] = []

    @broker.on_socket
    async def stubborn(socket: Socket) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        log.append(trio.current_time() - start)

    async with broker:
        async with broker.test_client():
            await wait_all_tasks_blocked()
            start = trio.current_time()
        assert log == [pytest.approx(3.0)]


async def test_a_cancelled_broker_ends_loops_and_runs_the_hooks() -> None:
    broker = Broker()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery, broker:
            outside = Outside(broker, nursery)
            await nursery.start(broker.serve, "127.0.0.1", 0)
            async with broker.test_client() as client:
                await client.emit("n", 0)
                await wait_all_tasks_blocked()
                scope.cancel()
    assert outside.log == ["disconnecting"]


async def test_a_socket_that_has_gone_has_no_events() -> None:
    broker = Broker()
    async with broker:
        async with broker.test_client():
            (socket,) = broker.sockets.values()
        assert [event async for event in socket.events()] == []
        assert [event async for event in socket.events("x")] == []

        async def handler(socket: Socket) -> None: ...

        broker.on("x", handler)


async def test_a_function_may_disconnect_its_own_socket() -> None:
    broker = Broker()
    log: list[object] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for _ in socket.events("bye"):
            await socket.disconnect()
            log.append("never")

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        log.append(reason)

    async with broker, broker.test_client() as client:
        await client.emit("bye")
        await wait_all_tasks_blocked()
        assert log == ["server namespace disconnect"]
        assert not client.connected
