"""Nothing of a client is left when it has gone: no task, no object, no entry."""

from __future__ import annotations

import gc
import weakref

import trio
from trio.testing import wait_all_tasks_blocked

from broker import Broker, Socket


async def test_nothing_is_left_after_a_mix_of_joins_leaves_and_kills() -> None:
    broker = Broker()
    alive: weakref.WeakSet[Socket] = weakref.WeakSet()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        alive.add(socket)
        await socket.join("general", f"own {socket.id}")

    @broker.on("work")
    async def work(socket: Socket, number: int) -> None:
        await socket.join(f"r{number}")
        socket.nursery.start_soon(trio.sleep_forever)
        if number % 3 == 0:
            await socket.disconnect(close=number % 2 == 0)
        if number % 3 == 1:
            await socket.leave("general")
            await socket.emit_with_ack("never answered")

    async def visit(number: int) -> None:
        with trio.move_on_after(5) as scope:
            async with broker.test_client() as client:
                await client.emit("work", number)
                for _ in range(number):
                    await trio.lowlevel.checkpoint()
                if number % 4 == 0:
                    scope.cancel()
                    await trio.lowlevel.checkpoint()

    async with broker:
        await wait_all_tasks_blocked()
        before = broker.statistics()
        tasks = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as nursery:
            for number in range(24):
                nursery.start_soon(visit, number)
        await wait_all_tasks_blocked()
        after = broker.statistics()
        assert (after.connections, after.sockets, after.rooms, after.memberships) == (0, 0, 0, 0)
        assert (after.tasks, after.pending_acks) == (before.tasks, 0)
        assert (after.outbox_bytes, after.outbox_packets, after.mailbox_messages) == (0, 0, 0)
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        gc.collect()
        assert len(alive) == 0
