"""What users register: hooks, which only the broker calls, and handlers of clients' events.

The two are separate tables, so a client's event can never run a hook, whatever its name. A third
has what is called for neither: middleware, and those who see every event.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import attrs

from protocol.socketio import RESERVED_EVENTS

from .handler import AsyncFunction, Handler

logger = logging.getLogger("atrio.broker")

# What is neither a hook nor an event's handler.
Use: TypeAlias = Literal[
    "middleware",
    "on_slow",
    "on_socket",
    "on_expired",
    "on_any",
    "on_unhandled",
    "packet middleware",
]

# What they are called with. On a socket all but middleware is called without it, as in Node.
_USES: dict[Use, tuple[str, ...]] = {
    "middleware": ("socket",),
    "on_slow": ("socket",),
    "on_socket": ("socket",),
    "on_expired": ("sid", "data", "rooms"),
    "on_any": ("socket", "event", "*args"),
    "on_unhandled": ("socket", "event", "*args"),
    "packet middleware": ("socket", "event", "args"),
}

# What methods of these names are registered as: no client may call them by an event.
_USES_OF_METHODS: dict[str, Use] = {use: use for use in _USES if use.startswith("on_")}

# Hooks and what they are called with. On a socket they are called without it, as in Node.
HOOKS = {
    "connection": ("socket",),
    "disconnecting": ("socket", "reason"),
    "disconnect": ("socket", "reason"),
    "error": ("socket", "error", "event"),
}
_NODES_OWN = frozenset({"connect", "connection", "new_namespace"})
_ALIASES = {"connect": "connection"}
_SOCKET_HOOKS = frozenset({"disconnecting", "disconnect"})


class Handlers:
    """The tables of one namespace, or (`of_socket`) of one socket."""

    def __init__(self, *, of_socket: bool = False, inherited: Handlers | None = None) -> None:
        """`inherited`: another's, which come first."""
        self._of_socket = of_socket
        self._inherited = inherited
        self._hooks: dict[str, list[Handler]] = {}
        self._events: dict[str, list[Handler]] = {}
        self._functions: dict[Use, list[Handler]] = {}
        self._server: dict[str, list[Handler]] = {}
        self._claims: dict[str, int] = {}  # how many loops take an event
        self._screens = False

    @property
    def screens(self) -> bool:
        """Whether anybody sees events before their handlers do, or ever did."""
        return self._screens or (self._inherited is not None and self._inherited.screens)

    def of_event(self, event: str) -> Sequence[Handler]:
        """Return the handlers of a client's event, in order."""
        own = self._events.get(event, ())
        return own if self._inherited is None else [*self._inherited.of_event(event), *own]

    def of_hook(self, name: str) -> list[Handler]:
        """Return the hooks of a name, in order; a copy, for a hook may register others."""
        inherited = [] if self._inherited is None else self._inherited.of_hook(name)
        return [*inherited, *self._hooks.get(name, ())]

    def of_use(self, use: Use) -> list[Handler]:
        """Return what has this use, in order; a copy."""
        inherited = [] if self._inherited is None else self._inherited.of_use(use)
        return [*inherited, *self._functions.get(use, ())]

    def of_server(self, event: str) -> list[Handler]:
        """Return the handlers of another node's event, in order; a copy."""
        inherited = [] if self._inherited is None else self._inherited.of_server(event)
        return [*inherited, *self._server.get(event, ())]

    # Registering.

    def add(self, event: str, function: AsyncFunction, *, once: bool = False) -> None:
        """Register `function`; raises TypeError or ValueError for what can never be called.

        Raises RuntimeError when a loop takes these events.
        """
        check_name(event)
        hook = self._hook(event)
        if hook is not None:
            handler = Handler.of(function)
            self._check_call(f"the hook {hook!r} is", HOOKS[hook], handler)
        else:
            check_receivable(event)
            handler = Handler.of(function, lead=0 if self._of_socket else 1)
            if event in self._claims:
                raise RuntimeError(
                    f"a loop over events({event!r}) takes these events now: an event has either "
                    f"on({event!r}) or a loop, so register the handler before sockets connect, or "
                    "take the name out of the loop"
                )
            if event == "*":
                _warn_of_star(handler.name)
        table = self._table(event)
        table.append(_expiring(handler, table) if once else handler)

    def add_server(self, event: str, function: AsyncFunction) -> None:
        """Register a handler of other nodes' events; raises TypeError or ValueError."""
        check_server_event(event)
        self._server.setdefault(event, []).append(Handler.of(function, lead=0))

    def _hook(self, event: str) -> str | None:
        if self._of_socket:
            return event if event in _SOCKET_HOOKS else None
        name = _ALIASES.get(event, event)
        return name if name in HOOKS else None

    def add_method(self, name: str, function: AsyncFunction) -> None:
        """Register a method `on_<event>`, or one that has another use; raises as `add`."""
        use = _USES_OF_METHODS.get(name)
        if use is None:
            self.add(name.removeprefix("on_"), function)
        else:
            self.add_as(use, function)

    def _table(self, event: str) -> list[Handler]:
        hook = self._hook(event)
        if hook is not None:
            return self._hooks.setdefault(hook, [])
        return self._events.setdefault(event, [])

    def _check_call(self, what: str, arguments: tuple[str, ...], handler: Handler) -> None:
        arguments = arguments[self._of_socket :]
        if not handler.accepts(arguments):
            raise TypeError(
                f"{what} called with ({', '.join(arguments)}); {handler.name} does not take that"
            )

    def add_as(self, use: Use, function: AsyncFunction, *, first: bool = False) -> None:
        """Register what has this use, behind the others or `first`; raises TypeError."""
        handler = Handler.of(function)
        self._check_call(f"{use}'s handlers are", _USES[use], handler)
        table = self._functions.setdefault(use, [])
        table.insert(0 if first else len(table), handler)
        self._screens |= use in ("on_any", "packet middleware")

    # Taking away: what is registered here itself.

    def registered(self, event: str) -> list[AsyncFunction]:
        """Return the functions of an event, or of a hook, in order."""
        hook = self._hook(event)
        table = self._events.get(event, ()) if hook is None else self._hooks.get(hook, ())
        return [handler.origin for handler in table]

    def registered_as(self, use: Use) -> list[AsyncFunction]:
        """Return the functions of a use, in order."""
        return [handler.origin for handler in self._functions.get(use, ())]

    def remove(self, event: str | None, function: AsyncFunction | None) -> None:
        """Take a function away, its latest registration; or all of an event or hook; or all."""
        if event is None:
            for table in (*self._hooks.values(), *self._events.values()):
                table.clear()
        else:
            check_name(event)
            _take_away(self._table(event), function)

    def remove_as(self, use: Use, function: AsyncFunction | None) -> None:
        """Take a function of a use away, or all."""
        _take_away(self._functions.get(use, []), function)

    # Loops.

    def claim(self, events: Iterable[str]) -> None:
        """Have no handlers of these, which a loop takes, until `release`."""
        for event in events:
            self._claims[event] = self._claims.get(event, 0) + 1
        if self._inherited is not None:
            self._inherited.claim(events)

    def release(self, events: Iterable[str]) -> None:
        """Undo a `claim`."""
        for event in events:
            self._claims[event] -= 1
            if not self._claims[event]:
                del self._claims[event]
        if self._inherited is not None:
            self._inherited.release(events)


