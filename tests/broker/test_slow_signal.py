"""The app hears of a slow client once per episode, before anything is done about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket, SocketStatistics

from .stalled import LOCKSTEP, noting, stall


async def test_it_comes_once_per_episode_and_before_the_policy_acts(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(overflow="drop_newest", max_outbox_packets=40)
    sockets, _ = noting(broker)
    heard: list[SocketStatistics] = []

    @broker.on_slow
    async def slow(socket: Socket) -> None:
        assert socket is sockets[0]
        heard.append(socket.statistics())

    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        for episode in (1, 2):
            await stall(sockets, 0)
            waiting = sockets[0].statistics().outbox_packets
            for _ in range(20 - waiting):
                sockets[0].emit_nowait("e")
            await wait_all_tasks_blocked()
            assert len(heard) == episode - 1
            sockets[0].emit_nowait("e")
            await wait_all_tasks_blocked()
            assert len(heard) == episode
            assert heard[-1].slow
            assert heard[-1].outbox_packets == 21
            for _ in range(100):
                sockets[0].emit_nowait("e")
            await wait_all_tasks_blocked()
            with trio.move_on_after(1):
                while True:
                    await client.get()
            assert not sockets[0].statistics().slow
        assert len(heard) == 2
        assert heard[0].dropped == 0


async def test_it_is_heard_even_if_the_same_burst_ends_the_client(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_packets=10)
    sockets, reasons = noting(broker)
    heard: list[str] = []

    @broker.on_slow
    async def slow(socket: Socket) -> None:
        heard.append("slow")
        await trio.sleep(1)  # as much of its time as a handler of an event has
        heard.append("noted")

    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        for _ in range(30):
            await broker.emit("e")
        assert not sockets[0].connected
        assert reasons == []
        await trio.sleep(2)
        assert heard == ["slow", "noted"]
        assert reasons == ["slow client"]


async def test_a_handler_that_waits_delays_no_event_and_ends_with_its_socket(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(overflow="drop_newest", max_outbox_packets=20, handler_grace=3.0)
    sockets, reasons = noting(broker)
    ended: list[float] = []

    @broker.on_slow
    async def slow(socket: Socket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with broker, wire(broker, streams=LOCKSTEP) as stalled, broker.test_client() as reader:
        await stalled.enter()
        await stall(sockets[1:], 0)
        for number in range(100):
            await broker.emit("e", number)
            assert await reader.expect("e") == (number,)
        assert ended == []
        await sockets[1].disconnect(close=True)
        start = trio.current_time()
        await trio.sleep(4)
        assert ended == [start + 3.0]
        assert reasons == ["server namespace disconnect"]


async def test_each_namespace_of_the_connection_hears_of_its_own_socket(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_packets=40)
    chat = broker.of("/chat")
    rooms = broker.of(re.compile("^/room-"))
    sockets, _ = noting(broker)
    heard: list[str] = []

    for registry in (broker, chat, rooms):

        @registry.on_slow
        async def slow(socket: Socket) -> None:
            heard.append(socket.namespace.name)

    @rooms.on_slow
    async def second(socket: Socket) -> None:
        heard.append("second")

    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        await client.enter("/chat")
        await client.enter("/room-1")
        await stall(sockets, 25)
        await wait_all_tasks_blocked()
        assert sorted(heard) == ["/", "/chat", "/room-1", "second"]
        one, two = (next(iter(space.sockets.values())) for space in (broker, chat))
        assert one.statistics().outbox_packets == two.statistics().outbox_packets > 20


async def test_its_exception_goes_to_the_error_hook(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_packets=40)
    sockets, reasons = noting(broker)
    errors: list[tuple[Socket, str, str | None]] = []

    @broker.on_slow
    async def slow(socket: Socket) -> None:
        raise ValueError("in the handler")

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: str | None) -> None:
        errors.append((socket, str(error), event))

    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        await stall(sockets, 25)
        await wait_all_tasks_blocked()
        assert errors == [(sockets[0], "in the handler", "slow")]
        assert reasons == []


async def test_an_event_named_slow_is_like_any_other() -> None:
    broker = Broker()
    heard: list[str] = []

    @broker.on_slow
    async def slow(socket: Socket) -> None:
        heard.append("signal")

    @broker.on("slow")
    async def event(socket: Socket, text: str) -> str:
        heard.append(text)
        await socket.emit("slow", text)
        return text

    async with broker.test_client() as client:
        assert await client.call("slow", "event") == "event"
        assert await client.expect("slow") == ("event",)
    assert heard == ["event"]


def test_what_cannot_be_called_with_a_socket_is_refused() -> None:
    chat = Broker().of("/chat")

    async def two(socket: Socket, more: int) -> None:
        pass

    def sync(socket: Socket) -> None:
        pass

    with pytest.raises(TypeError, match=r"on_slow's handlers are called with \(socket\)"):
        chat.on_slow(two)
    with pytest.raises(TypeError, match="async def"):
        chat.on_slow(sync)  # type: ignore[type-var]


async def test_the_figures_of_a_socket(wire: Callable[..., Any], autojump_clock: MockClock) -> None:
    broker = Broker(max_outbox_packets=40)
    sockets, _ = noting(broker)

    @broker.on("e")
    async def handle(socket: Socket) -> None:
        await trio.sleep_forever()

    async with broker, wire(broker, streams=LOCKSTEP) as client, trio.open_nursery() as nursery:
        await client.enter()
        await wait_all_tasks_blocked()
        assert sockets[0].statistics() == SocketStatistics(
            outbox_bytes=0,
            outbox_packets=0,
            outbox_age=0.0,
            slow=False,
            inbox_events=0,
            inbox_bytes=0,
            pending_acks=0,
            dropped=0,
        )
        await client.send('42["e"]', '42["e"]', '42["e"]')
        nursery.start_soon(sockets[0].emit_with_ack, "question")
        await stall(sockets, 10)
        await trio.sleep(2)
        figures = sockets[0].statistics()
        assert figures.outbox_bytes == broker.statistics().outbox_bytes > 0
        assert figures.outbox_packets == broker.statistics().outbox_packets >= 10
        assert figures.outbox_age == pytest.approx(2, abs=0.01)
        assert not figures.slow
        assert (figures.inbox_events, figures.inbox_bytes) == (2, 12)
        assert figures.pending_acks == 1
        await stall(sockets, 15)
        assert sockets[0].statistics().slow
        nursery.cancel_scope.cancel()
