"""A reply: given once, withdrawn by a cancel, and never lost once it was given."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, assert_no_checkpoints, wait_all_tasks_blocked

from actors import Ask, Reply

T = TypeVar("T")


@attrs.frozen
class Count(Ask[int]):
    room: str


class RefusedError(Exception):
    """What an actor may answer with."""


def at_once(waiting: Coroutine[Any, Any, T]) -> T:
    """Run what must not wait, without an event loop."""
    try:
        waiting.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # a coroutine's value has no type here
    raise AssertionError("it waited")


# Without an event loop.


def test_a_new_reply_has_not_been_given() -> None:
    reply = Reply[int]()
    assert not reply.given
    assert not reply.cancelled


def test_an_answer_that_is_there_is_returned_at_once() -> None:
    reply = Reply[int]()
    reply.send(1)
    assert reply.given
    assert at_once(reply.wait()) == 1


def test_none_is_an_answer() -> None:
    reply = Reply[None]()
    reply.send(None)
    assert reply.given
    at_once(reply.wait())


def test_an_error_is_raised_in_the_asker() -> None:
    reply = Reply[int]()
    error = RefusedError("no")
    reply.fail(error)
    assert reply.given
    with pytest.raises(RefusedError) as caught:
        at_once(reply.wait())
    assert caught.value is error


def test_an_answer_behind_an_answer_is_ignored() -> None:
    reply = Reply[int]()
    reply.send(1)
    reply.send(2)
    reply.fail(RefusedError())
    assert at_once(reply.wait()) == 1


def test_an_answer_behind_an_error_is_ignored() -> None:
    reply = Reply[int]()
    reply.fail(RefusedError("first"))
    reply.send(2)
    reply.fail(RefusedError("second"))
    with pytest.raises(RefusedError, match="first"):
        at_once(reply.wait())


def test_each_question_has_its_own_reply() -> None:
    one, other = Count("tech"), Count("tech")
    assert one.reply is not other.reply


def test_questions_are_compared_and_shown_without_their_replies() -> None:
    assert Count("tech") == Count("tech") != Count("random")
    assert repr(Count("tech")) == "Count(room='tech')"


# With an asker who waits.


async def test_the_asker_waits_for_the_answer() -> None:
    reply = Reply[int]()
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await reply.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert answers == []
        reply.send(1)
        reply.send(2)
    assert answers == [1]


async def test_the_asker_who_waits_hears_the_error() -> None:
    reply = Reply[int]()

    async def ask() -> None:
        with pytest.raises(RefusedError):
            await reply.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        reply.fail(RefusedError())


async def test_a_cancel_withdraws_the_question_and_late_answers_are_ignored() -> None:
    reply = Reply[int]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reply.wait)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert reply.cancelled
    assert reply.given
    reply.send(1)
    reply.fail(RefusedError())
    assert reply.cancelled


async def test_a_timeout_withdraws_the_question(autojump_clock: MockClock) -> None:
    reply = Reply[int]()
    with trio.move_on_after(5) as scope:
        await reply.wait()
    assert scope.cancelled_caught
    assert reply.cancelled


async def test_waiting_in_a_cancelled_scope_withdraws_the_question() -> None:
    reply = Reply[int]()
    with trio.CancelScope() as scope:
        scope.cancel()
        await reply.wait()
    assert scope.cancelled_caught
    assert reply.cancelled


async def test_an_answer_that_is_there_arrives_in_a_cancelled_scope() -> None:
    reply = Reply[int]()
    reply.send(1)
    with trio.CancelScope() as scope, assert_no_checkpoints():
        scope.cancel()
        assert await reply.wait() == 1
    assert not scope.cancelled_caught
    assert not reply.cancelled


async def test_an_answer_arrives_though_a_cancel_comes_in_the_same_tick() -> None:
    reply = Reply[int]()
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await reply.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        reply.send(1)
        nursery.cancel_scope.cancel()
    assert answers == [1]
    assert not reply.cancelled


@settings(deadline=None, max_examples=60)
@given(actions=st.lists(st.sampled_from(["send", "fail", "cancel"]), min_size=1, max_size=5))
async def test_what_comes_first_in_a_tick_decides(actions: list[str]) -> None:
    reply = Reply[str]()
    heard: list[str] = []
    scope = trio.CancelScope()

    async def ask() -> None:
        with scope:
            try:
                heard.append(await reply.wait())
            except RefusedError:
                heard.append("fail")
            except trio.Cancelled:
                heard.append("cancel")
                raise

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        for action in actions:
            match action:
                case "send":
                    reply.send("send")
                case "fail":
                    reply.fail(RefusedError())
                case _:
                    scope.cancel()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()  # an asker who still waited would have heard nothing
    assert heard == [actions[0]]
    assert reply.cancelled == (actions[0] == "cancel")


async def test_an_asker_who_is_bound_is_cancelled_only_after_the_answer() -> None:
    reply = Reply[str]()
    reply.bind()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:

            @nursery.start_soon
            async def answer() -> None:
                await wait_all_tasks_blocked()
                scope.cancel()
                await wait_all_tasks_blocked()
                assert not reply.cancelled
                reply.send("done")

            assert await reply.wait() == "done"
            with pytest.raises(trio.Cancelled):
                await trio.lowlevel.checkpoint()


async def test_who_answers_hears_at_once_that_the_asker_is_cancelled() -> None:
    reply = Reply[str]()
    heard: list[str] = []
    reply.when_cancelled(lambda: heard.append("cancelled"))
    with trio.move_on_after(0):
        await reply.wait()
    assert heard == ["cancelled"]
    reply = Reply[str]()
    reply.when_cancelled(lambda: heard.append("never"))
    reply.send("in time")
    with trio.move_on_after(0):
        assert await reply.wait() == "in time"
    assert heard == ["cancelled"]


async def test_the_patience_of_a_cancelled_asker_with_a_bound_answer_ends(
    autojump_clock: MockClock,
) -> None:
    for late in (0.0, 4.0, 6.0):
        reply: Reply[int] = Reply()
        reply.bind()
        answers: list[int] = []
        began = trio.current_time()

        async def ask(reply: Reply[int] = reply, answers: list[int] = answers) -> None:
            with trio.move_on_after(1):
                answers.append(await reply.wait(patience=5))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(1 + late)
            reply.send(3)
        assert answers == ([3] if late < 5 else [])
        assert trio.current_time() - began == pytest.approx(1 + late)
