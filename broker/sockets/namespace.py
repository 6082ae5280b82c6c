"""A namespace, as its users get it: where handlers are registered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar, cast

from broker.handlers.handler import F, Handler
from broker.handlers.listeners import Handlers
from broker.handlers.namespace_handlers import NamespaceHandlers
from broker.handlers.registry import Registry
from broker.rooms.events import Encoding
from broker.rooms.family import FamilyTarget
from broker.rooms.home import Cluster, Home
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.room import R, RoomTypes
from broker.rooms.room_events import RoomEvent, RoomEvents, RoomListener
from broker.rooms.target import Everybody, Target
from broker.values.errors import BrokerNotRunning
from broker.values.options import Options

from .socket import Socket

Check: TypeAlias = Callable[[str, Any], Awaitable[bool]]
H = TypeVar("H", bound=NamespaceHandlers)
L = TypeVar("L", bound=RoomListener)


class NamespaceRegistry(Registry):
    """Where a namespace's handlers are registered, or those of a pattern of namespaces.

    A handler of an event is called with (socket, *args); what it returns is the ack. Hooks:
    `connection` (or `connect`) with (socket), `disconnecting` and `disconnect` with (socket,
    reason), `error` with (socket, error, event).
    """

    room_types: RoomTypes
    room_events: RoomEvents

    def on_room(self, event: RoomEvent) -> Callable[[L], L]:
        """Register a listener to rooms: `@chat.on_room("join")`, `def joined(room, sid)`.

        "create" and "delete" are called with (room), when somebody is in it, and nobody any more;
        "join" and "leave" with (room, sid). They are called in the room's turn: each is a `def`,
        and must be quick. An exception in one is logged. Raises TypeError or ValueError.
        """

        def register(listener: L) -> L:
            self.room_events.add(event, listener)
            return listener

        return register

    def on_server(self, event: str) -> Callable[[F], F]:
        """Register a handler of what other nodes' programs tell: `@chat.on_server("event")`.

        It is called with the arguments of their `server_side_emit`; what it returns is the answer
        to a `server_side_emit_with_ack`, as of a client's event. Events of one node are handled
        one at a time, in order. An exception is logged, and there is no answer then. Raises
        TypeError or ValueError.
        """

        def register(function: F) -> F:
            self.handlers.add_server(event, function)
            return function

        return register

    def room_type(self, glob: str, *, per_node: bool = False) -> Callable[[R], R]:
        """Register a class derived from `Room` for the rooms whose names match a glob.

        `@chat.room_type("table:*")`, matched as by `fnmatch.fnmatchcase`; of several that match,
        the first registered counts. It is for rooms that come to life from now on. Raises
        TypeError or ValueError for a class that cannot be made without arguments, or whose hooks
        cannot be called.

        With an adapter each node has its own room of a name: `per_node` says that this is meant,
        and without it the broker raises RuntimeError when it starts, or this does later.
        """
        if not isinstance(glob, str):
            raise TypeError(
                "room_type: expected a glob, as in @room_type('table:*') above the class, saw "
                f"{glob!r}"
            )

        def register(room: R) -> R:
            self.room_types.add(glob, room, per_node=per_node)
            return room

        return register

    def register(self, handlers: H) -> H:
        """Register the methods `on_<event>` of a `NamespaceHandlers`, as `on` does.

        Raises TypeError or ValueError for a method that can never be called; none is registered
        then.
        """
        if not isinstance(handlers, NamespaceHandlers):
            raise TypeError(f"register: expected a NamespaceHandlers, saw {handlers!r}")
        trial = Handlers()
        functions = list(handlers.functions())
        for table in (trial, self.handlers):
            for name, function in functions:
                table.add_method(name, function)
        return handlers

    def use(self, function: F) -> F:
        """Register connect middleware: `async def check(socket)`, in order of registration.

        Raising `ConnectError` refuses the client, which gets its message and data.
        """
        self.handlers.add_as("middleware", function)
        return function

    def on_slow(self, function: F) -> F:
        """Register what hears of slow clients: `async def slow(socket)`.

        It is called when more than half of what may wait for the socket's client waits, before the
        option `overflow` does anything about it, and not again until less waits. It runs in a task
        of its own, and keeps nobody waiting; an exception goes to the `error` hook, with the name
        `slow`. No event of a client calls it, whatever its name.
        """
        self.handlers.add_as("on_slow", function)
        return function

    def on_expired(self, function: F) -> F:
        """Register what hears that a client has not come back: `async def gone(sid, data, rooms)`.

        With the option `connection_state_recovery`: once for each socket whose client could have
        come back to it, when it no longer can: its id, its `data`, and the rooms it was in. Its
        `disconnect` hooks have run long before. It runs in a task of its own, `disconnect_timeout`
        at most; an exception is logged. At the end of the broker's life it is not called.
        """
        self.handlers.add_as("on_expired", function)
        return function

    def on_socket(self, function: F) -> F:
        """Register a function for the whole life of a socket: `async def life(socket)`.

        It starts when the `connection` hooks have finished, in a task of its own, and is cancelled
        when the client goes, as tasks of `socket.nursery` are. An exception in it goes to the
        `error` hook and ends that socket; when it returns, nothing else ends. It loops over
        `socket.events()`. Raises TypeError for what is not async or takes no socket.
        """
        self.handlers.add_as("on_socket", function)
        return function


class Namespace(Home, NamespaceRegistry):
    """One namespace: its handlers, and a target that reaches all its sockets."""

    parent: DynamicNamespace | None = None
    """Whose child it is, if it is one."""
    lasting = False
    """Whether the program has asked for it by name."""

    @property
    def sockets(self) -> Mapping[str, Socket]:
        """The connected sockets by id, on this node; a live view."""
        actor = self.present
        members = {} if actor is None else actor.sockets
        return MappingProxyType(cast("dict[str, Socket]", members))


class DynamicNamespace(Everybody, NamespaceRegistry):
    """A parent: its namespaces come to be when a client asks for one whose name fits.

    Each has the handlers registered here, also those that come later. As a target it means the
    sockets of all of them.
    """

    def __init__(
        self, fits: re.Pattern[str] | Check, options: Options, node: Cluster | None = None
    ) -> None:
        """`node`: the part of the broker in a cluster; None: it is alone."""
        if not isinstance(fits, re.Pattern):
            Handler.of(fits)
        elif not isinstance(fits.pattern, str):
            raise TypeError("expected a pattern of str, saw one of bytes")
        self.fits = fits
        self.name = fits.pattern if isinstance(fits, re.Pattern) else repr(fits)
        """What it is called in errors; it is no namespace's name."""
        self.encoding = Encoding.of(options, self.name)
        """To see whether something can be sent, though there may be no child yet."""
        self.alive = False
        """Whether the broker runs."""
        self.handlers = Handlers()
        self.room_types = RoomTypes()
        self.room_events = RoomEvents()
        self._children: dict[str, Namespace] = {}
        self.traps = options.traps
        self._options = options
        self._node = node

    @property
    def children(self) -> Mapping[str, Namespace]:
        """Those there are now, by their names; a live view.

        A child that came to be for a client is one until it ends. One that the program has asked
        for by its name is one from then on, though nobody may be in it.
        """
        return MappingProxyType(self._children)

    def has_pattern_for(self, name: str) -> bool:
        """Whether this is a pattern, and found in the name."""
        return isinstance(self.fits, re.Pattern) and self.fits.search(name) is not None

    def bear(self, name: str) -> Namespace:
        """Return a new child."""
        child = Namespace(
            name,
            self._options,
            Handlers(inherited=self.handlers),
            RoomTypes(inherited=self.room_types),
            RoomEvents(inherited=self.room_events),
            self._node,
        )
        child.parent = self
        self.adopt(child)
        return child

    def adopt(self, child: Namespace) -> None:
        """Have a child, which is new or has been forgotten."""
        self._children[child.name] = child

    def forget(self, child: Namespace) -> None:
        """Have a child no more."""
        del self._children[child.name]

    # As a target: what is chosen, is chosen in each child.

    target_type: type[Target] = FamilyTarget

    def _target(self) -> Target:
        return FamilyTarget(self)

    def living(self, what: str) -> list[Namespace]:
        """Return the children that live now; raises `BrokerNotRunning`."""
        if not self.alive:
            raise BrokerNotRunning(what)
        return [child for child in self._children.values() if child.actor is not None]

    def running(self, what: str) -> NamespaceActor:
        """Raise TypeError: there is an actor in each child, and none here."""
        raise TypeError(f"{what} is for one namespace: use it on each of {self!r}.children")

    @property
    def ack_timeout(self) -> float:
        """How long acks are waited for, in seconds, when nothing else was said."""
        return self._options.ack_timeout

    @property
    def max_name_length(self) -> int:
        """How many characters the name of a room may have."""
        return self._options.max_name_length

    def __repr__(self) -> str:
        return f"<DynamicNamespace {self.fits!r}>"
