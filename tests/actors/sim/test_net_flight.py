"""What is on its way, without any task or clock: the caller says what time it is."""

from __future__ import annotations

import math

import pytest

from actors.sim.flight import Flight


def sent(flight: Flight, *pieces: str, now: float = 0.0, delay: float = 0.0) -> None:
    """Send each piece; one with a hyphen at its end is torn off there."""
    for piece in pieces:
        flight.add(piece.rstrip("-").encode(), now, delay, torn=piece.endswith("-"))


def test_nothing_arrives_before_its_time() -> None:
    flight = Flight(latency=2.0)
    sent(flight, "ab", now=1.0)
    assert flight.first == flight.next_arrival() == 3.0
    assert flight.take(9, now=2.9) == (b"", 0)
    assert flight.take(9, now=3.0) == (b"ab", 1)
    assert flight.first is None


def test_a_later_segment_never_overtakes() -> None:
    flight = Flight(latency=1.0)
    sent(flight, "slow", delay=5.0)
    sent(flight, "fast")
    assert flight.take(99, now=5.9) == (b"", 0)
    assert flight.take(99, now=6.0) == (b"slowfast", 2)


def test_a_read_counts_the_segments_it_finishes() -> None:
    flight = Flight(latency=0.0)
    sent(flight, "abc", "def", "g")
    assert flight.take(2, now=0.0) == (b"ab", 0)
    assert flight.take(2, now=0.0) == (b"cd", 1)
    assert flight.take(2, now=0.0) == (b"ef", 1)
    assert flight.take(99, now=0.0) == (b"g", 1)


def test_a_read_ends_where_a_send_was_torn() -> None:
    flight = Flight(latency=0.0)
    sent(flight, "ab-", "cd", "ef-", "g")
    assert [flight.take(99, now=0.0)[0] for _ in range(4)] == [b"ab", b"cdef", b"g", b""]


def test_the_end_comes_behind_the_data() -> None:
    flight = Flight(latency=1.0)
    sent(flight, "x", delay=3.0)
    assert flight.end(now=0.0) == flight.end(now=99.0) == 4.0
    assert not flight.has_ended(now=4.0)  # there is still something to read
    flight.take(9, now=4.0)
    assert flight.next_arrival() == 4.0
    assert flight.has_ended(now=4.0)
    assert not flight.has_ended(now=3.9)


def test_a_reset_breaks_reading_unless_an_end_came_before_it() -> None:
    flight, ended = Flight(latency=1.0), Flight(latency=1.0)
    for one in (flight, ended):
        sent(one, "x")
    ended.end(now=0.0)
    for one in (flight, ended):
        assert one.reset(now=5.0) == 6.0
        assert not one.is_reset(now=5.9)
        assert one.is_reset(now=6.0)
    assert flight.breaks_reading(now=6.0)
    assert not flight.breaks_reading(now=5.9)
    assert not ended.breaks_reading(now=6.0)
    assert ended.take(9, now=6.0) == (b"x", 1)


def test_a_reader_waits_for_a_reset_that_comes_before_the_data() -> None:
    flight = Flight(latency=1.0)
    assert flight.next_arrival() == math.inf
    flight.reset(now=2.0)
    assert flight.next_arrival() == 3.0


def test_what_is_held_arrives_when_it_is_released() -> None:
    flight = Flight(latency=1.0)
    sent(flight, "here")
    sent(flight, "on its way", now=1.5)
    flight.hold(math.inf, now=2.0)
    sent(flight, "sent now", now=3.0)
    flight.end(now=3.0)
    flight.reset(now=3.0)
    assert flight.take(99, now=100.0) == (b"here", 1)
    assert flight.next_arrival() == math.inf
    assert flight.release(now=100.0)
    assert flight.next_arrival() == 101.0
    assert flight.take(99, now=101.0) == (b"on its waysent now", 2)
    assert flight.has_ended(now=101.0)
    assert flight.is_reset(now=101.0)


def test_a_hold_with_an_end_delays_only_what_would_have_been_earlier() -> None:
    flight = Flight(latency=1.0)
    sent(flight, "early")
    sent(flight, "late", delay=9.0)
    flight.hold(5.0, now=0.5)
    assert flight.take(99, now=5.0) == (b"early", 1)
    assert flight.next_arrival() == 10.0


def test_there_is_nothing_to_release_where_nothing_is_late() -> None:
    flight = Flight(latency=1.0)
    sent(flight, "x")
    assert not flight.release(now=0.5)


@pytest.mark.parametrize("held", [False, True])
def test_nothing_is_ever_delivered_by_the_dead(held: bool) -> None:
    flight = Flight(latency=1.0)
    sent(flight, "here")
    sent(flight, "on its way", now=1.0)
    if held:
        flight.hold(math.inf, now=1.5)
    flight.die(now=1.5)
    sent(flight, "sent now", now=2.0)
    flight.end(now=2.0)
    flight.reset(now=2.0)
    assert not flight.release(now=3.0)
    assert flight.take(99, now=1e9) == (b"here", 1)
    assert flight.next_arrival() == math.inf
    assert not flight.has_ended(now=1e9)
    assert not flight.is_reset(now=1e9)


def test_a_cut_loses_data_and_end_at_once() -> None:
    flight = Flight(latency=1.0)
    sent(flight, "x")
    flight.end(now=0.0)
    flight.cut()
    assert flight.breaks_reading(now=0.0)
    assert flight.first is None
