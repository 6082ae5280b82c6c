"""A turn: all that waits is received, then settled once. No event loop is needed for it."""

from __future__ import annotations

from typing import ClassVar, TypeVar

import attrs
import pytest

from actors import Actor, ActorGone, Ask, MailboxFull, Reply
from actors.actor import TURN_LIMIT

T = TypeVar("T")


@attrs.frozen
class Say:
    text: str


@attrs.frozen
class Said(Ask[list[str]]):
    """Asks for all that was said; answered in `receive`."""


@attrs.frozen
class Settled(Ask[int]):
    """Asks for the number of turns, this one included; answered in `settle`."""


@attrs.frozen
class Leave(Ask[None]):
    """A question that is handled in any case."""

    binding: ClassVar[bool] = True
    who: str


@attrs.frozen
class Break:
    pass


Message = Say | Said | Settled | Leave | Break


class BrokenError(Exception):
    """What `Break` causes."""


class Recorder(Actor[Message]):
    """Keeps what is said, and a journal of what is called."""

    def __init__(self, capacity: int = 10) -> None:
        super().__init__("recorder", capacity=capacity)
        self.said: list[str] = []
        self.journal: list[str] = []
        self.abandoned: list[Message] = []
        self.owed: list[Reply[int]] = []
        self.turns_taken = 0

    def receive(self, message: Message) -> None:
        match message:
            case Say(text=text):
                self.said.append(text)
                self.journal.append(text)
            case Said(reply=reply):
                reply.send(list(self.said))
                self.journal.append("asked")
            case Settled(reply=reply):
                self.owed.append(reply)
            case Leave(who=who, reply=reply):
                self.journal.append(f"{who} left")
                reply.send(None)
            case Break():
                raise BrokenError

    def settle(self) -> None:
        self.turns_taken += 1
        for reply in self.owed:
            reply.send(self.turns_taken)
        self.owed.clear()
        self.journal.append("settled")

    def abandon(self, message: Message) -> None:
        self.abandoned.append(message)
        super().abandon(message)


def take_turn(actor: Recorder) -> None:
    first = actor.mailbox.take_nowait()
    assert first is not None
    actor.turn(first)


def answer(question: Ask[T]) -> T:
    """Return the answer, which must be there."""
    assert question.reply.given
    try:
        question.reply.wait().send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # a coroutine's value has no type here
    raise AssertionError("there was no answer")


def tell_all(actor: Recorder, *texts: str) -> None:
    for text in texts:
        actor.tell_nowait(Say(text))


# One turn.


def test_a_turn_receives_all_that_waits_in_order_and_settles_once() -> None:
    actor = Recorder()
    tell_all(actor, "a", "b", "c")
    take_turn(actor)
    assert actor.journal == ["a", "b", "c", "settled"]
    assert len(actor.mailbox) == 0


def test_a_turn_of_one_message_settles_too() -> None:
    actor = Recorder()
    actor.turn(Say("a"))
    actor.turn(Say("b"))
    assert actor.journal == ["a", "settled", "b", "settled"]


def test_a_question_sees_what_was_told_before_it_and_nothing_after() -> None:
    actor = Recorder()
    question = Said()
    actor.tell_nowait(Say("a"))
    actor.tell_nowait(question)
    actor.tell_nowait(Say("b"))
    take_turn(actor)
    assert answer(question) == ["a"]


def test_a_question_may_be_answered_when_the_turn_is_settled() -> None:
    actor = Recorder()
    questions = [Settled(), Settled()]
    for question in questions:
        actor.tell_nowait(question)
    take_turn(actor)
    assert [answer(question) for question in questions] == [1, 1]


def test_a_withdrawn_question_is_skipped_and_the_turn_goes_on() -> None:
    actor = Recorder()
    question = Said()
    question.reply.cancelled = True
    actor.tell_nowait(question)
    actor.tell_nowait(Say("a"))
    take_turn(actor)
    assert actor.journal == ["a", "settled"]


def test_a_binding_question_is_handled_though_its_asker_has_gone() -> None:
    actor = Recorder()
    question = Leave("a")
    question.reply.cancelled = True
    actor.tell_nowait(question)
    take_turn(actor)
    assert actor.journal == ["a left", "settled"]


