"""Order and back-pressure around an `on_join` that talks itself, and faults planted in them."""

from __future__ import annotations

import pytest

from actors.sim import Sim, explore

from .faults import of_own_rooms
from .faults.planting import Fault
from .storm import welcome

MAX_STEPS = 100_000
WITHIN = 200  # schedules in which a fault is found


@pytest.mark.sim(runs=200, max_steps=MAX_STEPS)
async def test_an_on_join_that_emits_keeps_every_order(sim: Sim) -> None:
    await welcome.storm(sim)


@pytest.mark.parametrize(
    "fault",
    [
        of_own_rooms.an_on_join_passes_itself,
        of_own_rooms.other_events_pass_those_that_are_kept,
        of_own_rooms.what_is_kept_does_not_count,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_around_an_on_join_is_found(fault: Fault) -> None:
    with fault():
        report = explore(welcome.storm, runs=WITHIN, max_steps=MAX_STEPS)
    assert report.failure is not None
