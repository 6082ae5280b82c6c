"""What users register: hooks, which only the broker calls, and handlers of clients' events.

The two are separate tables, so a client's event can never run a hook, whatever its name.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeAlias, TypeVar, overload

import attrs

from protocol.socketio import RESERVED_EVENTS

AsyncFunction: TypeAlias = Callable[..., Awaitable[Any]]
F = TypeVar("F", bound=AsyncFunction)

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


class NoAck:
    """The type of `NO_ACK`."""

    def __repr__(self) -> str:
        return "NO_ACK"


NO_ACK = NoAck()
"""What a handler returns to send no ack, though the client asked for one."""


@attrs.frozen
class Handler:
    """An async function, and how many positional arguments it takes."""

    function: AsyncFunction
    least: int
    most: float

    @classmethod
    def of(cls, function: AsyncFunction) -> Handler:
        """Look at `function`; raises TypeError for one that is not async."""
        target = function if inspect.isroutine(function) else getattr(function, "func", function)
        call = target if inspect.isroutine(target) else getattr(target, "__call__", None)  # noqa: B004
        if not (inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)):
            raise TypeError(f"expected an `async def` function, saw {function!r}")
        positional = [
            parameter
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        variadic = any(
            parameter.kind is parameter.VAR_POSITIONAL
            for parameter in inspect.signature(function).parameters.values()
        )
        least = sum(parameter.default is parameter.empty for parameter in positional)
        return cls(function, least, math.inf if variadic else len(positional))

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        return self.least <= count <= self.most

    @property
    def name(self) -> str:
        """For logs."""
        return getattr(self.function, "__qualname__", repr(self.function))


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


class Registry:
    """Where handlers are registered: a namespace, a socket."""

    handlers: Handlers

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, function: F) -> F: ...
    def on(self, event: str, function: F | None = None) -> F | Callable[[F], F]:
        """Register a handler of a client's event, or a hook: `@chat.on("message")`, or a call.

        Raises TypeError for what is not async or cannot be called as it would be, ValueError for a
        name no client can send.
        """
        if not isinstance(event, str):
            raise TypeError(f"expected an event's name, as in on('message'), saw {event!r}")
        if function is not None:
            self.handlers.add(event, function)
            return function

        def register(function: F) -> F:
            self.handlers.add(event, function)
            return function

        return register
