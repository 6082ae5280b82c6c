"""Whoever asks, cancels, breaks or ends when: what was answered was handled, and nobody hangs."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from actors import Actor, ActorGone, Ask, Restart, RestartLimit, Supervisor
from actors.actor import TURN_LIMIT


@attrs.frozen
class Ticket(Ask[int]):
    number: int
    breaks: bool = False
    late: bool = False  # answered when the turn is settled


class BrokenError(Exception):
    pass


class Desk(Actor[Ticket]):
    def __init__(self, capacity: int, pauses: list[int] | None = None) -> None:
        super().__init__("desk", capacity=capacity)
        self.handled: list[int] = []
        self.late: list[Ticket] = []
        self.turn_sizes = [0]
        self.pauses = pauses or [0]

    def begin(self) -> None:
        self.late.clear()

    def receive(self, message: Ticket) -> None:
        self.turn_sizes[-1] += 1
        if message.breaks:
            raise BrokenError
        if message.late:
            self.late.append(message)
        else:
            self.handled.append(message.number)
            message.reply.send(message.number)

    def settle(self) -> None:
        for message in self.late:
            self.handled.append(message.number)
            message.reply.send(message.number)
        self.late.clear()
        self.turn_sizes.append(0)

    async def between_turns(self) -> None:
        await ticks(self.pauses[len(self.turn_sizes) % len(self.pauses)])


async def ticks(number: int) -> None:
    for _ in range(number):
        await trio.lowlevel.checkpoint()


@attrs.frozen
class Asker:
    """When it asks, when it is cancelled (never: None), and what it asks for; in ticks."""

    starts: int
    cancelled: int | None
    breaks: bool
    late: bool


# Small numbers of ticks, so that much of it happens at the same time.
def askers(*, may_break: bool) -> st.SearchStrategy[list[Asker]]:
    asker = st.builds(
        Asker,
        starts=st.integers(0, 6),
        cancelled=st.none() | st.integers(0, 12),
        breaks=st.booleans() if may_break else st.just(value=False),
        late=st.booleans(),
    )
    return st.lists(asker, min_size=1, max_size=8)


async def outcomes(
    desk: Desk, plan: list[Asker], run: Callable[[trio.Nursery], None], ends: int | None
) -> list[object]:
    """Let all of them ask; return for each its answer, or `ActorGone`, `Cancelled`."""
    heard: list[object] = ["nothing"] * len(plan)

    async def ask(number: int, asker: Asker, scope: trio.CancelScope) -> None:
        with scope:
            try:
                await ticks(asker.starts)
                answer = await desk.ask(Ticket(number, asker.breaks, asker.late))
                heard[number] = answer
            except ActorGone:
                heard[number] = ActorGone
            except trio.Cancelled:
                heard[number] = trio.Cancelled
                raise

    async def cancel(scope: trio.CancelScope, after: int) -> None:
        await ticks(after)
        scope.cancel()

    async def end(after: int) -> None:
        await ticks(after)
        desk.end()

    async with trio.open_nursery() as nursery:
        run(nursery)
        for number, asker in enumerate(plan):
            scope = trio.CancelScope()
            nursery.start_soon(ask, number, asker, scope)
            if asker.cancelled is not None:
                nursery.start_soon(cancel, scope, asker.cancelled)
        if ends is not None:
            nursery.start_soon(end, ends)
        await wait_all_tasks_blocked()
        desk.end()
        await wait_all_tasks_blocked()
        so_far = list(heard)
        nursery.cancel_scope.cancel()  # whoever still waits has heard nothing: it hangs
    return so_far


@settings(deadline=None, max_examples=120)
@given(
    plan=askers(may_break=False),
    capacity=st.integers(1, 3),
    pauses=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    ends=st.none() | st.integers(0, 15),
)
async def test_what_was_answered_was_handled_and_nothing_else(
    plan: list[Asker], capacity: int, pauses: list[int], ends: int | None
) -> None:
    desk = Desk(capacity, pauses)
    heard = await outcomes(desk, plan, lambda nursery: nursery.start_soon(desk.run), ends)
    assert "nothing" not in heard
    # A question that is answered later may be withdrawn in between, so it is not counted here.
    soon = {number for number, asker in enumerate(plan) if not asker.late}
    answered = {number for number in soon if heard[number] == number}
    assert {number for number in desk.handled if number in soon} == answered
    assert len(desk.handled) == len(set(desk.handled))
    for number, asker in enumerate(plan):
        if asker.cancelled is None and ends is None:
            assert heard[number] == number
        if ends is None:
            assert heard[number] is not ActorGone


@settings(deadline=None, max_examples=80)
@given(
    plan=askers(may_break=True),
    capacity=st.integers(1, 3),
    ends=st.none() | st.integers(0, 15),
)
async def test_nobody_hangs_while_the_actor_breaks_and_is_restarted(
    plan: list[Asker], capacity: int, ends: int | None
) -> None:
    desk = Desk(capacity)

    async def supervised() -> None:
        async with Supervisor(limit=RestartLimit(times=len(plan))) as supervisor:
            supervisor.start_soon(desk.turns, name="desk", restart=Restart.ALWAYS, on_end=desk.end)

    heard = await outcomes(desk, plan, lambda nursery: nursery.start_soon(supervised), ends)
    assert "nothing" not in heard
    for number, asker in enumerate(plan):
        if asker.breaks:
            assert heard[number] in (ActorGone, trio.Cancelled)
        elif heard[number] == number:
            assert desk.handled.count(number) == 1


@settings(deadline=None, max_examples=60)
@given(steps=st.lists(st.sampled_from(["post", "post", "withdrawn", "turn"]), max_size=40))
def test_turns_take_all_messages_once_and_in_order(steps: list[str]) -> None:
    desk = Desk(len(steps) + 1)
    posted: list[int] = []
    for number, step in enumerate([*steps, "turn"]):
        if step == "turn":
            first = desk.mailbox.take_nowait()
            if first is not None:
                desk.turn(first)
            assert desk.handled == posted
            continue
        ticket = Ticket(number)
        if step == "withdrawn":
            ticket.reply.cancelled = True
        else:
            posted.append(number)
        desk.tell_nowait(ticket)


@settings(deadline=None, max_examples=30)
@given(waiting=st.integers(1, 3 * TURN_LIMIT))
def test_no_turn_is_longer_than_the_limit(waiting: int) -> None:
    desk = Desk(waiting)
    for number in range(waiting):
        desk.tell_nowait(Ticket(number))
    while (first := desk.mailbox.take_nowait()) is not None:
        desk.turn(first)
    assert desk.handled == list(range(waiting))
    assert max(desk.turn_sizes) == min(waiting, TURN_LIMIT)
