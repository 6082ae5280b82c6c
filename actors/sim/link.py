"""One direction of a simulated connection: a flight of bytes, its window, and who waits for it.

The window bounds what is in flight or unread, as the buffers of a kernel do. Who sends more waits
for the reader. One task waits at each end at most.
"""

from __future__ import annotations

import math
import sys

import attrs
import trio

from .faults import Chance, Faults
from .flight import Flight
from .waiter import Waiter

_JITTERS = 8  # steps of the jitter: enough to mix the orders of several links, and a small choice
_SHOWN = 48  # bytes of a segment in a trace


@attrs.frozen
class LinkStatistics:
    """One direction of a connection, as it is now."""

    name: str
    """As `client→broker`, or `broker→client#2`."""
    bytes: int
    """How many were sent, whatever became of them."""
    segments: int
    """In how many pieces."""
    waiting: int
    """How many bytes are in flight or unread."""


class Link:
    """One direction: its writer puts in, its reader takes out."""

    __slots__ = (
        "_bytes",
        "_end_taken",
        "_faults",
        "_flight",
        "_segments",
        "_sim",
        "_size",
        "_wake_at_size",
        "deaf",
        "name",
        "reader",
        "writer",
    )

    def __init__(self, sim: Chance, name: str, faults: Faults) -> None:
        self.name = name
        timed = faults.latency != (0.0, 0.0)
        self.reader = Waiter(timed=timed)
        self.writer = Waiter(timed=False)
        self.deaf = False
        """Whether nobody takes what is sent from now on."""
        self._sim = sim
        self._faults = faults
        self._flight = Flight(faults.latency[0])
        self._size = 0  # bytes in flight or unread
        self._wake_at_size = 0  # the writer is woken when it is down to this
        self._end_taken = False
        self._bytes = self._segments = 0

    # The writer's end.

    @property
    def open(self) -> bool:
        """Whether what is sent can arrive at somebody."""
        return not self.deaf and not self._flight.dead

    @property
    def refuses(self) -> bool:
        """Whether what is sent is answered by a reset: a dead link answers nothing."""
        return self.deaf and not self._flight.dead

    @property
    def writable(self) -> bool:
        """Whether a byte can be sent without waiting."""
        return self._size < self._faults.window

    @property
    def arrival(self) -> float:
        """When what is sent now arrives, without jitter."""
        return self._flight.arrival(trio.current_time())

    def put(self, data: bytes, start: int, *, torn: bool) -> int:
        """Send `data` from `start` on, as far as there is room; return how far that was."""
        stop = min(len(data), start + self._faults.window - self._size)
        if stop <= start:
            return start
        piece = data[start:stop]
        self._size += stop - start
        self._bytes += stop - start
        self._segments += 1
        if self._sim.trace is not None:
            self._sim.trace.sent(self, _shown(piece), self.name)
        if self.open:
            torn = torn and stop == len(data)
            at = self._flight.add(piece, trio.current_time(), self._jitter(), torn=torn)
            self.reader.wake_at(at)
        return stop

    def _jitter(self) -> float:
        jitter = self._faults.latency[1]
        return jitter * self._sim.draw(_JITTERS, "the jitter") / (_JITTERS - 1) if jitter else 0.0

    async def wait_room(self, *, some: bool, until: float) -> None:
        """Wait for room, but not past `until`; `some`: any room, else half of the window.

        So a reader of single bytes does not make a writer of single bytes; kernels do the same.
        """
        window = self._faults.window
        self._wake_at_size = window - 1 if some else window // 2
        await self.writer.wait(until)

    def end(self) -> None:
        """Send the end, behind the data."""
        if self._flight.ended_at is None and self._flight.reset_at is None:
            if self._sim.trace is not None:
                self._sim.trace.sent(self, "end", self.name)
            self.reader.wake_at(self._flight.end(trio.current_time()))

    def reset(self, after: float = -math.inf) -> None:
        """Send a reset, now or at the time `after`."""
        self.reader.wake_at(self._flight.reset(max(trio.current_time(), after)))

    # The reader's end.

    def take(self, limit: int | None) -> bytes | None:
        """Return what has arrived, `limit` bytes at most; b"" at the end, None: nothing yet.

        Raises `trio.BrokenResourceError`.
        """
        now = trio.current_time()
        if self._flight.breaks_reading(now):
            self._drop()
            raise trio.BrokenResourceError(f"{self.name}: the connection was reset")
        data, finished = self._flight.take(sys.maxsize if limit is None else limit, now)
        if data:
            self._size -= len(data)
            if self._size <= self._wake_at_size:
                self.writer.wake()
        elif self._flight.has_ended(now):
            finished = not self._end_taken
            self._end_taken = True
        else:
            return None
        if self._sim.trace is not None:
            for _ in range(finished):
                self._sim.trace.received(self)
        return data

    async def wait_arrival(self) -> None:
        """Wait until there may be something to take."""
        await self.reader.wait(self._flight.next_arrival())

    @property
    def reset_at(self) -> float:
        """When a reset arrives, or arrived; inf: none is on its way."""
        return math.inf if self._flight.reset_at is None else self._flight.reset_at

    @property
    def was_reset(self) -> bool:
        """Whether a reset has arrived."""
        return self._flight.reset_at is not None and self._flight.is_reset(trio.current_time())

    def abandon(self) -> float | None:
        """Note that the reader has gone; return when the first byte arrives it did not read."""
        first = self._flight.first
        self._drop()
        self.deaf = True
        self.writer.wake()
        return first

    def _drop(self) -> None:
        self._flight.drop()
        if not self._flight.dead:  # its writer is not to notice
            self._size = 0

    # What a network does to it.

    def hold(self, until: float) -> None:
        """Let nothing arrive before `until`; what has arrived can be read."""
        self._flight.hold(until, trio.current_time())

    def release(self) -> bool:
        """Let what is held arrive, within one latency; what is dead stays dead.

        Returns whether that changes anything: then who waits, at either end, is to be woken.
        """
        return self._flight.release(trio.current_time())

    def die(self) -> None:
        """Deliver nothing any more, and tell nobody."""
        self._flight.die(trio.current_time())

    def hang_up(self) -> None:
        """Send the end though the writer did not, and refuse what it still sends."""
        self.end()
        self.deaf = True
        self.writer.wake()

    def cut(self) -> None:
        """Reset it here and now: what was not read is lost, who waits is woken."""
        self._flight.cut()
        self._size = 0
        self.reader.wake()
        self.writer.wake()

    def statistics(self) -> LinkStatistics:
        """Return what went over it, and what waits."""
        return LinkStatistics(self.name, self._bytes, self._segments, self._size)

    def __repr__(self) -> str:
        state = "dead, " if self._flight.dead else ""
        return f"<Link {self.name}, {state}{self._size} bytes in flight or unread>"


def _shown(data: bytes) -> str:
    if len(data) <= _SHOWN:
        return repr(data)
    return f"{data[:_SHOWN]!r}… ({len(data)} bytes)"
