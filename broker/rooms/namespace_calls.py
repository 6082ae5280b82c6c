"""What other tasks call of a namespace's actor besides publishing: join, leave, ask, tell.

They run in the caller's task, so they may wait, and see to what it means that they are cancelled.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeAlias, TypeVar

import trio

from actors import Actor, ActorCycle, ActorGone, Ask
from actors.async_actor import circle_with, current_actor, waiting_for
from broker.values.errors import BrokerNotRunning, JoinRefused, SocketDisconnected

from .messages import (
    Asked,
    Depart,
    Join,
    Leave,
    Member,
    OpenRoom,
    Remove,
    RoomMessage,
    Told,
)
from .namespace_routes import NamespaceRoutes, no_host

logger = logging.getLogger("atrio.room")

T = TypeVar("T")

Entry: TypeAlias = tuple[str, Join]
"""A room that a socket has entered, and by which join."""


class NamespaceCalls(NamespaceRoutes):
    """A namespace, to be entered and asked."""

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
        find = partial(self._host, name)
        with self._counting(member, name):
            while True:
                join = Join(member)
                with waiting_for(find, join):
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
        with waiting_for(partial(self._host, name), question):
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
        told = Told(message)
        with _dropped_from_a_room(name):
            while True:
                host = find()
                if host is not None and circle_with(host) is not None:
                    host.tell_surely(told)
                    break
                with suppress(ActorCycle):  # it has come to wait for us: nothing is posted
                    with waiting_for(find):
                        await self._post(name, told)
                    break
        await trio.lowlevel.cancel_shielded_checkpoint()

    def tell_room_nowait(self, name: str, message: object) -> None:
        """Tell it something; raises `MailboxFull`, and does as `tell_room` when it closes."""
        room = self._room(name)
        told = Told(message)
        if room is not None and room.host is None:
            raise no_host(name)
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


async def _let_out(leaves: list[tuple[Actor[RoomMessage], Leave]]) -> None:
    posted = []
    for room, leave in leaves:
        with suppress(ActorGone):
            room.tell_surely(leave)
            posted.append(leave)
    for leave in posted:
        with suppress(ActorGone):
            await leave.reply.wait()
