"""Three clerks pay into one account: each reads the balance, awaits, and writes the sum.

Wrong: what another clerk paid in during the await is overwritten. It takes one clerk who reads
before another one's write, and writes after it. The correct variant adds without an await between
reading and writing.
"""

from __future__ import annotations

import trio

from actors.sim import Sim

_CLERKS = 3
_PAYMENTS = 3


async def _pay_in(*, awaits_between: bool) -> None:
    balance = 0

    async def clerk() -> None:
        nonlocal balance
        for _ in range(_PAYMENTS):
            seen = balance
            if awaits_between:
                await trio.lowlevel.checkpoint()
            balance = seen + 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(_CLERKS):
            nursery.start_soon(clerk)
    assert balance == _CLERKS * _PAYMENTS, f"{_CLERKS * _PAYMENTS} were paid in, {balance} is there"


async def broken(sim: Sim) -> None:
    """Await between reading and writing."""
    await _pay_in(awaits_between=True)


async def correct(sim: Sim) -> None:
    """Read and write in one step."""
    await _pay_in(awaits_between=False)
