"""A client that says nothing more is gone at `ping_interval + ping_timeout`, to the moment.

Whatever else there is: an outbox that it does not read, a room full of traffic.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from broker import Broker, Socket

INTERVAL, TIMEOUT = 7.0, 3.0
POLLING = "/socket.io/?EIO=4&transport=polling"


def make() -> tuple[Broker, dict[str, tuple[str, float]]]:
    """Return a broker whose clients are all in one room, and how they went, by socket."""
    broker = Broker(ping_interval=INTERVAL, ping_timeout=TIMEOUT)
    gone: dict[str, tuple[str, float]] = {}

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join("room")

    @broker.on("say")
    async def say(socket: Socket, number: int) -> None:
        await socket.to("room").emit("said", number, "x" * 100)

    @broker.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        gone[socket.id] = (reason, trio.current_time())

    return broker, gone


@asynccontextmanager
async def busy_room(broker: Broker) -> AsyncIterator[None]:
    """Have two talk in the room, twenty times a second, and hear each other."""

    async def talk(client: Any, other: Any, delay: float) -> None:
        await trio.sleep(delay)
        for number in range(1000):
            await client.emit("say", number)
            assert (await other.expect("said"))[0] == number
            await trio.sleep(0.1)

    async with (
        broker.test_client() as ann,
        broker.test_client() as bob,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(talk, ann, bob, 0.0)
        nursery.start_soon(talk, bob, ann, 0.03)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def websocket(broker: Broker, wire: Any, http: Any) -> AsyncIterator[str]:
    """A client that reads, and answers nothing."""
    async with wire(broker) as client, trio.open_nursery() as nursery:

        async def read() -> None:
            with suppress(ConnectionClosed):
                while True:
                    await client.get()

        sid = await client.enter()
        nursery.start_soon(read)
        yield sid
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def unread_websocket(broker: Broker, wire: Any, http: Any) -> AsyncIterator[str]:
    """A client that does not even read: not a byte more than was asked for gets through."""
    async with wire(broker, streams=trio.testing.lockstep_stream_pair) as client:
        yield await client.enter()


@asynccontextmanager
async def polling(broker: Broker, wire: Any, http: Any) -> AsyncIterator[str]:
    """A client that polls again and again, and answers nothing."""
    async with http(broker) as client, trio.open_nursery() as nursery:
        target, sid = await _opened(client)

        async def poll() -> None:
            while (await client.request("GET", target))[0] == 200:
                pass

        nursery.start_soon(poll)
        yield sid
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def unread_polling(broker: Broker, wire: Any, http: Any) -> AsyncIterator[str]:
    """A client that polls no more."""
    async with http(broker) as client:
        _, sid = await _opened(client)
        yield sid


async def _opened(client: Any) -> tuple[str, str]:
    _, _, told = await client.request("GET", POLLING)
    target = POLLING + "&sid=" + told.decode().split('"')[3]
    assert (await client.request("POST", target, b"40"))[0] == 200
    _, _, entered = await client.request("GET", target)
    return target, entered.decode().split('"')[3]


clients = pytest.mark.parametrize(
    "client", [websocket, unread_websocket, polling, unread_polling], ids=lambda c: c.__name__
)


@clients
async def test_silence_in_an_idle_room(
    client: Callable[..., Any],
    autojump_clock: MockClock,
    wire: Callable[..., Any],
    http: Callable[..., Any],
) -> None:
    broker, gone = make()
    async with broker:
        start = trio.current_time()
        async with client(broker, wire, http) as sid:
            assert trio.current_time() == start
            await trio.sleep(INTERVAL + TIMEOUT + 1)
            assert gone[sid] == ("ping timeout", start + INTERVAL + TIMEOUT)


@clients
async def test_silence_in_a_busy_room(
    client: Callable[..., Any],
    autojump_clock: MockClock,
    wire: Callable[..., Any],
    http: Callable[..., Any],
) -> None:
    broker, gone = make()
    async with broker, busy_room(broker):
        await trio.sleep(1)
        start = trio.current_time()
        async with client(broker, wire, http) as sid:
            opened = trio.current_time()
            await trio.sleep(INTERVAL + TIMEOUT - 0.1)
            waits = broker.statistics().outbox_packets
            assert waits > 100 or not client.__name__.startswith("unread")
            await trio.sleep(1)
            reason, when = gone[sid]
            assert reason == "ping timeout"
            assert start + INTERVAL + TIMEOUT <= when <= opened + INTERVAL + TIMEOUT
            assert opened - start < 0.01
            assert broker.statistics().connections == 2
            assert broker.statistics().outbox_packets == 0
            assert len(broker.rooms["room"]) == 2


@pytest.mark.parametrize("client", [unread_websocket, unread_polling], ids=lambda c: c.__name__)
async def test_silence_with_an_outbox_that_is_all_but_full(
    client: Callable[..., Any],
    autojump_clock: MockClock,
    wire: Callable[..., Any],
    http: Callable[..., Any],
) -> None:
    broker, gone = make()
    async with broker:
        start = trio.current_time()
        async with client(broker, wire, http) as sid:
            await wait_all_tasks_blocked()
            limit = broker.options.max_outbox_packets
            for number in range(limit - 10):
                broker.to("room").emit_nowait("said", number)
                if number % 100 == 0:
                    await trio.lowlevel.checkpoint()
            await wait_all_tasks_blocked()
            assert broker.statistics().outbox_packets > limit * 0.9
            await trio.sleep(INTERVAL + TIMEOUT + 1)
            reason, when = gone[sid]
            assert reason == "ping timeout"
            assert when == pytest.approx(start + INTERVAL + TIMEOUT, abs=0.001)
            assert broker.statistics().outbox_packets == 0
            assert broker.statistics().slow_disconnects == 0


@pytest.mark.parametrize(
    ("sent", "reason_at"),
    [
        ([], TIMEOUT),
        ([2.0], 2.0 + TIMEOUT),
        ([1.0, 2.0, 3.5], 1.0 + TIMEOUT),  # once for each ping
        ([-1.0], TIMEOUT),  # before the ping
    ],
)
@pytest.mark.parametrize("by", ["websocket", "polling"])
async def test_what_comes_instead_of_the_pong_gives_it_as_long_again_but_once(
    by: str,
    sent: list[float],
    reason_at: float,
    autojump_clock: MockClock,
    wire: Callable[..., Any],
    http: Callable[..., Any],
) -> None:
    broker, gone = make()
    async with broker:
        if by == "websocket":
            async with wire(broker) as client:
                start = trio.current_time()
                sid = await client.enter()
                for when in sent:
                    await trio.sleep_until(start + INTERVAL + when)
                    await client.send('42["say",1]')
                await trio.sleep_until(start + INTERVAL + 2 * TIMEOUT)
        else:
            async with http(broker) as client:
                start = trio.current_time()
                target, sid = await _opened(client)
                for when in sent:
                    await trio.sleep_until(start + INTERVAL + when)
                    assert (await client.request("POST", target, b'42["say",1]'))[0] == 200
                await trio.sleep_until(start + INTERVAL + 2 * TIMEOUT)
    assert gone[sid] == ("ping timeout", start + INTERVAL + reason_at)


async def test_each_ping_may_be_answered_late_again(
    autojump_clock: MockClock, wire: Callable[..., Any]
) -> None:
    broker, gone = make()
    async with broker, wire(broker) as client:
        await client.enter()
        for _ in range(3):
            pinged = await client.until("2")
            assert pinged[-1] == "2"
            await trio.sleep(TIMEOUT - 0.5)
            await client.send('42["say",1]')
            await trio.sleep(TIMEOUT - 0.5)
            await client.send("3")
        assert gone == {}
        assert broker.statistics().connections == 1
