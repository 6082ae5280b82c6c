"""A question and its answer.

A question is a message that derives from `Ask[T]` and so carries a `Reply[T]`. The rules:

- A reply is given once; what comes later is ignored, so an asker who went away harms nobody.
- An asker who is cancelled before the answer marks the reply `cancelled`; the actor then skips the
  message: a call that raises `Cancelled` has not happened.
- An answer that has been given always arrives: there is no cancellation after it.
- An actor that takes its time over an answer says which it is: `bind`, and the asker, even when
  cancelled, waits for what cannot be taken back, as long as it has patience; or `when_cancelled`,
  and it is taken back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import attrs
import outcome
import trio

T = TypeVar("T")


class Reply(Generic[T]):
    """The place for one answer: one task waits for it, the actor gives it."""

    __slots__ = ("_asker", "_outcome", "_when_cancelled", "asked", "bound", "cancelled")

    def __init__(self) -> None:
        self._outcome: outcome.Outcome[T] | None = None
        self._asker: trio.lowlevel.Task | None = None
        self._when_cancelled: Callable[[], object] | None = None
        self.cancelled = False
        self.asked = False
        self.bound = False

    @property
    def given(self) -> bool:
        """Whether there is an answer, or nobody any more who waits for one."""
        return self.cancelled or self._outcome is not None

    @property
    def begun(self) -> bool:
        """Whether what was asked is being done, so that who asked cannot just go."""
        return self.bound or self._when_cancelled is not None

    def send(self, value: T) -> None:
        """Answer; ignored when the answer was given before or the asker has gone."""
        if not self.given:
            self._give(outcome.Value(value))

    def fail(self, error: Exception) -> None:
        """Answer with an error, which is raised in the asker; ignored like `send`."""
        if not self.given:
            self._give(outcome.Error(error))

    def _give(self, answer: outcome.Outcome[T]) -> None:
        self._outcome = answer
        if self._asker is not None:
            trio.lowlevel.reschedule(self._asker)
            self._asker = None

    def bind(self) -> None:
        """Let the asker wait though it is cancelled: what was asked is being done."""
        self.bound = True

    def withdraw(self) -> None:
        """Note that nobody waits for the answer any more, before what was asked has begun."""
        self.cancelled = True
        if self._when_cancelled is not None:
            self._when_cancelled()

    def when_cancelled(self, take_back: Callable[[], object]) -> None:
        """Have `take_back` called when the asker is cancelled before the answer is given."""
        self._when_cancelled = take_back

    async def wait(self, *, patience: float = math.inf) -> T:
        """Wait for the answer: returns it, or raises the error it is.

        `patience`: how many seconds a cancelled asker waits on for an answer that is bound. Then it
        goes, and what it has asked may have happened.
        """
        while self._outcome is None:
            self._asker = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._asker_cancelled)
            if self._outcome is None:  # this is cancelled, and bound
                with trio.CancelScope(shield=True, deadline=trio.current_time() + patience):
                    self._asker = trio.lowlevel.current_task()
                    await trio.lowlevel.wait_task_rescheduled(self._lose_patience)
                if self._outcome is None:
                    await trio.lowlevel.checkpoint_if_cancelled()
        return self._outcome.unwrap()

    def _asker_cancelled(self, _raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        asker, self._asker = self._asker, None
        if self.bound:
            assert asker is not None
            trio.lowlevel.reschedule(asker)  # it knows now that it is cancelled
            return trio.lowlevel.Abort.FAILED
        self.withdraw()
        return trio.lowlevel.Abort.SUCCEEDED

    def _lose_patience(self, _raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        self._asker = None
        return trio.lowlevel.Abort.SUCCEEDED


@attrs.frozen
class Ask(Generic[T]):
    """Base of every question; `T` is the type of its answer.

    >>> @attrs.frozen
    ... class Count(Ask[int]):
    ...     room: str

    A question is asked once: make a new one for each `ask`. One that is `binding` is handled even
    when its asker was cancelled meanwhile: then only the waiting was cancelled.
    """

    binding: ClassVar[bool] = False

    reply: Reply[T] = attrs.field(factory=Reply, init=False, repr=False, eq=False)

    def begin(self) -> Reply[T]:
        """Note that it is asked now; return its reply. Raises ValueError when it was before."""
        if self.reply.asked:
            raise ValueError(f"{self!r} was asked before: make a new question for each ask")
        self.reply.asked = True
        return self.reply

    def begin_again(self) -> Reply[T]:
        """As `begin`, also when it was withdrawn, and so has not been asked.

        Where it was asked, it may still wait to be skipped: that is told by the reply it had then.
        """
        if self.withdrawn:
            object.__setattr__(self, "reply", Reply())
        return self.begin()

    @property
    def withdrawn(self) -> bool:
        """Whether its asker was cancelled before its turn, so that it has not been asked."""
        return self.reply.cancelled and not self.binding
