"""Tasks that have nothing to do for now, and end when that lasts.

To begin a task for each event costs more than the event; to keep one for each client costs each
idle client several kilobytes. So a task stays for a while. One timer for all of them looks around.
"""

from __future__ import annotations

from typing import Protocol

from .timers import Timer, Timers

# In seconds. A program's events come faster, a human's slower. It stays up to twice as long.
_PATIENCE = 1.0


class Idler(Protocol):
    """Who does nothing for now."""

    def leave(self) -> None:
        """End: nobody has needed you."""


class Idlers:
    """Those of one broker."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._new: dict[Idler, None] = {}  # since the last look around
        self._old: dict[Idler, None] = {}
        self._timer: Timer | None = None

    def add(self, idler: Idler) -> None:
        """Note that somebody has nothing to do from now on."""
        self._new[idler] = None
        if self._timer is None:
            self._timer = self._timers.after(_PATIENCE, self._look_around)

    def discard(self, idler: Idler) -> None:
        """Note that it has."""
        if self._new.pop(idler, self) is self:
            self._old.pop(idler, None)

    def _look_around(self) -> None:
        left, self._old, self._new = self._old, self._new, {}
        for idler in left:
            idler.leave()
        self._timer = self._timers.after(_PATIENCE, self._look_around) if self._old else None
