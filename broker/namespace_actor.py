"""A namespace's actor: it owns its sockets and which rooms there are.

What concerns one room goes to that room. What concerns several (a union, an exception, everybody)
is one message here: the rooms' members are read in one sync step, and pushed to in the same. To
post to each room and let the first one win per socket would give two members two orders.

The other direction is free of waiting: this actor never waits for a room.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar, assert_never

import trio

from actors import Actor, ActorGone, Ask, AsyncActor, Restart, Supervisor
from actors.async_actor import circle_with, current_actor, waiting_for

from .encoded import Encoded
from .errors import BrokerNotRunning, JoinRefused
from .fanout import fan_out
from .messages import (
    Admit,
    Asked,
    Audience,
    Delivery,
    Doubt,
    FinishRooms,
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
    Told,
)
from .options import Options
from .room_actor import RoomActor
from .room_host import Hooks, RoomHost

logger = logging.getLogger("atrio.room")

T = TypeVar("T")

RoomMaker = Callable[[str], Callable[[], Hooks] | None]


class NamespaceActor(Actor[NamespaceMessage]):
    """`sockets` and `rooms` by id and name; read by anybody, written by this actor's turns.

    The methods below the turn are called by other tasks: they find out whom to ask.
    """

    def __init__(
        self, name: str, supervisor: Supervisor, options: Options, room_maker: RoomMaker
    ) -> None:
        """`room_maker` returns what makes a room of a user's type; None: its name fits none."""
        super().__init__(name)
        self._supervisor = supervisor
        self._options = options
        self._room_maker = room_maker
        self._closing = False  # whether the rooms end, and no other is born
        self.sockets: dict[str, Member] = {}
        self.rooms: dict[str, RoomActor] = {}

    def receive(self, message: NamespaceMessage) -> None:
        """Handle one message."""
        match message:
            case PublishWide(audience=audience, encoded=encoded, volatile=volatile, reply=reply):
                reply.send(self._publish(audience, encoded, volatile))
            case Admit(member=member, reply=reply):
                if not member.gone:
                    self.sockets[member.id] = member
                    member.admitted()
                reply.send(not member.gone)
            case Remove(member=member, reply=reply):
                self.sockets.pop(member.id, None)
                reply.send(None)
            case OpenRoom(name=name, first=first):
                self._open_room(name, first)
            case Retire(room=room, reply=reply):
                reply.send(self._may_retire(room))
            case FinishRooms(reply=reply):
                self._closing = True
                for host in self._hosts:
                    host.finish()
                reply.send(None)
            case _:
                assert_never(message)

    def _open_room(self, name: str, first: Join | Told | Asked) -> None:
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = RoomActor(name, self._retire)
            make = self._room_maker(name)
            if make is not None:
                room.host = host = RoomHost(room, make, self._retire, self._options, self.name)
                if self._closing:
                    host.finish()
                self._start(room, room.host, f"host of room {name!r} of {self.name}")
            self._start(room, room, f"room {name!r} of {self.name}")
        room.entrance.tell_surely(first)

    def _start(self, room: RoomActor, actor: Actor[Any], task_name: str) -> None:
        self._supervisor.start_soon(
            actor.run, name=task_name, restart=Restart.DROP, on_end=lambda: self._forget(room)
        )

    def _may_retire(self, room: Actor[RoomMessage]) -> bool:
        # In one step with the answer: nobody can post to the room in between.
        assert isinstance(room, RoomActor)
        if room.members or len(room.entrance.mailbox):
            return False
        self._forget(room)
        return True

    def _forget(self, room: RoomActor) -> None:
        if self.rooms.get(room.name) is room:
            del self.rooms[room.name]
        for member in room.members:  # only a room that failed still has some
            member.room_actors.pop(room.name, None)
        room.mailbox.close()
        room.entrance.mailbox.close()

    async def _retire(self, room: RoomActor) -> bool:
        return await self.ask(Retire(room))

    # Who gets what.

    def _publish(self, audience: Audience, encoded: Encoded, volatile: bool) -> Delivery:
        selected = self.select(audience)
        doubts = self._doubts(audience, selected)
        for member in doubts:
            selected.pop(member, None)
        delivery = fan_out(encoded, selected, volatile=volatile)
        sure = sum(doubt.sure for doubt in doubts.values())
        if volatile:  # it is not for those who cannot have it at once
            for member, doubt in doubts.items():
                if doubt.sure:
                    member.missed()
            return Delivery(delivery.recipients, delivery.dropped + sure)
        for member, doubt in doubts.items():
            member.keep(encoded, doubt)
        return Delivery(delivery.recipients + sure, delivery.dropped)

    def _doubts(self, audience: Audience, selected: dict[Member, None]) -> dict[Member, Doubt]:
        """Return those for whom joins decide, whose `on_join` runs, whether they are selected."""
        doubts: dict[Member, Doubt] = {}
        for name in audience.rooms or ():
            for member in self._joining(name):
                doubts.setdefault(member, Doubt()).via.add(self.rooms[name])
        for name in audience.excluded:
            for member in self._joining(name):
                doubts.setdefault(member, Doubt()).unless.add(self.rooms[name])
        if doubts:
            doubts.pop(audience.sender, None)  # type: ignore[arg-type]  # there may be none
            for name in audience.excluded:
                for member in self.members(name):
                    doubts.pop(member, None)
            for member, doubt in list(doubts.items()):
                doubt.sure = member in selected
                if not doubt.sure and not doubt.via:
                    del doubts[member]
        return doubts

    def _joining(self, name: str) -> Iterable[Member]:
        room = self.rooms.get(name)
        return () if room is None else room.joining

    def select(self, audience: Audience) -> dict[Member, None]:
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
        match message:
            case OpenRoom(first=Join(reply=reply) | Asked(question=Ask(reply=reply))):
                reply.fail(BrokerNotRunning("a room"))
            case OpenRoom(name=name):
                logger.warning("room %r: what it was told is dropped: the broker ends", name)
            case _:
                super().abandon(message)

    @property
    def _hosts(self) -> list[RoomHost]:
        return [room.host for room in self.rooms.values() if isinstance(room.host, RoomHost)]

    async def close_rooms(self) -> None:
        """Let the rooms of users' types end with what they have to do; cancelled, wait no more."""
        with suppress(ActorGone):  # those that were to be born before this come first
            await self.ask(FinishRooms())
        while hosts := self._hosts:
            await hosts[0].ended.wait()

    def cut_rooms(self) -> None:
        """Cut short what the rooms of users' types do."""
        for host in self._hosts:
            host.cut()

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

    def _host(self, name: str) -> AsyncActor[Any] | None:
        room = self.rooms.get(name)
        return None if room is None else room.host

    async def _post(self, name: str, message: Join | Told | Asked) -> None:
        """Post to the room of that name, alive or not; waits for a place."""
        while True:
            room = self.rooms.get(name)
            try:
                if room is None and self._closing:
                    raise BrokerNotRunning("a room")
                if room is None:
                    await self.tell(OpenRoom(name, message))
                elif room.host is None and not isinstance(message, Join):
                    raise _no_host(name)
                else:
                    await room.entrance.tell(message)
                return
            except ActorGone:
                if self.rooms.get(name) is room:  # it is not this life that has ended: all have
                    raise BrokerNotRunning("a room") from None

    async def join(self, member: Member, name: str) -> Join | None:
        """Let `member` into a room, which is brought to life if need be.

        Returns the join, or None when the member was in already. Raises `JoinRefused`, what the
        room's `on_join` raises, `ActorCycle`, or `SocketDisconnected` when the member has gone.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if name in self.sockets:
            if name == member.id:
                return None
            raise JoinRefused("this room is another socket's own", room=name)
        with waiting_for(partial(self._host, name)):
            while True:
                join = Join(member)
                await self._post(name, join)
                with suppress(ActorGone):  # the room ended before it came to this
                    return join if await join.reply.wait() else None

    async def leave(self, member: Member, *names: str) -> None:
        """Let `member` out of rooms. It leaves them even when the caller is cancelled."""
        rooms = [member.room_actors[name] for name in names if name in member.room_actors]
        await _let_out([(room, Leave(member)) for room in rooms])

    async def undo(self, joins: Iterable[Join]) -> None:
        """Undo joins, where nobody has joined the member again since; cannot be cancelled."""
        leaves = [
            (room, Leave(join.member, undoes=join))
            for join in joins
            for room in join.member.room_actors.values()
        ]
        with trio.CancelScope(shield=True):  # rooms answer within a turn
            await _let_out(leaves)

    async def remove(self, member: Member) -> None:
        """Let `member` out of all its rooms, and forget it, even when the caller is cancelled."""
        with trio.CancelScope(shield=True), suppress(ActorGone):
            await self.leave(member, *member.room_actors)
            await self.ask(Remove(member))

    async def ask_room(self, name: str, question: Ask[T]) -> T:
        """Ask a room of a user's type, which is brought to life if need be."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with waiting_for(partial(self._host, name)):
            question.begin()
            await self._post(name, Asked(question))
            return await question.reply.wait(patience=self._options.disconnect_timeout)

    async def tell_room(self, name: str, message: object) -> None:
        """Tell it something; waits for a place, but not for a room that waits for the caller.

        What a room tells while the broker closes, and nobody can handle, is dropped.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        find = partial(self._host, name)
        host = find()
        with _dropped_from_a_room(name):
            if host is not None and circle_with(host) is not None:
                host.tell_surely(Told(message))
            else:
                with waiting_for(find):
                    await self._post(name, Told(message))
        await trio.lowlevel.cancel_shielded_checkpoint()

    def tell_room_nowait(self, name: str, message: object) -> None:
        """Tell it something; raises `MailboxFull`, and does as `tell_room` when it closes."""
        room = self.rooms.get(name)
        told = Told(message)
        if room is not None and room.host is None:
            raise _no_host(name)
        with _dropped_from_a_room(name):
            try:
                if room is not None:
                    room.entrance.tell_nowait(told)
                elif self._closing:
                    raise BrokerNotRunning("a room")
                else:
                    self.tell_nowait(OpenRoom(name, told))
            except ActorGone:
                raise BrokerNotRunning("a room") from None


@contextmanager
def _dropped_from_a_room(name: str) -> Iterator[None]:
    """Let no code of a room hear that the broker ends: it has to end, too, in its own way."""
    try:
        yield
    except (ActorGone, BrokerNotRunning):
        teller = current_actor()
        if teller is None:
            raise
        logger.warning(
            "room %r: what room %r tells it is dropped: it has ended, or would have to be born, "
            "while the broker closes",
            name,
            teller.name,
        )


def _no_host(name: str) -> LookupError:
    return LookupError(
        f"the room {name!r} has nobody to ask or tell until it begins anew: its `room_type` was "
        "registered while it lived"
    )


async def _let_out(leaves: list[tuple[Actor[RoomMessage], Leave]]) -> None:
    posted = []
    for room, leave in leaves:
        with suppress(ActorGone):
            room.tell_surely(leave)
            posted.append(leave)
    for leave in posted:
        with suppress(ActorGone):
            await leave.reply.wait()
