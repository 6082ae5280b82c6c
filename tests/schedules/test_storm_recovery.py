"""Clients come back at any moment: with what they have missed, in order, once."""

from __future__ import annotations

import pytest

from actors.sim import Sim, explore

from .faults import of_recovery
from .faults.planting import Fault
from .storm import recovery

MAX_STEPS = 100_000
WITHIN = 100  # schedules in which a fault is found


@pytest.mark.sim(runs=150, max_steps=MAX_STEPS)
async def test_who_comes_back_has_had_what_its_twin_has(sim: Sim) -> None:
    await recovery.storm(sim)


@pytest.mark.parametrize(
    "fault",
    [
        of_recovery.rooms_are_left_before_its_place_is_there,
        of_recovery.nothing_is_noted_while_the_last_hooks_run,
        of_recovery.nobody_waits_for_the_old_socket,
        of_recovery.noted_in_the_order_of_encoding,
        of_recovery.what_is_confirmed_comes_again,
        of_recovery.unions_forget_who_is_away,
        of_recovery.rooms_forget_who_is_away,
        of_recovery.the_excluded_get_it_when_away,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_of_recovery_is_found(fault: Fault) -> None:
    with fault():
        report = explore(recovery.storm, runs=WITHIN, max_steps=MAX_STEPS)
    assert report.failure is not None