def _expiring(handler: Handler, table: list[Handler]) -> Handler:
    """Return a handler that takes itself out of its table when it is called."""

    async def once(*args: object) -> object:
        # It is in no list any more if another socket's event, or an `off`, has been quicker.
        if expiring not in table:
            return None
        table.remove(expiring)
        return await handler.function(*args)

    expiring = attrs.evolve(handler, function=once)
    return expiring


def _take_away(table: list[Handler], function: AsyncFunction | None) -> None:
    if function is None:
        table.clear()
        return
    for place in reversed(range(len(table))):
        if table[place].origin == function:
            del table[place]
            return


def check_name(event: str) -> None:
    """Raise TypeError for what is no event's name."""
    if not isinstance(event, str) or not event:
        raise TypeError(f"expected an event's name, saw {event!r}")


def check_server_event(event: str) -> None:
    """Raise TypeError or ValueError for what no server tells another."""
    check_name(event)
    if event in _NODES_OWN:
        raise ValueError(f"{event!r} is reserved: Node's servers take it for an event of their own")


def check_receivable(event: str) -> None:
    """Raise TypeError or ValueError for what no client can send."""
    check_name(event)
    if event in RESERVED_EVENTS:
        raise ValueError(f"{event!r} is reserved: no client can send it")


@functools.lru_cache(maxsize=100)
def _warn_of_star(handler: str) -> None:
    """Say it once, and not for each socket that registers this handler."""
    logger.warning(
        "on('*', %s) is for events named '*', as clients may send them: for those that have no "
        "handler of their own it is on_unhandled, to see every event on_any",
        handler,
    )
