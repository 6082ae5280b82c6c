"""The broker ends at any moment: in time, telling those who listen, leaving nothing."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest
import trio

from actors.sim import Sim, explore
from broker import Broker

from .faults import of_endings
from .faults.planting import Fault
from .storm import shutdown
from .storm.client import HARBOUR
from .storm.ground import dawdle
from .storm.wire import Over, Wire

MAX_STEPS = 50_000
WITHIN = 100  # schedules in which a fault is found; seen: 1, 1 and 16


@pytest.mark.sim(runs=400, max_steps=MAX_STEPS)
async def test_a_broker_in_use_ends_in_time_and_leaves_nothing(sim: Sim) -> None:
    await shutdown.storm(sim)


@pytest.mark.parametrize(
    "fault",
    [
        of_endings.grace_is_no_limit,
        of_endings.last_hooks_can_be_cancelled,
        of_endings.hooks_have_no_limit,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_of_shutdown_is_found(fault: Fault) -> None:
    with fault():
        report = explore(shutdown.storm, runs=WITHIN, max_steps=MAX_STEPS)
    assert report.failure is not None


@pytest.mark.sim(runs=200, sometimes=["it was refused", "it was told"])
async def test_who_is_in_its_first_poll_never_keeps_a_broker_that_closes(sim: Sim) -> None:
    net = sim.net()
    broker = Broker()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(broker.serve, listeners=[net.listen(HARBOUR)]))
        wire = Wire(await net.connect(HARBOUR, "ann"))

        async def end() -> None:
            await dawdle(sim, 20)
            await (broker.drain() if sim.draw(2, "drain") else broker.close())

        nursery.start_soon(end)
        with suppress(Over):
            answer = await wire.request("GET", "/socket.io/?EIO=4&transport=polling")
            sim.sometimes("it was refused", answer.status == 400)
            sim.sometimes("it was told", answer.status == 200)
        await trio.aclose_forcefully(wire.stream)
    assert trio.current_time() < 0.01  # it might have waited for its grace
    sim.expect_idle()
