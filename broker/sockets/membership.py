"""In which rooms a socket is: it enters and leaves them, and leaves all of them in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import trio

from actors import Actor
from broker.rooms.messages import Member, RoomMessage
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.namespace_calls import Entry, checked_room


class Membership:
    """The part of a socket that is about its rooms."""

    def __init__(self, sid: str, actor: NamespaceActor, longest_name: int) -> None:
        """`actor`: that of its namespace; `longest_name`: of rooms, in characters."""
        self.id = sid
        self.gone = False
        self.at_home = True
        self.room_actors: dict[str, Actor[RoomMessage]] = {}
        self._actor = actor
        self._longest_name = longest_name
        self._forgotten = False

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms it is in, and its own id; nothing once it has left them, as it has gone."""
        if self._forgotten:
            return frozenset()
        return self.joined_rooms | {self.id} if self.at_home else self.joined_rooms

    @property
    def joined_rooms(self) -> frozenset[str]:
        """The rooms it is in, without its own id."""
        return frozenset(self.room_actors)

    async def join(self, *rooms: str) -> None:
        """Enter rooms, one after the other; when it returns, every later broadcast arrives.

        Raises `JoinRefused`, also beyond `max_rooms_per_socket` and for the id of another socket,
        and whatever else a room's `on_join` raises; `ActorCycle` inside a room that the join would
        wait for; TypeError or ValueError for what is no room's name; `SocketDisconnected` once the
        socket has gone. A refusal leaves the rooms before it as they are, entered; cancelled, it
        has entered none.
        """
        entered: list[Entry] = []
        try:
            await self._enter(rooms, entered)
        except trio.Cancelled:
            await self._actor.undo(entered)
            raise
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _enter(self, rooms: tuple[str, ...], entered: list[Entry]) -> None:
        names = [checked_room(room, self._longest_name) for room in rooms]
        await self._actor.enter(self._as_member, names, entered)

    async def leave(self, *rooms: str) -> None:
        """Leave rooms; when it returns, no later broadcast arrives. Works when cancelled, too."""
        await self._actor.leave([self._as_member], [checked_room(room) for room in rooms])
        await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def joined(self, *rooms: str) -> AsyncIterator[None]:
        """Be in rooms for the block. Raises as `join`, and has entered none of them then.

        Behind the block it leaves those that it was not in before, so blocks may be nested.
        """
        entered: list[Entry] = []
        try:
            await self._enter(rooms, entered)
        except BaseException:
            await self._actor.undo(entered)
            raise
        try:
            yield
        finally:
            await self.leave(*[room for room, _ in entered])

    async def forget(self) -> None:
        """Leave all rooms and the namespace, whatever is cancelled."""
        with trio.CancelScope(shield=True):  # actors answer within a turn
            await self._go()
        self._forgotten = True

    async def _go(self) -> None:
        await self._actor.remove(self._as_member)

    @property
    def _as_member(self) -> Member:
        return cast("Member", self)  # the rest of it is in `socket`
