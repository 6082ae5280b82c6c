"""An actor's life with others: asks and tells, failures, cancels, and an end that all hear of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import Actor, ActorGone, Ask, Reply


@attrs.frozen
class Add:
    number: int


@attrs.frozen
class Total(Ask[int]):
    pass


@attrs.frozen
class Owe(Ask[int]):
    """Asks for what is answered in a later turn, if ever."""


@attrs.frozen
class Break(Ask[int]):
    pass


@attrs.frozen
class Refuse(Ask[int]):
    pass


Message = Add | Total | Owe | Break | Refuse


class BrokenError(Exception):
    pass


class Summer(Actor[Message]):
    def __init__(self, capacity: int = 10) -> None:
        super().__init__("summer", capacity=capacity)
        self.total = 0
        self.asked = 0
        self.begun = 0
        self.owed: list[Reply[int]] = []
        self.settle_fails = False

    def begin(self) -> None:
        self.begun += 1

    def receive(self, message: Message) -> None:
        match message:
            case Add(number=number):
                self.total += number
            case Total(reply=reply):
                self.asked += 1
                reply.send(self.total)
            case Owe(reply=reply):
                self.owed.append(reply)
            case Break():
                raise BrokenError
            case Refuse(reply=reply):
                reply.fail(LookupError())

    def settle(self) -> None:
        if self.settle_fails:
            raise BrokenError


class Hearing:
    """Asks, each in a task of its own, and keeps what each heard."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.heard: dict[str, object] = {}

    async def ask(self, who: str, actor: Summer, question: Ask[int]) -> None:
        """Ask, and return when the question has been posted or waits for a place."""
        self.nursery.start_soon(self._ask, who, actor, question)
        await wait_all_tasks_blocked()

    async def _ask(self, who: str, actor: Summer, question: Ask[int]) -> None:
        try:
            with trio.fail_after(5):  # who hears nothing would hang
                answer = await actor.ask(question)
            self.heard[who] = answer
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what was heard
            self.heard[who] = type(error)


async def expect(error: type[Exception], run: Callable[[], Awaitable[None]]) -> None:
    with pytest.raises(error):
        await run()


# Asking.


async def test_an_ask_is_answered_after_what_was_told_before() -> None:
    actor = Summer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        await actor.tell(Add(1))
        actor.tell_nowait(Add(2))
        assert await actor.ask(Total()) == 3
        actor.end()


async def test_an_error_that_is_answered_is_raised_in_the_asker_and_the_actor_lives_on() -> None:
    actor = Summer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        with pytest.raises(LookupError):
            await actor.ask(Refuse())
        assert await actor.ask(Total()) == 0
        actor.end()


async def test_asks_and_tells_wait_for_a_place() -> None:
    actor = Summer(capacity=1)
    async with trio.open_nursery() as nursery:
        hearing = Hearing(nursery)
        actor.tell_nowait(Add(1))
        nursery.start_soon(actor.tell, Add(2))
        await wait_all_tasks_blocked()
        await hearing.ask("one", actor, Total())
        assert hearing.heard == {}
        nursery.start_soon(actor.run)
        await wait_all_tasks_blocked()
        assert hearing.heard == {"one": 3}
        actor.end()


async def test_who_asks_or_tells_an_actor_that_has_ended_hears_it() -> None:
    actor = Summer()
    actor.end()
    with pytest.raises(ActorGone):
        await actor.ask(Total())
    with pytest.raises(ActorGone):
        await actor.tell(Add(1))


async def test_a_question_that_was_answered_cannot_be_asked_again() -> None:
    actor = Summer()
    question = Total()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        await actor.ask(question)
        with pytest.raises(ValueError, match=r"Total\(\) was asked before: make a new question"):
            await actor.ask(question)
        assert actor.asked == 1
        actor.end()


async def test_a_question_that_was_withdrawn_cannot_be_asked_again() -> None:
    actor = Summer()
    question = Total()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.ask, question)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with pytest.raises(ValueError, match="was asked before"):
        await actor.ask(question)


