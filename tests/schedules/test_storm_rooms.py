"""Everybody joins, leaves, publishes and goes at any moment: order, membership, nothing left."""

from __future__ import annotations

import pytest

from actors.sim import Sim, explore

from .faults import of_cancellation, of_rooms
from .faults.planting import Fault
from .storm import rooms

MAX_STEPS = 100_000
WITHIN = 500  # schedules in which a fault is found; seen: 325 at the most


@pytest.mark.sim(runs=400, max_steps=MAX_STEPS)
async def test_rooms_keep_their_promises_whoever_comes_and_goes(sim: Sim) -> None:
    await rooms.storm(sim)


@pytest.mark.sim(runs=500, max_steps=MAX_STEPS)
async def test_rooms_keep_their_order_under_crossfire(sim: Sim) -> None:
    await rooms.crossfire(sim)


@pytest.mark.sim(runs=400, max_steps=MAX_STEPS)
async def test_a_cancelled_call_is_whole_or_has_not_happened(sim: Sim) -> None:
    await rooms.hurry(sim)


@pytest.mark.parametrize(
    "fault",
    [
        of_rooms.fan_out_in_slices,
        of_rooms.each_room_by_itself,
        of_rooms.told_before_it_is_done,
        of_rooms.ack_past_the_outbox,
        of_rooms.join_answered_before_membership,
        of_rooms.leave_not_awaited,
        of_rooms.room_closes_on_a_pending_join,
        of_rooms.control_packets_first,
        of_rooms.late_flusher_writes_in_its_own_order,
        of_rooms.sender_hears_itself_in_unions,
        of_rooms.early_events_do_not_wait,
        of_rooms.what_middleware_emits_goes_out_at_once,
        of_rooms.events_in_tasks_of_their_own,
        of_rooms.figures_count_the_sender,
        of_rooms.ghosts_stay_in_rooms,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_of_rooms_is_found(fault: Fault) -> None:
    with fault():
        report = explore(rooms.storm, runs=WITHIN, max_steps=MAX_STEPS)
    assert report.failure is not None


@pytest.mark.parametrize(
    "fault",
    [
        of_cancellation.cancelled_questions_are_asked,
        of_cancellation.cancelled_leave_is_withdrawn,
        of_cancellation.leave_looks_for_cancellation_first,
        of_cancellation.join_of_two_keeps_the_first,
        of_cancellation.join_raises_though_it_happened,
        of_cancellation.emit_raises_though_it_happened,
        of_cancellation.emit_to_one_raises_though_it_happened,
        of_cancellation.disconnect_looks_for_cancellation_first,
        of_cancellation.joined_does_not_leave_when_cancelled,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_of_cancelled_calls_is_found(fault: Fault) -> None:
    with fault():
        report = explore(rooms.hurry, runs=WITHIN, max_steps=MAX_STEPS)
    assert report.failure is not None
