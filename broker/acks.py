"""The acks a socket waits for: each has a deadline, and none outlives the socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actors import Reply


class Acks:
    """Those that are waited for, by id; `len(acks)` of them."""

    __slots__ = ("_last", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[int, Reply[list[Any]]] = {}
        self._last = -1

    def next_id(self) -> int:
        """Return an id that no event of this socket has had."""
        self._last += 1
        return self._last

    @contextmanager
    def awaited(self, id_: int) -> Iterator[Reply[list[Any]]]:
        """Expect the ack of this id for the block, and forget it then, however it ends."""
        reply = self._waiting[id_] = Reply()
        try:
            yield reply
        finally:
            del self._waiting[id_]

    def answer(self, id_: int, values: list[Any]) -> None:
        """Take the client's ack; one that nobody waits for is ignored."""
        reply = self._waiting.get(id_)
        if reply is not None:
            reply.send(values)

    def fail(self, error: Exception) -> None:
        """Raise `error` wherever an ack is waited for."""
        for reply in self._waiting.values():
            reply.fail(error)

    def __len__(self) -> int:
        return len(self._waiting)


def value_of(values: list[Any]) -> Any:
    """Return what an ack means: None for no values, the value, or a tuple of several."""
    return None if not values else values[0] if len(values) == 1 else tuple(values)
