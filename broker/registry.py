"""Where users register handlers: what a namespace and a socket have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from .handler import F
from .handlers import Handlers


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
