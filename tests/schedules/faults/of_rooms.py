"""Faults in rooms, their order, and what is said of it to clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import trio

from actors import ActorGone
from broker.rooms import room_actor
from broker.rooms.fanout import fan_out
from broker.rooms.messages import Audience, Delivery, Join, Leave, Member, Publish
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.namespace_calls import NamespaceCalls
from broker.rooms.namespace_routes import NamespaceRoutes
from broker.rooms.room_actor import RoomActor
from broker.sessions.outbox import Outbox
from broker.sockets.event_handling import EventHandling
from broker.sockets.gate import Gate
from broker.sockets.socket_events import SocketEvents
from broker.values.encoded import Encoded, encoded_packet
from protocol.socketio import Packet, PacketType

from .planting import added, replaced


@contextmanager
def fan_out_in_slices() -> Iterator[None]:
    """Let others run between two members of one fan-out: two members see two orders."""
    right = RoomActor.between_turns

    def settle(self: RoomActor) -> None:
        self.__dict__.setdefault("late", []).extend(self._lane)
        self._lane.clear()

    async def between_turns(self: RoomActor) -> None:
        late = self.__dict__.get("late", [])
        while late:
            publish = late.pop(0)
            recipients = 0
            for member in list(self.members):
                if member is not publish.sender:
                    recipients += member.push(publish.encoded)
                    await trio.lowlevel.checkpoint()
            publish.reply.send(Delivery(recipients))
        await right(self)

    with replaced(RoomActor, "settle", settle), replaced(RoomActor, "between_turns", between_turns):
        yield


@contextmanager
def each_room_by_itself() -> Iterator[None]:
    """Send an event for several rooms to one after the other; the first wins for each socket."""
    right = NamespaceRoutes.publish

    async def publish(
        self: NamespaceActor, audience: Audience, encoded: Encoded, *, volatile: bool = False
    ) -> Delivery:
        if audience.rooms is None or len(audience.rooms) < 2 or audience.excluded:
            return await right(self, audience, encoded, volatile=volatile)
        served: dict[Member, None] = {}
        recipients = 0
        for name in sorted(audience.rooms):
            members = [member for member in self.members(name) if member not in served]
            served.update(dict.fromkeys(members))
            recipients += fan_out(encoded, members, sender=audience.sender).recipients
            await trio.lowlevel.checkpoint()
        return Delivery(recipients)

    with replaced(NamespaceRoutes, "publish", publish):
        yield


@contextmanager
def told_before_it_is_done() -> Iterator[None]:
    """Answer an `emit` to a room before the event is in the outboxes."""
    right = RoomActor.receive

    def receive(self: RoomActor, message: Any) -> None:
        if isinstance(message, Publish):
            message.reply.send(Delivery(sum(each is not message.sender for each in self.members)))
        right(self, message)

    async def between_turns(self: RoomActor, right: Any = RoomActor.between_turns) -> None:
        await trio.lowlevel.checkpoint()
        right_settle(self)
        await right(self)

    right_settle = RoomActor.settle
    with (
        replaced(RoomActor, "receive", receive),
        replaced(RoomActor, "settle", lambda _self: None),
        replaced(RoomActor, "between_turns", between_turns),
    ):
        yield


@contextmanager
def ack_past_the_outbox() -> Iterator[None]:
    """Write an ack at once, before what waits in the outbox."""

    def acknowledge(self: EventHandling, id_: int, values: list[Any]) -> None:
        encoded = encoded_packet(Packet(PacketType.ACK, self._home.name, values, id_))
        wire = getattr(self._hooks._session.transport, "_wire", None)
        if wire is not None and not self._socket.gone:
            wire.send_nowait(encoded.wire)

    with replaced(EventHandling, "acknowledge", acknowledge):
        yield


@contextmanager
def join_answered_before_membership() -> Iterator[None]:
    """Say that somebody is in, and let him in a little later."""
    right = RoomActor.receive
    turns = RoomActor.between_turns

    def receive(self: RoomActor, message: Any) -> None:
        if isinstance(message, Join) and not message.member.gone:
            self.__dict__.setdefault("late", []).append(message)
            message.reply.send(None)
        else:
            right(self, message)

    async def between_turns(self: RoomActor) -> None:
        late = self.__dict__.pop("late", [])
        if late:
            await trio.lowlevel.checkpoint()
        for join in late:
            right(self, join)
        await turns(self)

    with (
        replaced(RoomActor, "receive", receive),
        replaced(RoomActor, "between_turns", between_turns),
    ):
        yield


@contextmanager
def leave_not_awaited() -> Iterator[None]:
    """Post a leave, and do not wait until it has happened."""

    async def leave(self: NamespaceCalls, members: Iterable[Member], rooms: Iterable[str]) -> None:
        names = tuple(rooms)
        for member in members:
            for name in names:
                actor = member.room_actors.get(name)
                if actor is not None:
                    with suppress(ActorGone):
                        actor.tell_nowait(Leave(member))

    with replaced(NamespaceCalls, "leave", leave):
        yield


@contextmanager
def room_closes_on_a_pending_join() -> Iterator[None]:
    """Let a room end though somebody waits to be let in, and say that he is in."""

    def may_retire(self: NamespaceActor, actor: RoomActor) -> bool:
        if actor.members:
            return False
        self._forget(actor)
        actor.mailbox.close()
        return True

    async def turns(self: RoomActor) -> None:
        while (first := await self.mailbox.take()) is not None:
            self.turn(first)
            if not self.members and await self._retire(self):
                return  # whatever waits

    def abandon(self: RoomActor, message: Any) -> None:
        message.reply.send(Delivery(0) if isinstance(message, Publish) else None)

    with (
        replaced(NamespaceActor, "_may_retire", may_retire),
        added(RoomActor, "turns", turns),
        replaced(RoomActor, "abandon", abandon),
    ):
        yield


@contextmanager
def control_packets_first() -> Iterator[None]:
    """Put control packets before what waits in the outbox: DISCONNECT overtakes events."""

    def push_control(self: Outbox, encoded: Encoded) -> None:
        if not self.closed:
            self.bytes += len(encoded.wire)
            self.packets += encoded.packets
            self._queue.insert(0, encoded)
            self.touch()

    with replaced(Outbox, "push_control", push_control):
        yield


@contextmanager
def late_flusher_writes_in_its_own_order() -> Iterator[None]:
    """Write what waits with the latest first, if it is more than two packets."""
    right = Outbox.take

    def take(self: Outbox, most: int | None = None) -> list[Encoded]:
        queue = right(self, most)
        return queue if len(queue) < 3 else [*queue[:-2], queue[-1], queue[-2]]

    with replaced(Outbox, "take", take):
        yield


@contextmanager
def sender_hears_itself_in_unions() -> Iterator[None]:
    """Forget who the sender is when an event goes through the namespace."""
    right = NamespaceActor.select

    def select(self: NamespaceActor, audience: Audience) -> Any:
        return right(self, Audience(audience.rooms, audience.excluded))

    with replaced(NamespaceActor, "select", select):
        yield


@contextmanager
def early_events_do_not_wait() -> Iterator[None]:
    """Handle events although the connection hooks still run."""

    async def open_(self: SocketEvents) -> None:
        self._session.nursery.start_soon(self._welcome)
        await self._run()

    with replaced(SocketEvents, "open", open_):
        yield


@contextmanager
def what_middleware_emits_goes_out_at_once() -> Iterator[None]:
    """Send what is emitted to a connecting socket before its CONNECT packet."""

    right = Gate.__init__

    def begin(self: Gate, outbox: Outbox) -> None:
        right(self, outbox)
        self.open(outbox)

    with replaced(Gate, "__init__", begin):
        yield


@contextmanager
def events_in_tasks_of_their_own() -> Iterator[None]:
    """Handle each event of a client in a task of its own, as python-socketio does by default."""

    def put(self: SocketEvents, packet: Packet, size: int) -> None:
        self._session.nursery.start_soon(self._handle, packet)

    with replaced(SocketEvents, "put", put):
        yield


@contextmanager
def figures_count_the_sender() -> Iterator[None]:
    """Count the sender among the recipients, though it gets nothing."""
    right = fan_out

    def wrong(encoded: Encoded, members: Any, *, sender: Any = None, volatile: bool = False) -> Any:
        delivery = right(encoded, members, sender=sender, volatile=volatile)
        return Delivery(delivery.recipients + (sender is not None and sender in members))

    with replaced(room_actor, "fan_out", wrong):
        yield


@contextmanager
def ghosts_stay_in_rooms() -> Iterator[None]:
    """Forget a socket that has gone, but not in its rooms, if it is in several."""
    right = NamespaceCalls.remove

    async def remove(self: NamespaceCalls, member: Member) -> None:
        names = list(member.room_actors)
        kept = {name: member.room_actors.pop(name) for name in names[1:]}
        await right(self, member)
        member.room_actors.update(kept)

    with replaced(NamespaceCalls, "remove", remove):
        yield
