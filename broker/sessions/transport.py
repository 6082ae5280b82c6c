"""What carries a session's packets, as its outbox sees it."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """What carries a session's packets: it takes them out of the outbox when it can write."""

    @property
    def writable(self) -> bool:
        """Whether what is pushed now would be written at once, as far as is known."""

    def flush(self) -> None:
        """Write what waits in the outbox, or go on doing so; never blocks."""
