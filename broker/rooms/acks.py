"""The acks a socket waits for: none outlives its answer, its deadline, or the socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from actors import Reply


class Waiting(Protocol):
    """Who waits for one ack of one socket."""

    def send(self, values: list[Any], /) -> None:
        """Take the client's ack."""

    def fail(self, error: Exception, /) -> None:
        """Hear that none will come."""


class Acks:
    """Those that are waited for, by id; `len(acks)` of them.

    An id is unique in its namespace, so what one of many is asked and what a socket is asked alone
    lie side by side. The table is the socket's own: no client answers for another.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}

    def expect(self, id_: int, waiting: Waiting) -> None:
        """Expect the ack of this id, until it comes, or `forget`."""
        self._waiting[id_] = waiting

    def forget(self, id_: int) -> None:
        """Expect this ack no more."""
        self._waiting.pop(id_, None)

    @contextmanager
    def awaited(self, id_: int) -> Iterator[Reply[list[Any]]]:
        """Expect the ack of this id for the block, and forget it then, however it ends."""
        reply: Reply[list[Any]] = Reply()
        self.expect(id_, reply)
        try:
            yield reply
        finally:
            self.forget(id_)

    def answer(self, id_: int, values: list[Any]) -> None:
        """Take the client's ack; one that nobody waits for is ignored."""
        waiting = self._waiting.pop(id_, None)
        if waiting is not None:
            waiting.send(values)

    def fail(self, error: Exception) -> None:
        """Tell whoever waits for an ack that none will come, and why."""
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            each.fail(error)

    def __len__(self) -> int:
        return len(self._waiting)


def value_of(values: list[Any]) -> Any:
    """Return what an ack means: None for no values, the value, or a tuple of several."""
    return None if not values else values[0] if len(values) == 1 else tuple(values)
