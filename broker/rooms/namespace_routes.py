"""Where goes what is for a name: straight to its room or socket, or behind what waits here for it.

These are called by other tasks, and run in the caller's. Who emits waits for no client, and who
posts to a room waits for a place in its mailbox at most.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

import trio

from actors import Actor, ActorGone, AsyncActor, Reply
from actors.async_actor import handling_actor
from broker.values.encoded import Encoded
from broker.values.errors import BrokerNotRunning
from broker.values.options import Options

from .fanout import put
from .messages import (
    Asked,
    Audience,
    Delivery,
    Join,
    Listener,
    Member,
    NamespaceMessage,
    OpenRoom,
    Publish,
    PublishBehind,
    PublishWide,
    Told,
)
from .room_actor import RoomActor
from .room_host import RoomHost
from .survey import Survey

logger = logging.getLogger("atrio.room")

T = TypeVar("T")


class NamespaceRoutes(Actor[NamespaceMessage]):
    """`sockets` and `rooms` by id and name; `closing`: whether rooms end, and no other is born.

    `away`: the seats of sockets that have gone and may come back, by their ids. They get events as
    those did, and are listed nowhere.
    """

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name)
        self._options = options
        self._own_rooms_are_rooms = options.traps.own_rooms_are_rooms
        self.closing = False
        self.sockets: dict[str, Member] = {}
        self.rooms: dict[str, RoomActor] = {}
        self.away: dict[str, Listener] = {}
        self._ack_ids = count()
        self._on_way: Counter[str] = Counter()  # rooms for which something waits in the mailbox
        self._entering: dict[Member, Counter[str]] = {}  # rooms whose answer is awaited

    def next_ack_id(self) -> int:
        """Return an id that no event of this namespace has had.

        As in Node it is one count for all sockets: many are asked with the same bytes.
        """
        return next(self._ack_ids)

    async def publish(
        self,
        audience: Audience,
        encoded: Encoded,
        *,
        volatile: bool = False,
        asks: Survey | None = None,
        reply: Reply[Delivery] | None = None,
    ) -> Delivery:
        """Put an event into the outboxes of its audience; returns when it is in all of them.

        `asks`: what expects their acks. `reply`: what hears of it in the very step in which it is
        put there, if it is. When the broker has ended, nobody gets it.
        """
        straight = self._way_to(_one_name(audience))
        try:
            if straight is None:
                delivery = await self.ask(
                    PublishWide(audience, encoded, volatile, asks, reply=reply or Reply())
                )
            elif isinstance(straight, RoomActor):
                delivery = await straight.ask(
                    Publish(encoded, audience.sender, volatile, asks, reply=reply or Reply())
                )
            else:
                await trio.lowlevel.checkpoint_if_cancelled()
                delivery = _send(encoded, straight, audience.sender, volatile=volatile, asks=asks)
                if reply is not None:
                    reply.send(delivery)
                await trio.lowlevel.cancel_shielded_checkpoint()
                return delivery
        except ActorGone:
            if reply is not None:  # the room has ended, as nobody was in it any more
                reply.send(Delivery(0))
            return Delivery(0)
        host = handling_actor()
        if isinstance(host, RoomHost) and host.joiner is not None:
            host.joiner.note_emitted(host.room, encoded)
        return delivery

    def publish_nowait(
        self,
        audience: Audience,
        encoded: Encoded,
        *,
        volatile: bool = False,
        reply: Reply[Delivery] | None = None,
    ) -> None:
        """Post an event for its audience; raises `MailboxFull`. `reply`: as in `publish`."""
        name = _one_name(audience)
        straight = self._way_to(name)
        told = reply or Reply()
        with suppress(ActorGone):
            if isinstance(straight, RoomActor):
                straight.tell_nowait(Publish(encoded, audience.sender, volatile, reply=told))
            elif straight is not None:
                told.send(_send(encoded, straight, audience.sender, volatile=volatile))
            else:
                wide = PublishWide(audience, encoded, volatile, reply=told)
                if name is None:
                    self.tell_nowait(wide)
                else:
                    self.tell_nowait(PublishBehind(name, wide))
                    self._on_way[name] += 1

    def publish_surely(
        self, audience: Audience, encoded: Encoded, *, volatile: bool = False
    ) -> Reply[Delivery]:
        """Post an event, for who bounds himself how many; raises `ActorGone`.

        Those that are posted so go into the outboxes in this order, whatever their audiences.
        Returns the reply that tells when.
        """
        publish = PublishWide(audience, encoded, volatile)
        self.tell_surely(publish)
        return publish.reply

    def publish_alone(
        self, member: Member, encoded: Encoded, *, volatile: bool, asks: Survey | None = None
    ) -> Delivery:
        """Put an event into the outbox of one socket, if it is connected."""
        if member.id not in self.sockets:
            return Delivery(0)
        return _send(encoded, member, None, volatile=volatile, asks=asks)

    def has_alone(self, names: Collection[str]) -> bool:
        """Whether no other node has anybody in these rooms: they are ids of sockets of this one.

        Also of those that are away from here. No rooms at all have nobody anywhere.
        """
        if self._own_rooms_are_rooms:
            return not names
        return all(name in self.sockets or name in self.away for name in names)

    def _way_to(self, name: str | None) -> RoomActor | Member | None:
        """Return the room, or the socket with that id, to which an event for it alone can go.

        None: it goes through here, behind what waits here for the same name.
        """
        if name is None or name in self._on_way:
            return None
        member = self.sockets.get(name)
        if member is None:
            return self.rooms.get(name)
        return None if self._own_rooms_are_rooms and self._is_like_others(member) else member

    def _is_like_others(self, member: Member) -> bool:
        """Whether others are in a socket's own room, or it has left that."""
        return member.id in self.rooms or not member.at_home

    def _room(self, name: str) -> RoomActor | None:
        """Return a room to post to; None: what is for it is posted here, behind what waits here."""
        return None if name in self._on_way else self.rooms.get(name)

    def _arrive(self, name: str) -> None:
        self._on_way[name] -= 1
        if not self._on_way[name]:
            del self._on_way[name]

    def _host(self, name: str) -> AsyncActor[Any] | None:
        room = self.rooms.get(name)
        return None if room is None else room.host

    async def _post(self, name: str, message: Join | Told | Asked) -> None:
        """Post to the room of that name, alive or not; waits for a place."""
        while True:
            room = self._room(name)
            try:
                if room is None:
                    await self._post_here(name, message)
                elif room.host is None and not isinstance(message, Join):
                    raise no_host(name)
                else:
                    await room.entrance.tell(message)
                return
            except ActorGone:
                if room is None or self.rooms.get(name) is room:  # not one life has ended: all have
                    raise BrokerNotRunning("a room") from None

    async def _post_here(self, name: str, message: Join | Told | Asked) -> None:
        self._check_open(name)
        self._on_way[name] += 1  # before it waits for a place: nobody shall pass it meanwhile
        try:
            await self.tell(OpenRoom(name, message))
        except BaseException:
            self._arrive(name)
            raise

    def _check_open(self, name: str) -> None:
        """Raise `BrokerNotRunning` when the room would have to be born, and none is any more."""
        if self.closing and name not in self.rooms:
            raise BrokerNotRunning("a room")


def _one_name(audience: Audience) -> str | None:
    """Return the only name that was chosen, if it is one and there are no exceptions."""
    if audience.rooms is None or len(audience.rooms) != 1 or audience.excluded:
        return None
    (name,) = audience.rooms
    return name


def _send(
    encoded: Encoded,
    member: Member,
    sender: Member | None,
    *,
    volatile: bool,
    asks: Survey | None = None,
) -> Delivery:
    """Send an event to one socket alone: nobody else can see another order."""
    if member.gone:  # it may come back
        if not volatile and member is not sender:
            member.push(encoded)
        return Delivery(0)
    if member is sender or (sender is not None and sender.now is member):
        return Delivery(0)
    if put(encoded, member, member.send, volatile=volatile, survey=asks):
        return Delivery(1)
    return Delivery(0, int(not member.gone))


def no_host(name: str) -> LookupError:
    """Return what tells that a plain room cannot be asked or told."""
    return LookupError(
        f"the room {name!r} has nobody to ask or tell until it begins anew: its `room_type` was "
        "registered while it lived"
    )
