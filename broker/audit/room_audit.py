"""One audit: what it is told, its own figures, and what is left at its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sized
from typing import Any, Protocol

import attrs

from .book import AuditFailed, Book
from .client_side import AuditClient
from .server_side import ServerAccount
from .waits import Waits

# Of a server's statistics, these count since its start, and are not left over from anything.
_SINCE_THE_START = frozenset({"dropped", "slow_disconnects"})
# And these are above zero as long as it lives: they are compared only with what was there before.
_OF_THE_SERVER = frozenset({"namespaces", "tasks"})


class Audited(Protocol):
    """A server with figures of what there is, in an attrs class: a `Broker` is one."""

    def statistics(self) -> Any:
        """Return the figures."""


class RoomAudit:
    """One audit. `server` takes the facts that the server tells, `failures` are those so far."""

    def __init__(
        self,
        clock: Callable[[], float] | None = None,
        *,
        patience: float = math.inf,
        across_rooms: bool = False,
    ) -> None:
        """`clock` tells the seconds: `trio.current_time`, say. `patience` needs one.

        `across_rooms`: order is promised over all rooms, as within a namespace of this broker.
        """
        if clock is None and patience < math.inf:
            raise ValueError("patience needs a clock")
        self._book = Book(clock, across_rooms=across_rooms)
        self._waits = Waits(self._book, patience)
        self._clients: dict[str, AuditClient] = {}
        self.server = ServerAccount(self._book.fail, self._member_of)

    @property
    def failures(self) -> list[AuditFailed]:
        """What was found, even if whoever reported it has swallowed it."""
        return self._book.failures

    def client(self, name: str, member: Hashable = None) -> AuditClient:
        """Return a new client; `member` is what the server calls it (None: the same).

        One that connects again is a new client; it may have the name of one that was cut off.
        """
        before = self._clients.get(name)
        if before is not None and before.connected:
            raise ValueError(f"there is a client {name!r} already")
        client = AuditClient(
            name, name if member is None else member, self._book, self.server, self._waits
        )
        self._clients[name] = client
        self._book.clients[name] = client
        return client

    @staticmethod
    def _member_of(member: Hashable) -> Hashable:
        return member.member if isinstance(member, AuditClient) else member

    # What can be looked at at any time.

    def check(self) -> None:
        """Check what no report shows: that no healthy client waits too long."""
        self._waits.check()

    def within(self, what: str, value: float, limit: float) -> None:
        """Check a measured value, as the peak of a mailbox."""
        if value > limit:
            self._book.fail("bounds", what, f"at most {limit:g}", f"{value:g}")

    # Its end.

    def finish(
        self,
        server: Audited | None = None,
        *,
        before: Any = None,
        left: Mapping[str, Sized | float] | None = None,
    ) -> None:
        """Check what can only be checked at the end, when all that was on its way has arrived.

        `server`: its `statistics()` must be back at zero; or at what they were `before`, which
        says more: then its tasks are counted, too. `left`: what must be empty or zero, by name,
        of any other server. What failed earlier is raised again.
        """
        if self.failures:
            raise self.failures[0]
        self._waits.check()
        self._waits.finish()
        for client in self._clients.values():
            client.finish()
        self.server.finish(self._may_be_in)
        found = dict(left or {})
        if server is not None:
            found |= _figures(server.statistics(), before)
        for what, rest in found.items():
            if rest if isinstance(rest, int | float) else len(rest):
                self._book.fail("nothing left", what, "none at the end", f"{rest!r}")

    def _may_be_in(self, room: str, member: Hashable) -> bool:
        return any(
            client.is_in(room) for client in self._clients.values() if client.member == member
        )


def _figures(now: Any, before: Any) -> dict[str, Sized | float]:
    """Return by how much each figure is not what it should be."""
    figures = {
        field.name: getattr(now, field.name)
        for field in attrs.fields(type(now))
        if field.name not in _SINCE_THE_START
    }
    if before is not None:
        return {name: value - getattr(before, name) for name, value in figures.items()}
    return {name: value for name, value in figures.items() if name not in _OF_THE_SERVER}
