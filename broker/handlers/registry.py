"""Where users register handlers: what a namespace and a socket have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, overload

from .handler import AsyncFunction, F
from .listeners import Handlers


class Registry:
    """Where handlers are registered: a namespace, a socket."""

    handlers: Handlers

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, function: F) -> F: ...
    def on(self, event: str, function: F | None = None) -> F | Callable[[F], F]:
        """Register a handler of a client's event, or a hook: `@chat.on("message")`, or a call.

        What clients send is checked against the function's annotations: it gets instances of them,
        or is not called, and the ack says `bad_arguments`.

        Raises TypeError for what is not async, cannot be called as it would be, or is annotated
        with a model that cannot be checked; ValueError for a name no client can send. `"*"` is a
        name like others: what gets every event is `on_any`, what gets the rest, `on_unhandled`.
        """
        return self._register("on", event, function)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, function: F) -> F: ...
    def once(self, event: str, function: F | None = None) -> F | Callable[[F], F]:
        """Register as `on` does, for the first event only: it is taken away before it is called.

        On a namespace that is the first of all its sockets.
        """
        return self._register("once", event, function)

    def _register(
        self, how: Literal["on", "once"], event: str, function: F | None
    ) -> F | Callable[[F], F]:
        if not isinstance(event, str):
            raise TypeError(f"expected an event's name, as in {how}('message'), saw {event!r}")

        def register(function: F) -> F:
            self.handlers.add(event, function, once=how == "once")
            return function

        return register if function is None else register(function)

    def off(self, event: str | None = None, function: AsyncFunction | None = None) -> None:
        """Take away a handler or hook: its latest registration here, if there is one.

        `off("message")` takes away all of that name, `off()` all handlers and hooks. An event that
        is being handled goes on with those it began with.
        """
        self.handlers.remove(event, function)

    def listeners(self, event: str) -> list[AsyncFunction]:
        """Return the handlers of an event, or the hooks of a name, registered here; in order."""
        return self.handlers.registered(event)

    # Those that get every event.

    def on_any(self, function: F) -> F:
        """Register a listener: `async def seen(socket, event, *args)`, on a socket without it.

        It sees every event before middleware and handlers do, whoever takes it, and answers
        nothing. An exception in it goes to the `error` hook, and the event goes on. Raises
        TypeError for what is not async or does not take any number of arguments.
        """
        self.handlers.add_as("on_any", function)
        return function

    def prepend_any(self, function: F) -> F:
        """Register a listener as `on_any` does, before the others."""
        self.handlers.add_as("on_any", function, first=True)
        return function

    def off_any(self, function: AsyncFunction | None = None) -> None:
        """Take away a listener of `on_any`, or all of them."""
        self.handlers.remove_as("on_any", function)

    def listeners_any(self) -> list[AsyncFunction]:
        """Return the listeners of `on_any`, in order."""
        return self.handlers.registered_as("on_any")

    def on_unhandled(self, function: F) -> F:
        """Register a handler of events that have none: `async def other(socket, event, *args)`.

        It is a handler like others: what it returns is the ack. It gets what neither a handler of
        `on` nor a loop takes. On a socket it is called without it. Raises TypeError as `on_any`.
        """
        self.handlers.add_as("on_unhandled", function)
        return function
