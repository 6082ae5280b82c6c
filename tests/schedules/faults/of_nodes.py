"""Faults in what nodes of a cluster say to each other, and in how they do what others say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from actors import Reply
from broker.adapters.bus import _BusLink
from broker.cluster import node
from broker.cluster.cluster_target import ClusterTarget, Relayed
from broker.cluster.inbound import Inbound
from broker.cluster.requests import Asked, Requests
from broker.rooms.messages import Delivery
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.namespace_routes import NamespaceRoutes
from broker.rooms.target import Target
from protocol.cluster.messages import Envelope, LetIn, Recipients

from .planting import added, replaced


@contextmanager
def others_are_told_before_the_turn() -> Iterator[None]:
    """Publish when the call is made, whatever becomes of it here."""
    right = ClusterTarget._reply

    def reply(
        self: ClusterTarget, actor: NamespaceActor, event: str, args: tuple[Any, ...]
    ) -> None:
        found = right(self, actor, event, args)
        if isinstance(found, Relayed):
            found._node.publish(found._namespace, found._message)

    with replaced(ClusterTarget, "_reply", reply):
        yield


@contextmanager
def others_are_told_when_the_caller_goes_on() -> Iterator[None]:
    """Publish behind the await: tasks that were answered in one turn go on in any order."""

    async def emit(self: Target, event: str, *args: Any) -> Delivery:
        actor = self._namespace.running("emit")
        encoded = self._encoded(event, args)
        reply = self._reply(actor, event, args)
        delivery = await actor.publish(self._audience, encoded, volatile=self._volatile)
        if reply is not None:
            reply.send(delivery)
        return delivery

    with added(ClusterTarget, "emit", emit):
        yield


@contextmanager
def what_was_withdrawn_is_told() -> Iterator[None]:
    """Publish also when nobody waits for the reply any more, as the caller was cancelled."""
    right = Reply.withdraw

    def withdraw(self: Reply[Any]) -> None:
        if isinstance(self, Relayed):
            self._node.publish(self._namespace, self._message)
        right(self)

    with replaced(Reply, "withdraw", withdraw):
        yield


@contextmanager
def requests_are_done_side_by_side() -> Iterator[None]:
    """Do each request of others in a task of its own."""
    right = Inbound.handle

    async def handle(self: Inbound, message: Envelope) -> None:
        self._supervisor.start_soon(right, self, message, name="aside")

    with replaced(Inbound, "handle", handle):
        yield


@contextmanager
def joins_are_not_waited_for() -> Iterator[None]:
    """Do joins that others ask for aside, and go on with the events behind them."""
    right = Inbound.handle

    async def handle(self: Inbound, message: Envelope) -> None:
        if isinstance(message.message, LetIn):
            self._supervisor.start_soon(right, self, message, name="aside")
        else:
            await right(self, message)

    with replaced(Inbound, "handle", handle):
        yield


@contextmanager
def exceptions_are_forgotten() -> Iterator[None]:
    """Tell others the rooms of a target, and not who is left out."""
    right = ClusterTarget._elsewhere

    def elsewhere(self: ClusterTarget, actor: NamespaceActor) -> Recipients | None:
        who = right(self, actor)
        return None if who is None else attrs.evolve(who, excluded=())

    with replaced(ClusterTarget, "_elsewhere", elsewhere):
        yield


@contextmanager
def nobody_is_everybody() -> Iterator[None]:
    """Tell of rooms that have nobody here as if none had been chosen."""
    right = ClusterTarget._elsewhere

    def elsewhere(self: ClusterTarget, actor: NamespaceActor) -> Recipients | None:
        who = right(self, actor)
        return (
            None
            if who is None
            else attrs.evolve(
                who, rooms=tuple(room for room in who.rooms if list(actor.members(room)))
            )
        )

    with replaced(ClusterTarget, "_elsewhere", elsewhere):
        yield


@contextmanager
def local_is_forgotten() -> Iterator[None]:
    """Take `local` for a word without a meaning, as it is on one node."""
    with added(ClusterTarget, "on_this_node", lambda self: self._with(self._audience)):
        yield


@contextmanager
def an_id_is_of_this_node() -> Iterator[None]:
    """Tell nobody of what is for one name alone."""
    right = NamespaceRoutes.has_alone

    def has_alone(self: NamespaceRoutes, names: Any) -> bool:
        return len(names) == 1 or right(self, names)

    with replaced(NamespaceRoutes, "has_alone", has_alone):
        yield


@contextmanager
def the_first_answer_is_enough() -> Iterator[None]:
    """Take a question for whole when anybody has answered."""
    with replaced(Asked, "whole", property(lambda self: bool(self.answers))):
        yield


@contextmanager
def nodes_are_counted_once() -> Iterator[None]:
    """Wait for who was there at first, whoever goes."""
    with replaced(Asked, "note_count", lambda _asked, _others: None):
        yield


@contextmanager
def a_question_is_never_forgotten() -> Iterator[None]:
    """Keep questions that nobody waits for any more."""

    @contextmanager
    def asking(self: Requests) -> Iterator[Asked]:
        asked = Asked(self._lot.unpark_all)
        self._asked[asked.id] = asked
        yield asked

    with replaced(Requests, "asking", asking):
        yield


@contextmanager
def nodes_that_ask_clients_count_nobody() -> Iterator[None]:
    """Take a poll for whole when all nodes have told how many they ask."""
    with replaced(node, "clients_are_complete", lambda asked: asked.whole):
        yield


@contextmanager
def a_link_is_no_queue() -> Iterator[None]:
    """Have what is late arrive behind what was said after it."""
    right = _BusLink.expect

    def expect(self: _BusLink, sender: str, delay: float, envelope: Envelope) -> None:
        self._latest.clear()
        right(self, sender, delay, envelope)

    with replaced(_BusLink, "expect", expect):
        yield


@contextmanager
def a_link_says_twice() -> Iterator[None]:
    """Have some of what is said arrive twice."""
    right = _BusLink.expect

    def expect(self: _BusLink, sender: str, delay: float, envelope: Envelope) -> None:
        right(self, sender, delay, envelope)
        right(self, sender, delay, envelope)

    with replaced(_BusLink, "expect", expect):
        yield
