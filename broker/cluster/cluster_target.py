"""A target of all nodes: what is done to its sockets here, the other nodes do to theirs.

This node comes first, and never waits for the others. They are told of an event in the very step in
which it is put into the outboxes here: so the events of one node come in one order everywhere, and
one that was withdrawn is nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Protocol, cast

import attrs
import trio

from actors import Reply
from broker.rooms.messages import Audience, Delivery
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.survey import Answers, Survey
from broker.rooms.target import FetchedSocket, Publisher, Target
from broker.values.errors import BrokerNotRunning
from protocol.cluster.messages import Broadcast, Message, Recipients, Request, SocketFacts
from protocol.values import plain

from .remote_socket import remote_socket
from .requests import Asked, Requests, with_clients


class Speaker(Protocol):
    """The node, as it asks others."""

    requests: Requests

    def publish(self, namespace: str, message: Message) -> None:
        """Tell all other nodes, soon."""

    async def fetch(
        self, namespace: str, who: Recipients, limit: float | None
    ) -> list[SocketFacts]:
        """Return the sockets of other nodes."""

    async def answers_of_clients(self, namespace: str, asked: Asked, deadline: float) -> None:
        """Wait until other nodes' clients have answered, or for the deadline."""


class OneOfMany(Publisher, Protocol):
    """A namespace of a broker in a cluster."""

    node: Speaker


class Relayed(Reply[Delivery]):
    """Has the other nodes told of an event, when this node's sockets have got it."""

    __slots__ = ("_message", "_namespace", "_node")

    def __init__(self, node: Speaker, namespace: str, message: Message) -> None:
        super().__init__()
        self._node = node
        self._namespace = namespace
        self._message = message

    def send(self, value: Delivery) -> None:
        """Tell them, unless it was withdrawn."""
        if not self.given:
            self._node.publish(self._namespace, self._message)
        super().send(value)


@attrs.frozen
class ClusterTarget(Target):
    """Recipients in one namespace, on all nodes."""

    @property
    def _node(self) -> Speaker:
        return cast("OneOfMany", self._namespace).node

    def _elsewhere(self, actor: NamespaceActor) -> Recipients | None:
        """Return who is meant on other nodes; None: nobody can be."""
        audience: Audience = self._audience
        rooms = audience.rooms
        if self._own is not None or (rooms is not None and actor.has_alone(rooms)):
            return None
        excluded = audience.excluded
        if audience.sender is not None:
            excluded |= {audience.sender.id}
        return Recipients(tuple(sorted(rooms or ())), tuple(sorted(excluded)))

    def _broadcast(self, who: Recipients, event: str, args: tuple[Any, ...]) -> Broadcast:
        data = plain([event, *args], lead=1)
        return Broadcast(who, data, volatile=self._volatile, compress=self._compress)

    def _reply(
        self, actor: NamespaceActor, event: str, args: tuple[Any, ...]
    ) -> Reply[Delivery] | None:
        who = self._elsewhere(actor)
        if who is None:
            return None
        return Relayed(self._node, self._namespace.name, self._broadcast(who, event, args))

    async def emit_with_ack(self, event: str, *args: Any) -> Answers:
        """Send an event that asks for an ack; returns what everybody who gets it has answered.

        As `Target.emit_with_ack`. Of other nodes' clients those are asked who are in the target
        when the event arrives there; one who goes there is `missing` when the time is over.
        """
        actor = self._namespace.running("emit_with_ack")
        who = self._elsewhere(actor)
        if who is None:
            return await super().emit_with_ack(event, *args)
        limit = self._namespace.ack_timeout if self._timeout is None else self._timeout
        deadline = trio.current_time() + limit
        survey = Survey(actor.next_ack_id())
        encoded = self._encoded(event, args, survey.id)
        with closing(survey), self._node.requests.asking() as asked:
            message = attrs.evolve(
                self._broadcast(who, event, args),
                request_id=asked.id,
                timeout=None if math.isinf(limit) else limit,
            )
            await actor.publish(
                self._audience,
                encoded,
                volatile=self._volatile,
                asks=survey,
                reply=Relayed(self._node, self._namespace.name, message),
            )
            survey.miss_those_behind_caller(encoded)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(survey.answered, deadline)
                await self._node.answers_of_clients(self._namespace.name, asked, deadline)
        return with_clients(survey.answers, asked)

    async def _fetch_elsewhere(self) -> list[FetchedSocket]:
        who = self._elsewhere(self._namespace.running("fetch_sockets"))
        if who is None:
            return []
        fetched = await self._node.fetch(self._namespace.name, who, self._timeout)
        return [remote_socket(facts, self._namespace) for facts in fetched]

    def _relay(self, what: str, request: Callable[[Recipients], Request]) -> None:
        with suppress(BrokerNotRunning):  # what was to be done here has been done
            who = self._elsewhere(self._namespace.running(what))
            if who is not None:
                self._node.publish(self._namespace.name, request(who))
