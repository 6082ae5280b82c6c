"""How much a client may send in a second: token buckets, one for packets and one for bytes.

A bucket is full at first. While the server itself reads nothing of a client, as its handlers have
to catch up, what the client goes on sending comes later, all at once: for that time the bucket
gets what it is due even beyond its size, so that nobody pays for the server's slowness.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from broker.values.options import EngineOptions
from protocol import engineio

logger = logging.getLogger("atrio.session")


class Bucket:
    """`rate` tokens come a second; it holds `size` of them. `now` is in seconds and never falls."""

    __slots__ = ("_left", "_rate", "_seen", "_size")

    def __init__(self, rate: float, size: float, now: float) -> None:
        self._rate = rate
        self._size = size
        self._left = size
        self._seen = now

    def take(self, tokens: float, now: float) -> bool:
        """Take tokens; return whether there were so many. If not, it has taken none."""
        self.fill(now)
        if tokens > self._left:
            return False
        self._left -= tokens
        return True

    def fill(self, now: float) -> None:
        """Put in what has come since the last time, as far as it fits."""
        if self._left < self._size:
            self._left = min(self._size, self._left + (now - self._seen) * self._rate)
        self._seen = now

    def overfill(self, now: float) -> None:
        """Put in what has come since the last time, all of it."""
        self._left += (now - self._seen) * self._rate
        self._seen = now


class Rates:
    """The buckets of one session. `end` is called when its client has sent too much."""

    __slots__ = ("_buckets", "_bytes", "_end", "_options", "_packets", "_sid")

    def __init__(self, options: EngineOptions, sid: str, end: Callable[[], None]) -> None:
        now, burst = trio.current_time(), options.rate_burst
        self._options = options
        self._sid = sid
        self._end = end
        self._packets = self._bytes = None
        if (packets := options.max_packets_per_second) is not None:
            self._packets = Bucket(packets, max(packets * burst, 1), now)
        if (size := options.max_bytes_per_second) is not None:
            # What may be sent at once may always be sent by who has been quiet.
            self._bytes = Bucket(size, max(size * burst, options.max_http_buffer_size), now)
        self._buckets = [each for each in (self._packets, self._bytes) if each is not None]

    @classmethod
    def of(cls, options: EngineOptions, sid: str, end: Callable[[], None]) -> Rates | None:
        """Return full buckets, or None when the options limit no rate."""
        limited = (options.max_packets_per_second, options.max_bytes_per_second)
        return None if limited == (None, None) else cls(options, sid, end)

    def admit(self, packet: str | bytes) -> bool:
        """Count a packet; return whether it may be handled. If not, the session ends."""
        now, options = trio.current_time(), self._options
        if self._packets is not None and not self._packets.take(1, now):
            self._end_by(f"max_packets_per_second={options.max_packets_per_second}")
            return False
        if self._bytes is not None and not self._bytes.take(engineio.size_of(packet), now):
            self._end_by(f"max_bytes_per_second={options.max_bytes_per_second}")
            return False
        return True

    def _end_by(self, limit: str) -> None:
        logger.warning(
            "session %s ends: its client sent more than %s and rate_burst=%g s allow",
            self._sid,
            limit,
            self._options.rate_burst,
        )
        self._end()

    def pause(self) -> None:
        """Hear that the client is not read for now."""
        for bucket in self._buckets:
            bucket.fill(trio.current_time())

    def resume(self) -> None:
        """Hear that it is read again."""
        for bucket in self._buckets:
            bucket.overfill(trio.current_time())
