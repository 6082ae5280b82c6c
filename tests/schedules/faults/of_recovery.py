"""Faults in how a client comes back to its seat."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from actors import Reply
from broker.rooms.messages import Member
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.namespace_calls import NamespaceCalls
from broker.rooms.room_actor import RoomActor
from broker.rooms.seat import Seat
from broker.sessions.history import History

from .planting import replaced


@contextmanager
def rooms_are_left_before_its_place_is_there() -> Iterator[None]:
    """Exchange a socket for its seat in two steps: what is emitted between them is lost."""
    right = NamespaceCalls.depart

    async def depart(self: NamespaceCalls, member: Member) -> None:
        assert member.seat is not None
        rooms = [self.rooms[name] for name in member.room_actors]
        await self.leave([member], member.room_actors)
        await right(self, member)
        for room in rooms:
            room.away[member.seat] = Reply()
            member.seat.room_actors[room.name] = room

    with replaced(NamespaceCalls, "depart", depart):
        yield


@contextmanager
def nothing_is_noted_while_the_last_hooks_run() -> Iterator[None]:
    """Note only what comes once the seat is in the rooms."""
    right = Seat.push

    def push(self: Seat, encoded: Any) -> bool:
        return right(self, encoded) if self._departed else False

    with replaced(Seat, "push", push):
        yield


@contextmanager
def nobody_waits_for_the_old_socket() -> Iterator[None]:
    """Let who comes back go on while the last hooks of the old socket run."""

    async def vacated(self: Seat) -> None:
        await trio.lowlevel.checkpoint()

    with replaced(Seat, "vacated", vacated):
        yield


@contextmanager
def noted_in_the_order_of_encoding() -> Iterator[None]:
    """Believe that offsets tell the order in which events were pushed."""
    right = History.add

    def add(self: History, event: Any) -> None:
        right(self, event)
        texts = {each: each.offset.text for each in self._events if each.offset is not None}
        self._events = deque(sorted(texts, key=lambda each: (len(texts[each]), texts[each])))

    with replaced(History, "add", add):
        yield


@contextmanager
def what_is_confirmed_comes_again() -> Iterator[None]:
    """Send again the last event that has arrived, too."""
    right = History.resume

    def resume(self: History, offset: object) -> None:
        before = [event for event in self._events if event.offset and event.offset.text == offset]
        right(self, offset)
        self._events.extendleft(before)

    with replaced(History, "resume", resume):
        yield


@contextmanager
def unions_forget_who_is_away() -> Iterator[None]:
    """Forget who has gone in what goes to several rooms."""
    right = NamespaceActor._all

    def _all(self: NamespaceActor, audience: Any) -> Any:
        return {each: None for each in right(self, audience) if not each.gone}

    with replaced(NamespaceActor, "_all", _all):
        yield


@contextmanager
def rooms_forget_who_is_away() -> Iterator[None]:
    """Forget who has gone in what goes to one room."""
    with replaced(RoomActor, "_recipients", lambda self: self.members):
        yield


@contextmanager
def the_excluded_get_it_when_away() -> Iterator[None]:
    """Except nobody who is away."""
    right = NamespaceActor._all

    def _all(self: NamespaceActor, audience: Any) -> Any:
        selected = right(self, audience)
        if audience.rooms is None:
            selected.update(dict.fromkeys(self.away.values()))
        return selected

    with replaced(NamespaceActor, "_all", _all):
        yield
