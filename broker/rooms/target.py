"""Whom an event goes to: rooms, exceptions and flags, put together by chaining.

A `Target` is immutable; each call returns a new one. A broker and a namespace are targets too: what
a target has, they have.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, Protocol, cast

import attrs
import trio

from actors import Reply
from broker.values.encoded import Encoded
from broker.values.errors import EventError, SocketDisconnected
from broker.values.handshake import Handshake
from broker.values.profile import Traps
from protocol.cluster.messages import DisconnectThem, LetIn, LetOut, Recipients, Request

from .events import Encoding
from .messages import Audience, Delivery, Member
from .namespace_actor import NamespaceActor
from .namespace_calls import Entry, checked_room
from .survey import Answers, Survey


class FetchedSocket(Protocol):
    """What `fetch_sockets` gives: what a socket has wherever it is."""

    id: str
    data: dict[str, Any]
    handshake: Handshake

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms it is in, and its own id."""

    async def emit(self, event: str, *args: Any) -> None:
        """Send it an event."""

    async def join(self, *rooms: str) -> None:
        """Let it into rooms."""

    async def leave(self, *rooms: str) -> None:
        """Let it out of rooms."""

    async def disconnect(self, close: bool = False) -> None:
        """End it."""


class Publisher(Protocol):
    """What a target needs of its namespace."""

    name: str
    encoding: Encoding
    traps: Traps
    """Which of Node's traps are there."""
    target_type: type[Target]
    """What a choice in it is: of this node's sockets, or of those of all nodes."""

    @property
    def max_name_length(self) -> int:
        """How many characters the name of a room may have."""

    def running(self, what: str) -> NamespaceActor:
        """Return the actor of this life; raises `BrokerNotRunning`, which says `what` needs it."""

    @property
    def ack_timeout(self) -> float:
        """How long acks are waited for, in seconds, when nothing else was said."""


