"""Handlers as methods: one class for what a namespace does."""

from __future__ import annotations

from collections.abc import Iterator

from .handler import AsyncFunction

_PREFIX = "on_"


class NamespaceHandlers:
    """Derive, name methods `on_<event>`, and register an instance: `chat.register(Chat())`.

    >>> class Chat(NamespaceHandlers):
    ...     async def on_connect(self, socket): ...
    ...     async def on_message(self, socket, text): ...
    ...     async def on_disconnect(self, socket, reason): ...

    Each is what `on("<event>")` registers: a hook, or a handler of a client's event. But methods
    named `on_any`, `on_unhandled`, `on_socket`, `on_slow` and `on_expired` are what the namespace's
    functions of these names register, and no client can call them.
    """

    def functions(self) -> Iterator[tuple[str, AsyncFunction]]:
        """Yield the methods, by their names; raises TypeError for what is no method."""
        for name in dir(self):
            if name.startswith(_PREFIX):
                function = getattr(self, name)
                if not callable(function):
                    raise TypeError(
                        f"{type(self).__name__}.{name}: expected an `async def`, saw {function!r}"
                    )
                yield name, function
