"""Whether a client is still there: a ping after each interval, and a pong in time.

What else comes from a client while its pong is awaited shows that it is there, so the pong may take
as long again, once: it may lie behind a large upload. Source: engine.io 6.6.12, `socket.ts`.

Source: the Engine.IO protocol document, revision 4, "Heartbeat": the server asks. There is one
absolute deadline, moved by each pong: a chain of sleeps would drift past it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from broker.values.options import EngineOptions

from .timers import Timer, Timers


class Heartbeat:
    """Calls `ping()` when it is time to, and `silent()` when no pong has come.

    While `listening()` is False we do not read, and silence is not the client's fault. It is pinged
    all the same, for a ping that cannot be written shows that it has gone; `stuck()` says that
    what was sent has not been taken for longer than a pong may take.

    `doubting`: whether a pong is awaited and nothing has come since the ping; then who hears of
    anything else calls `heard`.
    """

    __slots__ = (
        "_deadline",
        "_interval",
        "_listening",
        "_ping",
        "_silent",
        "_stuck",
        "_timeout",
        "_timer",
        "_timers",
        "doubting",
    )

    def __init__(
        self,
        options: EngineOptions,
        timers: Timers,
        ping: Callable[[], None],
        silent: Callable[[], None],
        listening: Callable[[], bool],
        stuck: Callable[[], bool],
    ) -> None:
        self._interval = options.ping_interval
        self._timeout = options.ping_timeout
        self._timers = timers
        self._ping = ping
        self._silent = silent
        self._listening = listening
        self._stuck = stuck
        self._timer: Timer | None = None
        self._deadline = math.inf
        self.doubting = False

    def rest(self) -> None:
        """Wait an interval from now: at the beginning, and after each pong."""
        self.doubting = False
        now = trio.current_time()
        self._deadline = now + self._interval + self._timeout
        self._set(now + self._interval, self._ask)

    def heard(self) -> None:
        """Give the pong as long again: something else has come from the client."""
        self.doubting = False
        self.postpone()

    def postpone(self) -> None:
        """Give the client the whole timeout from now: it is being read again."""
        deadline = trio.current_time() + self._timeout
        if self._deadline < deadline:
            self._deadline = deadline
            self._set(deadline, self._judge)

    def check(self) -> None:
        """Judge now, if the deadline has passed, though the timer has not said so yet."""
        if self._listening() and trio.current_time() >= self._deadline:
            self._silent()

    def stop(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _ask(self) -> None:
        self._set(self._deadline, self._judge)
        self._doubt()

    def _judge(self) -> None:
        if self._listening() or self._stuck():
            self._silent()
        else:
            self.postpone()
            self._doubt()

    def _doubt(self) -> None:
        self.doubting = True
        self._ping()

    def _set(self, when: float, action: Callable[[], None]) -> None:
        self.stop()
        self._timer = self._timers.at(when, action)
