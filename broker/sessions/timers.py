"""One task for all the deadlines of a broker.

A heartbeat per client as a task would cost each idle client several kilobytes; an entry in a heap
costs a hundred bytes. What a timer calls is sync and short.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import trio


class Timer:
    """One call at one time; `cancel` drops it, and what it held, at once."""

    __slots__ = ("_action", "when")

    def __init__(self, when: float, action: Callable[[], object]) -> None:
        self.when = when
        self._action: Callable[[], object] | None = action

    def cancel(self) -> None:
        """Do not call; harmless when it has been called."""
        self._action = None

    def fire(self) -> None:
        """Call, once."""
        action, self._action = self._action, None
        if action is not None:
            action()


class Timers:
    """`at(time, action)` calls `action()` at that time of trio's clock, while `run` runs."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()  # two timers of one time fire in the order they were set
        self._sooner = trio.Event()

    def at(self, when: float, action: Callable[[], object]) -> Timer:
        """Set a timer."""
        timer = Timer(when, action)
        heapq.heappush(self._heap, (when, next(self._count), timer))
        if self._heap[0][2] is timer:
            self._sooner.set()
        return timer

    def after(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Set a timer for a time from now."""
        return self.at(trio.current_time() + seconds, action)

    async def run(self) -> None:
        """Fire what is due, until cancelled."""
        while True:
            self._sooner = trio.Event()
            now = trio.current_time()
            while self._heap and self._heap[0][0] <= now:
                heapq.heappop(self._heap)[2].fire()
            if self._sooner.is_set():
                continue
            with trio.move_on_at(self._heap[0][0] if self._heap else float("inf")):
                await self._sooner.wait()
