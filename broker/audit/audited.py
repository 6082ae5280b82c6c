"""A client that reports to an audit by itself: what it asks, what it is told, what it sees.

For servers that speak as a chat does: there are events to join, to leave and to say something, each
with an ack, and one event that brings what was said.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, TypeAlias

import attrs

from broker.values.errors import SocketDisconnected

from .book import Position
from .client_side import AuditClient
from .room_audit import RoomAudit


class Client(Protocol):
    """What a client must have; that of `broker.testing.client` has it. `id` is its socket's."""

    id: str

    async def call(self, event: str, *args: Any) -> Any:
        """Send an event and return its ack."""

    def watch(self, watcher: Callable[[str, tuple[Any, ...]], None]) -> None:
        """Call `watcher(event, args)` for each event as it arrives."""


Heard: TypeAlias = tuple[str | None, str] | tuple[str | None, str, Position]
"""(room, text), or (room, text, position); a room of None is that to which the text was said."""


def _last_is_text(*args: Any) -> Heard:
    return None, args[-1]


@attrs.frozen(kw_only=True)
class Words:
    """The names of a server's events, and how to read the one that brings what was said."""

    join: str = "join"
    """Called with (room)."""
    leave: str = "leave"
    """Called with (room)."""
    say: str = "message"
    """Called with (room, text)."""
    heard: str = "message"
    read: Callable[..., Heard] = _last_is_text
    """Called with the arguments of `heard`; by default the last one is the text."""
    echo: bool = True
    """Whether who says something hears it, too."""


class AuditedClient:
    """A client of the server, and what it reports: `client`, `report`.

    What it says is its name and a number: no text is said twice.
    """

    def __init__(self, client: Client, report: AuditClient, words: Words) -> None:
        self.client = client
        self.report = report
        self.rooms: list[str] = []
        self._words = words
        self._said = 0
        client.watch(self._heard)

    async def join(self, room: str) -> bool:
        """Join a room; returns whether it was let in."""
        self.report.joining(room)
        if not _accepted(await self.client.call(self._words.join, room)):
            self.report.join_refused(room)
            return False
        self.report.joined(room)
        self.rooms.append(room)
        return True

    async def leave(self, room: str) -> None:
        """Leave a room."""
        self.report.leaving(room)
        await self.client.call(self._words.leave, room)
        self.report.left(room)
        self.rooms.remove(room)

    async def say(self, room: str) -> str:
        """Say something new, and return the text."""
        self._said += 1
        text = f"{self.report.name} {self._said}"
        self.report.sent(room, text, ack=True, but=() if self._words.echo else {self.report.name})
        if _accepted(await self.client.call(self._words.say, room, text)):
            self.report.acked(text)
        else:
            self.report.rejected(text)
        return text

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if event == self._words.heard:
            self.report.saw(*self._words.read(*args))


@asynccontextmanager
async def audited(
    connecting: AbstractAsyncContextManager[Client],
    audit: RoomAudit,
    name: str,
    words: Words | None = None,
) -> AsyncIterator[AuditedClient]:
    """Connect a client for the block, as `audited(broker.test_client(), audit, "ann")`.

    To the server's account it is known by its socket's id. It leaves its rooms at the end of the
    block, so that all that it should have seen is checked.
    """
    report: AuditClient | None = None
    try:
        async with connecting as client:
            report = audit.client(name, member=client.id)
            audited_client = AuditedClient(client, report, words or Words())
            yield audited_client
            with suppress(SocketDisconnected):
                for room in list(audited_client.rooms):
                    await audited_client.leave(room)
    finally:
        if report is not None:
            report.cut_off()  # not earlier: until the end of its connection it sees things


def _accepted(answer: Any) -> bool:
    """Whether an ack is no error, as this broker sends it."""
    return not (isinstance(answer, dict) and "error" in answer)
