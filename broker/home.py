"""What sockets know of their namespace: its name, its handlers, its actor while there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from actors import Supervisor

from .errors import BrokerNotRunning
from .events import Encoding
from .handlers import Handlers
from .messages import Member
from .namespace_actor import NamespaceActor
from .options import Options
from .room import Room, RoomTypes
from .room_ref import RoomRef
from .target import Everybody, Target, checked_room


class Rooms(Mapping[str, frozenset[str]]):
    """The rooms of a namespace on this node: names to the ids of their members; a live view."""

    def __init__(self, actor: NamespaceActor | None) -> None:
        self._rooms = {} if actor is None else actor.rooms

    def __getitem__(self, name: str) -> frozenset[str]:
        members = self._rooms[name].members
        if not members:
            raise KeyError(name)  # it is about to begin, or to end
        return frozenset(member.id for member in members)

    def __iter__(self) -> Iterator[str]:
        return (name for name, room in list(self._rooms.items()) if room.members)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Rooms({dict(self)!r})"


class Home(Everybody):
    """The namespace of a socket: a target that reaches all its sockets.

    `name` begins with a slash. It outlives the lives of its broker; its sockets and rooms do not.
    """

    def __init__(
        self, name: str, options: Options, handlers: Handlers, room_types: RoomTypes
    ) -> None:
        self.name = name
        self.options = options
        self.encoding = Encoding.of(options, name)
        self.handlers = handlers
        self.room_types = room_types
        self.actor: NamespaceActor | None = None

    def start(self, supervisor: Supervisor) -> None:
        """Begin a life, whose tasks `supervisor` owns."""
        self.actor = NamespaceActor(self.name, supervisor, self.options, self._room_maker)
        supervisor.start_soon(self.actor.run, name=f"namespace {self.name}")

    def running(self, what: str) -> NamespaceActor:
        """Return the actor of this life; raises `BrokerNotRunning`."""
        if self.actor is None:
            raise BrokerNotRunning(what)
        return self.actor

    @property
    def rooms(self) -> Rooms:
        """The rooms there are, with the ids of their members; sockets' own ids are not listed."""
        return Rooms(self.actor)

    def room(self, name: str) -> RoomRef:
        """Return a room by its name, whether it is alive or not.

        Raises TypeError or ValueError for what is no room's name.
        """
        return RoomRef(checked_room(name), self)

    def members_of(self, room: str) -> Iterable[Member]:
        """Return who is in a room now; nobody when the broker does not run."""
        return () if self.actor is None else self.actor.members(room)

    def check_hosted(self, room: str) -> None:
        """Raise LookupError when a room's name fits no `room_type`."""
        if self.room_types.of(room) is None:
            raise LookupError(
                f"{self!r}: the room {room!r} has nobody to ask or tell: its name fits no "
                "`@room_type(glob)`"
            )

    def _room_maker(self, name: str) -> Callable[[], Room] | None:
        return self.room_types.maker(name, self)

    def _target(self) -> Target:
        return Target(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"
