"""What a connection does when nothing goes wrong at random: TCP's rules, as programs meet them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from .net_script import Tale, line, read_to_end

# Reading.


async def test_a_read_joins_what_has_arrived() -> None:
    two = line()
    for piece in (b"one ", b"two ", b"three"):
        await two.alice.send_all(piece)
    assert await two.bob.receive_some() == b"one two three"


async def test_a_read_takes_as_much_as_it_was_told_and_leaves_the_rest() -> None:
    two = line()
    await two.alice.send_all(b"abcde")
    await two.alice.send_all(b"fg")
    assert [await two.bob.receive_some(n) for n in (2, 1, 3, 9)] == [b"ab", b"c", b"def", b"g"]


async def test_it_arrives_after_the_latency_and_not_before(autojump_clock: MockClock) -> None:
    two = line(latency=(2.0, 0.0))
    begin = trio.current_time()
    await two.alice.send_all(b"hello")
    assert trio.current_time() == begin  # sending does not wait for arriving
    assert await two.bob.receive_some() == b"hello"
    assert trio.current_time() == begin + 2.0


async def test_a_reader_that_waits_for_late_bytes_is_woken_once(autojump_clock: MockClock) -> None:
    two = line(latency=(2.0, 0.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(two.bob.receive_some)
        await wait_all_tasks_blocked()
        await two.alice.send_all(b"late")
        with trio.fail_after(1.0):  # were it woken now, this would not be all there is to do
            await wait_all_tasks_blocked()


async def test_a_reader_that_waits_does_not_wait_for_what_is_behind(
    autojump_clock: MockClock,
) -> None:
    two = line(latency=(2.0, 0.0))
    begin = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            assert await two.bob.receive_some() == b"first"
            assert trio.current_time() == begin + 2.0

        nursery.start_soon(read)
        await two.alice.send_all(b"first")
        await trio.sleep(0.5)
        await two.alice.send_all(b"second")


async def test_what_is_in_front_is_never_overtaken(autojump_clock: MockClock) -> None:
    two = line(7, 0, latency=(1.0, 7.0))  # the first takes 8 s, the second 1 s
    begin = trio.current_time()
    await two.alice.send_all(b"slow ")
    await two.alice.send_all(b"fast")
    assert await two.bob.receive_some() == b"slow fast"
    assert trio.current_time() == begin + 8.0


async def test_the_two_directions_know_nothing_of_each_other(autojump_clock: MockClock) -> None:
    two = line(7, 0, latency=(0.0, 7.0))
    await two.alice.send_all(b"slow")
    await two.bob.send_all(b"fast")
    assert await two.alice.receive_some() == b"fast"
    assert trio.current_time() == autojump_clock.current_time() < 1e-9
    assert await two.bob.receive_some() == b"slow"


# The window.


async def test_a_full_window_makes_the_sender_wait_for_the_reader() -> None:
    two = line(window=10)
    sent = trio.Event()

    async def send() -> None:
        await two.alice.send_all(b"0123456789abc")
        sent.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert not sent.is_set()
        assert two.net.statistics().links[0].waiting == 10
        assert await two.bob.receive_some(4) == b"0123"
        await wait_all_tasks_blocked()
        assert not sent.is_set()  # it waits for half the window
        assert await two.bob.receive_some(1) == b"4"
        await sent.wait()
    assert await two.bob.receive_some() == b"56789abc"


async def test_waiting_for_room_ends_with_the_first_byte_of_it() -> None:
    two = line(window=10)
    await two.alice.send_all(bytes(10))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(two.alice.wait_send_all_might_not_block)
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        await two.bob.receive_some(1)


async def test_bytes_in_flight_are_in_the_window(autojump_clock: MockClock) -> None:
    two = line(window=10, latency=(3.0, 0.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(two.alice.send_all, bytes(11))
        assert await two.bob.receive_some() == bytes(10)
        assert await two.bob.receive_some() == bytes(1)
    assert autojump_clock.current_time() >= 6.0


async def test_a_send_that_is_cancelled_half_way_has_sent_that_half() -> None:
    two = line(window=10)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(two.alice.send_all, bytes(15))
            await wait_all_tasks_blocked()
            scope.cancel()
    await two.alice.aclose()
    assert await read_to_end(two.bob) == bytes(10)


# Ends.


async def test_after_the_end_the_other_way_is_still_open(autojump_clock: MockClock) -> None:
    two = line(latency=(1.0, 0.0))
    await two.alice.send_all(b"question")
    await two.alice.send_eof()
    assert await read_to_end(two.bob) == b"question"
    await two.bob.send_all(b"answer")
    assert await two.alice.receive_some() == b"answer"
    with pytest.raises(trio.ClosedResourceError, match="alice: the end was sent"):
        await two.alice.send_all(b"more")
    await two.bob.aclose()
    assert await two.alice.receive_some() == b""


async def test_after_a_close_the_peer_reads_what_was_sent_and_then_the_end(
    autojump_clock: MockClock,
) -> None:
    two = line(latency=(1.0, 0.0))
    await two.alice.send_all(b"goodbye")
    await two.alice.aclose()
    assert await read_to_end(two.bob) == b"goodbye"
    assert await two.bob.receive_some() == b""  # the end stays


async def test_the_first_send_to_a_closed_peer_is_lost_and_the_next_one_fails() -> None:
    two = line()
    await two.alice.send_all(b"goodbye")
    await two.alice.aclose()
    await two.bob.send_all(b"into the void")
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.send_all(b"again")
    assert await read_to_end(two.bob) == b"goodbye"  # sent before the close: not lost


async def test_a_closed_peer_is_noticed_a_round_trip_later(autojump_clock: MockClock) -> None:
    two = line(latency=(1.0, 0.0))
    await two.alice.aclose()
    await two.bob.send_all(b"leaves now, arrives in 1 s, the answer is here in 2 s")
    await trio.sleep(1.5)
    await two.bob.send_all(b"nothing is known yet")
    await trio.sleep(0.5)
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.send_all(b"now it is")


async def test_who_sends_to_a_closed_peer_without_end_fills_the_window_and_then_fails(
    autojump_clock: MockClock,
) -> None:
    two = line(latency=(1.0, 0.0), window=10)
    await two.alice.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.send_all(bytes(11))
    assert autojump_clock.current_time() >= 2.0


async def test_closing_on_unread_bytes_resets_the_peer_who_loses_what_it_had_not_read() -> None:
    two = line()
    await two.alice.send_all(b"an answer")
    await two.bob.send_all(b"never read")
    await two.alice.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.send_all(b"x")
    assert two.script.notes == ["alice closes on unread bytes, which resets its peer"]
    assert two.script.happenings == []  # nothing went wrong at random


async def test_bytes_that_are_in_flight_at_a_close_break_only_the_way_back(
    autojump_clock: MockClock,
) -> None:
    two = line(latency=(1.0, 0.0))
    await two.alice.send_all(b"an answer")
    await two.bob.send_all(b"in flight")
    await two.alice.aclose()
    await trio.sleep(2.5)
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.send_all(b"x")
    assert await read_to_end(two.bob) == b"an answer"


async def test_the_answer_to_bytes_in_flight_leaves_when_they_arrive(
    autojump_clock: MockClock,
) -> None:
    two = line(7, latency=(1.0, 7.0))
    await two.bob.send_all(b"arrives after 8 s")
    await two.alice.aclose()
    await trio.sleep(8.5)
    await two.bob.send_all(b"nothing is known yet")
    await trio.sleep(0.5)
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.send_all(b"now it is")


async def test_the_second_one_to_close_resets_nobody() -> None:
    two = line()
    await two.alice.send_all(b"unread")
    await two.alice.aclose()
    await two.bob.aclose()
    assert two.script.notes == []


async def test_the_end_can_be_sent_twice_but_not_after_a_close() -> None:
    two = line()
    await two.alice.send_eof()
    await two.alice.send_eof()
    await two.alice.aclose()
    with pytest.raises(trio.ClosedResourceError, match="alice was closed here"):
        await two.alice.send_eof()


async def test_a_close_wakes_a_peer_that_waits_for_room() -> None:
    two = line(window=10)
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await two.bob.send_all(bytes(100))

        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        await two.alice.aclose()


async def test_the_end_of_a_connection_in_the_middle_reaches_both_ends() -> None:
    two = line()
    await two.alice.send_all(b"to bob")
    await two.bob.send_all(b"to alice")
    two.net.hang_up(two.alice)
    assert await read_to_end(two.alice) == b"to alice"
    assert await read_to_end(two.bob) == b"to bob"
    for end in (two.alice, two.bob):
        await end.send_all(b"into the void")
        with pytest.raises(trio.BrokenResourceError):
            await end.send_all(b"x")
        await end.aclose()
    assert two.script.kinds == ["hang-ups"]


async def test_the_end_in_the_middle_wakes_a_sender_whose_peer_never_reads() -> None:
    two = line(window=10)
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await two.bob.send_all(bytes(100))

        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        two.net.hang_up(two.bob)


# Resets by hand.


async def test_a_reset_breaks_both_ends_and_wakes_all_who_wait() -> None:
    two = line(window=10)
    broken: list[str] = []

    async def until_broken(name: str, end: trio.abc.Stream, *, sends: bool) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await (end.send_all(bytes(100)) if sends else end.receive_some())
        broken.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: until_broken("alice sends", two.alice, sends=True))
        nursery.start_soon(lambda: until_broken("alice reads", two.alice, sends=False))
        await wait_all_tasks_blocked()
        two.net.reset(two.bob)
    assert sorted(broken) == ["alice reads", "alice sends"]
    assert [link.waiting for link in two.net.statistics().links] == [0, 0]
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.receive_some()  # what had arrived is lost
    assert two.script.happenings == [("resets", "bob", "the connection is reset")]
    two.net.reset(two.alice)
    assert len(two.script.happenings) == 1  # it was broken already


async def test_a_reset_also_destroys_what_was_sent_before_an_end() -> None:
    two = line()
    await two.alice.send_all(b"x")
    await two.alice.send_eof()
    two.net.reset(two.alice)
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.receive_some()


async def test_only_a_stream_of_a_net_can_be_reset() -> None:
    two = line()
    other, _ = trio.testing.memory_stream_pair()
    with pytest.raises(TypeError, match=r"expected a stream as Net\.connect"):
        two.net.reset(other)


# The trace.


async def test_a_trace_hears_of_each_segment_twice_and_of_the_end() -> None:
    tale = Tale()
    two = line(trace=tale)
    await two.alice.send_all(b"one")
    await two.alice.send_all(b"two" * 30)
    assert await two.bob.receive_some(4) == b"onet"
    assert tale.received_texts == ["b'one'"]  # the second one has not all been read
    await two.alice.aclose()
    await read_to_end(two.bob)
    await two.bob.receive_some()
    assert tale.received_texts == [
        "b'one'",
        f"{(b'two' * 16)!r}… (90 bytes)",
        "end",
    ]
    assert tale.channels == ["alice→bob"]


def test_the_parts_of_a_net_say_what_they_are() -> None:
    two = line()
    assert repr(two.net) == "<Net, nobody listening, 1 connections made>"
    assert repr(two.alice) == "<LinkEnd alice, 0 bytes to read>"
