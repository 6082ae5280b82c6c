"""This broker as a node of a cluster: its link, what it asks of others, and what they ask of it.

Nothing here waits for the link but who asks a question, and that has a deadline.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, get_args

import trio

from actors import ActorGone, MailboxFull, Supervisor
from broker.adapters.contract import Adapter, Link
from broker.rooms.survey import Answers
from broker.rooms.target import Target
from broker.values.errors import BrokerNotRunning
from protocol.cluster.messages import (
    Answer,
    Closed,
    Envelope,
    FetchThem,
    Heartbeat,
    Message,
    Recipients,
    ServerEvent,
    SocketFacts,
)

from .cluster_target import ClusterTarget
from .inbound import Inbound, Place
from .requests import Asked, Requests, clients_are_complete, of_servers

logger = logging.getLogger("atrio.adapter")

PATIENCE = 1.0
"""How long the first clients of a namespace that comes to be wait for its link, in seconds. It
needs a few milliseconds, unless it is away; then they are let in all the same."""

_LOGGED = 100  # kinds of nonsense that are logged, each once

_ANSWERS = get_args(Answer)


class Node:
    """What a broker with an adapter has; `requests` are its own that wait for answers.

    It outlives the lives of its broker; each has a link of its own.
    """

    target_type: type[Target] = ClusterTarget

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._link: Link | None = None
        self._begun = _Begun()
        self._places: dict[str, Inbound] = {}
        self._opened: dict[str, trio.Event] = {}
        self._refused: set[tuple[str, str]] = set()
        self._dropped = 0
        self.requests = Requests()

    # Its life.

    def begin(self) -> None:
        """Begin a life, before its namespaces do."""
        self._link = self._adapter.link(self)
        self._begun = _Begun()
        self._dropped = 0
        self.requests = Requests()

    async def run(self) -> None:
        """Carry what nodes say until cancelled. A link that cannot begin is told by `begun`."""
        assert self._link is not None
        begun = self._begun
        try:
            await self._link.run(task_status=begun)
        except Exception as error:
            if begun.event.is_set():
                raise
            begun.failure = error
            begun.event.set()
        else:
            raise RuntimeError(f"the link {self._link!r} of {self._adapter!r} has ended by itself")

    async def begun(self) -> None:
        """Wait until what others say is heard; raises what has kept the link from it."""
        await self._begun.event.wait()
        if self._begun.failure is not None:
            raise self._begun.failure

    async def say_goodbye(self) -> None:
        """Tell the others that this node goes, and wait until they can hear it."""
        link = self._link
        if link is not None:
            for name in list(self._places):
                self._go(link, name)
            await link.flush()

    def end(self) -> None:
        """End a life: whoever waits for answers waits no more."""
        self.requests.end()
        self._link = None

    def trouble(self) -> str:
        """Say that it is out of touch with others, if its link knows so."""
        in_touch = self._link is None or self._link.healthy
        return "" if in_touch else "out of touch with other nodes"

    @property
    def dropped(self) -> int:
        """How many messages to and from other nodes have been dropped in this life."""
        events = sum(place.server_events.dropped for place in self._places.values())
        return self._dropped + events + (0 if self._link is None else self._link.dropped)

    @property
    def waiting(self) -> int:
        """How many messages of other nodes wait to be done."""
        return sum(len(place.mailbox) for place in self._places.values())

    # Its namespaces.

    def enter(self, place: Place, supervisor: Supervisor) -> None:
        """Have a namespace that begins to live."""
        assert self._link is not None
        inbound = self._places[place.name] = Inbound(place, self, supervisor)
        supervisor.start_soon(inbound.run, name=inbound.name)
        self._opened[place.name] = self._link.open(place.name)

    async def hears(self, name: str) -> None:
        """Wait until what others say of a namespace arrives, or for `PATIENCE`."""
        opened = self._opened.get(name)
        if opened is not None and not opened.is_set():
            with trio.move_on_after(PATIENCE):
                await opened.wait()

    def leave(self, name: str) -> None:
        """Have a namespace no more."""
        if self._link is not None:
            self._go(self._link, name)
        self._opened.pop(name, None)
        inbound = self._places.pop(name, None)
        if inbound is not None:
            inbound.mailbox.close()

    def _go(self, link: Link, name: str) -> None:
        link.publish(Envelope(link.node, name, Closed()))
        link.close(name)

    def interested(self, namespace: str, room: str, there: bool) -> None:
        """Hear of a room that has come to be here, or has gone."""
        if self._link is not None:
            self._link.interested(namespace, room, there)

    # What it says.

    def publish(self, namespace: str, message: Message) -> None:
        """Tell all other nodes, soon. Without a life nobody is told."""
        if self._link is not None:
            self._link.publish(Envelope(self._link.node, namespace, message))

    def answer(self, to: Envelope, message: Answer) -> None:
        """Answer what a node has asked."""
        if self._link is not None:
            self._link.answer(Envelope(self._link.node, to.namespace, message), to.node)

    # What it hears.

    def deliver(self, envelope: Envelope) -> None:
        """Take what another node has sent."""
        if self._link is None or envelope.node == self._link.node:
            return
        message = envelope.message
        if isinstance(message, _ANSWERS):
            try:
                self.requests.take(envelope.node, message)
            except TypeError as error:
                self.refuse(envelope.node, error)
        elif isinstance(message, Closed):
            self.requests.depart(envelope.node)
        elif not isinstance(message, Heartbeat):
            inbound = self._places.get(envelope.namespace)
            if inbound is not None:
                self._post(inbound, envelope)

    def _post(self, inbound: Inbound, envelope: Envelope) -> None:
        try:
            inbound.tell_nowait(envelope)
        except MailboxFull:
            self._dropped += 1
            self._log_once("", "full", "%s is full: what other nodes say is dropped", inbound.name)
        except ActorGone:
            pass  # the namespace has ended

    def refuse(self, node: str, reason: object) -> None:
        """Note that what a node has sent makes no sense: each node's first of a kind is logged."""
        self._dropped += 1
        kind = type(reason).__name__ if isinstance(reason, Exception) else str(reason)
        self._log_once(node, kind, "what node %s has sent is ignored: %s", node or "?", reason)

    def _log_once(self, node: str, kind: str, text: str, *args: object) -> None:
        if (node, kind) not in self._refused and len(self._refused) < _LOGGED:
            self._refused.add((node, kind))
            logger.warning(text, *args)

    # What it asks.

    async def _others(self, namespace: str) -> int | None:
        link = self._link
        if link is None:
            return None
        try:
            return max(0, await link.server_count(namespace) - 1)
        except Exception:
            logger.exception("the nodes of %s cannot be counted", namespace)
            await trio.lowlevel.checkpoint()
            return None

    async def fetch(
        self, namespace: str, who: Recipients, limit: float | None
    ) -> list[SocketFacts]:
        """Return the sockets of other nodes; raises trio.TooSlowError, `BrokerNotRunning`."""
        limit = self._adapter.requests_timeout if limit is None else limit
        fetched, missing = await self.requests.fetch(
            lambda id_: self.publish(namespace, FetchThem(who, id_)),
            partial(self._others, namespace),
            trio.current_time() + limit,
        )
        if self.requests.ended:
            raise BrokerNotRunning("fetch_sockets")
        if missing:
            raise trio.TooSlowError(
                f"fetch_sockets: {missing} other node(s) of {namespace} have not answered within "
                f"{limit:g} s; `.local` means this node's sockets only, `.timeout(seconds)` waits "
                "longer"
            )
        return [facts for _, facts in fetched]

    async def answers_of_clients(self, namespace: str, asked: Asked, deadline: float) -> None:
        """Wait until other nodes' clients have answered, as far as they do until the deadline."""
        await self.requests.complete(
            asked, partial(self._others, namespace), lambda: clients_are_complete(asked), deadline
        )

    async def ask_servers(self, namespace: str, data: list[Any], limit: float | None) -> Answers:
        """Return what other nodes' handlers answer, by node."""
        limit = self._adapter.requests_timeout if limit is None else limit
        deadline = trio.current_time() + limit
        asked = await self.requests.ask(
            lambda id_: self.publish(namespace, ServerEvent(data, id_)),
            partial(self._others, namespace),
            deadline,
        )
        return of_servers(asked)


class _Begun:
    """A `task_status` that others may wait for."""

    def __init__(self) -> None:
        self.event = trio.Event()
        self.failure: Exception | None = None

    def started(self, _value: None = None) -> None:
        self.event.set()
