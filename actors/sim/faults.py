"""What may go wrong on a link of the simulated network, how often, and who decides it.

All that goes wrong is a choice of the run: a replay repeats it, and shrinking takes it away. A
fault whose probability is 0 is no choice at all, so a calm net costs none.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, Protocol, TypeAlias

import attrs

_Field: TypeAlias = "attrs.Attribute[Any]"


class Trace(Protocol):
    """The part of a run's trace that a net writes."""

    def sent(self, link: Hashable, text: str, channel: str) -> None:
        """Note that the running task has put something on `link`, to be shown as `channel`."""

    def received(self, link: Hashable) -> None:
        """Note that the oldest of what is on `link` has reached the running task."""


class Chance(Protocol):
    """The part of `Sim` that a net uses: it decides, and is told what happened."""

    @property
    def trace(self) -> Trace | None:
        """The run's trace, if it has one."""

    def draw(self, n: int, what: str = "") -> int:
        """Return a number from 0 to n - 1; 0 is the plain case."""

    def maybe(self, what: str, p: float = 0.05) -> bool:
        """Return True with probability `p`; False is the plain case."""

    def note(self, text: str) -> None:
        """Note a line in the lane of the running task."""

    def happened(self, kind: str, who: str, text: str) -> None:
        """Count one of `kind` (a plural word), and note it in the lane `who`."""


def _number(value: object, at_least: float, at_most: float) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and at_least <= value <= at_most
        and math.isfinite(value)
    )


def _latency(_: object, field: _Field, value: object) -> None:
    match value:
        case (base, jitter) if _number(base, 0, math.inf) and _number(jitter, 0, math.inf):
            return
    raise ValueError(f"{field.name}: expected (base, jitter) in seconds, from 0 up, saw {value!r}")


def _stall(_: object, field: _Field, value: object) -> None:
    match value:
        case (p, seconds) if _number(p, 0, 1) and _number(seconds, 0, math.inf):
            if seconds or not p:
                return
    raise ValueError(
        f"{field.name}: expected (probability, seconds), the first from 0 to 1, the second more "
        f"than 0 unless the first is, saw {value!r}"
    )


def _probability(_: object, field: _Field, value: object) -> None:
    if not _number(value, 0, 1):
        raise ValueError(f"{field.name}: expected a probability, from 0 to 1, saw {value!r}")


def _count(_: object, field: _Field, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{field.name}: expected a whole number from 1 up, saw {value!r}")


@attrs.frozen(kw_only=True)
class Faults:
    """How a link behaves, in each direction. Without arguments: at once, in order, no faults.

    `attrs.evolve(MOBILE, reset=0.1)` is MOBILE with more resets. Raises ValueError.
    """

    latency: tuple[float, float] = attrs.field(default=(0.0, 0.0), validator=_latency)
    """(base, jitter): each segment takes from base to base + jitter virtual seconds, one way.

    A later one never overtakes an earlier one. A connection takes two times base to make.
    """

    chunk: int = attrs.field(default=1, validator=_count)
    """How many pieces a send may be torn into at most; each is read on its own. 1: never torn."""

    window: int = attrs.field(default=65536, validator=_count)  # a usual socket buffer
    """How many bytes may be in flight or unread; who sends more waits for the reader."""

    reset: float = attrs.field(default=0.0, validator=_probability)
    """The probability, per send, that the connection is reset in the middle of it."""

    stall: tuple[float, float] = attrs.field(default=(0.0, 0.0), validator=_stall)
    """(probability, seconds): per send, that nothing arrives for so long. Nothing is lost."""

    blackhole: float = attrs.field(default=0.0, validator=_probability)
    """The probability, per send, that from now on nothing arrives, and nobody is told.

    A program survives it only with a timeout at each end.
    """


CALM = Faults()
"""A perfect network: only the schedule is explored. The same as a pair of memory streams, but with
a window, as nothing real has endless buffers."""

LAN = Faults(
    latency=(0.0002, 0.0003),  # a switched network answers a ping in half a millisecond or one
    chunk=2,  # what does not fit into one packet may be read in two parts
)
"""A good cable: nothing goes wrong, but things take time and reads are not what sends were."""

MOBILE = Faults(
    latency=(0.04, 0.2),  # 80 ms there and back in a quiet cell; a busy one buffers for longer
    chunk=4,  # packets are small, and come in bursts
    window=16384,  # a cell gives one phone little at a time: slow readers must be noticed
    reset=0.002,  # an address that changes under a connection, once in some hundred sends
    stall=(0.01, 8.0),  # a tunnel, a lift, a change of cells: longer than most people's patience
    blackhole=0.001,  # a translator of addresses has forgotten the connection: nobody is told
)
"""A phone on the move: connections live long enough to be used, and few end with a goodbye."""

CHAOS = Faults(
    latency=(0.01, 0.05),  # jitter of five times the base: what two clients send comes in any order
    chunk=4,  # most messages come in pieces, so that none can be taken for a message
    window=2048,  # less than a burst: senders wait often
    reset=0.02,  # fifty sends, as a short test has, see one
    stall=(0.05, 3.0),  # above common timeouts of a second or two, below those of heartbeats
)
"""More than any real network does, so that a few sends see all of it, for a program that keeps its
promises in any case. No black holes: with them each end needs a timeout, which few tests give their
clients; `attrs.evolve(CHAOS, blackhole=0.01)` has them."""
