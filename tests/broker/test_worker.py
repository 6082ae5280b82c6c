"""The task of a socket's handlers: one for events that come soon, none for an idle client."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket
from broker.sessions.idlers import Idlers
from broker.sessions.timers import Timers


class Rests:
    def __init__(self) -> None:
        self.left: float | None = None

    def leave(self) -> None:
        self.left = trio.current_time()


async def test_who_has_nothing_to_do_is_asked_to_leave_after_one_to_two_seconds(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    timers = Timers()
    nursery.start_soon(timers.run)
    idlers = Idlers(timers)
    first, second, busy = Rests(), Rests(), Rests()
    idlers.add(first)
    await trio.sleep(0.5)
    idlers.add(busy)
    idlers.add(second)
    await trio.sleep(1)  # a look around lies between
    idlers.discard(busy)
    idlers.add(busy)
    await trio.sleep(0.6)
    assert (first.left, second.left, busy.left) == (2, 2, None)
    idlers.discard(busy)
    await trio.sleep(100)
    assert busy.left is None


async def test_events_that_come_soon_have_one_task_and_an_idle_client_has_none(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    tasks: list[trio.lowlevel.Task] = []

    @broker.on("event")
    async def event(socket: Socket, after: float) -> None:
        tasks.append(trio.lowlevel.current_task())
        await trio.sleep(after)

    async with broker, broker.test_client() as client:
        await wait_all_tasks_blocked()
        idle = broker.statistics().tasks
        for after in (0, 0.5, 0):
            await client.call("event", after)
        assert len(set(tasks)) == 1
        await trio.sleep(2)
        assert broker.statistics().tasks == idle
        await client.call("event", 0)
        assert tasks[-1] is not tasks[0]


async def test_a_client_that_goes_leaves_no_task_however_its_handlers_were(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(handler_grace=1)
    ended: list[str] = []

    @broker.on("event")
    async def event(socket: Socket, after: float) -> None:
        try:
            await trio.sleep(after)
        except trio.Cancelled:
            ended.append("cancelled")
            raise

    async with broker:
        await wait_all_tasks_blocked()
        idle = broker.statistics().tasks
        async with broker.test_client() as rests:
            await rests.call("event", 0)
        async with broker.test_client() as works:
            await works.call("event", 0)
            await works.emit("event", 100)
            await wait_all_tasks_blocked()
        async with broker.test_client("/") as out:
            await out.call("event", 0)
            await broker.sockets[out.id].disconnect()
        begin = trio.current_time()
        await trio.sleep(0.1)
        assert trio.current_time() == begin + 0.1
        await trio.sleep(2)
        await wait_all_tasks_blocked()
        assert broker.statistics().tasks == idle
    assert ended == ["cancelled"]
