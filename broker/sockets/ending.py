"""What follows when a socket has gone: all of it exactly once, whatever is cancelled meanwhile.

The last events are handled, then the `disconnecting` hooks run, the rooms are left, and the
`disconnect` hooks run. It has a task of its own, in the session.
"""

from __future__ import annotations

import logging
from typing import Protocol

import trio

from broker.rooms.home import Home
from broker.values.reasons import DisconnectReason

from .hooks import Hooks
from .socket_events import SocketEvents

logger = logging.getLogger("atrio.socket")


class Leaver(Protocol):
    """The socket that has gone."""

    id: str
    namespace: Home
    inbound: SocketEvents
    hooks: Hooks

    async def forget(self) -> None:
        """Leave all rooms and the namespace, whatever is cancelled."""

    def ended(self) -> None:
        """Hear that its last hook has run."""


async def end(socket: Leaver, reason: DisconnectReason) -> None:
    """Handle the last events, run the hooks, leave the rooms."""
    options = socket.namespace.options
    try:
        with trio.move_on_after(options.handler_grace) as scope:
            await _handled(socket)
        if scope.cancelled_caught:
            logger.info(
                "%s: what socket %s has left to handle is cancelled after handler_grace=%g s",
                socket.namespace,
                socket.id,
                options.handler_grace,
            )
    finally:
        socket.inbound.end()
        socket.hooks.end()
        deadline = trio.current_time() + options.disconnect_timeout
        with trio.CancelScope(shield=True, deadline=deadline):
            await _handled(socket)  # unless a handler shields itself for longer
        deadline = trio.current_time() + options.disconnect_timeout
        try:
            await _run_last_hooks(socket, "disconnecting", reason, deadline)
            await socket.forget()
            await _run_last_hooks(socket, "disconnect", reason, deadline)
        finally:
            socket.ended()
        socket.namespace.visited()


async def _handled(socket: Leaver) -> None:
    """Wait until nothing is being handled, and nothing will be."""
    await socket.inbound.finished()
    await socket.hooks.finished()


async def _run_last_hooks(
    socket: Leaver, name: str, reason: DisconnectReason, deadline: float
) -> None:
    if not await socket.hooks.run_last(name, deadline, reason):
        logger.error(
            "%s: the %s hooks of socket %s were cancelled after disconnect_timeout=%g s",
            socket.namespace,
            name,
            socket.id,
            socket.namespace.options.disconnect_timeout,
        )
