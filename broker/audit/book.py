"""What an audit knows of messages: who sent what, who has seen it, where it stands.

Every message is one hashable value, which nobody sends twice: its identity.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable
from typing import Literal, NoReturn, Protocol, TypeAlias

import attrs

from .order import MergedOrder

Invariant: TypeAlias = Literal[
    "total order",
    "agreement",
    "one order",
    "no gap",
    "membership",
    "fifo",
    "at most once",
    "ack once",
    "ack",
    "told",
    "balance",
    "one answer",
    "nothing left",
    "isolation",
    "bounds",
]

Position: TypeAlias = tuple[Hashable, int]
"""(epoch, seq): the life of the room, and the place in it."""

_SHOWN = 12  # reports that a failure shows: those that led to it are the last ones


class AuditFailed(AssertionError):  # noqa: N818 - an assertion, as tests know them
    """A room server broke an invariant: `who` was concerned, `expected` what, and `seen` what."""

    def __init__(self, invariant: Invariant, who: object, expected: str, seen: str) -> None:
        super().__init__(f"[{invariant}] {who}: expected {expected}, saw {seen}")
        self.invariant = invariant
        self.who = who
        self.expected = expected
        self.seen = seen


class Fail(Protocol):
    """Raises `AuditFailed`."""

    def __call__(self, invariant: Invariant, who: object, expected: str, seen: str) -> NoReturn:
        """Raise it."""


@attrs.define(eq=False)
class Message:
    """One message that was sent; `at` counts reports, `time` is the clock's."""

    id: Hashable
    sender: str
    room: str | None
    number: int
    """Which one of its sender it is, in its room."""
    overall: int
    """The same, in all rooms."""
    but: Collection[str]
    """Who does not get it."""
    at: int
    time: float
    fair: bool
    """Whether its sender was healthy."""
    answered: bool = False
    acked: bool = False
    seen: bool = False
    missing: list[str] = attrs.field(factory=list)
    """Who has seen a later one of the sender, in one stay with an earlier one, but not this."""


class Debtor(Protocol):
    """A client, to whom what is acknowledged must come."""

    def owe(self, sent: Message) -> None:
        """Note that a message was acknowledged."""


class Book:
    """What is known of all messages, and the failures. `clients` are there by name."""

    def __init__(self, clock: Callable[[], float] | None, *, across_rooms: bool) -> None:
        self.clock = clock
        self.across_rooms = across_rooms
        self.messages: dict[Hashable, Message] = {}
        self.clients: dict[str, Debtor] = {}
        self.failures: list[AuditFailed] = []
        self.reports = 0
        self._log: deque[tuple[str, str, tuple[object, ...]]] = deque(maxlen=_SHOWN)
        self._sent: dict[tuple[str, str | None], list[Message]] = {}
        self._overall: Counter[str] = Counter()
        self._orders: dict[str | None, MergedOrder] = {}
        self._at: dict[tuple[str | None, Position], tuple[Hashable, str]] = {}
        self._positions: dict[tuple[str | None, Hashable], tuple[Position, str]] = {}

    # Reports and failures.

    def report(self, who: str, what: str, *details: object) -> None:
        """Note a report: a failure shows the last ones."""
        self.reports += 1
        self._log.append((who, what, details))

    def fail(self, invariant: Invariant, who: object, expected: str, seen: str) -> NoReturn:
        """Raise `AuditFailed`, and keep it: a server may swallow what its own code raises."""
        failure = AuditFailed(invariant, who, expected, seen)
        lines = [f"  {by} {what} {', '.join(map(repr, given))}" for by, what, given in self._log]
        failure.add_note("the last reports:\n" + "\n".join(lines))
        self.failures.append(failure)
        raise failure

    @property
    def now(self) -> float:
        """The time, or 0 for ever when there is no clock."""
        return 0.0 if self.clock is None else self.clock()

    # Messages.

    def send(
        self, sender: str, room: str | None, id_: Hashable, but: Collection[str], *, fair: bool
    ) -> Message:
        """Note a new message; raises ValueError for one that was sent before."""
        if id_ in self.messages:
            raise ValueError(f"each message needs an identity of its own, saw {id_!r} sent twice")
        before = self._sent.setdefault((sender, room), [])
        message = Message(
            id_,
            sender,
            room,
            len(before),
            self._overall[sender],
            but,
            self.reports,
            self.now,
            fair,
        )
        self._overall[sender] += 1
        before.append(message)
        self.messages[id_] = message
        return message

    def sent_between(self, earlier: Message, later: Message) -> list[Message]:
        """Return what their sender sent to their room between the two."""
        return self._sent[later.sender, later.room][earlier.number + 1 : later.number]

    # What everybody must agree on.

    def agree(self, who: str, room: str | None, id_: Hashable, at: Position) -> None:
        """Check that a place has one message, and a message one place."""
        there, by = self._at.setdefault((room, at), (id_, who))
        if there != id_:
            self.fail("agreement", who, f"{there!r} at {at} of {room!r}, as {by} did", f"{id_!r}")
        place, by = self._positions.setdefault((room, id_), (at, who))
        if place != at:
            self.fail(
                "agreement", who, f"{id_!r} at {place} of {room!r}, as {by} did", f"it at {at}"
            )

    def order(self, who: str, room: str | None, id_: Hashable) -> None:
        """Check that there is one order that fits what everybody saw."""
        orders = self._orders
        scope = None if self.across_rooms else room
        cycle = orders.setdefault(scope, MergedOrder()).see(who, id_)
        if cycle:
            *others, (first, second, _) = cycle
            said = ", and ".join(f"{a!r} before {b!r} ({by})" for a, b, by in others)
            self.fail("one order", who, f"an order in which {said}", f"{first!r} before {second!r}")
