"""The ledger of one namespace: what was emitted, who was where, and who heard what.

Each entry has a time, which only counts entries: what a call did, it did between its beginning and
its end. What clients have heard narrows that down: an event was pushed after the beginning of all
that somebody heard before it, and before the end of all that somebody heard behind it. Then:

- One order: no event was pushed later than it was pushed (that is what a cycle comes to), and any
  two clients agree.
- Who heard it can have been in its audience when it was pushed.
- Who was in its audience for certain has heard it, if it has heard all that was pushed for it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import attrs
import trio

from broker import Delivery, Socket

from .client import Presence
from .verdict import Verdict

ALL = None
"""The rooms of an event for the whole namespace."""


@attrs.define(eq=False)
class Entry:
    """One thing that is done, from its beginning to its end; cancelled, it was not done."""

    began: float
    ended: float = math.inf
    cancelled: bool = False


@attrs.define(eq=False)
class Emission(Entry):
    """One event. `task` and `turn`: the turns of one task are heard in order."""

    number: int = 0
    task: str = ""
    turn: int = 0
    rooms: frozenset[str] | None = ALL
    excluded: frozenset[str] = frozenset()
    sender: str = ""
    known_gone: frozenset[str] = frozenset()
    """Sockets that had gone when it began."""
    there: frozenset[str] = frozenset()
    """Sockets that were connected from its beginning to its end."""
    delivery: Delivery | None = None
    may_miss: bool = False
    """Whether it may never have been pushed."""

    def __str__(self) -> str:
        audience = "all" if self.rooms is ALL else "+".join(sorted(self.rooms))
        but = f"-{'-'.join(sorted(self.excluded))}" if self.excluded else ""
        state = "cancelled" if self.cancelled else f"{self.began:g} to {self.ended:g}"
        return f"event {self.number} of {self.task} to {audience}{but} ({state})"


@attrs.define(eq=False)
class Move(Entry):
    """A join or leave. `sure`: whether it happens for certain."""

    room: str = ""
    joins: bool = True
    sure: bool = True


class Ledger:
    """One run's, for one namespace. Its checks are made at the end, by `close`."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.emissions: list[Emission] = []
        self.moves: defaultdict[str, list[Move]] = defaultdict(list)
        self.sockets: dict[str, Socket] = {}
        self.admitted: dict[str, float] = {}
        self.fences: dict[str, float] = {}
        """When sockets handled the last event of their clients, whose ack comes last."""
        self._now = 0
        self._turns: defaultdict[str, int] = defaultdict(int)

    def tick(self) -> float:
        """Return a new time."""
        self._now += 1
        return self._now

    def meet(self, socket: Socket) -> None:
        """Note a socket: in middleware, before it is connected."""
        self.sockets[socket.id] = socket
        self.admitted[socket.id] = self.tick()

    def turn(self, task: str) -> int:
        """Return the number of the next thing that `task` does."""
        self._turns[task] += 1
        return self._turns[task]

    # What is done.

    @contextmanager
    def emission(
        self,
        task: str,
        rooms: Iterable[str] | None = ALL,
        excluded: Iterable[str] = (),
        sender: str = "",
    ) -> Iterator[Emission]:
        """Note what is emitted in the block; its `number` and its `turn` go with the event."""
        emission = Emission(
            began=self.tick(),
            number=len(self.emissions),
            task=task,
            turn=self.turn(task),
            rooms=None if rooms is None else frozenset(rooms),
            excluded=frozenset(excluded),
            sender=sender,
        )
        self.emissions.append(emission)
        before = self._connected()
        emission.known_gone = frozenset(self.sockets) - before - self._connecting()
        with self._noted(emission):
            yield emission
        emission.there = before & self._connected()

    @contextmanager
    def move(self, sid: str, room: str, *, joins: bool) -> Iterator[Move]:
        """Note a join or leave; cancelled, a join is none, and a leave comes some time."""
        move = self.begin_move(sid, room, joins=joins)
        with self._noted(move):
            yield move

    def begin_move(self, sid: str, room: str, *, joins: bool) -> Move:
        """Note a join or leave that begins now; who calls this says when it ends."""
        move = Move(began=self.tick(), room=room, joins=joins)
        self.moves[sid].append(move)
        return move

    @contextmanager
    def moves_of_all(
        self, audience: tuple[Iterable[str] | None, tuple[str, ...], str], room: str, *, joins: bool
    ) -> Iterator[None]:
        """Note that all sockets of an audience are let into a room, or out."""
        rooms, excluded, _ = audience
        began = self.tick()
        before = self._connected()
        moves = {sid: Move(began, room=room, joins=joins, sure=False) for sid in self.sockets}
        for sid, move in moves.items():
            self.moves[sid].append(move)
        yield
        ended = self.tick()
        chosen = Emission(
            began, rooms=None if rooms is None else frozenset(rooms), excluded=frozenset(excluded)
        )
        there = before & self._connected()
        for sid in self.sockets:
            if sid not in moves:  # it has come meanwhile
                self.moves[sid].append(Move(began, ended, room=room, joins=joins, sure=False))
                continue
            move = moves[sid]
            self.moves[sid].remove(move)
            move.sure = sid in there and self.in_audience(chosen, sid, began, ended, surely=True)
            move.ended = ended
            self.moves[sid].append(move)

    @contextmanager
    def _noted(self, entry: Entry) -> Iterator[None]:
        try:
            yield
        except trio.Cancelled:
            entry.cancelled = True
            raise
        entry.ended = self.tick()

    def _connected(self) -> frozenset[str]:
        return frozenset(sid for sid, socket in self.sockets.items() if socket.connected)

    def _connecting(self) -> frozenset[str]:
        return frozenset(
            sid for sid, socket in self.sockets.items() if not socket.connected and not socket.gone
        )

    # The checks.

    def settle(self) -> None:
        """Note that nothing is under way: what was cancelled or not waited for has happened.

        Then who is in which room is known.
        """
        now = self.tick()
        for sid, socket in self.sockets.items():
            for move in self.moves[sid]:
                if move.cancelled and not move.joins:
                    move.ended = min(move.ended, now)
            if not socket.connected:
                continue
            for room in {move.room for move in self.moves[sid]}:
                is_in = room in socket.joined_rooms
                detail = f"{sid} and {room}: {self.moves[sid]}"
                if is_in:
                    perhaps = self._perhaps_in(sid, room, now, now)
                    self.verdict.hold(perhaps, "who has left is out", detail)
                else:
                    surely = self._surely_in(sid, room, now, now)
                    self.verdict.hold(not surely, "who has joined is in", detail)

    def close(self, presences: list[Presence]) -> None:
        """Hold what was heard against the promises."""
        audit = _Audit(self, presences)
        audit.check_order_of_tasks()
        audit.check_agreement()
        audit.narrow()
        for emission in self.emissions:
            audit.check_audience(emission)

    def in_audience(
        self, emission: Emission, sid: str, low: float, high: float, *, surely: bool
    ) -> bool:
        """Whether a socket was in the audience from `low` to `high`, surely or perhaps."""
        if sid == emission.sender:
            return False
        is_in = self._surely_in if surely else self._perhaps_in
        out = self._perhaps_in if surely else self._surely_in
        rooms = emission.rooms
        return (rooms is ALL or any(is_in(sid, room, low, high) for room in rooms)) and not any(
            out(sid, room, low, high) for room in emission.excluded
        )

    def _surely_in(self, sid: str, room: str, low: float, high: float) -> bool:
        """Whether the socket was in the room all the time."""
        if room == sid:
            return True
        moves = [move for move in self.moves[sid] if move.room == room]
        return any(
            join.joins
            and join.sure
            and not join.cancelled
            and join.ended <= low
            and all(
                leave.joins or leave.ended <= join.began or leave.began >= high for leave in moves
            )
            for join in moves
        )

    def _perhaps_in(self, sid: str, room: str, low: float, high: float) -> bool:
        """Whether the socket can have been in the room at any time."""
        if room == sid:
            return True
        moves = [move for move in self.moves[sid] if move.room == room]
        return any(
            join.joins
            and not join.cancelled
            and join.began <= high
            and not any(
                not leave.joins and leave.sure and leave.began >= join.ended and leave.ended <= low
                for leave in moves
            )
            for join in moves
        )


