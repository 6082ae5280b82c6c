"""What a session does about an outbox that fills up: tell the app, count, log, and end as slow.

An episode begins when the outbox passes its high-water mark, and ends when a write has brought it
below. The app hears of it once, and the log has one line with the number of events dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from broker.values.options import EngineOptions
from broker.values.statistics import Tally

from .timers import Timer, Timers

logger = logging.getLogger("atrio.session")


class Pressure:
    """Hears of the outbox of one session. `dropped`: what has been lost on the way to its client.

    `warn` is called at the beginning of each episode, `end` when the client is too slow.
    """

    __slots__ = (
        "_began",
        "_dropped",
        "_end",
        "_options",
        "_sid",
        "_tally",
        "_timer",
        "_timers",
        "_warn",
        "dropped",
    )

    def __init__(
        self,
        sid: str,
        options: EngineOptions,
        timers: Timers,
        tally: Tally,
        *,
        warn: Callable[[], None],
        end: Callable[[], None],
    ) -> None:
        self._sid = sid
        self._options = options
        self._timers = timers
        self._tally = tally
        self._warn = warn
        self._end = end
        self._timer: Timer | None = None
        self._began = 0.0
        self._dropped = 0  # in this episode
        self.dropped = 0

    def outbox_full(self) -> None:
        """End: the client does not take what is sent to it."""
        drops = self._options.overflow != "disconnect"
        self.end_full("acks and control packets alone" if drops else "its outbox")

    def end_full(self, what: str) -> None:
        """End, as `what` has passed the limits."""
        logger.warning(
            "session %s is disconnected as a slow client: %s passed max_outbox_bytes=%d or "
            "max_outbox_packets=%d (overflow=%r)",
            self._sid,
            what,
            self._options.max_outbox_bytes,
            self._options.max_outbox_packets,
            self._options.overflow,
        )
        self._end_as_slow()

    def outbox_high(self, *, high: bool) -> None:
        """Begin or end an episode."""
        self.stop()
        if high:
            self._began = trio.current_time()
            self._timer = self._timers.after(self._options.slow_timeout, self._too_slow)
            self._warn()

    def outbox_dropped(self) -> None:
        """Count an event that the policy has dropped."""
        self.lost(1)
        self._dropped += 1
        if self._timer is None:  # it is too large for an empty outbox: an episode of its own
            self._began = trio.current_time()
            self.stop()

    def lost(self, events: int) -> None:
        """Count events that are lost, whyever."""
        self.dropped += events
        self._tally.dropped += events

    def stop(self) -> None:
        """End the episode, if there is one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._dropped:
            logger.warning(
                "session %s: %d event%s dropped within %.1f s, as its outbox was full: overflow=%r,"
                " max_outbox_bytes=%d, max_outbox_packets=%d",
                self._sid,
                self._dropped,
                " was" if self._dropped == 1 else "s were",
                trio.current_time() - self._began,
                self._options.overflow,
                self._options.max_outbox_bytes,
                self._options.max_outbox_packets,
            )
            self._dropped = 0

    def _too_slow(self) -> None:
        logger.warning(
            "session %s is disconnected as a slow client: its outbox was more than half full for "
            "slow_timeout=%g s",
            self._sid,
            self._options.slow_timeout,
        )
        self._end_as_slow()

    def _end_as_slow(self) -> None:
        self._tally.slow_disconnects += 1
        self._end()
