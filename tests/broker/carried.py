"""One test body over all three carriers: memory, a loopback socket, and the simulated network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from actors.sim import Sim, simulate
from actors.sim.faults import LAN, Faults
from broker.testing.carriers import Carrier

SCHEDULES = 3
SLOW = Faults(latency=(0.05, 0.1), chunk=3)

Body = Callable[[Carrier], Awaitable[None]]


def over_each_carrier(body: Body) -> Callable[[str], None]:
    """Make one test for each carrier of `async def test_…(over)`.

    Over the network it runs inside of simulations: under several schedules, with latency and torn
    sends.
    """

    async def bounded(over: Carrier) -> None:
        with trio.fail_after(20):
            await body(over)

    async def simulated(sim: Sim, faults: Faults) -> None:
        await body(sim.net(faults))

    @pytest.mark.parametrize("carrier", ["memory", "socket", "net"])
    def test(carrier: str) -> None:
        if carrier == "net":
            for seed in range(SCHEDULES):
                for faults in (LAN, SLOW):
                    simulate(partial(simulated, faults=faults), seed=seed).check()
        else:
            trio.run(bounded, carrier)

    test.__name__ = body.__name__
    test.__doc__ = body.__doc__
    return test
