"""The promises of order hold for who polls as for who has a websocket."""

from __future__ import annotations

import pytest

from actors.sim import Sim, explore

from .faults import of_rooms
from .faults.planting import Fault
from .storm import transports

MAX_STEPS = 100_000
WITHIN = 200  # schedules in which a fault is found


@pytest.mark.sim(runs=150, max_steps=MAX_STEPS)
async def test_order_is_the_same_for_polling_and_websocket(sim: Sim) -> None:
    await transports.storm(sim)


@pytest.mark.parametrize(
    "fault",
    [
        of_rooms.fan_out_in_slices,
        of_rooms.each_room_by_itself,
        of_rooms.told_before_it_is_done,
        of_rooms.late_flusher_writes_in_its_own_order,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_of_order_is_found(fault: Fault) -> None:
    with fault():
        report = explore(transports.storm, runs=WITHIN, max_steps=MAX_STEPS)
    assert report.failure is not None
