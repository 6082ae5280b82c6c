"""A room that notes what happens to it, for tests of rooms of a user's type."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from actors import Ask
from broker import Broker, Room, Socket


@attrs.frozen
class Add(Ask[int]):
    number: int


@attrs.frozen
class Fail(Ask[None]):
    error: Exception


def diary(broker: Broker, glob: str = "r*", **changes: Any) -> list[tuple[str, Any]]:
    """Register a room that notes its hooks; return its notes."""
    notes: list[tuple[str, Any]] = []

    class Noting(Room):
        linger = changes.get("linger", 0.0)
        on_error = changes.get("on_error", "keep")

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            notes.append(("open", self.name))
            try:
                yield
            except BaseException as error:
                notes.append(("error", type(error)))
                raise
            finally:
                notes.append(("shut", self.name))

        async def on_create(self) -> None:
            self.total = 0
            notes.append(("create", self.name))

        async def on_join(self, socket: Socket) -> None:
            notes.append(("join", socket.id))

        async def on_leave(self, socket: Socket) -> None:
            notes.append(("leave", socket.id))

        async def on_close(self) -> None:
            notes.append(("close", self.name))

        async def receive(self, message: object) -> int:
            match message:
                case Fail(error=error):
                    raise error
                case Add(number=number):
                    self.total += number
                case _:
                    notes.append(("told", message))
            return self.total

    broker.room_type(glob)(Noting)
    return notes


def words(notes: list[tuple[str, Any]]) -> list[str]:
    return [word for word, _ in notes]
