"""The actor of a namespace that ends when nobody needs it, and is begun anew when somebody does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from actors import ActorGone, Supervisor
from broker.values.options import Options

from .messages import Asked, Join, Told, Unvisited
from .namespace_actor import Interest, NamespaceActor, RoomMaker
from .room_actor import RoomActor
from .room_events import RoomEvents


class RestingActor(NamespaceActor):
    """Ends between two turns: when nobody visits, no room lives, and nothing waits.

    To look and to end are one step with what clients and callers do in one step, too: to find the
    actor, and to count as a visitor or post to it. So nobody is left with one that has ended.
    """

    def __init__(
        self,
        name: str,
        supervisor: Supervisor,
        options: Options,
        room_maker: RoomMaker,
        room_events: RoomEvents,
        interest: Interest | None,
        *,
        is_visited: Callable[[], bool],
        on_rest: Callable[[], None],
    ) -> None:
        """`is_visited`: whether a client is here, comes, or is still going; `on_rest`: it ends."""
        super().__init__(name, supervisor, options, room_maker, room_events, interest)
        self._is_visited = is_visited
        self._on_rest = on_rest
        self._posting = 0  # callers who look for a room

    def look_again(self) -> None:
        """See whether it may end, when all that waits is done."""
        if self._is_idle():
            with suppress(ActorGone):
                self.tell_surely(Unvisited())

    def _is_idle(self) -> bool:
        return not (self._is_visited() or self.away or self.rooms or self._posting)

    async def between_turns(self) -> None:
        """End if nobody needs it."""
        if self._is_idle() and not len(self.mailbox):
            self.mailbox.close()
            self._on_rest()

    def _forget(self, room: RoomActor) -> None:
        super()._forget(room)
        self.look_again()

    async def _post(self, name: str, message: Join | Told | Asked) -> None:
        self._posting += 1
        try:
            await super()._post(name, message)
        finally:
            self._posting -= 1
            self.look_again()
