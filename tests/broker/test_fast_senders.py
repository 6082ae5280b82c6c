"""Clients that send more than their handlers take: only they feel it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio_websocket
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket

from .stalled import LOCKSTEP, noting


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


async def test_a_client_that_goes_while_it_is_not_read_has_broken_no_rule(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_inbox_packets=4, ping_interval=5.0, ping_timeout=2.0, handler_grace=1.0)
    _, reasons = noting(broker)

    @broker.on("e")
    async def handle(socket: Socket) -> None:
        await trio.sleep_forever()

    async with broker:
        async with wire(broker) as client:
            await client.enter()
            for _ in range(20):
                await client.send('42["e"]')
            await wait_all_tasks_blocked()
        # It has vanished, which was seen when a ping could not be written.
        assert reasons == ["transport close"]


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


@pytest.mark.parametrize("waiting", [5, 500])
async def test_a_slow_handler_ends_no_healthy_client_however_many_events_wait(
    waiting: int, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_inbox_packets=50, ping_interval=5.0, ping_timeout=2.0)
    sockets, reasons = noting(broker)
    handled: list[int] = []

    @broker.on("e")
    async def handle(socket: Socket, number: int) -> None:
        await trio.sleep(30 if number % 50 == 0 else 0)
        handled.append(number)

    async with broker, wire(broker) as client, trio.open_nursery() as nursery:
        await client.enter()

        async def answer_pings() -> None:
            while True:
                if await client.get() == "2":
                    await client.send("3")

        nursery.start_soon(answer_pings)
        for number in range(waiting):
            await client.send(f'42["e",{number}]')
        await trio.sleep(400)
        assert handled == list(range(waiting))
        assert reasons == []
        assert sockets[0].connected
        nursery.cancel_scope.cancel()


async def test_an_ack_that_a_handler_awaits_arrives_past_waiting_events(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker()
    seen: list[object] = []

    @broker.on("ask")
    async def ask(socket: Socket) -> None:
        seen.append(await socket.emit_with_ack("question"))

    @broker.on("e")
    async def handle(socket: Socket, number: int) -> None:
        seen.append(number)

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('42["ask"]', *(f'42["e",{number}]' for number in range(65)))
        assert await client.get() == '420["question"]'
        await client.send('430["answer"]')
        await wait_all_tasks_blocked()
        assert seen == ["answer", *range(65)]


async def test_no_ack_is_awaited_of_a_client_that_is_not_read(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_inbox_packets=4)
    release = trio.Event()
    asked: list[object] = []
    sockets, _ = noting(broker)

    @broker.on("e")
    async def handle(socket: Socket) -> None:
        await release.wait()
        start = trio.current_time()
        with pytest.raises(trio.TooSlowError, match=r"max_inbox_packets=4 or max_inbox_bytes=\d"):
            await socket.emit_with_ack("question")
        asked.append(trio.current_time() - start)
        release.set()

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('42["e"]')
        await wait_all_tasks_blocked()
        await client.send(*['42["nothing"]'] * 4)  # the inbox is full now, and the handler asks
        await wait_all_tasks_blocked()
        release.set()
        await wait_all_tasks_blocked()
        assert asked == [0.0]
        assert sockets[0].statistics().pending_acks == 0
        with trio.move_on_after(1):  # it is read again, so it may be asked again
            await sockets[0].emit_with_ack("question")
        assert await client.get() == '420["question"]'


@pytest.mark.parametrize(
    ("goodbye", "reason"),
    [("41", "client namespace disconnect"), ("1", "transport close"), (None, "transport close")],
)
async def test_the_peers_close_is_seen_while_its_events_wait(
    goodbye: str | None, reason: str, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(handler_grace=3.0)
    sockets, reasons = noting(broker)

    @broker.on("e")
    async def handle(socket: Socket) -> None:
        await trio.sleep_forever()

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send(*['42["e"]'] * 10)
        await wait_all_tasks_blocked()
        assert sockets[0].statistics().inbox_events == 9
        if goodbye is None:
            await client.websocket.aclose()
        else:
            await client.send(goodbye)
        await wait_all_tasks_blocked()
        assert not sockets[0].connected
        await trio.sleep(3.1)
        assert reasons == [reason]
        assert broker.statistics().dropped == 9
        assert sockets[0].statistics().dropped == 9


async def test_another_namespace_goes_on_while_the_events_of_one_wait(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_inbox_packets=20)
    other = broker.of("/other")
    sockets, _ = noting(broker)

    @broker.on("e")
    async def handle(socket: Socket) -> None:
        await trio.sleep_forever()

    @other.on("echo")
    async def echo(socket: Socket, value: int) -> int:
        return value

    async with broker, wire(broker) as client:
        await client.enter()
        await client.enter("/other")
        await client.send(*['42["e"]'] * 15)
        await client.send('42/other,7["echo",1]')
        assert await client.get() == "43/other,7[1]"
        assert sockets[0].statistics().inbox_events == 14


@pytest.mark.parametrize("how", ["close", "disconnect", "leave"])
async def test_closing_never_waits_for_a_client_that_is_not_read(
    how: str, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_inbox_packets=4, grace=2.0, handler_grace=1.0)
    sockets, reasons = noting(broker)

    @broker.on("e")
    async def handle(socket: Socket) -> None:
        await trio.sleep_forever()

    async with broker, wire(broker) as client, trio.open_nursery() as nursery:
        await client.enter()
        await client.send(*['42["e"]'] * 5)
        await wait_all_tasks_blocked()

        async def flood() -> None:  # it will never read what is said to it, and only writes
            with suppress(trio_websocket.ConnectionClosed):
                while True:
                    await client.send('42["e"]')
                    await trio.sleep(0.1)

        nursery.start_soon(flood)
        await trio.sleep(1)
        assert sockets[0].statistics().inbox_events == 4
        start = trio.current_time()
        if how == "close":
            await broker.close()
        else:
            await sockets[0].disconnect(close=how == "disconnect")
            await trio.sleep(1.1)
        assert trio.current_time() - start <= 2.0
        assert reasons == [
            "server shutting down" if how == "close" else "server namespace disconnect"
        ]
        nursery.cancel_scope.cancel()
