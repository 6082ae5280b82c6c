"""What becomes of one event of a socket: who sees it, who handles it, how it is answered.

Node's order: listeners of `on_any`, packet middleware, handlers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from broker.handlers.dispatch import Call, ack_error, ack_values, answer_of, in_time
from broker.handlers.listeners import Use
from broker.rooms.home import Home
from broker.values.encoded import Encoded
from broker.values.errors import EventError, SocketDisconnected, unwrapped
from broker.values.options import Options
from protocol.socketio import Packet

from .hooks import Hooks, Subject
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

    @property
    def screens(self) -> bool:
        """Whether events pass listeners or middleware before anybody may take them."""
        return self._socket.handlers.screens or self._home.handlers.screens

    async def passes(self, packet: Packet) -> bool:
        """Show an event to listeners, then to middleware; False: that has dropped it."""
        event, args = name_of(packet), packet.data[1:]
        for call in self._of_use("on_any"):
            try:
                await in_time(call, (event, *args), self._options.handler_timeout)
            except Exception as raised:  # noqa: BLE001 - whatever it is, it is reported
                error = unwrapped(raised)
                if not (isinstance(error, SocketDisconnected) and self._socket.gone):
                    await self._hooks.report(error, event)
        for handler in self._socket.handlers.of_use("packet middleware"):
            try:
                await in_time(Call(handler), (event, args), self._options.handler_timeout)
            except Exception as raised:  # noqa: BLE001 - whatever it is, it is reported
                error = unwrapped(raised)
                if isinstance(error, EventError):
                    await self._hooks.tell(error, event)
                await self._failed(error, event, packet.id)
                return False
        packet.data[1:] = args  # middleware may have changed them
        return True

    async def handle(self, packet: Packet) -> None:
        """Call the handlers of an event, and answer it."""
        event, args = name_of(packet), packet.data[1:]
        calls = self.calls(event)
        if not calls:
            calls, args = self._of_use("on_unhandled"), [event, *args]
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
                if self._home.traps.failed_handler_is_silent:
                    return
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

    @property
    def falls_back(self) -> bool:
        """Whether an event without a handler has one nevertheless."""
        return bool(self._of_use("on_unhandled"))

    def calls(self, event: str) -> list[Call]:
        """Return the handlers of an event, in order."""
        calls = []
        if event not in ("connect", "connection", "error"):  # the namespace's are hooks
            lead = (self._socket,)
            calls = [Call(handler, lead) for handler in self._home.handlers.of_event(event)]
        if own := self._socket.handlers.of_event(event):
            calls += [Call(handler) for handler in own]
        return calls

    def _of_use(self, use: Use) -> list[Call]:
        return [
            *(Call(handler, (self._socket,)) for handler in self._home.handlers.of_use(use)),
            *(Call(handler) for handler in self._socket.handlers.of_use(use)),
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
