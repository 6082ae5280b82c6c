"""An actor: state that one task owns, and a mailbox.

State changes only in `receive` and `settle`, which are plain sync code, so nothing can come
between the two halves of a change and no lock is needed. A turn is: wait until a message is there,
take all that is there (bounded), `receive` each, `settle` once. Others in the thread may read an
actor's state between its turns; only its own turn writes it.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from .errors import ActorGone
from .mailbox import Mailbox
from .reply import Ask

M = TypeVar("M")
T = TypeVar("T")

# A turn ends after so many messages, that others get their turn while a flood goes on.
TURN_LIMIT = 256

# Enough for every burst seen in the benchmarks, small enough to make a flood wait at its source.
CAPACITY = 1024


class Actor(Generic[M]):
    """Base class: derive, give `M` as the union of your messages, write `receive`.

    >>> class Counter(Actor[Increment | Count]):
    ...     count = 0
    ...
    ...     def receive(self, message):
    ...         match message:
    ...             case Increment():
    ...                 self.count += 1
    ...             case Count(reply=reply):
    ...                 reply.send(self.count)

    Run it with `nursery.start_soon(actor.run)`, or under a `Supervisor`.
    """

    def __init__(self, name: str, *, capacity: int = CAPACITY) -> None:
        self.name = name
        self.mailbox: Mailbox[M] = Mailbox(name, capacity)
        self._taken: list[M] = []  # what this turn has taken: it owes these their replies

    # What an actor is made of.

    def begin(self) -> None:
        """Set up fresh state; called when the actor starts, and again at each restart."""

    def receive(self, message: M) -> None:
        """Handle one message: sync, so it is done when it returns."""
        raise NotImplementedError

    def settle(self) -> None:
        """End a turn: the place for work that is done once for all its messages."""

    async def between_turns(self) -> None:
        """Wait for what must be waited for: no other place in an actor may."""

    def abandon(self, message: M) -> None:
        """Say what becomes of a message the actor ends before handling: its asker is told."""
        if isinstance(message, Ask):
            message.reply.fail(ActorGone(self.name))

    # What others call.

    async def ask(self, question: Ask[T]) -> T:
        """Post a question and wait for its answer.

        Raises what the actor answers with, or `ActorGone` when it ends first. Cancelled before
        the question's turn came, it has not been asked.
        """
        question.begin()
        await self.mailbox.post(question)  # type: ignore[arg-type]  # M is a union with questions
        return await question.reply.wait()

    async def tell(self, message: M) -> None:
        """Post a message, waiting for a place; raises `ActorGone`."""
        await self.mailbox.post(message)

    def tell_nowait(self, message: M) -> None:
        """Post a message; raises `MailboxFull` or `ActorGone`."""
        self.mailbox.post_nowait(message)

    def tell_surely(self, message: M) -> None:
        """Post a message even to a full mailbox, for what bounds itself; raises `ActorGone`."""
        self.mailbox.post_surely(message)

    # Its life.

    def turn(self, first: M) -> None:
        """Take one turn: handle `first` and what waits behind it, then settle."""
        message: M | None = first
        while message is not None:
            self._taken.append(message)
            if not (isinstance(message, Ask) and message.withdrawn):
                self.receive(message)
            if len(self._taken) == TURN_LIMIT:
                break
            message = self.mailbox.take_nowait()
        self.settle()
        self._taken.clear()

    async def turns(self) -> None:
        """Take turns until the mailbox is closed and empty.

        A failure is raised, and the mailbox stays open behind it, so that a supervisor can call
        this again: unread messages are kept, those of the broken turn are abandoned.
        """
        self.begin()
        try:
            while (first := await self.mailbox.take()) is not None:
                self.turn(first)
                first = None  # what it names shall not outlive it while this waits
                await self.between_turns()
        finally:
            taken, self._taken = self._taken, []
            for message in taken:
                self.abandon(message)

    def end(self) -> None:
        """Accept nothing more and abandon what waits, so that nobody hangs."""
        self.mailbox.close()
        while (message := self.mailbox.take_nowait()) is not None:
            self.abandon(message)
        self.mailbox.discard()

    async def run(self) -> None:
        """Live: take turns, and end, however that comes about."""
        try:
            await self.turns()
        finally:
            self.end()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {len(self.mailbox)} waiting>"
