"""What bounds a simulated run, and what it may be surprised by."""

from __future__ import annotations

import attrs
from attrs import validators

from .faults import CALM, Faults


@attrs.frozen
class Options:
    """The options of a run: they are part of what a seed, or a token, means."""

    max_steps: int = attrs.field(default=20_000, validator=validators.ge(1))
    """In scheduler steps; a program that takes more fails, as one that spins."""
    timers: float = attrs.field(default=0.0, validator=[validators.ge(0.0), validators.le(1.0)])
    """The probability, per step, that the next timer fires though tasks can run.

    0.02 is a good value: a timer that fires early is what a slow machine looks like.
    """
    lag: int | None = attrs.field(default=None, validator=validators.optional(validators.ge(1)))
    """How often a task that can run is passed over at the most; None: without limit.

    Trio promises no order at all; a limit shows whether a failure needs much unfairness.
    """
    faults: Faults = attrs.field(default=CALM, validator=validators.instance_of(Faults))
    """What happens on the network that `sim.net()` makes."""
