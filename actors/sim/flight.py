"""What is on its way in one direction of a connection, and when it arrives.

Plain code: no task waits here, and whoever calls says what time it is. Times are virtual seconds;
-inf is at once, inf is never, or not before `release`. The rules are TCP's:

- Segments arrive in order, whatever their latency. What has arrived is read joined; only where a
  send was torn a read ends.
- An end (FIN) arrives behind the data. A reset (RST) destroys what was not read, unless an end came
  before it: then what was sent before the end can be read, and only the way back is broken.
- A flight that is held (a stall, a partition) delivers nothing for a time and loses nothing. One
  that is dead (a black hole) delivers nothing any more.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import attrs


@attrs.define(eq=False)
class _Segment:
    data: bytes
    at: float
    torn: bool


class Flight:
    """One direction: segments, perhaps an end, perhaps a reset."""

    __slots__ = ("_last", "_latency", "_offset", "_queue", "dead", "ended_at", "reset_at")

    def __init__(self, latency: float) -> None:
        """`latency`: how long everything takes at least."""
        self.dead = False
        """Whether nothing arrives any more."""
        self.ended_at: float | None = None
        """When the end arrives; None when it was not sent."""
        self.reset_at: float | None = None
        """When a reset arrives; None when none was sent."""
        self._latency = latency
        self._queue: deque[_Segment] = deque()
        self._offset = 0  # how much of the first segment has been read
        self._last = -math.inf  # the latest arrival so far; none is earlier

    # Sending. Each returns when it arrives.

    def arrival(self, now: float, delay: float = 0.0) -> float:
        """Return when that arrives which leaves now, and takes `delay` longer than it must."""
        return max(self._last, now + self._latency + delay)

    def add(self, data: bytes, now: float, delay: float, *, torn: bool) -> float:
        """Send a segment; a read ends behind one that is `torn`."""
        self._last = self.arrival(now, delay)
        if not self.dead:
            self._queue.append(_Segment(data, self._last, torn))
        return self._last

    def end(self, now: float) -> float:
        """Send the end; once is enough."""
        if self.ended_at is None:
            self.ended_at = self._last = self.arrival(now)
        return self.ended_at

    def reset(self, now: float) -> float:
        """Send a reset; once is enough."""
        if self.reset_at is None:
            self.reset_at = self._last = self.arrival(now)
        return self.reset_at

    # Arriving.

    @property
    def first(self) -> float | None:
        """When the first byte arrives, or arrived, that was not read; None: there is none."""
        return self._queue[0].at if self._queue else None

    def is_reset(self, now: float) -> bool:
        """Whether a reset has arrived."""
        return self.reset_at is not None and self.reset_at <= now

    def breaks_reading(self, now: float) -> bool:
        """Whether a reset has arrived that no end came before."""
        return self.ended_at is None and self.is_reset(now)

    def has_ended(self, now: float) -> bool:
        """Whether there is nothing more to read."""
        return not self._queue and self.ended_at is not None and self.ended_at <= now

    def take(self, limit: int, now: float) -> tuple[bytes, int]:
        """Take what has arrived, up to `limit` bytes; and how many segments that finished.

        It is b"" when nothing has.
        """
        queue = self._queue
        pieces: list[bytes] = []
        finished = 0
        while limit and queue and queue[0].at <= now:
            segment = queue[0]
            data = segment.data
            if self._offset or len(data) > limit:
                data = data[self._offset : self._offset + limit]
            pieces.append(data)
            limit -= len(data)
            self._offset += len(data)
            if self._offset < len(segment.data):
                break
            self._offset = 0
            queue.popleft()
            finished += 1
            if segment.torn:
                break
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), finished

    def next_arrival(self) -> float:
        """Return when something arrives that a reader waits for; inf: nothing is on its way."""
        if self._queue:
            at = self._queue[0].at
        else:
            at = math.inf if self.ended_at is None else self.ended_at
        if self.ended_at is None and self.reset_at is not None:
            at = min(at, self.reset_at)
        return at

    # What happens to it.

    def drop(self) -> None:
        """Lose all data."""
        self._queue.clear()
        self._offset = 0

    def cut(self) -> None:
        """Reset at once, as if no end had come."""
        self.drop()
        self.ended_at = None
        self.reset_at = -math.inf

    def hold(self, until: float, now: float) -> None:
        """Let nothing that is on its way, or sent from now on, arrive before `until`."""
        self._move(lambda at: max(at, until), now)
        self._last = max(self._last, until)

    def release(self, now: float) -> bool:
        """Let all that is held arrive within one latency; return whether that changes anything."""
        soon = now + self._latency
        if self.dead or self._last <= soon:
            return False
        self._move(lambda at: min(at, soon), now)
        self._last = soon
        return True

    def _move(self, arrival: Callable[[float], float], now: float) -> None:
        for segment in self._queue:
            if segment.at > now:
                segment.at = arrival(segment.at)
        if self.ended_at is not None and self.ended_at > now:
            self.ended_at = arrival(self.ended_at)
        if self.reset_at is not None and self.reset_at > now:
            self.reset_at = arrival(self.reset_at)

    def die(self, now: float) -> None:
        """Deliver nothing any more, not even what is on its way."""
        self.hold(math.inf, now)
        while self._queue and self._queue[-1].at == math.inf:
            self._queue.pop()
        self.dead = True
