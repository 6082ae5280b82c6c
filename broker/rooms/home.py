"""What sockets know of their namespace: its name, its handlers, its actor while there is one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, cast

import trio

from actors import ActorGone, Supervisor
from broker.handlers.handler import Handler
from broker.handlers.listeners import Handlers, check_server_event
from broker.values.errors import BrokerNotRunning
from broker.values.options import Options
from protocol.cluster.messages import Message, ServerEvent
from protocol.values import plain

from .events import Encoding
from .messages import Member, Remove
from .namespace_actor import NamespaceActor
from .namespace_calls import checked_room
from .resting import RestingActor
from .room import Room, RoomTypes
from .room_events import RoomEvents
from .room_ref import RoomRef
from .seat import Seat, Seats
from .survey import Answers
from .target import Everybody, Target

logger = logging.getLogger("atrio.socket")


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


class Keeper(Protocol):
    """Who lets a namespace rest that nobody needs."""

    def present(self, name: str) -> NamespaceActor | None:
        """Return the actor of the namespace that bears this name now, if it lives."""

    def wake(self, home: Home) -> NamespaceActor | None:
        """Return that actor, begun anew if need be; None: the broker does not run."""

    def rest(self, home: Home) -> None:
        """Hear that its actor ends."""


class Cluster(Protocol):
    """What a namespace needs of a broker that is a node of a cluster."""

    target_type: type[Target]

    def enter(self, place: Home, supervisor: Supervisor, /) -> None:
        """Have a namespace that begins to live."""

    def leave(self, name: str, /) -> None:
        """Have it no more."""

    def interested(self, namespace: str, room: str, there: bool, /) -> None:
        """Hear of a room, or the id of a socket, that has come to be here, or has gone."""

    async def hears(self, name: str, /) -> None:
        """Wait until what others say of a namespace arrives, but not for long."""

    def publish(self, namespace: str, message: Message, /) -> None:
        """Tell all other nodes, soon."""

    async def ask_servers(self, namespace: str, data: list[Any], limit: float | None, /) -> Answers:
        """Return what other nodes' handlers answer, by node."""


