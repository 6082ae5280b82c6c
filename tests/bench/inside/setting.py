"""Where a measurement takes place: a broker that is served, and clients on another core."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from broker import Broker, Socket
from tests.bench.generator import arguments
from tests.bench.scenarios import Scenario

ROOM = "bench"
EVENT = ("msg", "x" * Scenario("idle", 1).payload)  # what the generator's clients take


@attrs.frozen
class Setting:
    """The load generator, the core it runs on, and whether figures matter."""

    generator: str
    load_core: int
    small: bool

    def of(self, size: int, small: int) -> int:
        """Return how much of something there shall be."""
        return small if self.small else size


def broker_with_a_room() -> Broker:
    """Return a broker whose clients are all in one room."""
    broker = Broker()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join(ROOM)

    @broker.on("echo")
    async def echo(socket: Socket, text: str) -> str:
        return text

    return broker


@asynccontextmanager
async def served(broker: Broker) -> AsyncIterator[int]:
    """Serve it until the end of the block; gives the port."""
    async with trio.open_nursery() as nursery:
        address = await nursery.start(broker.serve, "127.0.0.1", 0)
        yield address.port
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def members(setting: Setting, port: int, count: int) -> AsyncIterator[None]:
    """Have `count` real clients in the room, which only read."""
    call = [
        setting.generator,
        *arguments(port, Scenario("idle", count), seconds=0, warm_up=0),
    ]
    process = await trio.lowlevel.open_process(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.sched_setaffinity(process.pid, {setting.load_core})
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        said = b""
        while not said.endswith(b"\n"):
            piece = await process.stdout.receive_some()
            assert piece, "the load generator ended; it has said why"
            said += piece
        yield
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdin.aclose()
            await process.stdout.aclose()
