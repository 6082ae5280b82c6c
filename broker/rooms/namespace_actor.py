"""A namespace's actor: it owns its sockets and which rooms there are.

What concerns one room goes to that room. What concerns several (a union, an exception, everybody)
is one message here: the rooms' members are read in one sync step, and pushed to in the same. To
post to each room and let the first one win per socket would give two members two orders.

The other direction is free of waiting: this actor never waits for a room.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, assert_never

from actors import Actor, ActorGone, Restart, Supervisor
from broker.values.errors import BrokerNotRunning
from broker.values.options import Options

from .fanout import fan_out
from .messages import (
    Admit,
    Asked,
    Audience,
    Delivery,
    Depart,
    Doubt,
    FinishRooms,
    Join,
    Leave,
    Listener,
    Member,
    NamespaceMessage,
    OpenRoom,
    PublishBehind,
    PublishWide,
    Remove,
    Retire,
    RoomMessage,
    Told,
    Unvisited,
)
from .namespace_calls import NamespaceCalls
from .room_actor import RoomActor
from .room_events import RoomEvents
from .room_host import Hooks, RoomHost

logger = logging.getLogger("atrio.room")

RoomMaker = Callable[[str], Callable[[], Hooks] | None]
Interest = Callable[[str, bool], None]


class NamespaceActor(NamespaceCalls):
    """Its `sockets`, `rooms` and `closing` are read by anybody, and written by its turns."""

    def __init__(
        self,
        name: str,
        supervisor: Supervisor,
        options: Options,
        room_maker: RoomMaker,
        room_events: RoomEvents,
        interest: Interest | None = None,
    ) -> None:
        """`room_maker` returns what makes a room of a user's type; None: its name fits none.

        `interest` hears of rooms, and ids of sockets, that come to be and go.
        """
        super().__init__(name, options)
        self._supervisor = supervisor
        self._room_maker = room_maker
        self._room_events = room_events
        self._interest = interest
        self._recipients: Callable[[Audience], dict[Any, None]] = (
            self.select if options.connection_state_recovery is None else self._all
        )

    def receive(self, message: NamespaceMessage) -> None:
        """Handle one message."""
        match message:
            case PublishWide(reply=reply):
                reply.send(self._publish(message))
            case PublishBehind(name=name, publish=publish):
                self._arrive(name)
                publish.reply.send(self._publish(publish))
            case Admit(member=member, reply=reply):
                if not member.gone:
                    self._admit(member)
                reply.send(not member.gone)
            case Remove(member=member, reply=reply):
                self._remove(member)
                reply.send(None)
            case Depart(member=member, reply=reply):
                self._depart(member)
                reply.send(None)
            case OpenRoom(name=name, first=first):
                self._arrive(name)
                self._open_room(name, first)
            case Retire(room=room, reply=reply):
                reply.send(self._may_retire(room))
            case FinishRooms(reply=reply):
                self.closing = True
                for host in self._hosts:
                    host.finish()
                reply.send(None)
            case Unvisited():
                pass  # the actor looks between its turns, if it ever rests
            case _:
                assert_never(message)

    # Coming and going.

    def _admit(self, member: Member) -> None:
        self.sockets[member.id] = member
        if self._interest is not None:
            self._interest(member.id, True)
        seat = self.away.pop(member.id, None)
        if seat is not None:
            for name in list(seat.room_actors):
                self.rooms[name].give_back(seat, member)
        member.admitted()

    def _remove(self, listener: Listener) -> None:
        if self.sockets.get(listener.id) is listener:
            del self.sockets[listener.id]
        elif self.away.get(listener.id) is listener:
            del self.away[listener.id]
            for room in listener.room_actors.values():
                with suppress(ActorGone):
                    room.tell_surely(Leave(listener))
        else:
            return
        if self._interest is not None:
            self._interest(listener.id, False)

    def _depart(self, member: Member) -> None:
        # In one step: whoever emits to several rooms finds the one or the other, never both.
        seat = member.seat
        assert seat is not None
        del self.sockets[member.id]
        self.away[seat.id] = seat
        for name in [*member.room_actors, *seat.room_actors]:
            self.rooms[name].keep_seat(member, seat)
        member.departed()

    # Rooms.

    def _open_room(self, name: str, first: Join | Told | Asked) -> None:
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = RoomActor(name, self._retire, self._room_events)
            if self._interest is not None:
                self._interest(name, True)
            make = self._room_maker(name)
            if make is not None:
                room.host = host = RoomHost(room, make, self._retire, self._options, self.name)
                if self.closing:
                    host.finish()
                self._start(room, room.host, f"host of room {name!r} of {self.name}")
            self._start(room, room, f"room {name!r} of {self.name}")
        try:
            room.entrance.tell_surely(first)
        except ActorGone:  # it was cut short, as the broker ends
            self.abandon(OpenRoom(name, first))

    def _start(self, room: RoomActor, actor: Actor[Any], task_name: str) -> None:
        self._supervisor.start_soon(
            actor.run, name=task_name, restart=Restart.DROP, on_end=lambda: self._forget(room)
        )

    def _may_retire(self, room: Actor[RoomMessage]) -> bool:
        # In one step with the answer: nobody can post to the room in between.
        assert isinstance(room, RoomActor)
        if room.members or room.away or len(room.entrance.mailbox):
            return False
        self._forget(room)
        return True

    def _forget(self, room: RoomActor) -> None:
        if self.rooms.get(room.name) is room:
            del self.rooms[room.name]
            if self._interest is not None:
                self._interest(room.name, False)
        room.disband()
        room.mailbox.close()
        room.entrance.mailbox.close()

    async def _retire(self, room: RoomActor) -> bool:
        return await self.ask(Retire(room))

    # Who gets what.

    def _publish(self, publish: PublishWide) -> Delivery:
        audience, encoded, volatile = publish.audience, publish.encoded, publish.volatile
        selected = self._recipients(audience)
        doubts = self._doubts(audience, selected)
        for member in doubts:
            selected.pop(member, None)
        delivery = fan_out(encoded, selected, volatile=volatile, survey=publish.asks)
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

    def _all(self, audience: Audience) -> dict[Listener, None]:
        """Return who gets what is for the audience now: as `select`, and who is away from it.

        Who is about to come back stands for nobody yet: his seat does.
        """
        selected: dict[Listener, None] = {}
        if audience.rooms is None:
            selected = dict.fromkeys([*self.sockets.values(), *self.away.values()])
        else:
            for name in sorted(audience.rooms):
                selected.update(dict.fromkeys(each.now for each in self._listeners(name)))
        for name in audience.excluded:
            for each in self._listeners(name):
                selected.pop(each.now, None)
        if audience.sender is not None:
            selected.pop(audience.sender.now, None)
        return selected

    def _listeners(self, name: str) -> Iterable[Listener]:
        one = self.sockets.get(name) or self.away.get(name)
        if one is not None:
            return (one,)
        room = self.rooms.get(name)
        return () if room is None else (*room.members, *room.away)

    def members(self, name: str) -> Iterable[Member]:
        """Return who is in a room now; a socket's id is a room with that socket in it."""
        socket = self.sockets.get(name)
        if socket is not None and not (self._own_rooms_are_rooms and self._is_like_others(socket)):
            return (socket,)
        room = self.rooms.get(name)
        members: Iterable[Member] = () if room is None else room.members
        return (socket, *members) if socket is not None and socket.at_home else members

    def abandon(self, message: NamespaceMessage) -> None:
        """Answer what waits when the broker ends."""
        match message:
            case OpenRoom(first=Join(reply=reply) | Asked(reply=reply)):
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
