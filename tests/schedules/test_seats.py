"""The race for the seats, docs/examples/seats: exactly as many win as there are seats.

And what the room is for: the same check in a handler seats too many, and the same test finds it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.sim import Sim, explore
from broker import Broker, EventError, Room, Socket
from broker.rooms.room_host import RoomHost

from .faults.planting import Fault, replaced

SEATS = Path(__file__).parents[2] / "docs" / "examples" / "seats"
RUNS = 10_000 if os.environ.get("ATRIO_LONG") else 1_000


def test_exactly_as_many_are_seated_as_there_are_seats_in_a_thousand_schedules(
    tmp_path: Path,
) -> None:
    for file in SEATS.glob("*.py"):
        (tmp_path / file.name).write_text(file.read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--sim-runs={RUNS}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"1 test, {RUNS} schedules" in done.stdout


def in_a_handler() -> Broker:
    """Return the same table without a room of its own: check, wait, sit down."""
    broker = Broker()

    @broker.on("sit")
    async def sit(socket: Socket) -> bool:
        if broker.room("table").size >= 2:
            raise EventError("full", "full")
        await trio.lowlevel.checkpoint()
        await socket.join("table")
        return True

    return broker


def in_a_room() -> Broker:
    """Return the table as it is meant."""
    broker = Broker()

    @broker.room_type("table")
    class Table(Room):
        async def on_join(self, socket: Socket) -> None:
            if self.size >= 2:
                raise EventError("full", "full")
            await trio.lowlevel.checkpoint()

    @broker.on("sit")
    async def sit(socket: Socket) -> bool:
        await socket.join("table")
        return True

    return broker


async def race(sim: Sim, make: Any) -> None:
    """Let three clients race for two seats."""
    broker: Broker = make()
    done = trio.Event()

    async def sit() -> None:
        async with broker.test_client() as client:
            await client.call("sit")
            await done.wait()

    async with broker, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(sit)
        await sim.quiesce()
        assert broker.room("table").size == 2
        done.set()


def test_without_a_room_the_race_is_lost_and_found_to_be() -> None:
    report = explore(lambda sim: race(sim, in_a_handler), runs=200)
    assert report.failure is not None


@contextmanager
def joins_at_once() -> Iterator[None]:
    """Run each `on_join` in a task of its own, as handlers of other servers run."""
    right = RoomHost._welcome

    async def welcome(self: RoomHost, hooks: Any, join: Any) -> None:
        if join.reply.given:
            return

        async def one() -> None:
            await right(self, hooks, join)

        task = trio.lowlevel.current_task()
        assert task.parent_nursery is not None
        task.parent_nursery.start_soon(one)
        join.reply.bind()
        await trio.lowlevel.checkpoint()

    def let_go(self: RoomHost, message: object) -> None:
        """Let the late one answer."""

    with replaced(RoomHost, "_welcome", welcome), replaced(RoomHost, "_let_go", let_go):
        yield


@pytest.mark.parametrize("fault", [joins_at_once], ids=lambda fault: fault.__name__)
def test_a_room_that_lets_in_several_at_once_is_found(fault: Fault) -> None:
    with fault():
        report = explore(lambda sim: race(sim, in_a_room), runs=200)
    assert report.failure is not None


@pytest.mark.sim(runs=100)
async def test_with_a_room_the_race_is_won(sim: Sim) -> None:
    await race(sim, in_a_room)
