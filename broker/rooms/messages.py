"""What actors say to each other: every message of rooms and namespaces, and nothing else.

Commands are in the imperative. Those that are answered derive from `Ask`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeAlias

import attrs

from actors import Actor, Ask, AsyncActor, Reply
from broker.values.encoded import Encoded

from .acks import Acks
from .survey import Survey


@attrs.frozen
class Delivery:
    """What became of an event, on this node.

    `recipients`: sockets in whose outbox it was put. `dropped`: sockets that did not get it: it was
    volatile and they were not ready to be written, or their outbox was full and the option
    `overflow` dropped it.
    """

    recipients: int
    dropped: int = 0


class Listener(Protocol):
    """Who gets events: a socket, or the seat of one that has gone and may come back."""

    id: str
    gone: bool
    """Whether it has ended, and so enters no room any more."""
    room_actors: dict[str, Actor[RoomMessage]]
    """The rooms it is in, or where its seat is kept; each room writes its own entry."""

    @property
    def now(self) -> Listener:
        """Who gets what is for it: itself, unless it has gone, and somebody is there instead."""

    @property
    def seat(self) -> Listener | None:
        """Its seat; None: it cannot come back."""

    @property
    def heir(self) -> Member | None:
        """Who is about to come back to this seat."""

    def push(self, encoded: Encoded) -> bool:
        """Put an event into its outbox; False when it cannot be."""

    def missed(self) -> None:
        """Count an event that was volatile and did not go."""

    @property
    def writable(self) -> bool:
        """Whether what is pushed now would be written at once."""


class Member(Listener, Protocol):
    """A socket, as rooms and namespaces see it."""

    acks: Acks
    at_home: bool
    """Whether it is in its own room: always, unless the profile allows it to leave that."""

    def keep(self, encoded: Encoded, doubt: Doubt) -> None:
        """Keep an event back, and what comes behind it, until joins that run have ended."""

    def resolve(self, room: Hosted, *, entered: bool) -> None:
        """Hear how a join has ended that was in doubt."""

    def send(self, encoded: Encoded) -> bool:
        """Push what is for it alone: what its `on_join` sends passes what is kept."""

    def note_emitted(self, room: Hosted, encoded: Encoded) -> None:
        """Note that the `on_join` of this room for it has emitted this event."""

    def tell_witness(self, error: Exception) -> None:
        """Tell who watches this socket, if anybody does, of an error in a room's hook for it."""

    def expel(self, close: bool) -> None:
        """Put it out of its namespace; `close`: end its connection, too."""

    def gets_behind_caller(self, encoded: Encoded) -> bool:
        """Whether this event is kept back for it by an `on_join` that waits for the caller."""

    def admitted(self) -> None:
        """Be connected: the first packet goes out, then what was pushed before."""

    def departed(self) -> None:
        """Have its seat be there instead."""


@attrs.frozen
class Audience:
    """Who gets an event: `rooms` (None: all sockets; none: nobody), less `excluded`, less `sender`.

    A socket's id counts as a room with that socket in it.
    """

    rooms: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    sender: Member | None = None


class Hosted(Protocol):
    """A room of a user's type."""

    host: AsyncActor[HostMessage] | None


@attrs.define
class Doubt:
    """Whether a socket gets an event, as far as joins decide whose `on_join` still runs.

    `sure`: it gets it if they are refused. Those into `via` let it in when they succeed, those
    into `unless` keep it out.
    """

    sure: bool = False
    via: set[Hosted] = attrs.field(factory=set)
    unless: set[Hosted] = attrs.field(factory=set)


# To a room.


@attrs.frozen
class Publish(Ask[Delivery]):
    """Put this event into the outbox of every member but the sender; ask them if it `asks`."""

    encoded: Encoded
    sender: Member | None = None
    volatile: bool = False
    asks: Survey | None = None
    reply: Reply[Delivery] = attrs.field(factory=Reply, kw_only=True, repr=False, eq=False)


@attrs.frozen(eq=False)
class Join(Ask[bool]):
    """Let the member in; answers whether it was out until now. To a room's host, if it has one."""

    member: Member


@attrs.frozen
class Leave(Ask[None]):
    """Forget the member; if this `undoes` a join, only where nobody has joined it again since."""

    binding: ClassVar[bool] = True
    member: Listener
    undoes: Join | None = None


@attrs.frozen
class BeginJoin(Ask[bool]):
    """Keep the room's events for who joins, for its `on_join` starts; False: it is in already."""

    join: Join


@attrs.frozen
class EndJoin(Ask[bool]):
    """The `on_join` has `accepted` or not; answers whether the member is in now.

    It is not if the join was cancelled meanwhile, or the socket has left or gone.
    """

    binding: ClassVar[bool] = True
    join: Join
    accepted: bool


@attrs.frozen
class Evict(Ask[None]):
    """Forget all members."""


RoomMessage: TypeAlias = Publish | Join | Leave | BeginJoin | EndJoin | Evict

# To the host of a room of a user's type, besides joins.


@attrs.frozen
class Left:
    """The member is out of the room, which it had entered by this join."""

    member: Member
    join: Join


@attrs.frozen
class Told:
    """A user's message, which nobody waits for."""

    message: object


@attrs.frozen
class Asked:
    """A user's message, whose reply somebody waits for.

    `reply`: the question's. Withdrawn, the question may be asked again, and then has a new one.
    """

    question: Ask[Any]
    reply: Reply[Any]

    @property
    def withdrawn(self) -> bool:
        """Whether the asker was cancelled before its turn."""
        return self.reply.cancelled and not self.question.binding


@attrs.frozen
class Emptied:
    """No seat is kept any more, and nobody is in: the room may end."""


HostMessage: TypeAlias = Join | Left | Told | Asked | Emptied

# To a namespace.


@attrs.frozen
class PublishWide(Ask[Delivery]):
    """Put this event into the outbox of everybody in the audience, of all rooms at once.

    Ask them for an ack if it `asks`; but not those about whom a running `on_join` decides.
    """

    audience: Audience
    encoded: Encoded
    volatile: bool = False
    asks: Survey | None = None
    reply: Reply[Delivery] = attrs.field(factory=Reply, kw_only=True, repr=False, eq=False)


@attrs.frozen
class Admit(Ask[bool]):
    """Connect the socket; answers whether it was still there."""

    member: Member


@attrs.frozen
class Remove(Ask[None]):
    """Forget the socket, or the seat."""

    binding: ClassVar[bool] = True
    member: Listener


@attrs.frozen
class Depart(Ask[None]):
    """Have the socket's seat, which it has, be here and in all its rooms instead, at once."""

    binding: ClassVar[bool] = True
    member: Member


@attrs.frozen
class OpenRoom:
    """Bring a room to life, if it is not, with this message, whose reply is all there is to hear.

    What is posted for this room later stays behind it.
    """

    name: str
    first: Join | Told | Asked


@attrs.frozen
class PublishBehind:
    """As `PublishWide`, for one room; what is posted for this room later stays behind it."""

    name: str
    publish: PublishWide


@attrs.frozen
class Retire(Ask[bool]):
    """Nobody is in the room; answers whether it may end."""

    room: Actor[RoomMessage]


@attrs.frozen
class FinishRooms(Ask[None]):
    """Let the rooms of users' types end with what they have to do, and bring no other to life."""


@attrs.frozen
class Unvisited:
    """Nobody may need the namespace any more."""


NamespaceMessage: TypeAlias = (
    PublishWide | PublishBehind | Admit | Remove | OpenRoom | Retire | FinishRooms | Unvisited
)
