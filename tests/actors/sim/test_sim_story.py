"""What a report tells: messages, who sent them and when they arrived, what never did, and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import Actor, ActorGone, Ask, Mailbox, MailboxFull
from actors.sim import CALM, Deadlock, Run, Sim, explore, note, shrink, simulate
from actors.sim.slices import sliced
from actors.sim.story import Story, TraceEvent
from actors.sim.trace import shown

from .planted import ghost_join, lost_update, scripted

Program = Callable[[Sim], Awaitable[Any]]


def told(program: Program, **options: Any) -> Story:
    options.setdefault("strategy", "plain")
    return simulate(program, **options).story


def messages(story: Story) -> list[tuple[str, str, str, str]]:
    """Sender, channel, receiver and text of the messages that arrived."""
    return [
        (event.sender, event.channel, event.lane, event.text)
        for event in story.events
        if event.kind == "message"
    ]


def ends(story: Story, kind: str) -> list[tuple[str, str]]:
    return [(event.lane, event.text) for event in story.events if event.kind == kind]


async def fail(sim: Sim) -> None:
    """End a program where all that is left is blocked."""
    await trio.sleep_forever()


# Messages of memory channels.


async def waits_for_a_message(sim: Sim) -> None:
    send, receive = trio.open_memory_channel[str](0)
    sim.name(send, "box")

    async def receiver() -> None:
        await receive.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiver)
        await trio.sleep(2)
        await send.send("hello")
        await fail(sim)


def test_a_message_is_told_where_it_was_delivered() -> None:
    story = told(waits_for_a_message)
    assert messages(story) == [("main", "box", "receiver", "hello")]
    (event,) = (event for event in story.events if event.kind == "message")
    assert event.sent_at == event.step
    assert event.time == 2.0
    assert "main ─box→ receiver  hello" in "\n".join(
        simulate(waits_for_a_message).text().split("\n")
    )


async def lets_a_message_wait(sim: Sim) -> None:
    send, receive = trio.open_memory_channel[str](3)
    sim.name(receive, "box")

    async def receiver() -> None:
        await trio.sleep(5)
        await receive.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receiver)
        for text in ("one", "two"):
            await send.send(text)
            await trio.sleep(1)
        await fail(sim)


def test_a_message_that_waited_is_told_with_both_steps() -> None:
    story = told(lets_a_message_wait)
    assert messages(story) == [("main", "box", "receiver", "one")]
    (event,) = (event for event in story.events if event.kind == "message")
    assert 0 < event.sent_at < event.step
    assert event.time == 5.0
    assert f"[sent at step {event.sent_at}]" in simulate(lets_a_message_wait).text()


def test_a_message_that_nobody_took_is_told_as_never_received() -> None:
    story = told(lets_a_message_wait)
    (lost,) = story.unreceived
    assert (lost.channel, lost.text, lost.sender, lost.waiting) == ("box", "two", "main", False)
    assert lost.sent_at > 0
    text = simulate(lets_a_message_wait, strategy="plain").text()
    assert f"never received:\n  box: two from main (sent at step {lost.sent_at})" in text


async def parks_senders(sim: Sim) -> None:
    """A channel without any room: both senders wait, and only one of them gets rid of it."""
    send, receive = trio.open_memory_channel[str](0)
    sim.name(send, "box")

    async def sender(text: str) -> None:
        await send.send(text)

    async with trio.open_nursery() as nursery:
        for name in ("first", "second"):
            nursery.start_soon(sender, f"of {name}", name=name)
        await trio.sleep(1)
        await receive.receive()
        await fail(sim)


def test_the_sender_of_a_message_is_who_waited_with_it() -> None:
    story = told(parks_senders)
    assert messages(story) == [("first", "box", "main", "of first")]
    (event,) = (event for event in story.events if event.kind == "message")
    assert event.sent_at < event.step
    (lost,) = story.unreceived
    assert (lost.sender, lost.text, lost.waiting) == ("second", "of second", True)
    assert "still waits for a place" in simulate(parks_senders).text()
    assert [one.lane for one in story.blocked] == ["main", "second"]


def test_a_full_channel_keeps_the_order_of_those_who_wait() -> None:
    async def program(sim: Sim) -> None:
        send, receive = trio.open_memory_channel[int](1)

        async def sender(number: int) -> None:
            await send.send(number)

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(sender, number, name=f"sender {number}")
            await trio.sleep(1)
            assert [await receive.receive() for _ in range(4)] == [0, 1, 2, 3]
            await fail(sim)

    assert messages(told(program)) == [
        (f"sender {number}", "channel 1", "main", str(number)) for number in range(4)
    ]


def test_a_message_that_found_no_place_and_was_given_up_is_no_message() -> None:
    async def program(sim: Sim) -> None:
        send, receive = trio.open_memory_channel[str](1)
        send.send_nowait("kept")
        with pytest.raises(trio.WouldBlock):
            send.send_nowait("refused")
        with trio.move_on_after(1):
            await send.send("timed out")
        assert receive.receive_nowait() == "kept"
        with pytest.raises(trio.WouldBlock):
            receive.receive_nowait()
        await fail(sim)

    story = told(program)
    assert [text for *_, text in messages(story)] == ["kept"]
    assert story.unreceived == ()


def test_clones_are_one_channel() -> None:
    async def program(sim: Sim) -> None:
        send, receive = trio.open_memory_channel[int](5)
        sim.name(receive.clone(), "box")
        other = send.clone()
        for number in range(2):
            await (send if number else other).send(number)
            async with receive.clone() as clone:
                await clone.receive()
        await other.send(2)
        await fail(sim)

    story = told(program)
    assert [channel for _, channel, _, _ in messages(story)] == ["box", "box"]
    assert [lost.channel for lost in story.unreceived] == ["box"]


def test_a_channel_that_is_closed_or_broken_carries_nothing() -> None:
    async def program(sim: Sim) -> None:
        send, receive = trio.open_memory_channel[str](5)
        await send.send("lost with the channel")
        receive.close()
        with pytest.raises(trio.BrokenResourceError):
            await send.send("to nobody")
        send.close()
        with pytest.raises(trio.ClosedResourceError):
            send.send_nowait("by nobody")
        with pytest.raises(trio.ClosedResourceError):
            receive.receive_nowait()
        other, ended = trio.open_memory_channel[str](0)
        other.close()
        async for _ in ended:
            raise AssertionError("there is nothing")
        await fail(sim)

    story = told(program)
    assert messages(story) == []
    assert [lost.text for lost in story.unreceived] == ["lost with the channel"]


def test_channels_without_a_name_get_numbers_of_their_own() -> None:
    async def program(sim: Sim) -> None:
        channels = [trio.open_memory_channel[int](1) for _ in range(3)]
        sim.name(channels[1][0], "named")
        for send, receive in channels:
            await send.send(1)
            await receive.receive()
        await fail(sim)

    names = [channel for _, channel, _, _ in messages(told(program))]
    assert names == ["channel 1", "named", "channel 2"]


def test_a_message_from_outside_of_all_tasks_has_a_sender_too() -> None:
    async def program(sim: Sim) -> None:
        send, receive = trio.open_memory_channel[str](1)
        trio.lowlevel.current_trio_token().run_sync_soon(send.send_nowait, "hello")
        await receive.receive()
        await fail(sim)

    assert messages(told(program)) == [("run_sync_soon", "channel 1", "main", "hello")]


@settings(deadline=None, max_examples=40)
@given(
    capacity=st.integers(0, 3),
    senders=st.integers(1, 3),
    count=st.integers(1, 4),
    receivers=st.integers(1, 2),
    seed=st.integers(0, 1000),
)
def test_every_message_is_told_once_with_its_sender_and_its_receiver(
    capacity: int, senders: int, count: int, receivers: int, seed: int
) -> None:
    sent: list[tuple[str, str]] = []
    received: list[tuple[str, str]] = []

    async def program(sim: Sim) -> None:
        sent.clear()
        received.clear()
        send, receive = trio.open_memory_channel[str](capacity)
        sim.name(send, "box")

        async def sender(number: int) -> None:
            for message in range(count):
                text = f"{number}.{message}"
                sent.append((f"sender {number}", text))
                await send.send(text)

        async def receiver(number: int) -> None:
            with trio.move_on_after(100):
                while sum(len(sent) for sent in [received]) < senders * count - 1:
                    received.append((f"receiver {number}", await receive.receive()))

        async with trio.open_nursery() as nursery:
            for number in range(receivers):
                nursery.start_soon(receiver, number, name=f"receiver {number}")
            for number in range(senders):
                nursery.start_soon(sender, number, name=f"sender {number}")
        await fail(sim)

    story = told(program, seed=seed, strategy="portfolio")
    arrived = messages(story)
    assert [(sender, text) for sender, _, _, text in arrived] == sorted(
        [(sender, text) for sender, text in sent if text in {text for *_, text in arrived}],
        key=lambda pair: [text for *_, text in arrived].index(pair[1]),
    )
    assert sorted((lane, text) for _, _, lane, text in arrived) == sorted(received)
    lost = {one.text for one in story.unreceived}
    assert lost | {text for _, text in received} == {text for _, text in sent}
    assert not lost & {text for _, text in received}
    for event in story.events:
        if event.kind == "message":
            assert 0 < event.sent_at <= event.step <= story.failed_at


# A traced run is the same run.


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), timers=st.sampled_from([0.0, 0.1]))
def test_tracing_changes_nothing(seed: int, timers: float) -> None:
    for program in (ghost_join, parks_senders, actors_talk):
        run = simulate(program, seed=seed, timers=timers)
        story = run.story
        assert story.steps == run.steps
        assert story.seconds == run.record.seconds
        assert "another way" not in story.found
        if run.error is not None:
            assert story.outcome.startswith(type(run.error).__name__)
            assert story.failed_at == run.record.failed_at
            assert max((event.step for event in story.events), default=0) <= story.failed_at
        steps = [event.step for event in story.events]
        times = [event.time for event in story.events]
        assert steps == sorted(steps)
        assert times == sorted(times)
        assert len(story.deviations) == run.decisions - bool(run.tape[0])


# Actors.


@attrs.frozen
class Add:
    number: int


@attrs.frozen
class Total(Ask[int]):
    pass


@attrs.frozen
class Explode(Ask[None]):
    pass


class Counter(Actor[Add | Total | Explode]):
    """Adds up."""

    def begin(self) -> None:
        self.total = 0

    def receive(self, message: Add | Total | Explode) -> None:
        match message:
            case Add(number=number):
                self.total += number
            case Total(reply=reply):
                reply.send(self.total)
            case Explode(reply=reply):
                reply.fail(ValueError("bang"))


async def actors_talk(sim: Sim) -> None:
    counter = Counter("sum")

    async def adder(number: int) -> None:
        await counter.tell(Add(number))
        await counter.ask(Total())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(counter.run, name="counter")
        nursery.start_soon(adder, 1, name="one")
        nursery.start_soon(adder, 2, name="two")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="bang"):
            await counter.ask(Explode())
        await trio.sleep_forever()


def test_mailboxes_and_answers_are_told_by_the_names_of_the_actors() -> None:
    story = told(actors_talk)
    assert messages(story) == [
        ("one", "mailbox of sum", "counter", "Add(number=1)"),
        ("one", "mailbox of sum", "counter", "Total()"),
        ("counter", "answer", "one", "1"),
        ("two", "mailbox of sum", "counter", "Add(number=2)"),
        ("two", "mailbox of sum", "counter", "Total()"),
        ("counter", "answer", "two", "3"),
        ("main", "mailbox of sum", "counter", "Explode()"),
        ("counter", "answer", "main", "ValueError('bang')"),
    ]


def test_an_answer_that_nobody_waits_for_is_told_to_nobody() -> None:
    async def program(sim: Sim) -> None:
        counter = Counter("sum")
        question = Total()
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                scope.cancel()
                await counter.ask(question)
            nursery.start_soon(counter.run, name="counter")
            await trio.testing.wait_all_tasks_blocked()
            question.reply.send(1)
            question.reply.send(2)
            await trio.sleep_forever()

    assert [text for _, channel, _, text in messages(told(program)) if channel == "answer"] == []


def test_a_mailbox_that_is_full_or_gone_is_told_right() -> None:
    async def program(sim: Sim) -> None:
        mailbox = Mailbox[str]("room", 1)
        mailbox.post_nowait("one")
        with pytest.raises(MailboxFull):
            mailbox.post_nowait("two")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mailbox.post, "three", name="poster")
            await trio.testing.wait_all_tasks_blocked()
            assert await mailbox.take() == "one"
        mailbox.close()
        with pytest.raises(ActorGone):
            await mailbox.post("four")
        await trio.sleep_forever()

    story = told(program)
    assert messages(story) == [("main", "mailbox of room", "main", "one")]
    assert [(lost.channel, lost.text, lost.sender) for lost in story.unreceived] == [
        ("mailbox of room", "three", "poster")
    ]


# Errors.


def test_what_a_failing_program_never_received_is_told_even_if_it_was_the_last_to_run() -> None:
    async def program(sim: Sim) -> None:
        send, _receive = trio.open_memory_channel[str](5)
        sim.name(send, "box")
        await send.send("unread")
        raise KeyError("the program's own")

    story = told(program)
    assert [lost.text for lost in story.unreceived] == ["unread"]
    assert story.outcome == 'KeyError: "the program\'s own"'
    assert 'raise KeyError("the program' in story.where
    assert story.failed_at == 2


def test_the_story_of_an_error_ends_where_it_was_raised() -> None:
    """What comes after that is only the unwinding of the others."""

    async def program(sim: Sim) -> None:
        send, receive = trio.open_memory_channel[str](5)

        async def waiter() -> None:
            try:
                await trio.sleep_forever()
            finally:
                send.send_nowait("goodbye")
                sim.note("unwinding")

        async def culprit() -> None:
            await send.send("hello")
            await receive.receive()
            raise KeyError

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter)
            nursery.start_soon(culprit)

    for seed in range(5):
        story = told(program, seed=seed, strategy="random")
        assert [text for *_, text in messages(story)] == ["hello"]
        assert ends(story, "note") == []
        assert ("culprit", "ended") in ends(story, "ended")
        assert story.unreceived == ()
        assert {one.lane for one in story.blocked} <= {"main", "waiter"}


def test_a_deadlock_is_told_with_where_all_are() -> None:
    story = told(parks_senders)
    assert story.outcome == "Deadlock: all tasks are blocked and no timer is pending"
    assert story.where == ""
    places = {one.lane: one.where for one in story.blocked}
    assert places["main"].endswith(" in fail")
    assert places["second"].endswith(" in sender")


# Choices, in words.


def test_a_schedule_is_told_by_where_it_is_not_the_plain_one() -> None:
    run = simulate(lost_update, strategy=scripted([0, 1]))
    assert run.error is not None
    (deviation,) = run.story.deviations
    assert deviation.text == "deposit#2 runs, though deposit could go on"
    assert f"but for 1 decision:\n  step {deviation.step}: {deviation.text}" in run.text()
    assert deviation.step == 3


def test_a_schedule_without_decisions_says_so() -> None:
    text = simulate(parks_senders, strategy="plain").text()
    assert "the schedule is the plain one: every task keeps its turn until it blocks\n" in text


def test_who_is_passed_over_is_named() -> None:
    async def program(sim: Sim) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(trio.lowlevel.checkpoint, name=f"t{number}")
        await fail(sim)

    texts = [one.text for one in told(program, strategy=scripted([1])).deviations]
    assert texts == ["t1 runs before t0, who waited longer"]
    texts = [one.text for one in told(program, strategy=scripted([5])).deviations]
    assert texts == ["t5 runs before t0 and 4 more, who waited longer"]


def test_drawn_numbers_and_faults_are_told() -> None:
    async def program(sim: Sim) -> None:
        sim.draw(5, "the size")
        sim.draw(5, "nothing")
        sim.draw(5)
        sim.maybe("the disk is full", 0.5)
        sim.maybe("not so", 0.5)
        sim.happened("resets", "link", "reset by peer")
        sim.note("all drawn")
        await fail(sim)

    story = told(program, strategy=scripted([], [3, 0, 2], [True, False]))
    assert [one.text for one in story.deviations] == [
        "the size is 3",
        "a choice is 2",
        "the disk is full is yes",
    ]
    assert story.faults == ("link: reset by peer",)
    assert ends(story, "net") == [("link", "reset by peer")]
    assert ends(story, "note") == [("main", "all drawn")]


def test_bytes_on_the_network_are_told() -> None:
    async def program(sim: Sim) -> None:
        client, server = sim.net(CALM).pair("client", "server")
        await client.send_all(b"hello")
        await server.receive_some(10)
        await client.send_all(b"lost")
        await fail(sim)

    story = told(program)
    (event,) = (event for event in story.events if event.kind == "bytes")
    assert event.text == "b'hello'"
    assert event.channel == "client→server"
    assert [(lost.text, lost.channel) for lost in story.unreceived] == [
        ("b'lost'", "client→server")
    ]


# Lanes.


def test_lanes_are_those_that_did_something_in_the_order_they_appear() -> None:
    story = told(parks_senders)
    assert story.lanes == ("first", "main")
    assert told(fail).lanes == ("main",)


def test_a_story_has_its_head() -> None:
    run = explore(ghost_join, runs=300).failure
    assert run is not None
    small = shrink(ghost_join, run, budget=100)
    story = small.story
    assert story.title == "ghost_join"
    assert story.found == small.found
    assert story.replay == f"simulate(program, replay={small.token!r})"
    assert story.steps == small.steps
    assert any(lost.channel == "room" and "join" in lost.text for lost in story.unreceived)


# Programs without messages, and notes from anywhere.


async def wakes_by_an_event(sim: Sim) -> None:
    event = trio.Event()

    async def waiter() -> None:
        await event.wait()
        note("woken")
        await trio.sleep(1)
        raise KeyError

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter)
        await trio.testing.wait_all_tasks_blocked()
        event.set()


def test_a_program_without_messages_is_told_by_who_woke_whom() -> None:
    story = told(wakes_by_an_event)
    assert [
        (sender, channel, lane)
        for sender, channel, lane, text in messages(story)
        if "in wakes_by_an_event: event.set()" in text
    ] == [("main", "wakes", "waiter")]
    assert any("its time has come" in text for lane, text in ends(story, "note"))
    assert "wakes" not in {channel for _, channel, _, _ in messages(told(parks_senders))}


def test_a_note_may_come_from_code_that_has_no_sim() -> None:
    assert ("waiter", "woken") in ends(told(wakes_by_an_event), "note")
    assert note("outside of a simulation nobody reads it") is None  # type: ignore[func-returns-value]


# The causal slice.


def with_noise(tasks: int) -> Program:
    """A failure that is about three tasks, among others that talk to each other."""

    async def program(sim: Sim) -> None:
        async def ping(send: Any, receive: Any) -> None:
            for _ in range(5):
                await send.send("noise")
                await receive.receive()

        jobs, work = trio.open_memory_channel[str](1)
        done, results = trio.open_memory_channel[str](1)
        sim.name(jobs, "jobs")
        sim.name(done, "results")

        async def worker() -> None:
            async for job in work:
                await done.send(f"{job} done")

        async def boss() -> None:
            for job in ("a", "b", "c"):
                await jobs.send(job)
            for _ in range(3):
                await results.receive()
            raise KeyError("no fourth")

        async with trio.open_nursery() as nursery:
            for number in range(tasks):
                one, one_out = trio.open_memory_channel[str](1)
                two, two_out = trio.open_memory_channel[str](1)
                nursery.start_soon(ping, one, two_out, name=f"noise {number}")
                nursery.start_soon(ping, two, one_out, name=f"echo {number}")
            nursery.start_soon(worker)
            nursery.start_soon(boss)

    return program


def test_what_cannot_have_led_to_the_failure_is_not_in_the_slice() -> None:
    run = simulate(with_noise(4), strategy="plain")
    story = run.story
    inside = [event for event in story.events if event.sliced and event.kind == "message"]
    assert {event.channel for event in inside} == {"jobs", "results"}
    assert len(inside) == 6
    assert any(not event.sliced for event in story.events)
    assert "noise" not in run.text().partition("what happened")[2]
    assert "noise" in run.text(full=True)


def test_a_slice_that_says_nothing_is_not_made() -> None:
    story = told(waits_for_a_message)
    assert all(event.sliced for event in story.events)


@st.composite
def histories(draw: st.DrawFn) -> list[TraceEvent]:
    """Messages among four lanes; no two arrive at one step."""
    events = []
    for step in range(1, draw(st.integers(0, 25)) + 1):
        sender, receiver = draw(st.permutations("abcd"))[:2]
        sent_at = draw(st.integers(1, step))
        events.append(TraceEvent(step, 0.0, "message", receiver, "", sender, "", sent_at))
    return events


@settings(deadline=None, max_examples=60)
@given(events=histories(), lanes=st.sets(st.sampled_from("abcd"), min_size=1))
def test_a_slice_holds_all_that_happened_before_the_failure_and_is_linked_to_it(
    events: list[TraceEvent], lanes: set[str]
) -> None:
    until = dict.fromkeys(lanes, 100)
    before: dict[str, int] = {}
    while before != until:
        before = dict(until)
        for event in events:
            if event.step <= until.get(event.lane, -1):
                until[event.sender] = max(until.get(event.sender, -1), event.sent_at)
    needed = {event.step for event in events if event.step <= until.get(event.lane, -1)}
    found = {event.step for event in sliced(events, [], lanes, 100) if event.sliced}
    assert needed <= found
    if len(needed) >= 3:
        concerned = {event.step for event in events if {event.sender, event.lane} & set(until)}
        assert found <= concerned


def test_a_task_that_was_woken_brings_in_who_woke_it() -> None:
    events = [
        TraceEvent(step, 0.0, "message", lane, "", sender, "", step)
        for step, (sender, lane) in enumerate([("b", "c"), ("c", "b"), ("b", "c"), ("d", "e")], 1)
    ]
    kept = [event.sliced for event in sliced(events, [(5, "c", "a")], ["a"], 10)]
    assert kept == [True, True, True, False]


# Texts of messages.


class Plain:
    pass


class Many:
    def __repr__(self) -> str:
        return "\n".join(["line"] * 100)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("a text", "a text"),
        (("join", 3), "('join', 3)"),
        (Plain(), "<actors.sim.test_sim_story.Plain object>"),
        (b"bytes", "b'bytes'"),
        (None, "None"),
        ("two\nlines", "two\\nlines"),
    ],
)
def test_a_message_is_shown_by_its_repr_without_addresses(message: object, text: str) -> None:
    assert shown(message).replace("tests.", "").replace("<sim.", "<actors.sim.") == text


def test_a_channel_in_a_message_is_shown_without_its_address() -> None:
    send, receive = trio.open_memory_channel[int](0)
    assert shown(("join", send)) == "('join', <send channel>)"
    assert shown(("join", receive)) == "('join', <receive channel>)"


@settings(deadline=None, max_examples=40)
@given(
    st.recursive(
        st.text() | st.integers() | st.binary() | st.none(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_a_message_is_it_is_shown_in_one_short_line(message: object) -> None:
    text = shown(message)
    assert len(text) <= 72
    assert "\n" not in text


def test_long_messages_are_cut() -> None:
    assert shown("x" * 100) == "x" * 71 + "…"
    assert len(shown(Many())) <= 72
    assert len(shown(list(range(1000)))) <= 72
    nested: list[Any] = []
    nested.append(nested)
    assert shown(nested)


def test_a_run_is_the_same_in_words_every_time() -> None:
    """No address, and nothing else of the process, gets into a report."""

    def report(run: Run) -> Sequence[str]:
        return (run.text(full=True), run.mermaid(), run.page())

    for program in (ghost_join, actors_talk, parks_senders):
        assert report(simulate(program, seed=3)) == report(simulate(program, seed=3))
    assert isinstance(simulate(parks_senders).error, Deadlock)
