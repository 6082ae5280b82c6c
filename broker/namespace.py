"""A namespace, as its users get it: where handlers are registered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, cast, overload

from .handlers import F, Handler, Handlers
from .home import Home
from .options import Options
from .socket import Socket

Check: TypeAlias = Callable[[str, Any], Awaitable[bool]]


class Registry:
    """Where handlers are registered: a namespace, or a pattern of namespaces."""

    handlers: Handlers

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, function: F) -> F: ...
    def on(self, event: str, function: F | None = None) -> F | Callable[[F], F]:
        """Register a handler of a client's event, or a hook; `@chat.on("message")`, or a call.

        A handler is called with (socket, *args); what it returns is the ack. Hooks: `connection`
        (or `connect`) with (socket), `disconnecting` and `disconnect` with (socket, reason),
        `error` with (socket, error, event). Raises TypeError for what is not async or cannot be
        called so, ValueError for a name no client can send.
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

    def use(self, function: F) -> F:
        """Register connect middleware: `async def check(socket)`, in order of registration.

        Raising `ConnectError` refuses the client, which gets its message and data.
        """
        self.handlers.use(function)
        return function


class Namespace(Home, Registry):
    """One namespace: its handlers, and a target that reaches all its sockets."""

    @property
    def sockets(self) -> Mapping[str, Socket]:
        """The connected sockets by id, on this node; a live view."""
        members = {} if self.actor is None else self.actor.sockets
        return MappingProxyType(cast("dict[str, Socket]", members))


class DynamicNamespace(Registry):
    """Namespaces that come to be when a client asks for one whose name fits.

    Each has the handlers registered here.
    """

    def __init__(self, fits: re.Pattern[str] | Check) -> None:
        if not isinstance(fits, re.Pattern):
            Handler.of(fits)
        elif not isinstance(fits.pattern, str):
            raise TypeError("expected a pattern of str, saw one of bytes")
        self.fits = fits
        self.handlers = Handlers()

    def child(self, name: str, options: Options) -> Namespace:
        """Return a namespace of this kind."""
        return Namespace(name, options, Handlers(inherited=self.handlers))

    def __repr__(self) -> str:
        return f"<DynamicNamespace {self.fits!r}>"
