"""The broker ends at any moment: in time, telling those who listen, leaving nothing."""

from __future__ import annotations

import pytest

from actors.sim import Sim, explore

from .faults import of_endings
from .faults.planting import Fault
from .storm import shutdown

MAX_STEPS = 50_000
WITHIN = 100  # schedules in which a fault is found; seen: 1, 1 and 24


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
