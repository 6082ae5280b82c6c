"""Every pair of endings at the same moment: hooks once, one reason, nothing left."""

from __future__ import annotations

import pytest

from actors.sim import Sim, explore

from .faults import of_endings
from .faults.planting import Fault
from .storm import pairs
from .storm.pairs import Cause

WITHIN = 100  # schedules of any pairs in which a fault is found; with other seeds up to 72


@pytest.mark.parametrize("causes", pairs.PAIRS, ids=" + ".join)
@pytest.mark.sim(runs=80)
async def test_two_endings_at_once_are_one(sim: Sim, causes: tuple[Cause, Cause]) -> None:
    await pairs.Pair(sim, causes).blow()


@pytest.mark.parametrize(
    "fault",
    [
        of_endings.a_second_cause_runs_the_hooks_again,
        of_endings.a_second_reason_overwrites_the_first,
        of_endings.rooms_are_left_first,
        of_endings.rooms_are_not_left,
        of_endings.last_hooks_can_be_cancelled,
        of_endings.an_ending_can_be_cancelled_before_it_begins,
        of_endings.the_heart_waits_from_the_ping_on,
        of_endings.tasks_of_a_socket_go_on,
        of_endings.a_closed_session_keeps_its_sockets,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_of_endings_is_found(fault: Fault) -> None:
    with fault():
        report = explore(pairs.any_pair, runs=WITHIN)
    assert report.failure is not None
