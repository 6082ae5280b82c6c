"""Events for the servers themselves: what one node's program tells those of the others."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from actors import Restart, Supervisor
from broker.handlers.dispatch import Call, ack_values, answer_of
from broker.handlers.listeners import Handlers
from broker.values.errors import EventError
from broker.values.options import Options
from protocol.cluster.messages import Answer, Envelope, ServerAnswered, ServerEvent
from protocol.values import plain

logger = logging.getLogger("atrio.adapter")

MOST = 1_000
"""How many events of one node may wait: they are for rare things, such as to drop a cache."""


class Listening(Protocol):
    """A namespace, with the handlers of its server events."""

    name: str
    handlers: Handlers
    options: Options


class ServerEvents:
    """Those for one namespace. The events of one node are handled one at a time, in order.

    There is a task for a node while events of it wait.
    """

    def __init__(
        self, place: Listening, answer: Callable[[Envelope, Answer], None], supervisor: Supervisor
    ) -> None:
        self._place = place
        self._answer = answer
        self._supervisor = supervisor
        self._waiting: dict[str, deque[Envelope]] = {}
        self.dropped = 0

    def take(self, request: Envelope) -> None:
        """Handle an event behind those of the same node."""
        waiting = self._waiting.get(request.node)
        if waiting is None:
            waiting = self._waiting[request.node] = deque()
            self._supervisor.start_soon(
                self._handle_all,
                request.node,
                name=f"server events of {self._place.name}",
                restart=Restart.DROP,
            )
        if len(waiting) < MOST:
            waiting.append(request)
        else:
            self.dropped += 1

    async def _handle_all(self, node: str) -> None:
        waiting = self._waiting[node]
        try:
            while waiting:
                await self._handle(waiting.popleft())
        finally:
            del self._waiting[node]

    async def _handle(self, request: Envelope) -> None:
        message = request.message
        assert isinstance(message, ServerEvent)
        event, *args = message.data
        calls = [Call(handler) for handler in self._place.handlers.of_server(event)]
        if not calls:
            return
        what = f"{self._place.name}: the server event {event!r} of node {request.node}"
        try:
            value = await answer_of(calls, args, self._place.options.handler_timeout)
            values = ack_values(value)
            if message.request_id is not None and values is not None:
                told = None if not values else values[0] if len(values) == 1 else values
                self._answer(request, ServerAnswered(message.request_id, plain(told)))
        except EventError as error:
            logger.warning("%s: %s", what, error)
        except Exception:
            logger.exception("%s failed", what)
