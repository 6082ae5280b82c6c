"""Rooms of a user's own type: what to derive, and which names are of which type."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any, TypeVar, get_args

import attrs

from broker.handlers.handler import Handler

from .room_host import Policy
from .room_ref import OneRoom, RoomHome

_POLICIES = get_args(Policy)


class Room(OneRoom):
    """A room with state and rules of its own: derive, and register it with `room_type`.

    >>> @chat.room_type("table:*")
    ... class Table(Room):
    ...     async def on_create(self):
    ...         self.seats = 4

    An instance is one life of the room. Its hooks and `receive` are called one at a time, in the
    order of what they are about, by one task; they may await. Nothing else need touch its state, so
    there are no locks. The room's events do not wait for them.

    Inside, a room has what its `RoomRef` has: `name`, `namespace`, `members`, `size`, `emit`,
    `tell` … None of them waits for the room itself, and neither do a socket's `leave` and
    `disconnect`. A `join` or `ask` that comes back to it raises `ActorCycle`.
    """

    linger: float = 0.0
    """How long it stays alive with nobody in it and nothing to do, in seconds."""

    on_error: Policy = "keep"
    """What an error in a hook or `receive` means. It is logged, and raised in who asked or joined.

    `keep`: the room goes on. `close`: it closes: everybody is let out, `on_leave` and `on_close`
    run, and what waits begins the next life. `crash`: the same without the hooks, for its state is
    not to be trusted; only its `lifespan` ends, with the error. Refusals (`JoinRefused`,
    `EventError`) are answers and no errors.
    """

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Wrap the life: an async context manager that is entered first and left last.

        The place for what must be closed again, or for a nursery:

        >>> @asynccontextmanager
        ... async def lifespan(self):
        ...     async with open_database() as self.database:
        ...         yield

        If it fails meanwhile, as a nursery does whose task fails, the room ends.
        """
        yield

    async def on_create(self) -> None:
        """Begin: called once per life, before all else.

        An error is raised in who joined, or asked; the room is not alive then.
        """

    async def on_join(self, socket: Any) -> None:
        """Let a socket in, or raise `JoinRefused`, and its `join` raises that.

        From its start the room's events are kept for the socket. When it returns, the socket is a
        member and gets them, behind what was sent to the socket here: a snapshot, and then every
        change. Cancelled with the `join`, or refused, it never was a member.
        """

    async def on_leave(self, socket: Any) -> None:
        """See a member off: once for each `on_join` that returned. Nobody waits for it."""

    async def on_close(self) -> None:
        """End: called once, when nobody is in or may come back, and it has lingered."""

    async def receive(self, message: Any) -> Any:
        """Handle what others `ask` and `tell`; what it returns is the answer."""
        raise TypeError(
            f"{type(self).__name__} has no `async def receive(self, message)` for {message!r}"
        )


R = TypeVar("R", bound=type[Room])

_HOOKS = {"on_create": 0, "on_join": 1, "on_leave": 1, "on_close": 0, "receive": 1}


@attrs.frozen
class _Entry:
    glob: str
    type: type[Room]
    per_node: bool

    def check_per_node(self) -> None:
        """Raise RuntimeError unless it is said that each node of a cluster has rooms of its own."""
        if not self.per_node:
            raise RuntimeError(
                f"room_type({self.glob!r}) for {self.type.__name__}: with an adapter each node has "
                "a room of its own for each name, which knows the sockets of that node only; if "
                f"that is meant, register it with @room_type({self.glob!r}, per_node=True)"
            )


