"""Whatever posts and takes do in whatever order, a mailbox keeps order and loses nothing."""

from __future__ import annotations

from collections import deque

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import ActorGone, Mailbox, MailboxFull

moderate = settings(deadline=None, max_examples=100)


@moderate
@given(
    capacity=st.integers(1, 4),
    steps=st.lists(st.sampled_from(["post", "post", "take", "close"]), max_size=40),
)
def test_a_mailbox_is_a_bounded_queue(capacity: int, steps: list[str]) -> None:
    mailbox = Mailbox[int]("room", capacity)
    model: deque[int] = deque()
    closed = False
    for number, step in enumerate(steps):
        match step:
            case "post":
                try:
                    mailbox.post_nowait(number)
                except ActorGone:
                    assert closed
                except MailboxFull:
                    assert not closed
                    assert len(model) == capacity
                else:
                    assert not closed
                    model.append(number)
            case "take":
                assert mailbox.take_nowait() == (model.popleft() if model else None)
            case _:
                mailbox.close()
                closed = True
        assert len(mailbox) == len(model) <= capacity


# For each writer: after how many ticks of the scheduler it posts each message, and after how many
# all its posts are cancelled (None: never).
writers = st.lists(
    st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.none() | st.integers(0, 12)),
    min_size=1,
    max_size=5,
)


async def ticks(number: int) -> None:
    for _ in range(number):
        await trio.lowlevel.checkpoint()


@moderate
@given(
    capacity=st.integers(1, 3),
    plan=writers,
    pauses=st.lists(st.integers(0, 3), min_size=1, max_size=8),
    closed_after=st.none() | st.integers(0, 30),
)
async def test_what_was_posted_is_taken_once_and_in_order(
    capacity: int,
    plan: list[tuple[list[int], int | None]],
    pauses: list[int],
    closed_after: int | None,
) -> None:
    mailbox = Mailbox[tuple[int, int]]("room", capacity)
    posted: list[tuple[int, int]] = []  # in the order in which the posts returned
    taken: list[tuple[int, int]] = []

    async def write(writer: int, waits: list[int], scope: trio.CancelScope) -> None:
        with scope:
            for number, wait in enumerate(waits):
                await ticks(wait)
                try:
                    await mailbox.post((writer, number))
                except ActorGone:
                    assert closed_after is not None
                    return
                posted.append((writer, number))

    async def cancel(scope: trio.CancelScope, after: int) -> None:
        await ticks(after)
        scope.cancel()

    async def close(after: int) -> None:
        await ticks(after)
        mailbox.close()

    async def read() -> None:
        turn = 0
        while (message := await mailbox.take()) is not None:
            taken.append(message)
            await ticks(pauses[turn % len(pauses)])
            turn += 1

    async with trio.open_nursery() as reader:
        reader.start_soon(read)
        async with trio.open_nursery() as nursery:
            for writer, (waits, cancelled_after) in enumerate(plan):
                scope = trio.CancelScope()
                nursery.start_soon(write, writer, waits, scope)
                if cancelled_after is not None:
                    nursery.start_soon(cancel, scope, cancelled_after)
            if closed_after is not None:
                nursery.start_soon(close, closed_after)
        mailbox.close()

    assert sorted(taken) == sorted(posted)  # accepted is taken, once; withdrawn is not
    for writer in range(len(plan)):
        numbers = [number for by, number in taken if by == writer]
        assert numbers == list(range(len(numbers)))
