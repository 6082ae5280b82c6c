"""How much a client may send in a second, on both transports: token buckets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import trio
import trio_websocket
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, DisconnectReason, Socket
from broker.engine import Engine, Session
from broker.sessions.rates import Bucket

from .stalled import noting

POLLING = "/socket.io/?EIO=4&transport=polling"

# Fractions: what is promised is exact, and rounding is not of interest here.
STEPS = st.lists(
    st.tuples(
        st.fractions(0, 5, max_denominator=8),
        st.fractions(0, 30, max_denominator=8),
        st.sampled_from(["take", "take", "pause"]),
    ),
    max_size=40,
)
RATES = st.fractions(Fraction(1, 4), 10, max_denominator=8)
SIZES = st.fractions(1, 20, max_denominator=8)
exact = settings(deadline=None)


@exact
@given(RATES, SIZES, STEPS)
def test_a_bucket_lets_through_its_size_and_its_rate_in_any_window_and_no_more(
    rate: Any, size: Any, steps: list[tuple[Any, Any, str]]
) -> None:
    bucket = Bucket(rate, size, Fraction(0))  # type: ignore[arg-type]
    now = Fraction(0)
    taken: list[tuple[Fraction, Fraction]] = []
    for wait, amount, _ in steps:
        now += wait
        if bucket.take(amount, now):  # type: ignore[arg-type]
            taken.append((now, amount))
    for first, (begin, _) in enumerate(taken):
        for last, (end, _) in enumerate(taken[first:], first):
            window = sum(amount for _, amount in taken[first : last + 1])
            assert window <= size + rate * (end - begin)


@exact
@given(RATES, SIZES, STEPS)
def test_a_bucket_refuses_only_what_is_more_than_it_has(
    rate: Any, size: Any, steps: list[tuple[Any, Any, str]]
) -> None:
    bucket = Bucket(rate, size, Fraction(0))  # type: ignore[arg-type]
    now, left = Fraction(0), size
    for wait, amount, what in steps:
        now += wait
        if what == "pause":  # of so long: it gets all that is due meanwhile
            left = max(left, min(size, left + rate * wait))
            bucket.fill(now)  # type: ignore[arg-type]
            now += amount
            left += rate * amount
            bucket.overfill(now)  # type: ignore[arg-type]
            continue
        left = max(left, min(size, left + rate * wait))
        assert bucket.take(amount, now) == (amount <= left)  # type: ignore[arg-type]
        left -= amount if amount <= left else 0


def limited(**options: Any) -> tuple[Broker, list[int], list[str]]:
    """A broker, the numbers it was told, the reasons it had."""
    broker = Broker(**{"rate_burst": 1.0, **options})
    told: list[int] = []
    _, reasons = noting(broker)

    @broker.on("tell")
    async def tell(socket: Socket, number: int, *_: object) -> None:
        told.append(number)

    return broker, told, reasons


def lines_of(caplog: pytest.LogCaptureFixture, option: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if f"{option}=" in record.getMessage()]


@pytest.mark.parametrize(
    ("options", "handled", "name"),
    [
        # the CONNECT is one of ten
        ({"max_packets_per_second": 10}, 9, "max_packets_per_second"),
        # 2 bytes of CONNECT, and each event has 100
        (
            {"max_bytes_per_second": 1002, "max_http_buffer_size": 500},
            10,
            "max_bytes_per_second",
        ),
    ],
)
async def test_a_websocket_that_sends_too_much_ends_behind_what_was_within_the_limit(
    options: dict[str, Any],
    handled: int,
    name: str,
    wire: Callable[..., Any],
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker, told, reasons = limited(**options)
    async with broker, wire(broker) as client:
        await client.enter()
        with pytest.raises(trio_websocket.ConnectionClosed) as closed:  # noqa: PT012 - any of them
            for number in range(15):
                start = f'42["tell",{number},"'
                await client.send(start + "x" * (98 - len(start)) + '"]')
            await client.get()
        assert closed.value.reason is not None
        assert (closed.value.reason.code, closed.value.reason.reason) == (1008, "rate limit")
        await wait_all_tasks_blocked()
        assert told == list(range(handled))
        assert reasons == [DisconnectReason.RATE_LIMIT]
        (line,) = lines_of(caplog, name)
        assert "rate_burst=1 s" in line
        assert broker.statistics().connections == 0


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"max_packets_per_second": 10}, "max_packets_per_second"),
        ({"max_bytes_per_second": 100, "max_http_buffer_size": 150}, "max_bytes_per_second"),
    ],
)
async def test_a_client_that_polls_is_answered_429_and_what_was_within_the_limit_is_handled(
    options: dict[str, Any],
    name: str,
    http: Callable[..., Any],
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker, told, reasons = limited(**options)
    async with broker, http(broker) as client:
        _, _, opened = await client.request("GET", POLLING)
        target = f"{POLLING}&sid={json.loads(opened[1:])['sid']}"
        assert (await client.request("POST", target, b"40"))[0] == 200
        events = [f'42["tell",{number}]' for number in range(8)]  # 13 characters each, 104
        status, _, _ = await client.request("POST", target, "\x1e".join(events).encode())
        assert status == 200
        status, _, _ = await client.request("POST", target, "\x1e".join(events).encode())
        assert status == 429
        await wait_all_tasks_blocked()
        assert told[:8] == list(range(8))
        assert told[8:] == list(range(len(told) - 8))
        assert len(told) < 16
        assert reasons == ["rate limit"]
        assert len(lines_of(caplog, name)) == 1
        assert (await client.request("GET", target))[0] in {200, 400}  # its farewell, or nothing
        assert (await client.request("POST", target, b"3"))[0] == 400


async def test_a_session_that_came_over_from_polling_is_limited_as_well(
    http: Callable[..., Any], wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, told, reasons = limited(max_packets_per_second=10)
    async with broker, http(broker) as client:
        _, _, opened = await client.request("GET", POLLING)
        target = f"{POLLING}&sid={json.loads(opened[1:])['sid']}"
        assert (await client.request("POST", target, b"40"))[0] == 200
        probe = target.replace("polling", "websocket")
        async with wire(broker, probe, read_open=False) as websocket:
            await websocket.send("2probe")
            assert await websocket.get() == "3probe"
            with pytest.raises(trio_websocket.ConnectionClosed):  # noqa: PT012 - any of them
                await websocket.send("5", *[f'42["tell",{number}]' for number in range(15)])
                await websocket.until("never")
        await wait_all_tasks_blocked()
        assert told == list(range(9))
        assert reasons == ["rate limit"]


async def test_a_client_that_keeps_the_rate_stays_and_may_save_up_for_a_burst(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, told, reasons = limited(max_packets_per_second=10, rate_burst=2.0)
    sent = 0
    async with broker, wire(broker) as client:
        await client.enter()
        for _ in range(20):
            for _ in range(10):
                await client.send(f'42["tell",{sent}]')
                sent += 1
            await trio.sleep(1)
        await trio.sleep(10)
        await client.send(*[f'42["tell",{sent + more}]' for more in range(20)])
        await wait_all_tasks_blocked()
        assert told == list(range(sent + 20))
        await client.send('42["tell",0]')
        await wait_all_tasks_blocked()
        assert reasons == ["rate limit"]


async def test_what_comes_late_because_the_server_did_not_read_is_no_burst(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(
        max_packets_per_second=10, rate_burst=1.0, max_inbox_packets=4, ping_interval=1000.0
    )
    _, reasons = noting(broker)
    handled: list[int] = []

    @broker.on("slow")
    async def slow(socket: Socket, number: int) -> None:
        handled.append(number)
        if number == 0:
            await trio.sleep(20)

    async with broker, wire(broker) as client, trio.open_nursery() as nursery:
        await client.enter()

        async def send() -> None:
            for number in range(200):
                await client.send(f'42["slow",{number}]')
                await trio.sleep(0.1)

        nursery.start_soon(send)
        await trio.sleep(40)
        assert handled == list(range(200))
        assert reasons == []


async def test_the_largest_message_may_be_sent_by_who_has_been_quiet(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, told, reasons = limited(
        max_bytes_per_second=100, max_http_buffer_size=10_000, ping_interval=1000.0
    )
    async with broker, wire(broker) as client:
        await client.enter()
        await trio.sleep(200)
        event = f'42["tell",1,"{"x" * 9000}"]'
        await client.send(event)
        await wait_all_tasks_blocked()
        assert (told, reasons) == ([1], [])
        await client.send(event)
        await wait_all_tasks_blocked()
        assert (told, reasons) == ([1], ["rate limit"])


@pytest.mark.parametrize("packet", ["3", "6", "40/x", "41", b"a"], ids=str)
async def test_no_packet_is_free(
    packet: str | bytes, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    engine = Engine(path="/socket.io/", max_packets_per_second=10, rate_burst=1.0)
    reasons: list[DisconnectReason | None] = []

    @engine.on_session
    async def note(session: Session) -> None:
        try:
            await trio.sleep_forever()
        finally:
            reasons.append(session.reason)

    async with engine, wire(engine) as client:
        await client.send(*[packet] * 11)
        await wait_all_tasks_blocked()
        assert reasons == ["rate limit"]


async def test_without_a_limit_nothing_is_counted(
    wire: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    broker, told, reasons = limited()
    async with broker, wire(broker) as client:
        await client.enter()
        await client.send(*[f'42["tell",{number}]' for number in range(3000)])
        await wait_all_tasks_blocked()
        assert (len(told), reasons) == (3000, [])
        assert caplog.records == []


@pytest.mark.parametrize("answers", [False, True])
async def test_a_poll_that_waits_brings_what_is_left_to_say_or_the_same_answer(
    answers: bool, http: Callable[..., Any], autojump_clock: MockClock
) -> None:
    """No close packet: the client would take that for the reason."""
    broker, told, _ = limited(max_packets_per_second=4)
    sockets, _ = noting(broker)
    polled: list[tuple[int, bytes]] = []
    async with broker, http(broker) as posts, http(broker) as polls:
        _, _, opened = await posts.request("GET", POLLING)
        target = f"{POLLING}&sid={json.loads(opened[1:])['sid']}"
        assert (await posts.request("POST", target, b"40"))[0] == 200
        await polls.request("GET", target)

        async def poll() -> None:
            status, _, body = await polls.request("GET", target)
            polled.append((status, body))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll)
            await wait_all_tasks_blocked()
            if answers:
                sockets[0].emit_nowait("news")
            body = "\x1e".join([f'42["tell",{number}]' for number in range(6)])
            assert (await posts.request("POST", target, body.encode()))[0] == 429
        assert polled == [(200, b'42["news"]') if answers else (429, b"")]
        await wait_all_tasks_blocked()
        assert told == [0, 1, 2]
