"""Listeners to what happens in the rooms of a namespace, called in the room's turn.

The order is Node's: create, join / leave, delete. A room is there while somebody is in it. Nothing
may interrupt a turn, so they are sync, and what they raise is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from broker.handlers.handler import check_listener

logger = logging.getLogger("atrio.room")

RoomEvent: TypeAlias = Literal["create", "join", "leave", "delete"]
RoomListener: TypeAlias = Callable[..., object]

_ARGUMENTS = {
    "create": ("room",),
    "join": ("room", "sid"),
    "leave": ("room", "sid"),
    "delete": ("room",),
}


class RoomEvents:
    """The listeners of one namespace; its parent's come first."""

    def __init__(self, inherited: RoomEvents | None = None) -> None:
        """`inherited`: another's, which come first."""
        self._inherited = inherited
        self._listeners: dict[str, list[RoomListener]] = {}

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners) or bool(self._inherited)

    def add(self, event: RoomEvent, listener: RoomListener) -> None:
        """Register a listener; raises TypeError or ValueError."""
        if event not in get_args(RoomEvent):
            raise ValueError(f"on_room: expected one of {get_args(RoomEvent)}, saw {event!r}")
        check_listener(f"on_room({event!r})", listener, _ARGUMENTS[event])
        self._listeners.setdefault(event, []).append(listener)

    def tell(self, event: RoomEvent, *args: str) -> None:
        """Call the listeners of an event."""
        if self._inherited is not None:
            self._inherited.tell(event, *args)
        for listener in self._listeners.get(event, ()):
            try:
                listener(*args)
            except Exception:
                logger.exception("room %r: the listener %r to %r failed", args[0], listener, event)
