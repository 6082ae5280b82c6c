"""The tasks a user starts for one socket: they live as long as it does.

Not a nursery of trio's own: one of those needs a task that waits in it, which would cost each idle
socket some kilobytes. The tasks live in the session's nursery, each in a scope of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from broker.values.errors import SocketDisconnected


class SocketNursery:
    """`start_soon` and `start`, as a `trio.Nursery` has them.

    An exception in a task goes to the namespace's `error` hook and ends the socket.
    """

    def __init__(
        self, sid: str, tasks: trio.Nursery, failed: Callable[[Exception], Awaitable[None]]
    ) -> None:
        """`tasks` is where they live; `failed` hears of an exception in one."""
        self._sid = sid
        self._tasks = tasks
        self._failed = failed
        self._scopes: set[trio.CancelScope] = set()
        self._cancelled = False

    def start_soon(
        self, async_fn: Callable[..., Awaitable[object]], *args: Any, name: object = None
    ) -> None:
        """Start `async_fn(*args)`; nothing happens when the socket has gone."""
        if not self._cancelled:
            self._tasks.start_soon(self._run, async_fn, args, name=name or async_fn)

    async def start(
        self, async_fn: Callable[..., Awaitable[object]], *args: Any, name: object = None
    ) -> Any:
        """Start `async_fn(*args, task_status=…)`; return what it is started with.

        Raises `SocketDisconnected` when the socket has gone, or goes before that.
        """
        if self._cancelled:
            raise SocketDisconnected(self._sid)
        return await self._tasks.start(self._run_started, async_fn, args, name=name or async_fn)

    def cancel(self) -> None:
        """Cancel all tasks, now and in future."""
        self._cancelled = True
        for scope in self._scopes:
            scope.cancel()

    async def _run(self, async_fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]) -> None:
        try:
            await self._run_in_scope(partial(async_fn, *args))
        except Exception as error:  # noqa: BLE001 - whatever it is, the hook gets it
            await self._failed(error)

    async def _run_started(
        self,
        async_fn: Callable[..., Awaitable[object]],
        args: tuple[Any, ...],
        *,
        task_status: trio.TaskStatus[Any],
    ) -> None:
        status = _Status(task_status)
        try:
            await self._run_in_scope(partial(async_fn, *args, task_status=status))
        except Exception as error:
            if not status.is_started:
                raise  # in whoever waits for it to start
            await self._failed(error)
        if self._cancelled and not status.is_started:
            raise SocketDisconnected(self._sid)

    async def _run_in_scope(self, run: Callable[[], Awaitable[object]]) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._cancelled:
                scope.cancel()
            try:
                await run()
            finally:
                self._scopes.discard(scope)


class _Status:
    """A task status that remembers whether it was used."""

    def __init__(self, status: trio.TaskStatus[Any]) -> None:
        self._status = status
        self.is_started = False

    def started(self, value: Any = None) -> None:
        """Tell who waits."""
        self._status.started(value)
        self.is_started = True
