"""What a client has sent and its handlers have not yet taken.

The reader goes on while events wait: acks, pongs, the close and other namespaces' events pass them
by. Only when an inbox is full is that client read no further (TCP then slows it down), until half
of it has been handled.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from broker.values.options import EngineOptions

T = TypeVar("T")


class Reader(Protocol):
    """Who reads the client: the session."""

    def pause(self, inbox: object) -> None:
        """Read no further until `resume` for the same inbox."""

    def resume(self, inbox: object) -> None:
        """Read again."""


class Inbox(Generic[T]):
    """A queue bounded in items and bytes; `len(inbox)` items wait, of so many `bytes`."""

    __slots__ = ("_items", "_max_bytes", "_max_packets", "_paused", "_reader", "bytes")

    def __init__(self, options: EngineOptions, reader: Reader) -> None:
        self._reader = reader
        self._max_bytes = options.max_inbox_bytes
        self._max_packets = options.max_inbox_packets
        self._items: list[tuple[T, int]] = []  # an empty deque has 760 bytes, and it is never long
        self.bytes = 0
        self._paused = False

    def put(self, item: T, size: int) -> None:
        """Queue `item`, which was `size` bytes on the wire. It always fits: the reader stops."""
        self._items.append((item, size))
        self.bytes += size
        if not self._paused and self._filled(1):
            self._paused = True
            self._reader.pause(self)

    @property
    def oldest(self) -> T:
        """The item that `take` would take; raises IndexError when there is none."""
        return self._items[0][0]

    def take(self) -> T:
        """Take the oldest item; raises IndexError when there is none."""
        item, size = self._items.pop(0)
        self.bytes -= size
        if self._paused and not self._filled(2):
            self._paused = False
            self._reader.resume(self)
        return item

    def clear(self) -> int:
        """Drop all; return how many they were."""
        count = len(self._items)
        self._items.clear()
        self.bytes = 0
        if self._paused:
            self._paused = False
            self._reader.resume(self)
        return count

    def _filled(self, part: int) -> bool:
        return len(self._items) * part >= self._max_packets or self.bytes * part >= self._max_bytes

    def __len__(self) -> int:
        return len(self._items)