@pytest.mark.parametrize("capacity", [1, 10], ids=["waits for a place", "waits for its turn"])
async def test_a_question_that_somebody_waits_for_cannot_be_asked_again(capacity: int) -> None:
    actor = Summer(capacity)
    question = Total()
    actor.tell_nowait(Add(1))
    async with trio.open_nursery() as nursery:
        hearing = Hearing(nursery)
        await hearing.ask("first", actor, question)
        await hearing.ask("second", actor, question)
        refused_at_once = dict(hearing.heard)
        nursery.start_soon(actor.run)
        await wait_all_tasks_blocked()
        actor.end()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()  # if one of them still waits, it has heard nothing
    assert refused_at_once == {"second": ValueError}
    assert hearing.heard == {"first": 1, "second": ValueError}


# Cancelled askers.


async def test_the_question_of_a_cancelled_asker_is_skipped() -> None:
    actor = Summer()
    async with trio.open_nursery() as askers:
        askers.start_soon(actor.ask, Total())
        await wait_all_tasks_blocked()
        askers.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        await actor.ask(Total())
        actor.end()
    assert actor.asked == 1


async def test_an_asker_who_is_cancelled_while_it_waits_for_a_place_has_not_asked() -> None:
    actor = Summer(capacity=1)
    actor.tell_nowait(Add(1))
    async with trio.open_nursery() as askers:
        askers.start_soon(actor.ask, Total())
        await wait_all_tasks_blocked()
        askers.cancel_scope.cancel()
    assert actor.mailbox.take_nowait() == Add(1)
    assert actor.mailbox.take_nowait() is None


async def test_an_answer_arrives_though_the_asker_is_cancelled_in_the_same_tick() -> None:
    actor = Summer()
    answers: list[int] = []

    async def ask() -> None:
        answers.append(await actor.ask(Total()))

    async with trio.open_nursery() as askers:
        askers.start_soon(ask)
        await wait_all_tasks_blocked()
        question = actor.mailbox.take_nowait()
        assert question is not None
        actor.turn(question)
        askers.cancel_scope.cancel()
    assert answers == [0]


# Failures.


async def test_the_asker_of_what_broke_hears_it_and_the_unread_are_kept_for_a_restart() -> None:
    actor = Summer()
    async with trio.open_nursery() as nursery:
        hearing = Hearing(nursery)
        await hearing.ask("before", actor, Total())
        await hearing.ask("owed", actor, Owe())
        await hearing.ask("broken", actor, Break())
        await hearing.ask("behind", actor, Total())
        actor.tell_nowait(Add(1))
        await expect(BrokenError, actor.turns)
        await wait_all_tasks_blocked()
        assert hearing.heard == {"before": 0, "owed": ActorGone, "broken": ActorGone}
        assert len(actor.mailbox) == 2
        nursery.start_soon(actor.turns)
        await wait_all_tasks_blocked()
        assert hearing.heard["behind"] == 0
        assert await actor.ask(Total()) == 1
        assert actor.begun == 2
        actor.end()


async def test_who_waits_for_a_place_while_the_actor_breaks_gets_it_after_the_restart() -> None:
    actor = Summer(capacity=1)
    async with trio.open_nursery() as nursery:
        hearing = Hearing(nursery)
        await hearing.ask("broken", actor, Break())
        await hearing.ask("behind", actor, Total())
        await expect(BrokenError, actor.turns)
        await wait_all_tasks_blocked()
        assert hearing.heard == {"broken": ActorGone}
        nursery.start_soon(actor.turns)
        await wait_all_tasks_blocked()
        assert hearing.heard["behind"] == 0
        actor.end()


async def test_a_failing_settle_abandons_what_its_turn_owes() -> None:
    actor = Summer()
    actor.settle_fails = True
    async with trio.open_nursery() as nursery:
        hearing = Hearing(nursery)
        await hearing.ask("answered", actor, Total())
        await hearing.ask("owed", actor, Owe())
        await expect(BrokenError, actor.turns)
        await wait_all_tasks_blocked()
        assert hearing.heard == {"answered": 0, "owed": ActorGone}


async def test_a_broken_turn_is_not_abandoned_twice() -> None:
    abandoned: list[Message] = []

    class Telling(Summer):
        def abandon(self, message: Message) -> None:
            abandoned.append(message)

    actor = Telling()
    broken = Break()
    actor.tell_nowait(broken)
    await expect(BrokenError, actor.turns)
    actor.end()
    assert abandoned == [broken]
