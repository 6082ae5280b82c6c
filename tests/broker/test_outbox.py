"""The outbox alone: its figures, its order, and what each policy drops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from broker.sessions.flusher import Flusher
from broker.sessions.outbox import Outbox
from broker.values.encoded import PING, Batch, Encoded, Kept, encoded_packet
from broker.values.options import EngineOptions
from protocol.socketio import JSON, Packet, PacketType

Overflow = Literal["disconnect", "drop_oldest", "drop_newest"]
POLICIES: tuple[Overflow, ...] = ("disconnect", "drop_oldest", "drop_newest")
MAX_BYTES = 400
MAX_PACKETS = 12


@attrs.define
class Owner:
    """Hears of an outbox as a session does; `full` closes it."""

    outbox: Outbox | None = None
    full: int = 0
    dropped: int = 0
    marks: list[bool] = attrs.field(factory=list)

    def outbox_full(self) -> None:
        assert self.outbox is not None
        self.full += 1
        self.outbox.close(keep=False)

    def outbox_high(self, *, high: bool) -> None:
        self.marks.append(high)

    def outbox_dropped(self) -> None:
        self.dropped += 1


def opened(
    overflow: Overflow, *, max_bytes: int = MAX_BYTES, max_packets: int = MAX_PACKETS
) -> tuple[Outbox, Owner]:
    options = EngineOptions(
        overflow=overflow, max_outbox_bytes=max_bytes, max_outbox_packets=max_packets
    )
    owner = Owner()
    owner.outbox = Outbox(options, Flusher(0.0), owner)
    return owner.outbox, owner


def flat(queue: Iterable[Encoded]) -> list[Encoded]:
    events: list[Encoded] = []
    for encoded in queue:
        events += encoded.events if isinstance(encoded, Batch) else [encoded]
    return events


def waiting(outbox: Outbox) -> list[Encoded]:
    return flat([*outbox._kept_first, *outbox._queue])


def wired(events: Iterable[Encoded]) -> tuple[int, int]:
    events = list(events)
    return sum(len(event.wire) for event in events), sum(event.packets for event in events)


def event(size: int = 10, attachments: int = 0) -> Encoded:
    return Encoded(b"4" * size, [b"x" * size] * attachments)


# Properties.

SIZES = st.integers(1, 150)
EVENTS = st.builds(lambda size, count: event(size // (count + 1), count), SIZES, st.integers(0, 2))
ACTIONS = st.one_of(
    st.tuples(st.just("push"), EVENTS),
    st.tuples(st.just("push"), st.builds(lambda size: Kept(b"4" * size), SIZES)),
    st.tuples(st.just("push"), st.lists(EVENTS, min_size=2, max_size=9).map(Batch)),
    st.tuples(st.just("control"), st.builds(lambda size: Kept(b"2" * size), SIZES)),
    st.tuples(st.just("take"), st.one_of(st.none(), st.integers(1, 200))),
    st.tuples(st.just("write"), st.integers(1, 200)),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(POLICIES), st.lists(ACTIONS, max_size=60))
def test_whatever_happens_figures_order_and_limits_hold(
    overflow: Overflow, actions: list[tuple[str, object]]
) -> None:
    trio.run(_check, overflow, actions)


async def _check(overflow: Overflow, actions: list[tuple[str, object]]) -> None:
    outbox, owner = opened(overflow)
    pushed: list[Encoded] = []
    out: list[Encoded] = []  # in the order they were taken
    chunk: list[Encoded] = []  # what the transport has
    left = 0  # bytes of it that are not written
    refused = 0
    for action, what in actions:
        match action, what:
            case "push", Encoded() as encoded:
                # A batch is copied: the strategy may give the same one twice.
                events = flat([encoded])
                encoded = Batch(events) if len(events) > 1 else encoded
                before = owner.dropped
                accepted = outbox.push(encoded)
                if outbox.closed:
                    break
                pushed += events
                missed = sum(encoded.missed) if isinstance(encoded, Batch) else not accepted
                refused += missed
                assert missed <= owner.dropped - before
            case "control", Encoded() as encoded:
                outbox.push_control(encoded)
                if outbox.closed:
                    break
                pushed.append(encoded)
            case "take", int() | None as most if not left:
                taken = outbox.take(most)
                chunk = flat(taken)
                left = wired(chunk)[0]
                out += chunk
                if most is not None and len(taken) > 1:
                    assert wired(taken[:-1])[0] < most
            case "write", int() as size if left:
                size = min(size, left)
                left -= size
                outbox.written(size, 0 if left else wired(chunk)[1])
                chunk = chunk if left else []
        queued = waiting(outbox)
        # Figures are the sum of what there is.
        size, packets = wired([*queued, *chunk])
        already = wired(chunk)[0] - left
        assert (outbox.bytes, outbox.packets) == (size - already, packets)
        assert outbox.empty is (not queued)
        # Nothing is lost but what is counted, nothing comes twice, order is kept.
        assert len(pushed) == len(out) + len(queued) + owner.dropped
        rest = iter(map(id, pushed))
        assert all(id(each) in rest for each in [*out, *queued])
        # What is kept is never dropped, and data never goes beyond the limit.
        kept = [each for each in pushed if each.kept]
        assert sum(each.kept for each in [*out, *queued]) == len(kept)
        data = wired(each for each in [*chunk, *queued] if not each.kept)
        firm = wired(each for each in queued if each.kept)
        for size, packets in ((data[0] - already, data[1]), firm):
            assert size <= MAX_BYTES
            assert packets <= MAX_PACKETS
        if overflow == "drop_newest":
            assert refused == owner.dropped
        # The mark.
        assert owner.marks == [number % 2 == 0 for number in range(len(owner.marks))]
        assert outbox.high is (bool(owner.marks) and owner.marks[-1])
    if outbox.closed:
        assert owner.full == 1
        assert (outbox.bytes, outbox.packets, outbox.empty, outbox.age) == (0, 0, True, 0.0)
    elif overflow == "disconnect":
        assert owner.dropped == 0


# Policies.


def test_drop_oldest_keeps_the_newest_and_whatever_may_not_be_dropped() -> None:
    outbox, owner = opened("drop_oldest", max_packets=4)
    ack = encoded_packet(Packet(PacketType.ACK, "/", [1], 7), JSON)
    question = encoded_packet(Packet(PacketType.EVENT, "/", ["q"], 8), JSON)
    events = [event(number) for number in range(1, 9)]
    for encoded in (ack, events[0], question, *events[1:]):
        assert outbox.push(encoded)
    assert outbox.take() == [ack, question, *events[-2:]]
    assert owner.dropped == 6


def test_drop_oldest_drops_nothing_in_vain() -> None:
    outbox, owner = opened("drop_oldest", max_packets=4)
    taken = [event(), event(), event()]
    for encoded in taken:
        outbox.push(encoded)
    outbox.take()  # the transport has them: they cannot be dropped any more
    outbox.push(old := event())
    assert not outbox.push(event(attachments=1))
    assert waiting(outbox) == [old]
    assert owner.dropped == 1
    assert outbox.push(new := event())
    assert waiting(outbox) == [new]
    assert owner.dropped == 2


def test_drop_newest_keeps_what_came_first_and_adds_an_ack_to_it() -> None:
    outbox, owner = opened("drop_newest", max_packets=4)
    events = [event() for _ in range(8)]
    assert [outbox.push(encoded) for encoded in events] == [True] * 4 + [False] * 4
    ack = Kept(b"430[]")
    assert outbox.push(ack)
    assert outbox.take() == [*events[:4], ack]
    assert owner.dropped == 4


def test_an_event_drops_with_its_attachments() -> None:
    outbox, owner = opened("drop_oldest", max_packets=5)
    outbox.push(event(attachments=3))
    outbox.push(last := event(attachments=1))
    assert waiting(outbox) == [last]
    assert (outbox.packets, owner.dropped) == (2, 1)


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_a_batch_drops_event_by_event(overflow: Overflow) -> None:
    outbox, owner = opened(overflow, max_packets=4)
    first = Batch([event() for _ in range(3)])
    second = Batch([event() for _ in range(3)])
    assert outbox.push(first)
    assert outbox.push(second)
    assert owner.dropped == 2
    if overflow == "drop_oldest":
        assert waiting(outbox) == [first.events[2], *second.events]
        assert second.missed == [0, 0, 0]
    else:
        assert waiting(outbox) == [*first.events, second.events[0]]
        assert second.missed == [0, 1, 1]


@pytest.mark.parametrize("overflow", POLICIES)
@pytest.mark.parametrize("control", [False, True])
def test_what_is_kept_ends_the_client_when_it_alone_passes_the_limit(
    overflow: Overflow, control: bool
) -> None:
    outbox, owner = opened(overflow, max_packets=4)
    for number in range(1, 10):
        if control:
            outbox.push_control(PING)
        else:
            outbox.push(Kept(b"430[]"))
        assert owner.full == (number > 4)
        assert outbox.packets == (0 if owner.full else number)


def test_events_never_make_a_control_packet_pass_its_limit() -> None:
    outbox, owner = opened("drop_newest", max_packets=4)
    for _ in range(4):
        outbox.push(event())
    for _ in range(4):
        outbox.push_control(PING)
    assert owner.full == 0
    outbox.take()
    assert outbox.packets == 8


def test_an_event_too_large_for_an_empty_outbox_makes_nobody_slow() -> None:
    outbox, owner = opened("drop_newest", max_packets=2)
    assert not outbox.push(event(attachments=2))
    assert owner.marks == []
    assert owner.dropped == 1


def test_the_mark_is_passed_before_the_policy_acts_and_once_per_episode() -> None:
    outbox, owner = opened("drop_newest", max_bytes=100)
    outbox.push(event(20))
    outbox.push(event(90))
    assert (owner.marks, owner.dropped) == ([True], 1)
    outbox.push(event(50))
    outbox.push(event(90))
    assert (owner.marks, owner.dropped) == ([True], 2)
    size, packets = wired(flat(outbox.take()))
    outbox.written(size, packets)
    assert owner.marks == [True, False]
    outbox.push(event(60))
    assert owner.marks == [True, False, True]


# Waiting for room.


async def test_an_event_larger_than_half_waits_until_it_fits(autojump_clock: MockClock) -> None:
    outbox, owner = opened("disconnect", max_bytes=1000)
    outbox.push(event(400))
    large = event(700)

    async def emit() -> None:
        await outbox.room_for(large)
        assert outbox.push(large)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(emit)
        await wait_all_tasks_blocked()
        assert outbox.packets == 1
        size, packets = wired(flat(outbox.take()))
        outbox.written(size - 200, 0)
        await wait_all_tasks_blocked()
        assert outbox.packets == 2
    assert owner.full == 0
    assert packets == 1


async def test_age_is_since_what_waits_has_moved(autojump_clock: MockClock) -> None:
    outbox, _ = opened("disconnect")
    assert outbox.age == 0.0
    outbox.push(event(100))
    outbox.flush()
    await trio.sleep(3)
    outbox.push(event(100))
    outbox.flush()
    assert outbox.age == pytest.approx(3)
    size, packets = wired(outbox.take())
    outbox.written(50, 0)
    assert outbox.age == 0.0
    await trio.sleep(2)
    assert outbox.age == pytest.approx(2)
    outbox.written(size - 50, packets)
    await trio.sleep(2)
    assert outbox.age == 0.0
