"""One event that asks everybody who gets it for an ack.

Who is asked is decided in the sync step that puts the event into the outboxes. All get the same
bytes, and so the same id. Each ack is expected in the table of its own socket, until it comes, the
socket goes, or the survey is closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import attrs
import trio

from actors.async_actor import handling_actor
from broker.values.encoded import Encoded

from .acks import Acks, value_of


@attrs.frozen
class Answers:
    """What those who were asked have answered.

    `values`: by the socket's id, in the order in which they came; each is what the client's ack
    means: None for no values, the value, or a tuple of several. `missing`: the ids of the sockets
    that were asked, and have gone or have not answered in time. `for value in answers` goes over
    the values alone.

    With an adapter, clients of other nodes are asked, too. Some nodes, such as Node's own, do not
    tell whose answer it is: its key is then the node's id and a number. `unnamed`: so many more
    clients have not answered, whose ids are not known. `missing_nodes`: so many nodes have not told
    in time what has become of it; when it is not known how many there are, at least one.
    """

    values: dict[str, Any]
    missing: frozenset[str] = frozenset()
    unnamed: int = 0
    missing_nodes: int = 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values.values())


class Respondent(Protocol):
    """A socket, as it is asked."""

    id: str
    acks: Acks

    def gets_behind_caller(self, encoded: Encoded) -> bool:
        """Whether this event is kept back for it by an `on_join` that waits for the caller."""


class Survey:
    """Who has been asked, and what came of it; `id` is that of all its acks."""

    __slots__ = ("_asked", "_complete", "_missing", "_values", "id")

    def __init__(self, id_: int) -> None:
        self.id = id_
        self._asked: dict[str, Respondent] = {}  # those who have not answered yet
        self._values: dict[str, Any] = {}
        self._missing: set[str] = set()
        self._complete: trio.Event | None = None

    # For those who ask in its name: all in one sync step.

    def expect(self, respondent: Respondent) -> None:
        """Expect an answer of a socket that is about to get the event."""
        self._asked[respondent.id] = respondent
        respondent.acks.expect(self.id, _Share(self, respondent))

    def miss(self, respondent: Respondent) -> None:
        """Expect no answer of it: it does not get the event, or has gone, or the time is over."""
        respondent.acks.forget(self.id)
        self._asked.pop(respondent.id, None)
        self._missing.add(respondent.id)
        self._see_whether_complete()

    @property
    def asked(self) -> tuple[str, ...]:
        """The ids of those who have been asked, and are not missing."""
        return (*self._values, *self._asked)

    # For who waits for the answers.

    async def answered(self, deadline: float) -> None:
        """Wait until everybody has answered or gone, or for the deadline, on Trio's clock."""
        if self._asked:
            self._complete = trio.Event()
            with trio.move_on_at(deadline):
                await self._complete.wait()

    def miss_those_behind_caller(self, encoded: Encoded) -> None:
        """Expect no answer of those who get the event only when the caller has gone on."""
        if handling_actor() is not None:
            for respondent in list(self._asked.values()):
                if respondent.gets_behind_caller(encoded):
                    self.miss(respondent)

    def close(self) -> None:
        """Expect nothing more: who has not answered is missing."""
        for respondent in list(self._asked.values()):
            self.miss(respondent)

    @property
    def answers(self) -> Answers:
        """What has come, once it is closed."""
        return Answers(self._values, frozenset(self._missing))

    # For sockets.

    def take(self, respondent: Respondent, values: list[Any]) -> None:
        """Take the answer of one who was asked."""
        del self._asked[respondent.id]
        self._values[respondent.id] = value_of(values)
        self._see_whether_complete()

    def _see_whether_complete(self) -> None:
        if self._complete is not None and not self._asked:
            self._complete.set()


@attrs.frozen(eq=False)
class _Share:
    """One socket's part in a survey: what waits in its table."""

    _survey: Survey
    _respondent: Respondent

    def send(self, values: list[Any], /) -> None:
        """Take the client's ack."""
        self._survey.take(self._respondent, values)

    def fail(self, _error: Exception, /) -> None:
        """Hear that the socket has gone."""
        self._survey.miss(self._respondent)