def test_messages_posted_during_a_turn_belong_to_it() -> None:
    class Chain(Recorder):
        def receive(self, message: Message) -> None:
            super().receive(message)
            if message == Say("a"):
                tell_all(self, "c")

    actor = Chain()
    tell_all(actor, "a", "b")
    take_turn(actor)
    assert actor.journal == ["a", "b", "c", "settled"]


def test_messages_posted_while_a_turn_is_settled_wait_for_the_next() -> None:
    class Chain(Recorder):
        def settle(self) -> None:
            super().settle()
            if self.turns_taken == 1:
                tell_all(self, "b")

    actor = Chain()
    actor.turn(Say("a"))
    assert actor.journal == ["a", "settled"]
    take_turn(actor)
    assert actor.journal == ["a", "settled", "b", "settled"]


def test_a_turn_is_bounded_so_that_others_get_theirs() -> None:
    actor = Recorder(capacity=TURN_LIMIT + 2)
    tell_all(actor, *map(str, range(TURN_LIMIT + 2)))
    take_turn(actor)
    assert actor.said == [str(number) for number in range(TURN_LIMIT)]
    assert len(actor.mailbox) == 2
    take_turn(actor)
    assert len(actor.said) == TURN_LIMIT + 2
    assert actor.turns_taken == 2


def test_skipped_questions_count_towards_the_limit() -> None:
    actor = Recorder(capacity=TURN_LIMIT + 1)
    for _ in range(TURN_LIMIT):
        question = Said()
        question.reply.cancelled = True
        actor.tell_nowait(question)
    tell_all(actor, "a")
    take_turn(actor)
    assert actor.journal == ["settled"]
    assert len(actor.mailbox) == 1


def test_a_failing_receive_is_raised_and_leaves_the_unread_unread() -> None:
    actor = Recorder()
    actor.tell_nowait(Say("a"))
    actor.tell_nowait(Break())
    actor.tell_nowait(Say("b"))
    with pytest.raises(BrokenError):
        take_turn(actor)
    assert actor.journal == ["a"]
    assert actor.mailbox.take_nowait() == Say("b")


# Posting, and the end.


def test_tell_nowait_to_a_full_actor_is_refused() -> None:
    actor = Recorder(capacity=1)
    tell_all(actor, "a")
    with pytest.raises(MailboxFull):
        tell_all(actor, "b")


def test_at_the_end_everybody_unread_is_told_and_nothing_more_is_accepted() -> None:
    actor = Recorder()
    question = Said()
    actor.tell_nowait(Say("a"))
    actor.tell_nowait(question)
    actor.end()
    assert actor.journal == []
    assert actor.abandoned == [Say("a"), question]
    with pytest.raises(ActorGone, match="'recorder'"):
        answer(question)
    with pytest.raises(ActorGone):
        tell_all(actor, "b")


def test_an_actor_may_say_what_else_becomes_of_its_abandoned_messages() -> None:
    class Counting(Recorder):
        def abandon(self, message: Message) -> None:
            if isinstance(message, Said):
                message.reply.send([])
            super().abandon(message)

    actor = Counting()
    question = Said()
    actor.tell_nowait(question)
    actor.end()
    assert answer(question) == []


def test_ending_again_changes_nothing() -> None:
    actor = Recorder()
    tell_all(actor, "a")
    actor.end()
    actor.end()
    assert actor.abandoned == [Say("a")]


def test_an_actor_that_ends_itself_receives_nothing_more() -> None:
    class Mortal(Recorder):
        def receive(self, message: Message) -> None:
            super().receive(message)
            if message == Say("end"):
                self.end()

    actor = Mortal()
    question = Said()
    tell_all(actor, "a", "end", "b")
    actor.tell_nowait(question)
    take_turn(actor)
    assert actor.journal == ["a", "end", "settled"]
    with pytest.raises(ActorGone):
        answer(question)


def test_an_actor_without_receive_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Actor[Say]("bare").turn(Say("a"))


def test_its_repr_tells_its_name_and_how_much_waits() -> None:
    actor = Recorder()
    tell_all(actor, "a")
    assert repr(actor) == "<Recorder 'recorder', 1 waiting>"