class _Audit:
    """The checks of one ledger."""

    def __init__(self, ledger: Ledger, presences: list[Presence]) -> None:
        self.ledger = ledger
        self.hold = ledger.verdict.hold
        self.presences = {presence.sid: presence for presence in presences}
        self.heard: dict[str, list[Emission]] = {}
        self.low = {emission.number: emission.began for emission in ledger.emissions}
        self.high = {emission.number: emission.ended for emission in ledger.emissions}
        for presence in presences:
            self.heard[presence.sid] = [
                ledger.emissions[args[1]]
                for args, id_ in presence.heard
                if id_ is None and args[0] == "e"
            ]

    def check_order_of_tasks(self) -> None:
        """What one task does, acks included, is heard in order, and each at most once."""
        for presence in self.presences.values():
            last: dict[str, int] = {}
            for args, id_ in presence.heard:
                stamp = stamp_of(args, id_)
                if stamp is None:
                    continue
                task, turn = stamp
                self.hold(
                    last.get(task, 0) < turn,
                    "the order of one task",
                    f"{presence} heard turn {turn} of {task} behind turn {last.get(task)}: "
                    f"{presence.heard}",
                )
                last[task] = turn

    def check_agreement(self) -> None:
        """Any two sockets agree on the order of what both have heard."""
        numbers = {sid: [each.number for each in heard] for sid, heard in self.heard.items()}
        for sid, heard in numbers.items():
            self.hold(len(heard) == len(set(heard)), "at most once", f"{sid} heard {heard}")
        for a, b in combinations(numbers, 2):
            shared = set(numbers[a]) & set(numbers[b])
            mine = [number for number in numbers[a] if number in shared]
            theirs = [number for number in numbers[b] if number in shared]
            self.hold(
                mine == theirs,
                "one order for all",
                f"{self.presences[a]} heard {mine}, {self.presences[b]} {theirs}",
            )

    def narrow(self) -> None:
        """Find between which times each event was pushed."""
        for heard in self.heard.values():
            latest = -math.inf
            for emission in heard:
                latest = max(latest, emission.began)
                self.low[emission.number] = max(self.low[emission.number], latest)
            earliest = math.inf
            for emission in reversed(heard):
                earliest = min(earliest, emission.ended)
                self.high[emission.number] = min(self.high[emission.number], earliest)

    def check_audience(self, emission: Emission) -> None:
        """Who was in the audience has heard it, and nobody else; the figures are right."""
        number = emission.number
        low, high = self.low[number], self.high[number]
        hearers = [sid for sid, heard in self.heard.items() if emission in heard]
        self.hold(low <= high, "emitted means pushed", f"{emission}: {low:g} to {high:g}")
        self.hold(
            not (emission.cancelled and hearers), "cancelled means not emitted", f"{emission}"
        )
        audience = self.ledger.in_audience
        for sid in hearers:
            self.hold(
                sid not in emission.known_gone
                and self.ledger.admitted[sid] <= high
                and audience(emission, sid, low, high, surely=False),
                "nobody outside",
                f"{self.presences[sid]} heard {emission}, pushed {low:g} to {high:g}: "
                f"{self.ledger.moves[sid]}",
            )
        missed = 0  # by those whose connection may have lost it
        for sid, presence in self.presences.items():
            if sid in hearers or emission.cancelled or sid in emission.known_gone:
                continue
            if audience(emission, sid, low, high, surely=False):
                missed += not self._fenced(presence, high)
                self.hold(
                    emission.may_miss
                    or sid not in emission.there
                    or not audience(emission, sid, low, high, surely=True)
                    or not self._heard_it_all(presence, high),
                    "everybody inside",
                    f"{presence} {sid} missed {emission}: {self.ledger.moves[sid]}",
                )
        if emission.delivery is not None:
            recipients = emission.delivery.recipients
            self.hold(
                len(hearers) <= recipients <= len(hearers) + missed + self._unseen(emission),
                "the figures of a delivery",
                f"{emission}: {recipients} recipients, {len(hearers)} heard it, {missed} may have",
            )

    def _heard_it_all(self, presence: Presence, high: float) -> bool:
        """Whether the client has heard all that was pushed for it up to that time."""
        heard = self.heard[presence.sid]
        return self._fenced(presence, high) or bool(heard and heard[-1].began > high)

    def _fenced(self, presence: Presence, high: float) -> bool:
        return presence.fenced and high < self.ledger.fences[presence.sid]

    def _unseen(self, emission: Emission) -> int:
        """How many sockets may have got it whose clients never heard that they are connected."""
        return sum(
            sid not in self.presences and sid not in emission.known_gone
            for sid in self.ledger.sockets
        )


def stamp_of(args: list[Any], id_: int | None) -> tuple[str, int] | None:
    """Return whose turn, and which, something is that a client has heard."""
    match args:
        case ["e", _, str(task), int(turn)] if id_ is None:
            return task, turn
        case [[str(task), int(turn)]] if id_ is not None:
            return task, turn
    return None
