"""Answer, deadline, ending and cancellation in every order: counted once, and nothing is left."""

from __future__ import annotations

import pytest

from actors.sim import Sim, explore

from .faults import of_acks
from .faults.planting import Fault
from .storm import acks

MAX_STEPS = 100_000
WITHIN = 100  # schedules in which a fault is found; with other seeds up to 25


@pytest.mark.sim(runs=300, max_steps=MAX_STEPS)
async def test_acks_are_counted_once_and_leave_nothing(sim: Sim) -> None:
    await acks.storm(sim)


@pytest.mark.parametrize(
    "fault",
    [
        of_acks.the_deadline_leaves_the_tables_as_they_are,
        of_acks.who_goes_is_waited_for_until_the_deadline,
        of_acks.a_cancelled_survey_is_still_expected,
        of_acks.cancelled_acks_stay_pending,
        of_acks.each_has_a_few_ids_of_its_own,
        of_acks.an_answer_completes_it,
        of_acks.the_time_begins_with_the_waiting,
        of_acks.an_end_forgets_the_acks,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_of_acks_is_found(fault: Fault) -> None:
    with fault():
        report = explore(acks.storm, runs=WITHIN, max_steps=MAX_STEPS)
    assert report.failure is not None
