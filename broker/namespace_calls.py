"""What other tasks call of a namespace's actor: publish, join, leave, ask, tell.

They run in the caller's task, so they may wait: they find out whom to ask, which may be a room, or
the namespace when there is none of that name.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias, TypeVar

import trio

from actors import Actor, ActorGone, Ask, AsyncActor
from actors.async_actor import circle_with, current_actor, handling_actor, waiting_for

from .encoded import Encoded
from .errors import BrokerNotRunning, JoinRefused, SocketDisconnected
from .fanout import put
from .messages import (
    Asked,
    Audience,
    Delivery,
    Depart,
    Join,
    Leave,
    Listener,
    Member,
    NamespaceMessage,
    OpenRoom,
    Publish,
    PublishBehind,
    PublishWide,
    Remove,
    RoomMessage,
    Told,
)
from .options import Options
from .room_actor import RoomActor
from .room_host import RoomHost
from .survey import Survey

logger = logging.getLogger("atrio.room")

T = TypeVar("T")

Entry: TypeAlias = tuple[str, Join]
"""A room that a socket has entered, and by which join."""


class NamespaceCalls(Actor[NamespaceMessage]):
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
        self._on_way: Counter[str] = Counter()  # rooms for which something waits in the mailbox
        self._entering: dict[Member, Counter[str]] = {}  # rooms whose answer is awaited

    async def publish(
        self,
        audience: Audience,
        encoded: Encoded,
        *,
        volatile: bool = False,
        asks: Survey | None = None,
    ) -> Delivery:
        """Put an event into the outboxes of its audience; returns when it is in all of them.

        `asks`: what expects their acks. When the broker has ended, nobody gets it.
        """
        straight = self._way_to(_one_name(audience))
        try:
            if straight is None:
                delivery = await self.ask(PublishWide(audience, encoded, volatile, asks))
            elif isinstance(straight, RoomActor):
                delivery = await straight.ask(Publish(encoded, audience.sender, volatile, asks))
            else:
                await trio.lowlevel.checkpoint_if_cancelled()
                delivery = _send(encoded, straight, audience.sender, volatile=volatile, asks=asks)
                await trio.lowlevel.cancel_shielded_checkpoint()
                return delivery
        except ActorGone:
            return Delivery(0)
        host = handling_actor()
        if isinstance(host, RoomHost) and host.joiner is not None:
            host.joiner.note_emitted(host.room, encoded)
        return delivery

    def publish_nowait(
        self, audience: Audience, encoded: Encoded, *, volatile: bool = False
    ) -> None:
        """Post an event for its audience; raises `MailboxFull`."""
        name = _one_name(audience)
        straight = self._way_to(name)
        with suppress(ActorGone):
            if isinstance(straight, RoomActor):
                straight.tell_nowait(Publish(encoded, audience.sender, volatile))
            elif straight is not None:
                _send(encoded, straight, audience.sender, volatile=volatile)
            elif name is None:
                self.tell_nowait(PublishWide(audience, encoded, volatile))
            else:
                self.tell_nowait(PublishBehind(name, PublishWide(audience, encoded, volatile)))
                self._on_way[name] += 1

    def publish_alone(
        self, member: Member, encoded: Encoded, *, volatile: bool, asks: Survey | None = None
    ) -> Delivery:
        """Put an event into the outbox of one socket, if it is connected."""
        if member.id not in self.sockets:
            return Delivery(0)
        return _send(encoded, member, None, volatile=volatile, asks=asks)

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
                    raise _no_host(name)
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

    async def join(self, member: Member, name: str) -> Join | None:
        """Let `member` into a room, which is brought to life if need be.

        Returns the join, or None when the member was in already. Raises `JoinRefused`, also for one
        room too many, what the room's `on_join` raises, `ActorCycle`, or `SocketDisconnected` when
        the member has gone.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if name in self.sockets or name in self.away:
            if name == member.id:
                member.at_home = True
                return None
            if not self._own_rooms_are_rooms:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise JoinRefused("this room is another socket's own", room=name)
        with self._counting(member, name), waiting_for(partial(self._host, name)):
            while True:
                join = Join(member)
                await self._post(name, join)
                with suppress(ActorGone):  # the room ended before it came to this
                    return join if await join.reply.wait() else None

    @contextmanager
    def _counting(self, member: Member, name: str) -> Iterator[None]:
        """Count a room that `member` is about to enter; raises `JoinRefused` if it is one more."""
        entered, entering = member.room_actors, self._entering.setdefault(member, Counter())
        entering[name] += 1
        try:
            most = self._options.max_rooms_per_socket
            if len(entered) + len(entering) > most and len(entered.keys() | entering) > most:
                logger.info(
                    "%s: socket %s may not enter %r: max_rooms_per_socket=%d",
                    self.name,
                    member.id,
                    name,
                    most,
                )
                raise JoinRefused(f"in too many rooms: max_rooms_per_socket={most}", room=name)
            yield
        finally:
            entering[name] -= 1
            if not entering[name]:
                del entering[name]
            if not entering:
                self._entering.pop(member, None)

    async def enter(self, member: Member, rooms: Iterable[str], entered: list[Entry]) -> None:
        """Let `member` into rooms, one after the other; note those that it was not in before.

        Raises as `join`. What it was let into before that, it is still in: see `undo`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        for name in rooms:
            if member.gone:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise SocketDisconnected(member.id)
            join = await self.join(member, name)
            if join is not None:
                entered.append((name, join))

    async def leave(self, members: Collection[Member], rooms: Iterable[str]) -> None:
        """Let members out of rooms, in one step. They leave even when the caller is cancelled."""
        names = tuple(rooms)
        if self._own_rooms_are_rooms:
            for member in members:
                if member.id in names and member.id in self.sockets:
                    member.at_home = False
        await _let_out(
            [
                (room, Leave(member))
                for member in members
                for name in names
                if (room := self.rooms.get(name)) is not None and room.concerns(member)
            ]
        )

    @staticmethod
    async def undo(entered: Iterable[Entry]) -> None:
        """Undo joins, where nobody has joined the member again since; cannot be cancelled."""
        leaves = [
            (room, Leave(join.member, undoes=join))
            for name, join in entered
            if (room := join.member.now.room_actors.get(name)) is not None
        ]
        with trio.CancelScope(shield=True):  # rooms answer within a turn
            await _let_out(leaves)

    async def remove(self, member: Member) -> None:
        """Let `member` out of all its rooms, and forget it, even when the caller is cancelled."""
        with trio.CancelScope(shield=True), suppress(ActorGone):
            kept = () if member.seat is None else member.seat.room_actors
            await self.leave([member], [*member.room_actors, *kept])
            await self.ask(Remove(member))

    async def depart(self, member: Member) -> None:
        """As `remove`, but have its seat be in the namespace and its rooms instead."""
        with trio.CancelScope(shield=True), suppress(ActorGone):
            await self.ask(Depart(member))

    async def ask_room(self, name: str, question: Ask[T]) -> T:
        """Ask a room of a user's type, which is brought to life if need be."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with waiting_for(partial(self._host, name)):
            reply = question.begin_again()
            try:
                await self._post(name, Asked(question, reply))
            except BaseException:
                reply.withdraw()
                raise
            return await reply.wait(patience=self._options.disconnect_timeout)

    async def tell_room(self, name: str, message: object) -> None:
        """Tell it something; waits for a place, but not for a room that waits for the caller.

        What a room tells while the broker closes, and nobody can handle, is dropped.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        find = partial(self._host, name)
        host = find()
        with _dropped_from_a_room(name):
            if host is not None and self._room(name) and circle_with(host) is not None:
                host.tell_surely(Told(message))
            else:
                with waiting_for(find):
                    await self._post(name, Told(message))
        await trio.lowlevel.cancel_shielded_checkpoint()

    def tell_room_nowait(self, name: str, message: object) -> None:
        """Tell it something; raises `MailboxFull`, and does as `tell_room` when it closes."""
        room = self._room(name)
        told = Told(message)
        if room is not None and room.host is None:
            raise _no_host(name)
        with _dropped_from_a_room(name):
            try:
                if room is not None:
                    room.entrance.tell_nowait(told)
                else:
                    self._check_open(name)
                    self.tell_nowait(OpenRoom(name, told))
                    self._on_way[name] += 1
            except ActorGone:
                raise BrokerNotRunning("a room") from None


def checked_room(room: str, longest: int | None = None) -> str:
    """Return the name of a room; raises TypeError or ValueError for what may be none.

    `longest`: how many characters the name of one that is entered may have.
    """
    if not isinstance(room, str):
        raise TypeError(f"expected the name of a room (str), saw {room!r}")
    if not room:
        raise ValueError("expected the name of a room, saw an empty one")
    if longest is not None and len(room) > longest:
        raise ValueError(
            f"expected the name of a room of at most max_name_length={longest} characters, saw "
            f"{len(room)}: {room[:20]!r}…"
        )
    return room


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
