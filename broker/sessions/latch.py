"""A `trio.Event` that costs nothing until somebody waits for it.

An idle client has several that nobody waits for; each would be a set, of two hundred bytes.
"""

from __future__ import annotations

import trio


class Latch:
    """`is_set` once `set()` has been called."""

    __slots__ = ("_event", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._event: trio.Event | None = None

    def set(self) -> None:
        """Let go who waits, and will."""
        self.is_set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Wait until it is set."""
        if self.is_set:
            await trio.lowlevel.checkpoint()
            return
        if self._event is None:
            self._event = trio.Event()
        await self._event.wait()
