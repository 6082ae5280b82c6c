"""What users register: hooks, which only the broker calls, and handlers of clients' events.

The two are separate tables, so a client's event can never run a hook, whatever its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from protocol.socketio import RESERVED_EVENTS

from .handler import AsyncFunction, Handler

# What is called with a socket alone, and is neither a hook nor an event's handler.
SocketUse: TypeAlias = Literal["middleware", "on_slow", "on_socket"]

# Hooks and what they are called with. On a socket they are called without it, as in Node.
HOOKS = {
    "connection": ("socket",),
    "disconnecting": ("socket", "reason"),
    "disconnect": ("socket", "reason"),
    "error": ("socket", "error", "event"),
}
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
        self._functions: dict[SocketUse, list[Handler]] = {}
        self._claims: dict[str, int] = {}  # how many loops take an event

    def of_event(self, event: str) -> list[Handler]:
        """Return the handlers of a client's event, in order."""
        own = self._events.get(event, [])
        return own if self._inherited is None else [*self._inherited.of_event(event), *own]

    def of_hook(self, name: str) -> list[Handler]:
        """Return the hooks of a name, in order; a copy, for a hook may register others."""
        inherited = [] if self._inherited is None else self._inherited.of_hook(name)
        return [*inherited, *self._hooks.get(name, ())]

    def of_socket_as(self, use: SocketUse) -> list[Handler]:
        """Return what is called with (socket), and no event, for this use; in order."""
        inherited = [] if self._inherited is None else self._inherited.of_socket_as(use)
        return [*inherited, *self._functions.get(use, ())]

    def add(self, event: str, function: AsyncFunction) -> None:
        """Register `function`; raises TypeError or ValueError for what can never be called.

        Raises RuntimeError when a loop takes these events.
        """
        check_name(event)
        handler = Handler.of(function)
        hook = self._hook(event)
        if hook is not None:
            arguments = HOOKS[hook][self._of_socket :]
            if not handler.takes(len(arguments)):
                raise TypeError(
                    f"the hook {hook!r} is called with ({', '.join(arguments)}); "
                    f"{handler.name} does not take that"
                )
            self._hooks.setdefault(hook, []).append(handler)
        else:
            check_receivable(event)
            if event in self._claims:
                raise RuntimeError(
                    f"a loop over events({event!r}) takes these events now: an event has either "
                    f"on({event!r}) or a loop, so register the handler before sockets connect, or "
                    "take the name out of the loop"
                )
            self._events.setdefault(event, []).append(handler)

    def _hook(self, event: str) -> str | None:
        if self._of_socket:
            return event if event in _SOCKET_HOOKS else None
        name = _ALIASES.get(event, event)
        return name if name in HOOKS else None

    def add_as(self, use: SocketUse, function: AsyncFunction) -> None:
        """Register what is called with (socket); raises TypeError for what cannot be."""
        handler = Handler.of(function)
        if not handler.takes(1):
            raise TypeError(f"{use}'s handlers are called with (socket); {handler.name} is not")
        self._functions.setdefault(use, []).append(handler)

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


def check_name(event: str) -> None:
    """Raise TypeError for what is no event's name."""
    if not isinstance(event, str) or not event:
        raise TypeError(f"expected an event's name, saw {event!r}")


def check_receivable(event: str) -> None:
    """Raise TypeError or ValueError for what no client can send."""
    check_name(event)
    if event in RESERVED_EVENTS:
        raise ValueError(f"{event!r} is reserved: no client can send it")
