"""Who waits for what, and since when: an answer that must come, and in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Literal, Protocol, TypeAlias

from .book import Book

Kind: TypeAlias = Literal["ack", "answer"]


class Waiter(Protocol):
    """A client; only a healthy one can complain of waiting."""

    name: str
    healthy: bool


class Waits:
    """The open waits of all clients; `patience`: how long a healthy one waits, in seconds."""

    def __init__(self, book: Book, patience: float) -> None:
        self.patience = patience
        self._book = book
        self._open: dict[tuple[str, Kind, Hashable], float] = {}
        self._queue: deque[tuple[float, Waiter, Kind, Hashable]] = deque()  # the oldest first

    def begin(self, client: Waiter, kind: Kind, what: Hashable) -> bool:
        """Begin to wait; False when the same is waited for already."""
        key = (client.name, kind, what)
        if key in self._open:
            return False
        self._open[key] = self._book.now
        if self._book.clock is not None:
            self._queue.append((self._book.now, client, kind, what))
        return True

    def end(self, name: str, kind: Kind, what: Hashable) -> bool:
        """End a wait; False when there is none."""
        return self._open.pop((name, kind, what), None) is not None

    def drop(self, name: str) -> None:
        """Forget what a client waits for: its connection has ended."""
        for key in [key for key in self._open if key[0] == name]:
            del self._open[key]

    def check(self) -> None:
        """Check that no healthy client has waited too long."""
        if self._book.clock is None:
            return
        now = self._book.now
        while self._queue and now - self._queue[0][0] > self.patience:
            since, client, kind, what = self._queue.popleft()
            if self._open.get((client.name, kind, what)) == since and client.healthy:
                self._book.fail(
                    "isolation",
                    client.name,
                    f"an {kind} to {what!r} within {self.patience:g} s, for it is healthy",
                    f"none for {now - since:g} s",
                )

    def finish(self) -> None:
        """Check that nobody waits any more."""
        for name, kind, what in self._open:
            self._book.fail("one answer", name, f"an {kind} to {what!r}", "none until the end")
