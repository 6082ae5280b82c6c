"""Waiting at one end of a link, for an event or a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import trio


class Waiter:
    """The place of one task, which is woken at once, or at a time."""

    __slots__ = ("_scope", "_task", "_timed")

    def __init__(self, *, timed: bool) -> None:
        """`timed`: expect `wake_at` with times to come, and let the task sleep on until then."""
        self._timed = timed
        self._task: trio.lowlevel.Task | None = None
        self._scope: trio.CancelScope | None = None

    async def wait(self, until: float) -> None:
        """Return when woken, at the time `until` at the latest; may return early. A checkpoint."""
        if self._timed or until < math.inf:
            with trio.CancelScope(deadline=until) as self._scope:
                await self._park()
        else:  # a scope costs a fifth of all that a message costs
            self._scope = None
            await self._park()

    async def _park(self) -> None:
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._give_up)

    def _give_up(self, _raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def wake(self) -> None:
        """Wake who waits, now."""
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def wake_at(self, time: float) -> None:
        """Wake who waits, now or when the time has come: so a task wakes once for its bytes."""
        if self._task is None:
            return
        if self._scope is None or time <= trio.current_time():
            self.wake()
        elif time < self._scope.deadline:
            self._scope.deadline = time
