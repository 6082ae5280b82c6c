"""A client's event as a loop gets it: `async for event, *args in socket.events()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self


class ReceivedEvent(tuple[Any, ...]):  # noqa: SLOT001 - a tuple can have no others
    """`(event, *args)`: the event's name (str), and what the client sent with it."""

    def __new__(
        cls, event: str, args: list[Any], answer: Callable[[list[Any]], None] | None
    ) -> Self:
        """`answer`: what sends the ack; None when the client asked for none."""
        received = super().__new__(cls, (event, *args))
        received._answer = answer
        received._acknowledged = False
        return received

    _answer: Callable[[list[Any]], None] | None
    _acknowledged: bool

    @property
    def event(self) -> str:
        """Its name."""
        return str(self[0])

    @property
    def args(self) -> tuple[Any, ...]:
        """What the client sent with it."""
        return self[1:]

    @property
    def wants_ack(self) -> bool:
        """Whether the client asked for an ack."""
        return self._answer is not None

    def ack(self, *values: Any) -> None:
        """Answer the client with these values.

        Does nothing when the client asked for no ack, or has gone. Raises RuntimeError the second
        time, TypeError or ValueError for what cannot be sent; then it is not answered yet.
        """
        if self._acknowledged:
            raise RuntimeError(f"the event {self.event!r} was acknowledged before: once is enough")
        if self._answer is not None:
            self._answer(list(values))
        self._acknowledged = True
