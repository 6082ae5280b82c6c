"""A supervisor: a nursery that knows its tasks by name, and what an exception in one means.

By default an exception propagates and everything comes down, as in any nursery. A task may instead
be dropped (one client's trouble is that client's) or restarted (a link that holds no state of
ours). Only `Exception` is judged; `Cancelled` and the like pass through.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVarTuple, Unpack

import attrs
import trio

Args = TypeVarTuple("Args")

logger = logging.getLogger("atrio.supervisor")


class Restart(enum.Enum):
    """What an exception in a supervised task means."""

    NEVER = enum.auto()
    """It propagates: the supervisor's block ends with it. The default."""
    DROP = enum.auto()
    """It is logged, and the task is gone; nobody else is touched."""
    ALWAYS = enum.auto()
    """It is logged, and the task is started again, until the limit; then it propagates."""


@attrs.frozen
class RestartLimit:
    """How often `Restart.ALWAYS` restarts: `times` within `period` seconds."""

    times: int = 3
    period: float = 5.0


class Supervisor:
    """`async with Supervisor() as supervisor:` leaves when all its tasks have ended.

    `names` counts the living tasks by name.
    """

    def __init__(self, *, limit: RestartLimit | None = None) -> None:
        self.limit = limit or RestartLimit()
        self.names: dict[str, int] = {}
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Self:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return bool(await self._manager.__aexit__(kind, error, traceback))

    @property
    def nursery(self) -> trio.Nursery:
        """The nursery that owns the tasks; raises `RuntimeError` before the block is entered."""
        if self._nursery is None:
            raise RuntimeError("a Supervisor runs tasks only inside its `async with` block")
        return self._nursery

    def start_soon(
        self,
        task: Callable[[Unpack[Args]], Awaitable[object]],
        *args: *Args,
        name: str,
        restart: Restart = Restart.NEVER,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """Start `task(*args)`; `on_end` is called once, when it has ended for good.

        An actor: `start_soon(actor.run, name=…)`. One that is restarted keeps its mailbox, with
        what is unread in it: `start_soon(actor.turns, restart=Restart.ALWAYS, on_end=actor.end)`.
        """
        self.nursery.start_soon(self._supervise, task, args, name, restart, on_end, name=name)

    async def _supervise(
        self,
        task: Callable[[Unpack[Args]], Awaitable[object]],
        args: tuple[*Args],
        name: str,
        restart: Restart,
        on_end: Callable[[], None] | None,
    ) -> None:
        failures: list[float] = []
        self.names[name] = self.names.get(name, 0) + 1
        try:
            while True:
                try:
                    await task(*args)
                    return
                except Exception as error:
                    if restart is Restart.NEVER:
                        raise
                    if restart is Restart.DROP:
                        logger.exception("%s failed and is dropped", name)
                        return
                    failures = self._recent(failures)
                    if len(failures) > self.limit.times:
                        error.add_note(
                            f"{name} failed {len(failures)} times within {self.limit.period} s"
                        )
                        raise
                    logger.exception("%s failed and is started again", name)
                except BaseExceptionGroup as group:  # it was cancelled, and in trouble
                    trouble, cancelled = group.split(Exception)
                    if restart is Restart.NEVER or trouble is None or cancelled is None:
                        raise
                    logger.exception("%s failed while it was cancelled", name, exc_info=trouble)
                    raise cancelled from None
        finally:
            self._forget(name)
            if on_end is not None:
                on_end()

    def _recent(self, failures: list[float]) -> list[float]:
        now = trio.current_time()
        return [*(time for time in failures if now - time < self.limit.period), now]

    def _forget(self, name: str) -> None:
        self.names[name] -= 1
        if not self.names[name]:
            del self.names[name]
