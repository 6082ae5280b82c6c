"""What the clients of sessions that have ended are still to hear, each at its next polls."""

from __future__ import annotations

from .timers import Timers


class Farewells:
    """Bodies of polls, by sid; forgotten when the client does not come for them."""

    def __init__(self, timers: Timers, keep: float) -> None:
        """`keep`: how long, in seconds."""
        self._timers = timers
        self._keep = keep
        self._bodies: dict[str, list[bytes]] = {}

    def leave(self, sid: str, bodies: list[bytes]) -> None:
        """Leave what the next polls should hear, one body each; at least one."""
        self._bodies[sid] = bodies
        self._timers.after(self._keep, lambda: self._forget(sid, bodies))

    def _forget(self, sid: str, bodies: list[bytes]) -> None:
        if self._bodies.get(sid) is bodies:  # a later session may have had the same id
            del self._bodies[sid]

    def take(self, sid: str) -> bytes | None:
        """Return what the next poll should hear, if anything."""
        bodies = self._bodies.get(sid)
        if bodies is None:
            return None
        if len(bodies) == 1:
            del self._bodies[sid]
        return bodies.pop(0)

    def __len__(self) -> int:
        return len(self._bodies)

    def __contains__(self, sid: str) -> bool:
        return sid in self._bodies
