"""The task that does one socket's work, while there is some and a little longer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import outcome
import trio

from broker.sessions.idlers import Idlers
from broker.sessions.session import Session


class Worker:
    """Does `work()` when it is told to `begin`, and calls `done()` each time it is over.

    `busy`: whether it works, or is about to; `task`: in which task it does. An idle one keeps its
    task for a while, and with it the context variables. `done` does not call `begin`.
    """

    def __init__(
        self, session: Session, work: Callable[[], Awaitable[None]], done: Callable[[], None]
    ) -> None:
        self.busy = False
        self.task: trio.lowlevel.Task | None = None
        self._session = session
        self._work = work
        self._done = done
        self._scope = trio.CancelScope()  # of the task, while there is one
        self._waiting: trio.lowlevel.Task | None = None  # for work

    def begin(self) -> None:
        """Have the work done; nobody does it now."""
        self.busy = True
        waiting = self._waiting
        if waiting is None:
            self._scope = trio.CancelScope()
            self._session.nursery.start_soon(self._run, self._scope, name="handlers")
        else:
            self._waiting = None
            self._idlers.discard(self)
            trio.lowlevel.reschedule(waiting, outcome.Value(True))

    def reserve(self) -> None:
        """Be busy from now on: `work_here` is about to be called."""
        self.busy = True
        self._scope = trio.CancelScope()

    async def work_here(self, first: Callable[[], Awaitable[None]]) -> None:
        """Do `first()` and the work in the task that calls, which was reserved."""
        with self._scope:
            await self._once(first)

    def cancel(self) -> None:
        """Break off the work, and end."""
        self._scope.cancel()

    def leave(self) -> None:
        """End the task, if it waits for work."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._idlers.discard(self)
            trio.lowlevel.reschedule(waiting, outcome.Value(False))

    async def _run(self, scope: trio.CancelScope) -> None:
        with scope:
            await self._once()
            while await self._more():
                await self._once()

    async def _once(self, first: Callable[[], Awaitable[None]] | None = None) -> None:
        self.task = trio.lowlevel.current_task()
        try:
            if first is not None:
                await first()
            await self._work()
        finally:
            self.task = None
            self.busy = False
            self._done()

    async def _more(self) -> bool:
        """Wait until there is work again; False: there was none for long enough."""
        self._waiting = trio.lowlevel.current_task()
        self._idlers.add(self)
        more: bool = await trio.lowlevel.wait_task_rescheduled(self._cancelled)
        return more

    def _cancelled(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._waiting = None
        self._idlers.discard(self)
        return trio.lowlevel.Abort.SUCCEEDED

    @property
    def _idlers(self) -> Idlers:
        return self._session.services.idlers
