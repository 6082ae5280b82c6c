"""What tests of slow clients need: a stream that holds nothing, and clients that do not read it."""

from __future__ import annotations

import trio.testing
from trio.testing import wait_all_tasks_blocked

from broker import Broker, Socket

LOCKSTEP = trio.testing.lockstep_stream_pair


def noting(broker: Broker) -> tuple[list[Socket], list[str]]:
    sockets: list[Socket] = []
    reasons: list[str] = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        reasons.append(reason)

    return sockets, reasons


async def stall(sockets: list[Socket], waiting: int) -> None:
    """Send until the client's queues take no more, and then so many events for the outbox."""
    for _ in range(5):
        await wait_all_tasks_blocked()
        sockets[0].emit_nowait("fill")
    await wait_all_tasks_blocked()
    for _ in range(waiting):
        sockets[0].emit_nowait("e")
