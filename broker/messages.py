"""What actors say to each other: every message of rooms and namespaces, and nothing else.

Commands are in the imperative. Those that are answered derive from `Ask`.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeAlias

import attrs

from actors import Actor, Ask

from .encoded import Encoded


@attrs.frozen
class Delivery:
    """What became of an event, on this node.

    `recipients`: sockets in whose outbox it was put. `dropped`: sockets that did not get it,
    because it was volatile and they were not ready to be written.
    """

    recipients: int
    dropped: int = 0


class Member(Protocol):
    """A socket, as rooms and namespaces see it."""

    id: str
    gone: bool
    """Whether it has ended, and so enters no room any more."""
    room_actors: dict[str, Actor[RoomMessage]]
    """The rooms it is in; each room writes its own entry, in step with its members."""

    def push(self, encoded: Encoded) -> bool:
        """Put an event into its outbox; False when it cannot be."""

    @property
    def writable(self) -> bool:
        """Whether what is pushed now would be written at once."""

    def admitted(self) -> None:
        """Be connected: the first packet goes out, then what was pushed before."""


@attrs.frozen
class Audience:
    """Who gets an event: `rooms` (None: all sockets; none: nobody), less `excluded`, less `sender`.

    A socket's id counts as a room with that socket in it.
    """

    rooms: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    sender: Member | None = None


# To a room.


@attrs.frozen
class Publish(Ask[Delivery]):
    """Put this event into the outbox of every member but the sender."""

    encoded: Encoded
    sender: Member | None = None
    volatile: bool = False


@attrs.frozen
class Join(Ask[None]):
    """Let the member in."""

    member: Member


@attrs.frozen
class Leave(Ask[None]):
    """Forget the member."""

    binding: ClassVar[bool] = True
    member: Member


RoomMessage: TypeAlias = Publish | Join | Leave

# To a namespace.


@attrs.frozen
class PublishWide(Ask[Delivery]):
    """Put this event into the outbox of everybody in the audience, of all rooms at once."""

    audience: Audience
    encoded: Encoded
    volatile: bool = False


@attrs.frozen
class Admit(Ask[bool]):
    """Connect the socket; answers whether it was still there."""

    member: Member


@attrs.frozen
class Remove(Ask[None]):
    """Forget the socket."""

    binding: ClassVar[bool] = True
    member: Member


@attrs.frozen
class OpenRoom:
    """Bring a room to life with its first join, whose reply is all there is to hear."""

    name: str
    join: Join


@attrs.frozen
class Retire(Ask[bool]):
    """The room has become empty; answers whether it may end."""

    room: Actor[RoomMessage]


NamespaceMessage: TypeAlias = PublishWide | Admit | Remove | OpenRoom | Retire
