"""Deterministic, explorable runs of Trio programs: find the interleaving, replay it, see it.

>>> async def program(sim):
...     async with trio.open_nursery() as nursery:
...         nursery.start_soon(client, name="alice")
...         nursery.start_soon(client, name="bob")
>>> explore(program, runs=1000).check()

It runs the program on Trio's own loop, unmodified, one task per step, in virtual time. In pytest:
`@pytest.mark.sim` on `async def test(sim)`. It needs trio and this package's actors only.
"""

from .errors import (
    BadStrategy,
    BadToken,
    Deadlock,
    Escaped,
    InvariantViolated,
    NeverHappened,
    Nondeterminism,
    NotIdle,
    SimError,
    TooManySteps,
    Unreached,
)
from .exhaust import exhaust
from .explore import explore
from .faults import CALM, CHAOS, LAN, MOBILE, Faults
from .net import Net
from .run import Run, simulate
from .shrink import shrink
from .sim import Frozen, Sim, maybe, note
from .strategies import STRATEGIES, Strategy, TaskView
from .tally import Report

__all__ = [
    "CALM",
    "CHAOS",
    "LAN",
    "MOBILE",
    "STRATEGIES",
    "BadStrategy",
    "BadToken",
    "Deadlock",
    "Escaped",
    "Faults",
    "Frozen",
    "InvariantViolated",
    "Net",
    "NeverHappened",
    "Nondeterminism",
    "NotIdle",
    "Report",
    "Run",
    "Sim",
    "SimError",
    "Strategy",
    "TaskView",
    "TooManySteps",
    "Unreached",
    "exhaust",
    "explore",
    "maybe",
    "note",
    "shrink",
    "simulate",
]
