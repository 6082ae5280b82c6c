"""Rooms of a user's type under storms, and faults planted in how they are hosted."""

from __future__ import annotations

import pytest

from actors.sim import Sim, explore

from .faults import of_own_rooms
from .faults.planting import Fault
from .storm import own_rooms

MAX_STEPS = 100_000
WITHIN = 200  # schedules in which a fault is found; seen: 73 at the most


@pytest.mark.sim(runs=600, max_steps=MAX_STEPS)
async def test_rooms_of_a_type_keep_their_promises_in_every_storm(sim: Sim) -> None:
    await own_rooms.storm(sim)


@pytest.mark.parametrize(
    "fault",
    [
        of_own_rooms.events_are_not_kept_for_joiners,
        of_own_rooms.the_snapshot_waits_with_the_events,
        of_own_rooms.other_events_pass_those_that_are_kept,
        of_own_rooms.who_is_refused_gets_the_rooms_events,
        of_own_rooms.cancelled_joins_enter,
        of_own_rooms.who_has_gone_enters,
        of_own_rooms.the_next_life_does_not_wait,
        of_own_rooms.leaves_are_forgotten_when_the_room_is_busy,
        of_own_rooms.joins_undone_have_no_on_leave,
        of_own_rooms.a_room_ends_on_a_waiting_message,
        of_own_rooms.questions_are_withdrawn_while_they_are_answered,
        of_own_rooms.cancelled_questions_are_asked,
        of_own_rooms.circles_are_not_found,
        of_own_rooms.membership_is_answered_later,
        of_own_rooms.leaves_run_beside_the_rest,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_in_hosting_is_found(fault: Fault) -> None:
    with fault():
        report = explore(own_rooms.storm, runs=WITHIN, max_steps=MAX_STEPS)
    assert report.failure is not None
