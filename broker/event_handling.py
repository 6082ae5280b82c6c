"""What becomes of one event of a socket: who handles it, how it is answered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from protocol.socketio import Packet

from .dispatch import Call, ack_error, ack_values, answer_of
from .encoded import Encoded
from .errors import EventError, SocketDisconnected, unwrapped
from .home import Home
from .hooks import Hooks, Subject
from .options import Options
from .socket_nursery import SocketNursery

logger = logging.getLogger("atrio.socket")

_INTERNAL = EventError("internal", "internal error")  # a user's error says nothing to clients


class Eventful(Subject, Protocol):
    """The socket whose events these are."""

    push: Callable[[Encoded], bool]

    @property
    def nursery(self) -> SocketNursery:
        """Where its tasks live."""


class EventHandling:
    """For one socket."""

    __slots__ = ("_hooks", "_options", "_socket")

    def __init__(self, socket: Eventful, hooks: Hooks, options: Options) -> None:
        self._socket = socket
        self._hooks = hooks
        self._options = options

    async def handle(self, packet: Packet) -> None:
        """Call the handlers of an event, and answer it."""
        event, args = name_of(packet), packet.data[1:]
        calls = self.calls(event)
        if not calls:
            return
        try:
            answer = await answer_of(calls, args, self._options.handler_timeout)
            values = ack_values(answer)
            if values is not None and packet.id is not None:
                self.acknowledge(packet.id, values)
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is reported
            await self._failed(unwrapped(raised), event, packet.id)

    async def _failed(self, error: Exception, event: str, id_: int | None) -> None:
        match error:
            case SocketDisconnected() if self._socket.gone:
                return
            case EventError():
                logger.info("%s refused %r of %s: %s", self._home, event, self._socket.id, error)
                refusal = error
            case _:
                await self._hooks.report(error, event)
                refusal = _INTERNAL
        if id_ is not None:
            try:
                self.acknowledge(id_, ack_error(refusal))
            except (TypeError, ValueError) as unsendable:
                await self._hooks.report(unsendable, event)
                self.acknowledge(id_, ack_error(_INTERNAL))

    def acknowledge(self, id_: int, values: list[Any]) -> None:
        """Send an ack; raises TypeError or ValueError for what cannot be sent."""
        self._socket.push(self._home.encoding.ack(id_, values))

    def calls(self, event: str) -> list[Call]:
        """Return the handlers of an event, in order."""
        own = self._socket.handlers.of_event(event)
        if event in ("connect", "connection", "error"):  # the namespace's are hooks
            return [Call(handler) for handler in own]
        of_all = self._home.handlers.of_event(event)
        return [
            *(Call(handler, (self._socket,)) for handler in of_all),
            *(Call(handler) for handler in own),
        ]

    @property
    def _home(self) -> Home:
        return self._socket.namespace


def name_of(packet: Packet) -> str:
    """Return the name of an event, as JavaScript has it."""
    event = packet.data[0]
    if isinstance(event, str):
        return event
    return f"{event:g}" if isinstance(event, float) else str(event)
