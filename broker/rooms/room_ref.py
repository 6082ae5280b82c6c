"""A room by its name: a target, and where to ask and tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar, cast

from actors import Ask

from .messages import Member
from .target import Everybody, FetchedSocket, Publisher, Target

T = TypeVar("T")


class RoomHome(Publisher, Protocol):
    """What a room needs of its namespace."""

    def members_of(self, room: str) -> Iterable[Member]:
        """Return who is in a room now; nobody when the broker does not run."""

    def check_hosted(self, room: str) -> None:
        """Raise LookupError when a room's name fits no `room_type`."""


class OneRoom(Everybody):
    """A target: the members of one room. And, if it is of a user's type, where to ask it.

    `name` is the room's, `namespace` where it is.
    """

    name: str
    namespace: RoomHome

    def _target(self) -> Target:
        return self.namespace.target_type(self.namespace).also_to((self.name,))

    @property
    def members(self) -> tuple[FetchedSocket, ...]:
        """Who is in the room, in the order they came: as it is now; waits for nobody."""
        return cast("tuple[FetchedSocket, ...]", tuple(self.namespace.members_of(self.name)))

    @property
    def size(self) -> int:
        """How many are in the room now: O(1)."""
        members = self.namespace.members_of(self.name)
        return len(cast("dict[Member, object]", members))

    async def ask(self, message: Ask[T]) -> T:
        """Ask the room, which is brought to life if need be, and return its answer.

        It answers with what its `receive` returns or raises. Raises `ActorCycle` when the room
        waits for this very call, `ActorGone` when it ends before it answers, TypeError for what is
        no `Ask`, ValueError for one that was asked before, LookupError for a room of no
        `room_type`, `BrokerNotRunning`.

        Cancelled before its turn, the question has not been asked, and may be asked again. Once
        its `receive` runs, it is answered, and only then is a cancellation noticed. If that takes
        longer than `disconnect_timeout` from the cancellation, `Cancelled` is raised though the
        `receive` goes on: what was asked may happen, then.
        """
        if not isinstance(message, Ask):
            raise TypeError(f"expected a message that derives from Ask, saw {message!r}; `tell` it")
        self.namespace.check_hosted(self.name)
        return await self.namespace.running("ask").ask_room(self.name, message)

    async def tell(self, message: object) -> None:
        """Give the room a message that nobody waits for, and bring it to life if need be.

        Waits while the room's mailbox is full, but never for a room that waits for the caller.
        Raises LookupError for a room of no `room_type`, `BrokerNotRunning`. In a room's own code
        it does not raise that while the broker closes: what nobody can handle then is dropped, and
        logged.
        """
        self.namespace.check_hosted(self.name)
        await self.namespace.running("tell").tell_room(self.name, message)

    def tell_nowait(self, message: object) -> None:
        """Give the room a message without waiting: raises `MailboxFull`, and as `tell`."""
        self.namespace.check_hosted(self.name)
        self.namespace.running("tell_nowait").tell_room_nowait(self.name, message)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of {self.namespace.name!r}>"


class RoomRef(OneRoom):
    """A room by its name, whether it is alive or not: what `chat.room("general")` returns."""

    def __init__(self, name: str, namespace: RoomHome) -> None:
        self.name = name
        self.namespace = namespace

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RoomRef):
            return NotImplemented
        return self.name == other.name and self.namespace is other.namespace

    def __hash__(self) -> int:
        return hash((self.name, id(self.namespace)))
