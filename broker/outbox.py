"""What waits for one client, and when it is written.

Rules: `push` is sync, never blocks, never raises and never calls back into the room; order is
kept; over the limit the session ends as a slow client. The bytes are shared and never copied until
they are written, joined, by one call per client: on Linux a write costs about 5 µs whatever it
holds, so how much is joined per write decides the speed of a broadcast.
"""

from __future__ import annotations

from typing import Protocol

import trio

from .encoded import Encoded
from .options import EngineOptions

# Three ticks of the loop without anything new: the handlers of one burst need about two to emit.
_QUIET_TICKS = 3
# A busy broker is never quiet; its clients wait no longer than this many ticks.
_MOST_TICKS = 64
# So many writes (of 5 µs) are made before other tasks get a turn.
_SLICE = 200


class Transport(Protocol):
    """What carries a session's packets: it takes them out of the outbox when it can write."""

    @property
    def writable(self) -> bool:
        """Whether what is pushed now would be written at once, as far as is known."""

    def flush(self) -> None:
        """Write what waits in the outbox, or go on doing so; never blocks."""


class Owner(Protocol):
    """Who hears of an outbox that fills up."""

    def outbox_full(self) -> None:
        """The limit is passed: nothing more can be pushed."""

    def outbox_high(self, *, high: bool) -> None:
        """Half of the limit has been passed, upwards (`high`) or downwards."""


class Flusher:
    """Flushes the outboxes of one broker once a burst of pushes is over."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._dirty: list[Outbox] = []
        self._first_push = trio.Event()

    def add(self, outbox: Outbox) -> None:
        """Note that something waits in `outbox`."""
        self._dirty.append(outbox)
        if len(self._dirty) == 1:
            self._first_push.set()

    async def run(self) -> None:
        """Flush, until cancelled."""
        while True:
            await self._first_push.wait()
            await self._burst_over(trio.current_time() + self._delay)
            dirty, self._dirty = self._dirty, []
            self._first_push = trio.Event()
            for count, outbox in enumerate(dirty, 1):
                outbox.flush()
                if count % _SLICE == 0:
                    await trio.lowlevel.checkpoint()
            del dirty, outbox  # a client that has gone shall not be held while this waits

    async def _burst_over(self, deadline: float) -> None:
        quiet = 0
        for _ in range(_MOST_TICKS):
            # What a burst brings shows at its first outbox, or as another dirty one.
            before = (len(self._dirty), self._dirty[0].packets)
            await trio.lowlevel.checkpoint()
            quiet = quiet + 1 if before == (len(self._dirty), self._dirty[0].packets) else 0
            if quiet == _QUIET_TICKS or trio.current_time() >= deadline:
                return


async def settled(outbox: Outbox) -> None:
    """Wait until nothing new has come into `outbox` for some ticks: handlers have answered."""
    quiet = 0
    for _ in range(_MOST_TICKS):
        before = outbox.pushed
        await trio.lowlevel.checkpoint()
        quiet = quiet + 1 if before == outbox.pushed else 0
        if quiet == _QUIET_TICKS:
            return


class Outbox:
    """The bounded queue of one session; `bytes` and `packets` count what is not yet written."""

    __slots__ = (
        "_below",
        "_dirty",
        "_flusher",
        "_high",
        "_max_bytes",
        "_max_packets",
        "_owner",
        "_queue",
        "bytes",
        "closed",
        "packets",
        "pushed",
        "transport",
    )

    def __init__(self, options: EngineOptions, flusher: Flusher, owner: Owner) -> None:
        self._flusher = flusher
        self._owner = owner
        self._max_bytes = options.max_outbox_bytes
        self._max_packets = options.max_outbox_packets
        self._queue: list[Encoded] = []
        self._dirty = False  # whether the flusher knows of us
        self._high = False
        self._below: trio.Event | None = None  # for those who wait until we are not high
        self.bytes = 0
        self.packets = 0
        self.pushed = 0
        self.closed = False
        self.transport: Transport | None = None

    def push(self, encoded: Encoded) -> bool:
        """Queue `encoded`; False when the outbox is closed, or is now, being full."""
        if self.closed:
            return False
        size = self.bytes + len(encoded.wire)
        packets = self.packets + encoded.packets
        if size > self._max_bytes or packets > self._max_packets:
            self._owner.outbox_full()
            return False
        self.bytes = size
        self.packets = packets
        self.pushed += 1
        self._queue.append(encoded)
        if not self._dirty:
            self._dirty = True
            self._flusher.add(self)
        if not self._high and (size * 2 > self._max_bytes or packets * 2 > self._max_packets):
            self._high = True
            self._owner.outbox_high(high=True)
        return True

    def push_control(self, encoded: Encoded) -> None:
        """Queue a control packet, whatever the limits: they are about what users emit."""
        if not self.closed:
            self.bytes += len(encoded.wire)
            self.packets += encoded.packets
            self._queue.append(encoded)
            self.touch()

    def touch(self) -> None:
        """Have the flusher come by: a transport can write again, or for the first time."""
        if not self._dirty:
            self._dirty = True
            self._flusher.add(self)

    def flush(self) -> None:
        """Hand what waits to the transport now."""
        self._dirty = False
        if self._queue and self.transport is not None:
            self.transport.flush()

    def take(self) -> list[Encoded]:
        """Take what waits, for a transport that writes it and then calls `written`."""
        queue, self._queue = self._queue, []
        return queue

    def written(self, size: int, packets: int) -> None:
        """Note that the transport has got rid of so many bytes (in websocket form) and packets."""
        if self.closed and not self.packets:
            return  # freed when it was closed
        self.bytes -= size
        self.packets -= packets
        if (
            self._high
            and self.bytes * 2 <= self._max_bytes
            and self.packets * 2 <= self._max_packets
        ):
            self._high = False
            self._owner.outbox_high(high=False)
            if self._below is not None:
                self._below.set()

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be handed to the transport."""
        return not self._queue

    @property
    def writable(self) -> bool:
        """Whether what is pushed now would be written at once, as far as is known."""
        return not self.closed and self.transport is not None and self.transport.writable

    async def below_mark(self) -> None:
        """Wait while more than half of the limit waits; at once when it does not, or is closed."""
        while self._high and not self.closed:
            if self._below is None or self._below.is_set():
                self._below = trio.Event()
            await self._below.wait()

    def close(self, *, keep: bool) -> None:
        """Accept nothing more; `keep` what waits for the transport, or free it at once."""
        self.closed = True
        if not keep:
            self._queue = []
            self.bytes = self.packets = 0
        if self._below is not None:
            self._below.set()
