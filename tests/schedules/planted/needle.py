"""The needle: three tasks of twelve steps, and three more that are in the way.

Wrong: the first opens a window at its ninth step; if the second is at its third step just then, it
opens one, too; if the third is at its eleventh just then, it falls through both. Each window is
open for one step of who opened it. So the first must be far ahead of the second, the third far
ahead of both, and all must stop and go on at one step each. No schedule without a plan does that:
it shows how many schedules a rare meeting takes. (No program is written like this; but some are
like this.)
"""

from __future__ import annotations

import trio

from actors.sim import Sim

_STEPS = 12
_OTHERS = 3


async def broken(sim: Sim) -> None:
    """Fail if all three meet."""
    outer = inner = hit = False

    async def first() -> None:
        nonlocal outer
        for step in range(_STEPS):
            outer = step == 8
            await trio.lowlevel.checkpoint()
            outer = False

    async def second() -> None:
        nonlocal inner
        for step in range(_STEPS):
            inner = step == 2 and outer
            await trio.lowlevel.checkpoint()
            inner = False

    async def third() -> None:
        nonlocal hit
        for step in range(_STEPS):
            hit = hit or (step == 10 and inner)
            await trio.lowlevel.checkpoint()

    async def other() -> None:
        for _ in range(_STEPS):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for task in (first, second, third, *[other] * _OTHERS):
            nursery.start_soon(task)
    assert not hit, "all three have met"
