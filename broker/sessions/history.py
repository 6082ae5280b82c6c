"""What one client was sent, as long as it may have to be sent again.

Each event that may have to be has an offset, a text behind its last argument, which the client
keeps and tells when it comes back: what it has got, nobody else can know. Offsets are looked up in
the client's own history, never compared, so the order in it is that of its outbox.

The history begins behind the last offset that the client can have told (`base`): what is dropped
from its front moves that on. So whatever is dropped, what follows the client's offset is there as a
whole, or the offset is not known any more.
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from collections.abc import Iterable

from broker.values.encoded import Encoded, Offset
from broker.values.options import Recovery

from .timers import Timer, Timers

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Offsets:
    """Makes the offsets of one namespace: none is like another, nor like those of another life."""

    def __init__(self) -> None:
        self._prefix = secrets.token_urlsafe(6)
        self._numbers = itertools.count()

    def next(self, *, lasting: bool) -> Offset:
        """Return one that no event has had."""
        return Offset(f"{self._prefix}.{_base36(next(self._numbers))}", lasting)


def _base36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


class History:
    """References to the events of one client, in the order in which they went into its outbox.

    `lost`: an event has been dropped that the client cannot have got; then it is empty, and stays
    so.
    """

    __slots__ = (
        "_base",
        "_bytes",
        "_events",
        "_first",
        "_keep",
        "_max_bytes",
        "_max_packets",
        "_old",
        "_packets",
        "_timer",
        "_unsent",
        "lost",
        "timers",
    )

    def __init__(self, recovery: Recovery, keep: float, timers: Timers, base: str | None) -> None:
        """`keep`: for how many seconds an event may be asked for. `base`: what the client tells.

        That is before it has got anything: None, or an offset of an earlier history of its.
        """
        self._max_bytes = recovery.max_bytes
        self._max_packets = recovery.max_packets
        self._keep = keep
        self.timers = timers
        self._base = base
        self._events: deque[Encoded] = deque()
        self._bytes = 0
        self._packets = 0
        self._first = 0  # how many have been dropped from the front
        self._unsent: int | None = None  # from which one on the client cannot have got them
        self._old = 0  # how many were there already when the timer was set
        self._timer: Timer | None = None
        self.lost = False

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: Encoded) -> None:
        """Note an event, if it has an offset."""
        if event.offset is None or self.lost:
            return
        self._events.append(event)
        self._bytes += len(event.wire)
        self._packets += event.packets
        self._begin_to_age()
        while self._bytes > self._max_bytes or self._packets > self._max_packets:
            self._drop()

    def withdraw(self, event: Encoded) -> None:
        """Forget the event that was added last: it does not go to the client."""
        if self._events and self._events[-1] is event:
            self._events.pop()
            self._bytes -= len(event.wire)
            self._packets -= event.packets

    def forget(self, events: Iterable[Encoded]) -> None:
        """Have never had these: they were for somebody who did not get in."""
        gone = {id(event) for event in events}
        kept = [event for event in self._events if id(event) not in gone]
        if len(kept) < len(self._events):
            self._events = deque(kept)
            self._bytes = sum(len(event.wire) for event in kept)
            self._packets = sum(event.packets for event in kept)

    def _drop(self) -> None:
        event = self._events.popleft()
        assert event.offset is not None
        self._bytes -= len(event.wire)
        self._packets -= event.packets
        self._base = event.offset.text
        self._old = max(0, self._old - 1)
        self._first += 1
        if self._unsent is not None and self._first > self._unsent:
            self.close()

    # It ages while the client is there: how long it may be away, its seat knows.

    def _begin_to_age(self) -> None:
        if self._timer is None and self._unsent is None and self._events:
            self._timer = self.timers.after(self._keep, self._age)

    def _age(self) -> None:
        """Drop what has been here for a whole round of the timer: nobody asks for it any more."""
        self._timer = None
        for _ in range(self._old):
            self._drop()
        self._old = len(self._events)
        self._begin_to_age()

    def _stop_aging(self) -> None:
        self._old = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Be of no use any more."""
        self.lost = True
        self._events.clear()
        self._bytes = self._packets = 0
        self._stop_aging()

    # When the client goes, and comes back.

    def break_off(self) -> None:
        """Note that the client gets nothing from now on."""
        self._unsent = self._first + len(self._events)
        self._stop_aging()

    def knows(self, offset: object) -> bool:
        """Whether all that follows what the client tells is here."""
        return not self.lost and (
            offset == self._base
            or any(event.offset and event.offset.text == offset for event in self._events)
        )

    def resume(self, offset: object) -> None:
        """Drop what the client has got, who tells this offset, which is known."""
        self._unsent = None  # it may have seen more than it was sent: others get the same events
        while self._base != offset:
            self._drop()
        self._unsent = self._first

    def missed(self) -> list[Encoded]:
        """Return what the client has missed; from now on it gets things again."""
        self._unsent = None
        self._begin_to_age()
        return [event for event in self._events if event.offset and event.offset.lasting]
