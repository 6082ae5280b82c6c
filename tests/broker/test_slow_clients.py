"""Clients that do not read: only they feel it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio_websocket
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket, SocketDisconnected

from .stalled import LOCKSTEP, noting, stall


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


async def test_a_handler_that_sends_100_mb_to_a_slow_reader_loses_nothing_and_stays_below_the_cap(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(ping_interval=1000.0)
    sockets, reasons = noting(broker)
    block = b"x" * 100_000
    most = 0

    @broker.on("send")
    async def send(socket: Socket) -> str:
        nonlocal most
        for number in range(1000):
            await socket.emit("block", number, block)
            most = max(most, socket.statistics().outbox_bytes)
        return "done"

    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        await client.send('421["send"]')
        for number in range(1000):
            await trio.sleep(0.1)
            head = f'451-["block",{number},{{"_placeholder":true,"num":0}}]'
            assert await client.get() == head
            assert await client.get() == block
        assert await client.get() == '431["done"]'
        assert broker.options.max_outbox_bytes / 2 < most < broker.options.max_outbox_bytes
        assert broker.statistics().dropped == 0
        assert reasons == []
        await wait_all_tasks_blocked()
        assert sockets[0].statistics().outbox_bytes == 0


async def test_many_tasks_that_send_large_events_wait_for_each_other(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_bytes=1_000_000)
    sockets, reasons = noting(broker)
    block = b"x" * 700_000  # more than half: two of them never fit

    async with (
        broker,
        wire(broker, streams=LOCKSTEP) as client,
        trio.open_nursery() as nursery,
    ):
        await client.enter()
        for _ in range(10):
            nursery.start_soon(sockets[0].emit, "block", block)
        for _ in range(10):
            await wait_all_tasks_blocked()
            assert broker.statistics().outbox_bytes <= 1_000_000
            await client.get()
            assert await client.get() == block
        assert reasons == []


async def test_a_flood_of_questions_is_not_answered_for_ever(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """Neither acks nor refusals may grow without end, whatever the policy."""
    for overflow in ("disconnect", "drop_oldest", "drop_newest"):
        for question in ('421["echo"]', "40/nowhere,"):
            broker = Broker(max_outbox_packets=40, overflow=overflow)
            _, reasons = noting(broker)

            @broker.on("echo")
            async def echo(socket: Socket) -> None:
                pass

            async with broker, wire(broker, streams=LOCKSTEP) as client:
                await client.enter()
                with suppress(trio_websocket.ConnectionClosed):
                    for _ in range(200):
                        await client.send(question)
                        await wait_all_tasks_blocked()
                        assert broker.statistics().outbox_packets <= 60
                assert reasons == ["slow client"], (overflow, question)


@pytest.mark.parametrize("how", ["slow", "client", "server", "cancelled"])
async def test_what_waits_is_freed_when_the_connection_ends(
    how: str, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_packets=40, grace=1.0)
    sockets, reasons = noting(broker)
    with trio.CancelScope() as scope:
        async with broker, wire(broker, streams=LOCKSTEP) as client:
            await client.enter()
            await stall(sockets, 15)
            assert sockets[0].statistics().outbox_packets >= 15
            match how:
                case "slow":
                    sockets[0].emit_nowait("e")
                    for _ in range(40):
                        sockets[0].emit_nowait("e")
                case "client":
                    await client.send("1")
                    await wait_all_tasks_blocked()
                case "server":  # what was sent before may still go out, within the grace
                    await sockets[0].disconnect(close=True)
                    assert sockets[0].statistics().outbox_packets >= 15
                    await trio.sleep(1.1)
                case _:
                    scope.cancel()
            if how != "cancelled":
                assert sockets[0].statistics().outbox_packets == 0
                sockets[0].emit_nowait("e")
                await sockets[0].emit("e")
                assert sockets[0].statistics().outbox_bytes == 0
    await trio.lowlevel.checkpoint()
    assert len(reasons) == 1
    assert sockets[0].statistics().outbox_packets == 0
    assert not sockets[0]._session.outbox._queue
