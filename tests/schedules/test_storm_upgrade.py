"""A client goes from polling to its websocket: nothing is lost, doubled or overtaken."""

from __future__ import annotations

import pytest

from actors.sim import Sim, explore

from .faults import of_endings
from .storm import upgrade

MAX_STEPS = 50_000
WITHIN = 100  # schedules in which the fault is found; seen: 8


@pytest.mark.sim(runs=300, max_steps=MAX_STEPS)
async def test_no_event_is_lost_doubled_or_overtaken_by_an_upgrade(sim: Sim) -> None:
    await upgrade.storm(sim)


def test_an_upgrade_that_forgets_what_waits_is_found() -> None:
    with of_endings.an_upgrade_forgets_what_waits():
        report = explore(upgrade.storm, runs=WITHIN, max_steps=MAX_STEPS)
    assert report.failure is not None
