"""What the option `overflow` drops, how it is counted, and how seldom it is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Delivery, Socket

from .stalled import LOCKSTEP, noting, stall

DROPS = ["drop_oldest", "drop_newest"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and record.name.startswith("atrio")
    ]


async def heard_by(client: Any) -> list[str]:
    """Return all that waits for a client."""
    heard = []
    with trio.move_on_after(1):
        while True:
            heard.append(str(await client.get()))
    return heard


@pytest.mark.parametrize("overflow", DROPS)
async def test_over_websocket_acks_and_questions_survive_and_figures_add_up(
    overflow: str, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(overflow=overflow, max_outbox_packets=40)
    sockets, reasons = noting(broker)

    @broker.on("echo")
    async def echo(socket: Socket, number: int) -> int:
        return number

    async with broker, wire(broker, streams=LOCKSTEP) as client, trio.open_nursery() as nursery:
        await client.enter()
        await stall(sockets, 0)
        before = broker.statistics().outbox_packets
        nursery.start_soon(sockets[0].emit_with_ack, "question")
        await wait_all_tasks_blocked()
        deliveries = [await broker.emit("e", number) for number in range(20)]
        await client.send('421["echo",1]')
        await wait_all_tasks_blocked()
        deliveries += [await broker.emit("e", number) for number in range(20, 100)]
        figures = sockets[0].statistics()
        assert figures.outbox_packets == 40
        assert figures.slow
        assert figures.dropped == broker.statistics().dropped == 100 - (40 - before - 2)
        assert reasons == []

        heard = await heard_by(client)
        assert heard.count('420["question"]') == 1
        assert heard.count("431[1]") == 1
        events = [each for each in heard if each.startswith('42["e",')]
        all_events = [f'42["e",{number}]' for number in range(100)]
        if overflow == "drop_oldest":
            dropped_before = 5 - sum("fill" in each for each in heard)  # those were older
            assert events == all_events[figures.dropped - dropped_before :]
            assert deliveries == [Delivery(1)] * 100
        else:
            assert events == all_events[: 100 - figures.dropped]
            assert deliveries == [Delivery(1)] * len(events) + [Delivery(0, 1)] * figures.dropped
            # An ack stays behind the events that were emitted before it.
            assert heard.index("431[1]") == heard.index('42["e",19]') + 1
        assert sockets[0].statistics().outbox_packets == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("overflow", DROPS)
async def test_over_polling_acks_survive_and_figures_add_up(
    overflow: str, http: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(overflow=overflow, max_outbox_packets=20)
    sockets, reasons = noting(broker)

    @broker.on("echo")
    async def echo(socket: Socket, number: int) -> int:
        return number

    async with broker, http(broker) as client:
        target = "/socket.io/?EIO=4&transport=polling"
        _, _, body = await client.request("GET", target)
        target += "&sid=" + body.decode().split('"sid":"')[1].split('"')[0]
        await client.request("POST", target, b"40")
        await client.request("GET", target)
        for number in range(10):
            sockets[0].emit_nowait("e", number)
        await client.request("POST", target, b'421["echo",1]')
        for number in range(10, 50):
            sockets[0].emit_nowait("e", number)
        assert broker.statistics().outbox_packets == 20
        _, _, body = await client.request("GET", target)
        heard = body.decode().split("\x1e")
        expected = [f'42["e",{number}]' for number in range(50)]
        if overflow == "drop_oldest":
            assert heard == ["431[1]", *expected[-19:]]
        else:
            assert heard == [*expected[:10], "431[1]", *expected[10:19]]
        assert sockets[0].statistics().dropped == broker.statistics().dropped == 31
        assert broker.statistics().outbox_packets == 0
        assert reasons == []


@pytest.mark.parametrize("overflow", DROPS)
async def test_events_of_one_turn_are_dropped_and_counted_one_by_one(
    overflow: str, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(overflow=overflow, max_outbox_packets=100)
    sockets, _ = noting(broker)
    published: dict[int, Delivery] = {}

    async def publish(number: int) -> None:
        published[number] = await broker.to("room").emit("e", number)

    async with broker, wire(broker, streams=LOCKSTEP) as stalled, broker.test_client() as reader:
        await stalled.enter()
        await stall(sockets[1:], 70)
        before = sockets[1].statistics().outbox_packets
        for socket in sockets:
            await socket.join("room")
        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(publish, number)
        numbers = [(await reader.expect("e"))[0] for _ in range(60)]
        assert set(numbers) == set(range(60))
        missed = sum(delivery.dropped for delivery in published.values())
        assert broker.statistics().dropped == before + 60 - 100
        events = [each for each in await heard_by(stalled) if each.startswith('42["e",')]
        if overflow == "drop_oldest":
            assert missed == 0
            assert events == [f'42["e",{number}]' for number in numbers]
        else:
            assert missed == before + 60 - 100
            assert set(published.values()) == {Delivery(2), Delivery(1, 1)}
            got = [number for number in numbers if published[number] == Delivery(2)]
            assert events == [f'42["e",{number}]' for number in got]


@pytest.mark.parametrize("overflow", DROPS)
async def test_an_episode_of_drops_is_one_line_with_the_count_and_the_option(
    overflow: str,
    wire: Callable[..., Any],
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker(overflow=overflow, max_outbox_packets=40)
    sockets, reasons = noting(broker)
    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        for episode in (1, 2):
            await stall(sockets, 0)
            for _ in range(1000):
                sockets[0].emit_nowait("e")
                await trio.sleep(0.001)
            dropped = sockets[0].statistics().dropped
            assert len(warnings(caplog)) == episode - 1
            await heard_by(client)
            assert len(warnings(caplog)) == episode
            line = warnings(caplog)[-1]
            assert f"overflow={overflow!r}" in line
            assert "max_outbox_packets=40" in line
            assert f"{dropped // episode} events were dropped within 1.0 s" in line
            assert sockets[0].id not in line  # it is the connection's
            assert sockets[0]._session.id in line
        assert reasons == []


async def test_an_episode_that_lasts_ends_the_client_and_is_logged_then(
    wire: Callable[..., Any], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(overflow="drop_newest", max_outbox_packets=40, slow_timeout=5.0)
    sockets, reasons = noting(broker)
    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        await stall(sockets, 0)
        for _ in range(90):
            await broker.emit("e")
            await trio.sleep(0.1)
        assert reasons == ["slow client"]
        slow, drops = warnings(caplog)
        assert "slow_timeout=5" in slow
        assert "overflow='drop_newest'" in drops
        assert broker.statistics().slow_disconnects == 1


async def test_volatile_events_that_do_not_go_are_counted(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker()
    sockets, _ = noting(broker)
    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        await stall(sockets, 1)
        assert await broker.volatile.emit("tick") == Delivery(0, 1)
        assert await sockets[0].volatile.emit("tick") == Delivery(0, 1)
        assert broker.statistics().dropped == sockets[0].statistics().dropped == 2


async def test_what_is_being_written_is_little_of_a_full_outbox(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """What has been taken cannot be dropped: the latest events would be, in its place."""
    broker = Broker(overflow="drop_oldest", max_outbox_bytes=2_000_000)
    sockets, _ = noting(broker)
    block = "x" * 50_000
    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        for number in range(100):
            sockets[0].emit_nowait("e", number, block)
            await wait_all_tasks_blocked()
            assert sockets[0].statistics().outbox_bytes <= 2_000_000
            if number == 40:
                early = [str(await client.get()) for _ in range(5)]  # so more is taken
        late = [int(each[7 : each.index(",", 7)]) for each in await heard_by(client)]
        latest = 2_000_000 // 50_000 - 10
        assert late[-latest:] == list(range(100 - latest, 100))
        assert len(early) + len(late) + broker.statistics().dropped == 100
