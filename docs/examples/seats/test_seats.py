"""The race for the seats, in as many schedules as you like: `pytest --sim-runs=1000`."""

from __future__ import annotations

import pytest
import trio
from seats import Table, broker

from actors.sim import Sim


@pytest.mark.sim(runs=1000)
async def test_exactly_as_many_are_seated_as_there_are_seats(sim: Sim) -> None:
    clients = 6
    answers: list[dict[str, object]] = []

    async def race(number: int) -> None:
        name = "debtor" if number == 0 else f"client {number}"
        async with broker.test_client(auth={"name": name}) as client:
            answers.append(await client.call("sit", "1"))
            await everybody.wait()

    everybody = trio.Event()
    async with broker, trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(race, number)
        await sim.quiesce()
        members = broker.room("table:1").members
        everybody.set()
    seated = [answer for answer in answers if answer.get("ok")]
    assert len(answers) == clients
    assert len(seated) == len(members) == Table.seats
