"""A namespace's actor: it owns its sockets and which rooms there are.

What concerns one room goes to that room. What concerns several (a union, an exception, everybody)
is one message here: the rooms' members are read in one sync step, and pushed to in the same. To
post to each room and let the first one win per socket would give two members two orders.

The other direction is free of waiting: this actor never waits for a room.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar, assert_never

import trio

from actors import Actor, ActorGone, MailboxFull, Restart, Supervisor

from .encoded import Encoded
from .errors import BrokerNotRunning, JoinRefused
from .fanout import fan_out
from .messages import (
    Admit,
    Audience,
    Delivery,
    Join,
    Leave,
    Member,
    NamespaceMessage,
    OpenRoom,
    Publish,
    PublishWide,
    Remove,
    Retire,
    RoomMessage,
)
from .room import RoomActor

M = TypeVar("M")


class NamespaceActor(Actor[NamespaceMessage]):
    """`sockets` and `rooms` by id and name; read by anybody, written by this actor's turns.

    The methods below the turn are called by other tasks: they find out whom to ask.
    """

    def __init__(self, name: str, supervisor: Supervisor) -> None:
        super().__init__(name)
        self._supervisor = supervisor
        self.sockets: dict[str, Member] = {}
        self.rooms: dict[str, RoomActor] = {}

    def receive(self, message: NamespaceMessage) -> None:
        """Handle one message."""
        match message:
            case PublishWide(audience=audience, encoded=encoded, volatile=volatile, reply=reply):
                reply.send(fan_out(encoded, self.select(audience), volatile=volatile))
            case Admit(member=member, reply=reply):
                if not member.gone:
                    self.sockets[member.id] = member
                    member.admitted()
                reply.send(not member.gone)
            case Remove(member=member, reply=reply):
                self.sockets.pop(member.id, None)
                reply.send(None)
            case OpenRoom(name=name, join=join):
                self._open_room(name, join)
            case Retire(room=room, reply=reply):
                reply.send(self._may_retire(room))
            case _:
                assert_never(message)

    def _open_room(self, name: str, join: Join) -> None:
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = RoomActor(name, self._retire)
            self._supervisor.start_soon(
                room.run,
                name=f"room {name!r} of {self.name}",
                restart=Restart.DROP,
                on_end=lambda: self._forget(room),
            )
        try:
            room.tell_nowait(join)
        except MailboxFull as full:  # somebody opened it meanwhile, and it is busy
            join.reply.fail(full)

    def _may_retire(self, room: Actor[RoomMessage]) -> bool:
        # In one step with the answer: nobody can post to the room in between.
        assert isinstance(room, RoomActor)
        if room.members or len(room.mailbox):
            return False
        self._forget(room)
        room.mailbox.close()
        return True

    def _forget(self, room: RoomActor) -> None:
        if self.rooms.get(room.name) is room:
            del self.rooms[room.name]
        for member in room.members:  # only a room that failed still has some
            member.room_actors.pop(room.name, None)

    async def _retire(self, room: RoomActor) -> bool:
        return await self.ask(Retire(room))

    def select(self, audience: Audience) -> Iterable[Member]:
        """Return who is in the audience now, each once."""
        selected: dict[Member, None] = {}
        if audience.rooms is None:
            selected = dict.fromkeys(self.sockets.values())
        else:
            for name in sorted(audience.rooms):
                selected.update(dict.fromkeys(self.members(name)))
        for name in audience.excluded:
            for member in self.members(name):
                selected.pop(member, None)
        if audience.sender is not None:
            selected.pop(audience.sender, None)
        return selected

    def members(self, name: str) -> Iterable[Member]:
        """Return who is in a room now; a socket's id is a room with that socket in it."""
        socket = self.sockets.get(name)
        if socket is not None:
            return (socket,)
        room = self.rooms.get(name)
        return () if room is None else room.members

    def abandon(self, message: NamespaceMessage) -> None:
        """Answer what waits when the broker ends."""
        if isinstance(message, OpenRoom):
            message.join.reply.fail(BrokerNotRunning("join"))
        else:
            super().abandon(message)

    # What other tasks call.

    async def publish(
        self, audience: Audience, encoded: Encoded, *, volatile: bool = False
    ) -> Delivery:
        """Put an event into the outboxes of its audience; returns when it is in all of them."""
        try:
            if (room := self._one_room(audience)) is not None:
                return await room.ask(Publish(encoded, audience.sender, volatile))
            return await self.ask(PublishWide(audience, encoded, volatile))
        except ActorGone:
            return Delivery(0)

    def publish_nowait(
        self, audience: Audience, encoded: Encoded, *, volatile: bool = False
    ) -> None:
        """Post an event for its audience; raises `MailboxFull`."""
        with suppress(ActorGone):
            if (room := self._one_room(audience)) is not None:
                room.tell_nowait(Publish(encoded, audience.sender, volatile))
            else:
                self.tell_nowait(PublishWide(audience, encoded, volatile))

    def _one_room(self, audience: Audience) -> RoomActor | None:
        """Return the room an event concerns alone, if there is one."""
        if audience.rooms is None or len(audience.rooms) != 1 or audience.excluded:
            return None
        (name,) = audience.rooms
        return None if name in self.sockets else self.rooms.get(name)

    async def join(self, member: Member, name: str) -> None:
        """Let `member` into a room, which is brought to life if need be.

        Raises `JoinRefused`, or `SocketDisconnected` when it has gone.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if name in self.sockets:
            if name == member.id:
                return
            raise JoinRefused("this room is another socket's own", room=name)
        while True:
            join = Join(member)
            try:
                if (room := self.rooms.get(name)) is not None:
                    await room.ask(join)
                else:
                    await self._open(OpenRoom(name, join))
                return
            except (ActorGone, MailboxFull):
                continue  # the room ended, or began, meanwhile: ask the one there is now

    async def _open(self, message: OpenRoom) -> None:
        try:
            await self.mailbox.post(message)
        except ActorGone:
            raise BrokerNotRunning("join") from None
        await message.join.reply.wait()

    async def leave(self, member: Member, *names: str) -> None:
        """Let `member` out of rooms. It leaves them even when the caller is cancelled."""
        messages = []
        for name in names:
            room = member.room_actors.get(name)
            if room is not None:
                message = Leave(member)
                with suppress(ActorGone):
                    await _tell_surely(room, message)
                    messages.append(message)
        for message in messages:
            with suppress(ActorGone):
                await message.reply.wait()

    async def remove(self, member: Member) -> None:
        """Let `member` out of all its rooms, and forget it, even when the caller is cancelled."""
        with trio.CancelScope(shield=True), suppress(ActorGone):
            await self.leave(member, *member.room_actors)
            await self.ask(Remove(member))


async def _tell_surely(actor: Actor[M], message: M) -> None:
    """Post, whatever happens to the caller; raises `ActorGone`."""
    try:
        actor.tell_nowait(message)
    except MailboxFull:
        with trio.CancelScope(shield=True):  # no longer than the actor's turn
            await actor.tell(message)
