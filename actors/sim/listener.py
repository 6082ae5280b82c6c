"""The listener of a simulated host: connections wait in it to be accepted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from .faults import Chance
from .link_end import LinkEnd


class NetListener(trio.abc.Listener[LinkEnd]):
    """Accepts the connections to one host; made by `Net.listen`.

    Up to `backlog` connections wait to be accepted; who connects then waits for a place. Closing
    the listener resets those that wait; the host can then be listened on again.
    """

    __slots__ = (
        "_acceptors",
        "_backlog",
        "_dialers",
        "_on_close",
        "_sim",
        "_waiting",
        "closed",
        "name",
    )

    def __init__(
        self, sim: Chance, name: str, backlog: int, on_close: Callable[[NetListener], None]
    ) -> None:
        self.name = name
        self.closed = False
        self._sim = sim
        self._backlog = backlog
        self._on_close = on_close
        self._waiting: deque[LinkEnd] = deque()
        self._acceptors = trio.lowlevel.ParkingLot()
        self._dialers = trio.lowlevel.ParkingLot()

    async def accept(self) -> LinkEnd:
        """Wait for a connection, and return this end of it. As `trio.abc.Listener` says."""
        if self._waiting or self.closed:
            await trio.lowlevel.checkpoint()
        while not self._waiting and not self.closed:
            await self._acceptors.park()
        if self.closed:
            raise trio.ClosedResourceError(f"the listener on {self.name!r} was closed")
        end = self._waiting.popleft()
        if self._sim.trace is not None:
            self._sim.trace.received(self)
        self._dialers.unpark_all()
        return end

    async def aclose(self) -> None:
        """Close it; whoever accepts raises `ClosedResourceError`. Never blocks."""
        if not self.closed:
            self.closed = True
            self._on_close(self)
            for end in self._waiting:
                end.reset("its host stopped listening before it was accepted")
            self._acceptors.unpark_all()
            self._dialers.unpark_all()
        await trio.lowlevel.checkpoint()

    # What `Net` calls.

    @property
    def full(self) -> bool:
        """Whether the backlog has no place."""
        return len(self._waiting) >= self._backlog

    async def wait_for_place(self) -> None:
        """Wait until a connection is accepted, or the listener closed."""
        await self._dialers.park()

    def add(self, end: LinkEnd) -> None:
        """Let a new connection wait to be accepted."""
        self._waiting.append(end)
        if self._sim.trace is not None:
            self._sim.trace.sent(self, f"connection {end.name}", f"listener {self.name}")
        self._acceptors.unpark()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self._waiting)} waiting"
        return f"<NetListener {self.name}, {state}>"
