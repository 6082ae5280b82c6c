"""Clients that do not read, and clients that send too much: only they feel it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket, SocketDisconnected

LOCKSTEP = trio.testing.lockstep_stream_pair


def noting(broker: Broker) -> tuple[list[Socket], list[str]]:
    sockets: list[Socket] = []
    reasons: list[str] = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        reasons.append(reason)

    return sockets, reasons


async def stall(sockets: list[Socket], waiting: int) -> None:
    """Send until the client's queues take no more, and then so many events for the outbox."""
    for _ in range(5):
        await wait_all_tasks_blocked()
        sockets[0].emit_nowait("fill")
    await wait_all_tasks_blocked()
    for _ in range(waiting):
        sockets[0].emit_nowait("e")


@pytest.mark.parametrize("options", [{"max_outbox_bytes": 5000}, {"max_outbox_packets": 40}])
async def test_who_does_not_read_is_disconnected_and_delays_nobody(
    options: dict[str, int], wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(**options)
    sockets, reasons = noting(broker)
    async with broker, wire(broker, streams=LOCKSTEP) as stalled, broker.test_client() as reader:
        await stalled.enter()
        for number in range(100):
            await broker.emit("e", number, "x" * 100)
            await wait_all_tasks_blocked()
            assert (await reader.expect("e"))[0] == number
        assert reasons == ["slow client"]
        assert broker.statistics().slow_disconnects == 1
        assert broker.statistics().outbox_packets == 0
        assert reader.connected
        assert len(sockets) == 2


async def test_a_bulk_sender_waits_at_the_high_water_mark(wire: Callable[..., Any]) -> None:
    broker = Broker(max_outbox_packets=40)
    sockets, reasons = noting(broker)
    sent = 0

    async def bulk() -> None:
        nonlocal sent
        for number in range(200):
            await sockets[0].emit("e", number)
            sent = number

    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bulk)
            await wait_all_tasks_blocked()
            assert 0 < sent < 120
            assert broker.statistics().outbox_packets <= 40
            for number in range(200):
                assert await client.get() == f'42["e",{number}]'
        assert reasons == []


async def test_emit_nowait_never_waits_and_ends_a_full_client(wire: Callable[..., Any]) -> None:
    broker = Broker(max_outbox_packets=10)
    sockets, reasons = noting(broker)
    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        for _ in range(30):
            sockets[0].emit_nowait("e")
        await wait_all_tasks_blocked()
        assert reasons == ["slow client"]


async def test_above_the_mark_for_slow_timeout_is_slow(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_packets=40, slow_timeout=6.0)
    sockets, reasons = noting(broker)
    heard: list[BaseException] = []
    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()

        async def bulk() -> None:
            while sockets[0].connected:
                await sockets[0].emit("e")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(bulk)
            await wait_all_tasks_blocked()
            await trio.sleep(5.9)
            assert reasons == []
            await trio.sleep(0.2)
            assert reasons == ["slow client"]
        assert broker.statistics().slow_disconnects == 1
    assert heard == []


async def test_the_timeout_of_an_ack_holds_while_the_outbox_is_above_its_mark(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_packets=40, slow_timeout=30.0)
    sockets, _ = noting(broker)
    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        await stall(sockets, 30)
        start = trio.current_time()
        with pytest.raises(trio.TooSlowError):
            await sockets[0].emit_with_ack("q", timeout=2.0)
        assert trio.current_time() - start == pytest.approx(2.0)
        assert broker.statistics().pending_acks == 0


async def test_who_waits_at_the_mark_is_woken_when_the_client_goes(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_packets=20)
    sockets, _ = noting(broker)
    ended: list[str] = []

    async def ask() -> None:
        with pytest.raises(SocketDisconnected):
            await sockets[0].emit_with_ack("q")
        ended.append("ask")

    async def emit() -> None:
        await sockets[0].emit("e")
        ended.append("emit")

    async with broker, trio.open_nursery() as nursery, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        await stall(sockets, 15)
        nursery.start_soon(ask)
        nursery.start_soon(emit)
        await wait_all_tasks_blocked()
        assert ended == []
        await sockets[0].disconnect(close=True)
        await wait_all_tasks_blocked()
        assert sorted(ended) == ["ask", "emit"]
        await broker.close()


async def test_a_full_inbox_stops_reading_that_client_alone_and_its_heart_does_not_end_it(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_inbox_packets=4, ping_interval=5.0, ping_timeout=2.0)
    _, reasons = noting(broker)
    release = trio.Event()
    handled: list[int] = []

    @broker.on("e")
    async def handle(socket: Socket, number: int) -> None:
        await release.wait()
        handled.append(number)

    @broker.on("echo")
    async def echo(socket: Socket, text: str) -> str:
        return text

    async with broker, wire(broker) as client, broker.test_client() as other:
        await client.enter()
        for number in range(20):
            await client.send(f'42["e",{number}]')
        await trio.sleep(60)  # eight times as long as it may be silent
        assert reasons == []
        assert await other.call("echo", "x") == "x"
        release.set()
        await wait_all_tasks_blocked()
        assert handled == list(range(20))
        await trio.sleep(1)
        assert reasons == []
        # From now on its silence is its own fault.
        await trio.sleep(10)
        assert reasons == ["ping timeout"]


async def test_an_inbox_is_bounded_in_bytes(wire: Callable[..., Any]) -> None:
    broker = Broker(max_inbox_bytes=10_000)
    release = trio.Event()
    handled = 0

    @broker.on("e")
    async def handle(socket: Socket, blob: str) -> None:
        nonlocal handled
        await release.wait()
        handled += 1

    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        sent = 0

        async def flood() -> None:
            nonlocal sent
            for _ in range(50):
                await client.send('42["e","' + "x" * 5000 + '"]')
                sent += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await wait_all_tasks_blocked()
            assert sent < 8
            release.set()
        await wait_all_tasks_blocked()
        assert handled == 50