class RoomTypes:
    """The types of a namespace's rooms: the first glob that a name matches counts."""

    def __init__(self, inherited: RoomTypes | None = None) -> None:
        """`inherited`: another's, which come first."""
        self._inherited = inherited
        self._entries: list[_Entry] = []
        self._in_cluster: bool = inherited is not None and inherited._in_cluster

    def add(self, glob: str, room: type[Room], *, per_node: bool = False) -> None:
        """Register a type; raises TypeError or ValueError for what can be none.

        `per_node`: of each room there may be one on every node.
        """
        if not glob:
            raise TypeError(f"room_type: expected a glob like 'table:*', saw {glob!r}")
        if not (isinstance(room, type) and issubclass(room, Room)):
            raise TypeError(
                f"room_type({glob!r}): expected a class derived from Room, saw {room!r}"
            )
        name = room.__name__
        _check_makeable(room, glob)
        _check_hooks(room)
        _check_lifespan(room)
        if room.on_error not in _POLICIES:
            raise ValueError(f"{name}.on_error: expected one of {_POLICIES}, saw {room.on_error!r}")
        if isinstance(room.linger, bool) or not isinstance(room.linger, int | float):
            raise TypeError(f"{name}.linger: expected seconds, saw {room.linger!r}")
        if not room.linger >= 0:
            raise ValueError(f"{name}.linger: expected at least 0 seconds, saw {room.linger!r}")
        entry = _Entry(glob, room, per_node)
        if self._in_cluster:
            entry.check_per_node()
        self._entries.append(entry)

    def enter_cluster(self) -> None:
        """Take no type from now on that is not `per_node`; raises RuntimeError if there is one."""
        self._in_cluster = True
        for entry in self._entries:
            entry.check_per_node()

    def of(self, name: str) -> type[Room] | None:
        """Return the type of a room; None: it is a plain one."""
        inherited = None if self._inherited is None else self._inherited.of(name)
        if inherited is not None:
            return inherited
        for entry in self._entries:
            if fnmatchcase(name, entry.glob):
                return entry.type
        return None

    def maker(self, name: str, namespace: RoomHome) -> Callable[[], Room] | None:
        """Return what makes a new life of a room; None: it is a plain one."""
        room_type = self.of(name)
        if room_type is None:
            return None

        def make() -> Room:
            room = _blank(room_type, name)  # before its own __init__, which may want to know
            room.namespace = namespace
            room.__init__()  # type: ignore[misc]
            return room

        return make


def _blank(room_type: type[Room], name: str) -> Room:
    room = room_type.__new__(room_type)
    room.name = name
    return room


def _check_makeable(room: type[Room], glob: str) -> None:
    """Raise TypeError for a class of which no instance can be made as `maker` makes it."""
    name = room.__name__
    try:
        inspect.signature(room).bind()
    except TypeError as error:
        raise TypeError(
            f"{name}() is called without arguments, for each life anew, and {error}: give them "
            "defaults, or load what a life needs in `on_create`"
        ) from None
    try:
        _blank(room, glob)
    except AttributeError as error:
        raise TypeError(
            f"{name} is frozen, or cannot have a `name`, which each of its lives gets: expected a "
            f"class whose attributes can be set, saw {error!r}"
        ) from None


def _check_hooks(room: type[Room]) -> None:
    for hook, arguments in _HOOKS.items():
        try:
            fits = Handler.of(getattr(room, hook)).takes(1 + arguments)
        except TypeError as error:
            raise TypeError(f"{room.__name__}.{hook}: {error}") from None
        if not fits:
            raise TypeError(
                f"{room.__name__}.{hook} is called with {arguments} arguments besides self"
            )


def _check_lifespan(room: type[Room]) -> None:
    """Raise TypeError for a `lifespan` that returns no async context manager, as far as is seen."""
    lifespan = room.lifespan
    generates = inspect.isgeneratorfunction(inspect.unwrap(lifespan))
    if generates or inspect.iscoroutinefunction(lifespan) or inspect.isasyncgenfunction(lifespan):
        raise TypeError(
            f"{room.__name__}.lifespan: expected an async context manager, as an `async def` with "
            f"one `yield` and `@asynccontextmanager` (of contextlib) above it is; saw {lifespan!r}"
        )
    try:
        inspect.signature(lifespan).bind(None)
    except TypeError as error:
        raise TypeError(
            f"{room.__name__}.lifespan is called without arguments besides self, and {error}"
        ) from None
