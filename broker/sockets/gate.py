"""What goes to one socket passes its gate, in order.

It is closed until the CONNECT packet has gone out. Open, it lets everything through, but for what a
room's `on_join` decides about: such an event is kept until that has returned, and so is all that
comes behind it, or this socket would see another order than everybody else. What `on_join` itself
sends to the socket goes past: that is the snapshot, and what is kept are the changes behind it.
Only what it has emitted to others before it does not pass: one task, one order.

What is kept counts as waiting in the outbox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import attrs

from broker.rooms.messages import Doubt, Hosted
from broker.sessions.outbox import Outbox
from broker.values.encoded import Batch, Encoded

Push = Callable[[Encoded], bool]


@attrs.define
class _Kept:
    encoded: Encoded
    doubt: Doubt
    emitted_by: Hosted | None = None
    """The room whose `on_join`, for this socket, has emitted or sent it."""

    @property
    def in_doubt(self) -> bool:
        return bool(self.doubt.via or self.doubt.unless)


class Way(Protocol):
    """What lies behind an open gate: the outbox, perhaps with something before it."""

    def push(self, encoded: Encoded) -> bool:
        """Put an event into the outbox; False when it is dropped, or the outbox is closed."""

    def release(self, encoded: Encoded) -> None:
        """Put in what the outbox has held until now."""


class Gate:
    """`push` is how to put an event through, for now: it changes as the gate does."""

    __slots__ = ("_kept", "_outbox", "_way", "push")

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._kept: list[_Kept] = []
        self._way: Way | None = None  # None: closed
        self.push: Push = self._keep_behind

    @property
    def keeps(self) -> bool:
        """Whether something is kept back."""
        return bool(self._kept)

    @property
    def waits_for(self) -> Iterator[Hosted]:
        """The rooms whose `on_join` decides what becomes of what is kept."""
        for each in self._kept:
            yield from each.doubt.via
            yield from each.doubt.unless

    def has(self, encoded: Encoded) -> bool:
        """Whether this event is kept back."""
        return any(each.encoded is encoded for each in self._kept)

    def open(self, way: Way) -> None:
        """Let through what is kept and not in doubt, and what comes from now on."""
        self._way = way
        self._release()

    def shut(self) -> None:
        """Let nothing through any more, and forget what is kept."""
        self._forget(self._kept)
        self._kept = []
        self._way = None
        self.push = _refuse

    def empty(self) -> None:
        """Let all through that is kept, as if the joins that run had been refused."""
        for room in set(self.waits_for):
            self.resolve(room, entered=False)

    def keep(self, encoded: Encoded, doubt: Doubt) -> None:
        """Keep an event that joins decide about."""
        if self.push != _refuse:
            self.push = self._keep_behind
            self._insert(len(self._kept), _Kept(encoded, doubt))

    def resolve(self, room: Hosted, *, entered: bool) -> None:
        """Let go what waited for the end of the join into `room`."""
        kept: list[_Kept] = []
        dropped: list[_Kept] = []
        for each in self._kept:
            doubt = each.doubt
            if room in doubt.via:
                doubt.via.remove(room)
                doubt.sure |= entered
            if room in doubt.unless:
                doubt.unless.remove(room)
                if entered:
                    dropped.append(each)
                    continue
            (kept if doubt.sure or doubt.via else dropped).append(each)
        self._kept = kept
        self._forget(dropped)
        self._release()

    def note_emitted(self, room: Hosted, encoded: Encoded) -> None:
        """Note that the `on_join` of `room` has emitted this, if it is kept."""
        for each in reversed(self._kept):
            if each.encoded is encoded:
                each.emitted_by = room
                return

    def push_before(self, room: Hosted, encoded: Encoded) -> bool:
        """Push what the `on_join` of `room` sends: before the events that wait for its end."""
        place = 0
        for number, each in enumerate(self._kept, 1):
            if each.emitted_by is room and room not in each.doubt.via:
                place = number
        if place == 0 and self._way is not None:
            return self._way.push(encoded)
        if place == 0:
            waiting = (n for n, each in enumerate(self._kept) if room in each.doubt.via)
            place = next(waiting, len(self._kept))
        return self._insert(place, _Kept(encoded, Doubt(sure=True), room))

    def _keep_behind(self, encoded: Encoded) -> bool:
        return self._insert(len(self._kept), _Kept(encoded, Doubt(sure=True)))

    def _insert(self, place: int, kept: _Kept) -> bool:
        if isinstance(kept.encoded, Batch):
            kept.encoded.push_each(self._keep_behind)
            return self.push != _refuse
        if not self._outbox.hold(kept.encoded):
            return False
        self._kept.insert(place, kept)
        return True

    def _release(self) -> None:
        if self._way is None:
            return
        kept = self._kept
        count = next((place for place, each in enumerate(kept) if each.in_doubt), len(kept))
        self._kept = kept[count:]
        for each in kept[:count]:
            self._way.release(each.encoded)
        self.push = self._keep_behind if self._kept else self._way.push

    def _forget(self, kept: Iterable[_Kept]) -> None:
        for each in kept:
            self._outbox.forget(each.encoded)


def _refuse(_encoded: Encoded) -> bool:
    return False
