"""What is known of rooms of a user's type in a storm: their lives, who stays, what clients see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from broker import Socket


@attrs.define(eq=False)
class Life:
    """One life of a room, as it should be."""

    name: str
    number: int
    version: int = 0
    busy: bool = False
    closed: bool = False
    inside: list[Socket] = attrs.field(factory=list)


@attrs.define(eq=False)
class Stay:
    """One visit of a socket in a room: from the start of its `on_join`.

    `entered`: whether it got in, as far as is known. `over`: it has begun to leave, or to go.
    """

    sid: str
    room: str
    number: int
    entered: bool | None = None
    over: bool = False


@attrs.define(eq=False)
class Word:
    """What was published to one room, and for which stays it surely is."""

    key: tuple[str, int]
    room: str
    stays: list[Stay]


@attrs.define
class Eyes:
    """What one client has seen: `at` is life and version of each room as it knows them."""

    name: str
    sid: str
    hold: Callable[..., None]
    stayed: bool = False  # until all was quiet: it has got what was on its way
    at: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    seen: list[tuple[Any, ...]] = attrs.field(factory=list)
    turns: dict[str, int] = attrs.field(factory=dict)

    def see(self, event: str, args: tuple[Any, ...]) -> None:
        """Take one event, as it arrives."""
        match event, args:
            case "snapshot", (room, life, version, stay):
                self.at[room] = (life, version)
                self.seen.append(("snapshot", stay))
            case "change", (room, life, version):
                known = self.at.get(room)
                self.hold(
                    known == (life, version - 1), "every change", f"{known} {args} {self.name}"
                )
                self.at[room] = (life, version)
                self.seen.append(("change", *args))
            case "word", (task, turn):
                self.hold(turn > self.turns.get(task, -1), "a task's order", f"{args} {self.name}")
                self.turns[task] = turn
                self.seen.append(args)
