"""Calls that are cancelled at a drawn moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from actors.sim import Sim

_MOMENTS = 8


async def hurried(sim: Sim, call: Callable[[], Awaitable[object]]) -> bool:
    """Await `call()`, cancelled at a drawn moment or never; return whether it was whole."""
    moment = sim.draw(_MOMENTS, "when it is cancelled")
    if not moment:
        await call()
        return True
    whole = False
    failure: Exception | None = None
    scope = trio.CancelScope()

    async def cancel() -> None:
        for _ in range(moment - 2):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        if moment == 1:
            scope.cancel()
        else:
            nursery.start_soon(cancel)
        with scope:
            try:
                await call()
                whole = True
            except Exception as error:  # noqa: BLE001 - raised below, in no group
                failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return whole