class Home(Everybody):
    """The namespace of a socket: a target that reaches all its sockets.

    `name` begins with a slash. It outlives the lives of its broker; its sockets and rooms do not.
    """

    keeper: Keeper | None = None
    """Who lets it rest; None: it never does."""

    def __init__(
        self,
        name: str,
        options: Options,
        handlers: Handlers,
        room_types: RoomTypes,
        room_events: RoomEvents,
        node: Cluster | None = None,
    ) -> None:
        """`node`: the broker as a node of a cluster; None: it is alone."""
        self.name = name
        self.options = options
        self.traps = options.traps
        self.encoding = Encoding.of(options, name)
        self.handlers = handlers
        self.room_types = room_types
        self.room_events = room_events
        self.actor: NamespaceActor | None = None
        self.seats: Seats | None = None
        self.node = node
        self.target_type: type[Target] = Target if node is None else node.target_type
        self._visitors = 0

    def start(self, supervisor: Supervisor) -> NamespaceActor:
        """Begin a life, whose tasks `supervisor` owns."""
        interest = None if self.node is None else partial(self.node.interested, self.name)
        parts = (
            self.name,
            supervisor,
            self.options,
            self._room_maker,
            self.room_events,
            interest,
        )
        actor: NamespaceActor
        if self.keeper is None:
            actor = NamespaceActor(*parts)
        else:
            actor = RestingActor(
                *parts,
                is_visited=lambda: self._visitors > 0,
                on_rest=partial(self.keeper.rest, self),
            )
            actor.look_again()  # who it begins for may have gone already
        self.actor = actor
        supervisor.start_soon(actor.run, name=f"namespace {self.name}")
        if self.node is not None:
            self.node.enter(self, supervisor)
        recovery = self.options.connection_state_recovery
        if recovery is not None:
            self.seats = Seats(self.options, recovery, partial(self._expired, supervisor))
        return actor

    def stop(self) -> None:
        """End a life: nobody comes back to it."""
        if self.node is not None and self.actor is not None:
            self.node.leave(self.name)
        self.actor = self.seats = None

    def _expired(self, supervisor: Supervisor, seat: Seat) -> None:
        """Forget a seat to which nobody has come back, and tell who wants to hear it."""
        if self.actor is None:
            return
        rooms = frozenset(seat.room_actors)
        with suppress(ActorGone):
            self.actor.tell_surely(Remove(seat))
        for handler in self.handlers.of_use("on_expired"):
            supervisor.start_soon(
                self._tell_expired, handler, seat.id, seat.data, rooms, name="expired"
            )

    async def _tell_expired(self, handler: Handler, *args: object) -> None:
        limit = self.options.disconnect_timeout
        try:
            with trio.move_on_after(limit) as scope:
                await handler.function(*args)
        except Exception:
            logger.exception("%s: the on_expired %s failed", self, handler.name)
        if scope.cancelled_caught:
            logger.error(
                "%s: the on_expired %s was cancelled after disconnect_timeout=%g s",
                self,
                handler.name,
                limit,
            )

    @property
    def present(self) -> NamespaceActor | None:
        """The actor there is now."""
        if self.actor is None and self.keeper is not None:
            return self.keeper.present(self.name)
        return self.actor

    def running(self, what: str) -> NamespaceActor:
        """Return the actor of this life; raises `BrokerNotRunning`."""
        actor = self.actor
        if actor is None and self.keeper is not None:
            actor = self.keeper.wake(self)
        if actor is None:
            raise BrokerNotRunning(what)
        return actor

    async def hears_others(self) -> None:
        """Wait until what other nodes say arrives here; in a cluster, and not for long."""
        if self.node is not None:
            await self.node.hears(self.name)

    def visit(self) -> None:
        """Count a client that comes: it is here until all its hooks have run."""
        self._visitors += 1

    def visited(self) -> None:
        """Count it no more."""
        self._visitors -= 1
        if isinstance(self.actor, RestingActor):
            self.actor.look_again()

    @property
    def ack_timeout(self) -> float:
        """How long acks are waited for, in seconds, when nothing else was said."""
        return self.options.ack_timeout

    @property
    def rooms(self) -> Rooms:
        """The rooms there are, with the ids of their members; sockets' own ids are not listed."""
        return Rooms(self.present)

    def room(self, name: str) -> RoomRef:
        """Return a room by its name, whether it is alive or not.

        Raises TypeError or ValueError for what is no room's name.
        """
        return RoomRef(checked_room(name, self.max_name_length), self)

    @property
    def max_name_length(self) -> int:
        """How many characters the name of a room may have."""
        return self.options.max_name_length

    async def server_side_emit(self, event: str, *args: Any) -> None:
        """Tell the programs of all other nodes something: their `on_server` handlers get it.

        It may be lost. With one node, nobody is told. Raises TypeError or ValueError for what
        cannot be sent, and `BrokerNotRunning`.
        """
        data = self._server_event("server_side_emit", event, args)
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.node is not None:
            self.node.publish(self.name, ServerEvent(data))
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def server_side_emit_with_ack(
        self, event: str, *args: Any, timeout: float | None = None
    ) -> Answers:
        """Ask the programs of all other nodes, and return what their `on_server` handlers answer.

        `Answers.values` is by node. It waits for all nodes there are, at most `timeout` seconds
        (None: the adapter's `requests_timeout`). That is no error: `missing_nodes` says how many
        have not answered, as one whose handler failed, or that has none. Raises as
        `server_side_emit`.
        """
        data = self._server_event("server_side_emit_with_ack", event, args)
        await trio.lowlevel.checkpoint()
        if self.node is None:
            return Answers({})
        return await self.node.ask_servers(self.name, data, timeout)

    def _server_event(self, what: str, event: str, args: tuple[Any, ...]) -> list[Any]:
        self.running(what)
        check_server_event(event)
        return cast("list[Any]", plain([event, *args], lead=1))

    def members_of(self, room: str) -> Iterable[Member]:
        """Return who is in a room now; nobody when the broker does not run."""
        actor = self.present
        return () if actor is None else actor.members(room)

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
        return self.target_type(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"