class Targets(abc.ABC):
    """What a broker, a namespace, a socket and each target have: the ways to choose recipients."""

    @abc.abstractmethod
    def _target(self) -> Target:
        """Return where the choice begins."""

    def _flagged(self) -> Target:
        """Return where it begins with a flag: of a socket at the socket itself, as in Node."""
        return self._target()

    def to(self, *rooms: str) -> Target:
        """Choose rooms, or sockets by their ids: the union of all calls, each socket once.

        `to()` reaches nobody, whatever is chained to it: an empty list of rooms that a client
        gave must not mean everybody. (In the profile `node` it chooses nothing, and so everybody.)
        Raises TypeError for a room that is no str.
        """
        return self._target().also_to(rooms)

    def in_(self, *rooms: str) -> Target:
        """Choose rooms: another word for `to`."""
        return self._target().also_to(rooms)

    def except_(self, *rooms: str) -> Target:
        """Leave out the members of rooms, or sockets by their ids."""
        return self._target().but_not(rooms)

    @property
    def local(self) -> Target:
        """The sockets of this node only."""
        return self._target().on_this_node()

    @property
    def volatile(self) -> Target:
        """Those who can be written to at once: who cannot misses the event, and is counted."""
        return self._flagged().if_writable()

    def compress(self, compress: bool) -> Target:
        """Say whether the event is worth compressing; if not, it alone is no reason to do so.

        See the options `http_compression` and `per_message_deflate`. Raises TypeError.
        """
        if not isinstance(compress, bool):
            raise TypeError(f"expected a bool, saw {compress!r}")
        return self._flagged().compressing(compress)

    def timeout(self, seconds: float) -> Target:
        """Give `emit_with_ack` a deadline; without one it is that of the option `ack_timeout`.

        Raises TypeError or ValueError for what is no time to wait; `math.inf` is one.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"timeout(): expected seconds, saw {seconds!r}")
        if not seconds >= 0:
            raise ValueError(f"timeout(): expected at least 0 seconds, saw {seconds!r}")
        return self._flagged().answered_within(seconds)


@attrs.frozen
class Target(Targets):
    """Recipients in one namespace."""

    _namespace: Publisher
    _audience: Audience = attrs.field(factory=Audience)
    _volatile: bool = False
    _own: Member | None = None
    """The socket whose flag this is: with no rooms chosen, the event goes to it alone."""
    _compress: bool = True
    _timeout: float | None = None

    def _target(self) -> Target:
        return self

    def also_to(self, rooms: tuple[str, ...]) -> Target:
        """Return this target, and these rooms."""
        chosen = self._audience.rooms
        names = frozenset(_checked(rooms, "to"))
        if chosen is not None:
            names = chosen | names if chosen else chosen
        everybody = not names and self._namespace.traps.empty_target_is_everybody
        return self._with(attrs.evolve(self._audience, rooms=None if everybody else names))

    def but_not(self, rooms: tuple[str, ...]) -> Target:
        """Return this target without the members of these rooms."""
        excluded = self._audience.excluded | frozenset(_checked(rooms, "except_"))
        return self._with(attrs.evolve(self._audience, excluded=excluded))

    def on_this_node(self) -> Target:
        """Return this target, its sockets on this node only: with one node, all of them."""
        return Target(
            self._namespace,
            self._audience,
            self._volatile,
            compress=self._compress,
            timeout=self._timeout,
        )

    def if_writable(self) -> Target:
        """Return this target, volatile."""
        return attrs.evolve(self, volatile=True)

    def compressing(self, compress: bool) -> Target:
        """Return this target, its events worth compressing or not."""
        return attrs.evolve(self, compress=compress)

    def answered_within(self, seconds: float) -> Target:
        """Return this target, whose answers are waited for so long."""
        return attrs.evolve(self, timeout=seconds)

    def _with(self, audience: Audience) -> Target:
        # Each broadcast to a room comes here: `attrs.evolve` takes several times as long.
        return type(self)(
            self._namespace,
            audience,
            self._volatile,
            compress=self._compress,
            timeout=self._timeout,
        )

    # Events.

    async def emit(self, event: str, *args: Any) -> Delivery:
        """Send an event; returns when it is in the outbox of everybody who gets it.

        It never waits for a client. What a task emits one after the other arrives in that order,
        whatever the targets. Raises TypeError or ValueError for what cannot be sent, before
        anything is sent, and `BrokerNotRunning`. An empty or absent room is no error.
        """
        actor = self._namespace.running("emit")
        encoded = self._encoded(event, args)
        if self._own is not None:
            return await self._emit_alone(actor, self._own, encoded)
        reply = self._reply(actor, event, args)
        return await actor.publish(self._audience, encoded, volatile=self._volatile, reply=reply)

    def emit_nowait(self, event: str, *args: Any) -> None:
        """Send an event without waiting until it is in the outboxes.

        Ordered with what goes to the same target only. Raises `MailboxFull`, and as `emit`.
        """
        actor = self._namespace.running("emit_nowait")
        encoded = self._encoded(event, args)
        if self._own is not None:
            actor.publish_alone(self._own, encoded, volatile=self._volatile)
        else:
            reply = self._reply(actor, event, args)
            actor.publish_nowait(self._audience, encoded, volatile=self._volatile, reply=reply)

    async def emit_with_ack(self, event: str, *args: Any) -> Answers:
        """Send an event that asks for an ack; returns what everybody who gets it has answered.

        It waits until all have answered or gone, or for `timeout` (else the option `ack_timeout`),
        counted from the call. That is no error: who has not answered then is `missing`. At once
        missing is who goes, who cannot get a volatile event, and who gets the event only when the
        caller has gone on, as its `on_join` waits for that.

        Asked are those who are in the target when the event has its turn, in which it is sent as by
        `emit`; nobody is no error. About whom an `on_join` decides that still runs, gets the event
        behind it, or does not, and is not waited for. Cancelled before its turn, the event is not
        sent; later, its answers are no longer expected. Raises as `emit`.
        """
        actor = self._namespace.running("emit_with_ack")
        limit = self._namespace.ack_timeout if self._timeout is None else self._timeout
        deadline = trio.current_time() + limit
        survey = Survey(actor.next_ack_id())
        encoded = self._encoded(event, args, survey.id)
        with closing(survey):
            if self._own is not None:
                await self._emit_alone(actor, self._own, encoded, survey)
            else:
                await actor.publish(self._audience, encoded, volatile=self._volatile, asks=survey)
            survey.miss_those_behind_caller(encoded)
            await survey.answered(deadline)
        return survey.answers

    def _reply(
        self,
        actor: NamespaceActor,  # noqa: ARG002 - for who tells other nodes
        event: str,  # noqa: ARG002
        args: tuple[Any, ...],  # noqa: ARG002
    ) -> Reply[Delivery] | None:
        """Return what is to hear when an event is put into the outboxes; None: nobody is."""
        return None

    def _encoded(self, event: str, args: tuple[Any, ...], id_: int | None = None) -> Encoded:
        return self._namespace.encoding.event(
            event, args, id_, compress=self._compress, volatile=self._volatile
        )

    async def _emit_alone(
        self, actor: NamespaceActor, member: Member, encoded: Encoded, asks: Survey | None = None
    ) -> Delivery:
        await trio.lowlevel.checkpoint_if_cancelled()
        delivery = actor.publish_alone(member, encoded, volatile=self._volatile, asks=asks)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return delivery

    # Their sockets.

    def _members(self, what: str) -> list[tuple[NamespaceActor, list[Member]]]:
        """Return who is in the target now, and whose they are; raises `BrokerNotRunning`."""
        actor = self._namespace.running(what)
        # A socket in middleware may be in rooms already, but is not connected.
        selected = actor.select(self._audience) if self._own is None else [self._own]
        members = [member for member in selected if member.id in actor.sockets and not member.gone]
        return [(actor, members)]

    async def fetch_sockets(self) -> list[FetchedSocket]:
        """Return the connected sockets of the target, as they are now.

        With an adapter those of other nodes, too, as `RemoteSocket`s. Raises trio.TooSlowError when
        a node has not told its own within `timeout` (else the adapter's `requests_timeout`).
        """
        await trio.lowlevel.checkpoint()
        elsewhere = await self._fetch_elsewhere()
        chosen = self._members("fetch_sockets")
        here = cast("list[FetchedSocket]", [each for _, members in chosen for each in members])
        return here + elsewhere

    async def _fetch_elsewhere(self) -> list[FetchedSocket]:
        """Return those of other nodes: of one node alone, there are none."""
        return []

    async def sockets_join(self, *rooms: str) -> None:
        """Let all sockets that are in the target now into rooms, one after the other.

        One that is refused by a room, with `JoinRefused` or another `EventError`, stays outside of
        it and of those behind it, and one that goes meanwhile of all; the others enter. What else
        a room's `on_join` raises is raised here, and stops it. Cancelled, it has let nobody in.
        """
        longest = self._namespace.max_name_length
        names = [checked_room(room, longest) for room in _checked(rooms, "sockets_join")]
        chosen = self._members("sockets_join")
        entered: list[Entry] = []
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            for actor, members in chosen:
                for member in members:
                    with suppress(SocketDisconnected, EventError):
                        await actor.enter(member, names, entered)
        except trio.Cancelled:
            await NamespaceActor.undo(entered)
            raise
        self._relay("sockets_join", lambda who: LetIn(who, tuple(names)))
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def sockets_leave(self, *rooms: str) -> None:
        """Let all sockets of the target out of rooms, in one step. Works when cancelled, too."""
        names = [checked_room(room) for room in _checked(rooms, "sockets_leave")]
        with trio.CancelScope(shield=True):  # rooms answer within a turn
            for actor, members in self._members("sockets_leave"):
                await actor.leave(members, names)
        self._relay("sockets_leave", lambda who: LetOut(who, tuple(names)))
        await trio.lowlevel.checkpoint()

    async def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnect all sockets of the target, in one step; `close`: their connections, too.

        Works when cancelled, too. Returns at once, as `disconnect` of a socket.
        """
        for _, members in self._members("disconnect_sockets"):
            for member in members:
                member.expel(close)
        self._relay("disconnect_sockets", lambda who: DisconnectThem(who, close))
        await trio.lowlevel.checkpoint()

    def _relay(self, what: str, request: Callable[[Recipients], Request]) -> None:
        """Have other nodes do the same: of one node alone, there is none."""


class Everybody(Targets):
    """A target by itself, with all sockets of a broker's `/` or of a namespace."""

    async def emit(self, event: str, *args: Any) -> Delivery:
        """Send an event to all of them; as `Target.emit`."""
        return await self._target().emit(event, *args)

    def emit_nowait(self, event: str, *args: Any) -> None:
        """Send an event to all sockets; as `Target.emit_nowait`."""
        self._target().emit_nowait(event, *args)

    async def emit_with_ack(self, event: str, *args: Any) -> Answers:
        """Send an event to all of them and return what they answer; as `Target.emit_with_ack`."""
        return await self._target().emit_with_ack(event, *args)

    async def fetch_sockets(self) -> list[FetchedSocket]:
        """Return all connected sockets."""
        return await self._target().fetch_sockets()

    async def sockets_join(self, *rooms: str) -> None:
        """Let all sockets into rooms."""
        await self._target().sockets_join(*rooms)

    async def sockets_leave(self, *rooms: str) -> None:
        """Let all sockets out of rooms."""
        await self._target().sockets_leave(*rooms)

    async def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnect all sockets; `close`: their connections, too."""
        await self._target().disconnect_sockets(close)


def _checked(rooms: tuple[str, ...], method: str) -> tuple[str, ...]:
    for room in rooms:
        if not isinstance(room, str):
            raise TypeError(
                f"{method}(): expected names of rooms (str), saw {type(room).__name__} {room!r}"
            )
    return rooms
