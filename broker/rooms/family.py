"""A target of several namespaces: the same choice in each child of a parent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol, cast

import attrs
import trio

from actors import MailboxFull
from broker.values.errors import BrokerNotRunning
from protocol.cluster.messages import Recipients, Request

from .messages import Audience, Delivery, Member
from .namespace_actor import NamespaceActor
from .survey import Answers
from .target import FetchedSocket, Publisher, Target


class Family(Publisher, Protocol):
    """A parent: the namespaces a target of it reaches."""

    def living(self, what: str) -> Iterable[Publisher]:
        """Return its children that live now; raises `BrokerNotRunning`."""


@attrs.frozen
class FamilyTarget(Target):
    """Recipients in all children of a parent, as they are when something is emitted.

    Each child gets a message of its own: its members agree on their order, and what a task emits
    one after the other arrives so. There is none between children.
    """

    _local: bool = False

    def _with(self, audience: Audience) -> Target:
        return attrs.evolve(self, audience=audience)

    def on_this_node(self) -> Target:
        """Return this target, its sockets on this node only."""
        return attrs.evolve(self, local=True)

    def _parts(self, what: str) -> list[Target]:
        family = cast("Family", self._namespace)
        return [
            (Target if self._local else namespace.target_type)(
                namespace,
                self._audience,
                self._volatile,
                compress=self._compress,
                timeout=self._timeout,
            )
            for namespace in family.living(what)
        ]

    async def emit(self, event: str, *args: Any) -> Delivery:
        """Send an event; returns when it is in the outbox of everybody who gets it.

        As `Target.emit`; cancelled, it has reached all children or none.
        """
        parts = self._parts("emit")
        self._check(event, args)
        await trio.lowlevel.checkpoint_if_cancelled()
        recipients = dropped = 0
        with trio.CancelScope(shield=True):  # namespaces answer within a turn
            for part in parts:
                delivery = await part.emit(event, *args)
                recipients += delivery.recipients
                dropped += delivery.dropped
        await trio.lowlevel.cancel_shielded_checkpoint()
        return Delivery(recipients, dropped)

    async def emit_with_ack(self, event: str, *args: Any) -> Answers:
        """Send an event that asks for an ack; returns what everybody who gets it has answered.

        As `Target.emit_with_ack`. Cancelled, it may have reached some children.
        """
        parts = self._parts("emit_with_ack")
        self._check(event, args)
        await trio.lowlevel.checkpoint()
        answers: list[Answers] = []

        async def ask(part: Target) -> None:
            answers.append(await part.emit_with_ack(event, *args))

        async with trio.open_nursery() as nursery:
            for part in parts:
                nursery.start_soon(ask, part)
        return Answers(
            {sid: value for each in answers for sid, value in each.values.items()},
            frozenset().union(*(each.missing for each in answers)),
            unnamed=sum(each.unnamed for each in answers),
            missing_nodes=max((each.missing_nodes for each in answers), default=0),
        )

    def emit_nowait(self, event: str, *args: Any) -> None:
        """Send an event without waiting until it is in the outboxes.

        Raises `MailboxFull` when that of a child is full, though all others get it; and as `emit`.
        """
        parts = self._parts("emit_nowait")
        self._check(event, args)
        full: MailboxFull | None = None
        for part in parts:
            try:
                part.emit_nowait(event, *args)
            except MailboxFull as error:
                full = error
        if full is not None:
            raise full

    def _check(self, event: str, args: tuple[Any, ...]) -> None:
        """Raise for what cannot be sent, though there may be no child yet to send it to."""
        self._namespace.encoding.event(event, args)

    def _relay(self, what: str, request: Callable[[Recipients], Request]) -> None:
        with suppress(BrokerNotRunning):  # what was to be done here has been done
            for part in self._parts(what):
                part._relay(what, request)

    async def _fetch_elsewhere(self) -> list[FetchedSocket]:
        return [
            each for part in self._parts("fetch_sockets") for each in await part._fetch_elsewhere()
        ]

    def _members(self, what: str) -> list[tuple[NamespaceActor, list[Member]]]:
        return [each for part in self._parts(what) for each in part._members(what)]
