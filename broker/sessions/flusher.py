"""When outboxes are written: once a burst of pushes is over, in slices, soon.

On Linux a write costs about 5 µs whatever it holds, so how much is joined per write decides the
speed of a broadcast. Whoever waits for the end of a burst waits a few ticks of the loop.
"""

from __future__ import annotations

from typing import Protocol

import trio

# Three ticks of the loop without anything new: the handlers of one burst need about two to emit.
_QUIET_TICKS = 3
# A busy broker is never quiet; its clients wait no longer than this many ticks.
_MOST_TICKS = 64
# So many writes (of 5 µs) are made before other tasks get a turn.
_SLICE = 200


class Dirty(Protocol):
    """An outbox in which something waits."""

    packets: int
    pushed: int

    def flush(self) -> None:
        """Hand what waits to the transport now."""


class Flusher:
    """Flushes the outboxes of one broker once a burst of pushes is over."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._dirty: list[Dirty] = []
        self._first_push = trio.Event()

    def add(self, outbox: Dirty) -> None:
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


async def settled(outbox: Dirty) -> None:
    """Wait until nothing new has come into `outbox` for some ticks: handlers have answered."""
    quiet = 0
    for _ in range(_MOST_TICKS):
        before = outbox.pushed
        await trio.lowlevel.checkpoint()
        quiet = quiet + 1 if before == outbox.pushed else 0
        if quiet == _QUIET_TICKS:
            return
