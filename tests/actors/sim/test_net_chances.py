"""What goes wrong at random is a choice of the run, asked for only when it can happen."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from .net_script import Line, line, read_to_end

# What is asked.


async def exchange(two: Line) -> None:
    """Use all calls of a stream, both ways."""
    await two.alice.send_all(b"question")
    await two.bob.receive_some()
    await two.bob.send_all(b"answer")
    await two.bob.send_eof()
    assert await read_to_end(two.alice) == b"answer"
    await two.alice.aclose()
    await two.bob.aclose()


async def test_a_calm_net_costs_no_choice() -> None:
    two = line()
    await exchange(two)
    assert two.script.asked == []


async def test_a_constant_latency_costs_no_choice(autojump_clock: MockClock) -> None:
    two = line(latency=(1.0, 0.0))
    await exchange(two)
    assert two.script.asked == []


async def test_each_fault_is_asked_once_for_each_send_and_the_plain_answers_do_nothing(
    autojump_clock: MockClock,
) -> None:
    two = line(latency=(1.0, 1.0), chunk=3, reset=0.1, stall=(0.1, 9.0), blackhole=0.1)
    await exchange(two)
    of_a_send = ["reset", "black hole", "stall", "torn send", "the jitter"]
    assert two.script.asked == of_a_send * 2
    assert two.script.happenings == []


async def test_an_empty_send_costs_no_choice_and_one_byte_is_never_torn() -> None:
    two = line(chunk=5, reset=0.5)
    await two.alice.send_all(b"")
    assert two.script.asked == []
    await two.alice.send_all(b"x")
    assert two.script.asked == ["reset"]


async def test_a_send_that_nobody_can_get_costs_no_choice() -> None:
    two = line(chunk=5, reset=0.5, stall=(0.5, 1.0), blackhole=0.5)
    await two.bob.aclose()
    await two.alice.send_all(b"lost")
    assert two.script.asked == []


# Torn sends.


async def test_a_torn_send_is_read_in_its_pieces() -> None:
    two = line(1, 1, 4, 1, chunk=4)  # torn, into three pieces: behind 5 and behind 2
    await two.alice.send_all(b"abcdefgh")
    await two.alice.send_all(b"|next")
    assert two.script.happenings[0] == ("torn sends", "alice", "a send of 8 bytes is torn at 2, 5")
    assert await two.bob.receive_some() == b"ab"
    assert await two.bob.receive_some(2) == b"cd"
    assert await two.bob.receive_some() == b"e"
    assert await two.bob.receive_some() == b"fgh|next"


async def test_two_tears_in_one_place_are_one() -> None:
    two = line(1, 1, 4, 4, chunk=4)
    await two.alice.send_all(b"abcdefgh")
    assert two.script.happenings == [("torn sends", "alice", "a send of 8 bytes is torn at 5")]


async def test_the_pieces_of_a_torn_send_arrive_one_after_the_other(
    autojump_clock: MockClock,
) -> None:
    two = line(1, 0, 1, 0, 7, chunk=2, latency=(1.0, 2.0))  # the first after 1 s, then after 3 s
    begin = trio.current_time()
    await two.alice.send_all(b"abcd")
    assert await two.bob.receive_some() == b"ab"
    assert trio.current_time() == pytest.approx(begin + 1.0)
    assert await two.bob.receive_some() == b"cd"
    assert trio.current_time() == pytest.approx(begin + 3.0)


# Resets.


async def test_a_reset_in_the_middle_of_a_send_breaks_both_ends() -> None:
    two = line(1, 3, reset=0.1)
    with pytest.raises(trio.BrokenResourceError):
        await two.alice.send_all(b"abcdefgh")
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await two.alice.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.send_all(b"x")
    what = ("resets", "alice", "connection reset after 3/8 bytes of a send")
    assert two.script.happenings == [what]


@pytest.mark.parametrize("base", [0.0, 1.0])
async def test_a_reader_may_get_the_first_part_before_the_reset(
    base: float, autojump_clock: MockClock
) -> None:
    seen: set[bytes] = set()
    for _ in range(30):  # trio runs the tasks of a tick in any order
        two = line(1, 3, reset=0.1, latency=(base, 0.0))

        async def send(two: Line = two) -> None:
            with pytest.raises(trio.BrokenResourceError):
                await two.alice.send_all(b"abcdefgh")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            try:
                seen.add(await two.bob.receive_some())
            except trio.BrokenResourceError:
                seen.add(b"")
    assert b"abc" in seen <= {b"", b"abc"}


async def test_a_reset_wakes_who_waits_at_both_ends() -> None:
    two = line(1, 0, reset=0.1, window=4)
    broken: list[str] = []

    async def read(name: str, end: trio.abc.Stream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await end.receive_some()
        broken.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, "alice", two.alice)
        nursery.start_soon(read, "bob", two.bob)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await two.alice.send_all(b"abcdefgh")
    assert sorted(broken) == ["alice", "bob"]


async def test_a_chosen_reset_comes_also_when_the_sender_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    two = line(1, 3, reset=0.1, latency=(5.0, 0.0))
    with trio.move_on_after(1.0):
        await two.alice.send_all(b"abcdefgh")
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.receive_some()


async def test_a_reset_does_not_wait_for_room() -> None:
    two = line(0, 1, 8, reset=0.1, window=10)
    await two.alice.send_all(bytes(7))
    with pytest.raises(trio.BrokenResourceError):
        await two.alice.send_all(bytes(9))
    assert two.script.happenings[0][2] == "connection reset after 3/9 bytes of a send"


async def test_a_reset_does_not_wait_for_the_end_of_a_partition() -> None:
    two = line(1, 3, reset=0.1)
    two.net.partition("alice", "bob")
    with pytest.raises(trio.BrokenResourceError):
        await two.alice.send_all(b"abcdefgh")


# Stalls.


async def test_a_stall_delays_and_loses_nothing(autojump_clock: MockClock) -> None:
    two = line(0, 1, 0, stall=(0.1, 5.0), latency=(1.0, 0.0))
    begin = trio.current_time()
    await two.alice.send_all(b"in flight ")
    await two.alice.send_all(b"held ")
    await two.alice.send_all(b"behind")
    await two.bob.send_all(b"the other way is free")
    assert await two.alice.receive_some()
    assert trio.current_time() == begin + 1.0
    assert await two.bob.receive_some() == b"in flight held behind"
    assert trio.current_time() == begin + 5.0
    assert two.script.happenings == [("stalls", "alice", "nothing it sends arrives for 5 s")]


async def test_what_has_arrived_can_be_read_during_a_stall() -> None:
    two = line(0, 1, stall=(0.1, 5.0))
    await two.alice.send_all(b"here")
    await two.alice.send_all(b"held")
    assert await two.bob.receive_some() == b"here"


# Black holes.


async def test_a_black_hole_is_silent_until_the_window_is_full(autojump_clock: MockClock) -> None:
    two = line(0, 1, blackhole=0.1, window=10)
    await two.alice.send_all(b"ab")
    await two.alice.send_all(b"cdef")
    await two.alice.send_all(b"ghij")
    assert await two.bob.receive_some() == b"ab"
    await two.bob.send_all(b"open")
    assert await two.alice.receive_some() == b"open"
    with trio.move_on_after(1000.0) as scope:
        await two.alice.send_all(b"kl|too much")
    assert scope.cancelled_caught
    with trio.move_on_after(1000.0) as scope:
        await two.bob.receive_some()
    assert scope.cancelled_caught
    what = ("black holes", "alice", "nothing it sends arrives any more")
    assert two.script.happenings == [what]


async def test_neither_a_close_nor_a_reset_gets_out_of_a_black_hole(
    autojump_clock: MockClock,
) -> None:
    two = line(1, blackhole=0.1)
    await two.alice.send_all(b"lost")
    await two.bob.send_all(b"not read")
    await two.alice.aclose()
    with trio.move_on_after(1000.0) as scope:
        await two.bob.receive_some()
    assert scope.cancelled_caught
    await two.bob.send_all(b"bob believes that alice is there")


async def test_the_sender_does_not_notice_that_the_other_end_of_a_black_hole_closed(
    autojump_clock: MockClock,
) -> None:
    two = line(1, blackhole=0.1, window=10)
    await two.alice.send_all(bytes(4))
    await two.bob.aclose()
    await two.alice.send_all(bytes(6))
    with trio.move_on_after(1000.0) as scope:
        await two.alice.wait_send_all_might_not_block()
    assert scope.cancelled_caught
    assert await two.alice.receive_some() == b""  # that way is open
    two.net.heal()
    with trio.move_on_after(1000.0) as scope:
        await two.alice.wait_send_all_might_not_block()
    assert scope.cancelled_caught


async def test_a_reset_of_the_other_way_reaches_who_waits_in_front_of_a_black_hole(
    autojump_clock: MockClock,
) -> None:
    two = line(0, 1, blackhole=0.1, window=10, latency=(1.0, 0.0))
    await two.alice.send_all(b"unread")
    await trio.sleep(1.0)
    await two.alice.send_all(b"lost")
    await two.bob.aclose()
    begin = trio.current_time()
    with pytest.raises(trio.BrokenResourceError):
        await two.alice.wait_send_all_might_not_block()
    assert trio.current_time() == begin + 1.0


async def test_what_was_in_flight_is_lost_in_a_black_hole_and_heal_brings_nothing_back(
    autojump_clock: MockClock,
) -> None:
    two = line(0, 1, blackhole=0.1, latency=(1.0, 0.0))
    await two.alice.send_all(b"in flight")
    await two.alice.send_all(b"lost")
    two.net.heal()
    with trio.move_on_after(1000.0) as scope:
        await two.bob.receive_some()
    assert scope.cancelled_caught


async def test_a_reset_by_hand_ends_a_black_hole() -> None:
    two = line(1, blackhole=0.1)
    await two.alice.send_all(b"lost")
    two.net.reset(two.bob)
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.receive_some()
