"""One life of an engine or broker: from `async with` to its end.

Everything that is only true while it runs hangs on the `Life`; handlers and options outlive it.
Shutting down: nobody new → tell clients → wait, up to `grace` → cancel what is left. To drain is to
tell the clients in waves before that. Whoever uses the life from another task `holds` it, and who
opened it leaves last.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

import trio

from broker.sessions.session import Services
from broker.values.options import Drain, EngineOptions
from broker.values.reasons import DisconnectReason
from broker.values.statistics import count_tasks

logger = logging.getLogger("atrio.session")


class Life:
    """What a running engine has."""

    nursery: trio.Nursery
    """Where the sessions live that are longer than their connections: those that poll."""

    def __init__(self, options: EngineOptions) -> None:
        self.services = Services(options)
        self.closing = trio.Event()
        """Set when it begins to close."""
        self.killed = trio.Event()
        """Set when waiting no longer helps, though not everything has ended by itself."""
        self.settled = False
        """Whether everything has ended by itself."""
        self.deserted = trio.Event()
        """Set when the last session has gone."""
        self.trouble: Callable[[], str] = str
        """Says what is not as it must be, for the health check; empty: nothing."""
        self._drains = 0
        self._idle: set[trio.CancelScope] = set()  # connections that wait for a request
        self._held: set[trio.CancelScope] = set()
        self.deadline = -math.inf
        """Until when what has begun may go on, once it closes."""
        self._released = trio.Event()
        self._released.set()

    @contextmanager
    def idle(self) -> Iterator[trio.CancelScope]:
        """Cancel the block as soon as the life is being closed."""
        with trio.CancelScope() as scope:
            self._idle.add(scope)
            try:
                yield scope
            finally:
                self._idle.discard(scope)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the life open for the block, which is cancelled when waiting no longer helps."""
        with trio.CancelScope() as scope:
            if not self._held:
                self._released = trio.Event()
            self._held.add(scope)
            try:
                yield
            finally:
                self._held.discard(scope)
                if not self._held:
                    self._released.set()

    @property
    def admits(self) -> bool:
        """Whether new clients are let in."""
        return not (self._drains or self.closing.is_set())

    async def drain(self, drain: Drain) -> None:
        """Let nobody new in, and close the sessions in waves, oldest first, then the life.

        Returns when it closes, for whatever reason. Cancelled, it lets clients in again.
        """
        sessions = self.services.sessions  # in the order in which they came
        wave = trio.current_time()
        self._drains += 1
        try:
            while not self.closing.is_set():
                for session in list(islice(sessions.values(), drain.batch)):
                    session.close(DisconnectReason.SERVER_SHUTDOWN)
                if not sessions:
                    self.shut()
                    break
                wave += drain.interval
                with trio.move_on_at(wave):
                    await self.closing.wait()
        finally:
            self._drains -= 1

    def shut(self) -> None:
        """Begin to close; harmless when that has begun."""
        if self.closing.is_set():
            return
        self.closing.set()
        for scope in self._idle:
            scope.cancel()
        for session in list(self.services.sessions.values()):
            session.close(DisconnectReason.SERVER_SHUTDOWN)
        grace = self.services.options.grace
        self.deadline = trio.current_time() + grace
        self.services.timers.after(grace, self._grace_over)

    def _grace_over(self) -> None:
        logger.warning(
            "the broker cancels what has not ended within grace=%g s of its closing",
            self.services.options.grace,
        )
        self.kill()

    def kill(self) -> None:
        """Cancel everything that is left."""
        self.closing.set()
        self._wait_no_longer()
        self.nursery.cancel_scope.cancel()
        for scope in (*self._held, *self._idle):
            scope.cancel()

    def _wait_no_longer(self) -> None:
        if not self.settled:
            self.killed.set()

    async def hear_cancellation(self) -> None:
        """Set `killed` when this is cancelled, for those who cannot be, or are shielded."""
        try:
            await trio.sleep_forever()
        finally:
            self._wait_no_longer()

    def count_tasks(self) -> int:
        """Return how many tasks the sessions have."""
        return sum(1 + count_tasks(session.nursery) for session in self.services.sessions.values())

    async def released(self) -> None:
        """Wait until nobody holds the life."""
        await self._released.wait()
