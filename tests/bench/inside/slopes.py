"""By how much the cost of a thing grows when what is there is doubled: 2 is linear, 1 is constant.

Costs are processor time of this process, the least of some repeats. The first doubling is not
counted: small sizes live in the processor's caches.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from trio.testing import wait_all_tasks_blocked

from broker import Broker

from .setting import EVENT, ROOM, Setting, broker_with_a_room, members, served

_REPEATS = 5
_BROADCASTS = 10
_CALLS = 200
_LEAVERS = 20
_ROOMS_OF_A_LEAVER = 10


async def slope_of_members(setting: Setting) -> dict[str, float]:
    """Measure broadcasts to a room that is doubled, with all they cost until they are written."""
    costs = []
    for size in _doubled(setting, 500):
        broker = broker_with_a_room()

        async def broadcasts(broker: Broker = broker) -> None:
            for _ in range(_BROADCASTS):
                await broker.to(ROOM).emit(*EVENT)
                await wait_all_tasks_blocked()

        async with served(broker) as port, members(setting, port, size):
            costs.append(await _cost(broadcasts, setting))
    return {"broadcast": _growth(costs)}


async def slope_of_rooms(setting: Setting) -> dict[str, float]:
    """Measure what one client does while there are more and more rooms."""
    costs = []
    sizes = _doubled(setting, 1_000)
    broker = Broker(max_rooms_per_socket=sizes[-1] + 10)
    async with broker, broker.test_client() as client:
        for size in sizes:
            for number in range(size):  # those of the last size it is in already
                await broker.sockets[client.id].join(f"room {number}")
            costs.append(await _costs_of_a_client(broker, setting))
    return {f"rooms-{work}": _growth([each[work] for each in costs]) for work in costs[0]}


async def slope_of_namespaces(setting: Setting) -> dict[str, float]:
    """Measure what one client does while there are more and more namespaces, each with a room."""
    costs = []
    broker = Broker()
    async with broker, AsyncExitStack() as clients:
        for name in range(10):
            await broker.sockets[(await clients.enter_async_context(broker.test_client())).id].join(
                f"room {name}"
            )
        there = 0
        for size in _doubled(setting, 50):
            for number in range(there, size):
                namespace = broker.of(f"/{number}")
                client = await clients.enter_async_context(broker.test_client(namespace.name))
                await namespace.sockets[client.id].join("room")
            there = size
            costs.append(await _costs_of_a_client(broker, setting))
    return {f"namespaces-{work}": _growth([each[work] for each in costs]) for work in costs[0]}


async def _costs_of_a_client(broker: Broker, setting: Setting) -> dict[str, float]:
    """Return what it costs to come and go, in rooms in which somebody is."""
    names = [f"room {number}" for number in range(_ROOMS_OF_A_LEAVER)]
    calls = setting.of(_CALLS, 2)
    async with broker.test_client() as client:
        socket = broker.sockets[client.id]
        room = broker.room(names[0])

        async def joins() -> None:
            for _ in range(calls):
                await socket.join(names[0])
                await socket.leave(names[0])

        async def counts() -> None:
            for _ in range(100 * calls):
                assert room.size

        costs = {
            "join": await _cost(joins, setting),
            "count": await _cost(counts, setting),
        }
    costs["disconnect"] = min(
        [await _disconnects(broker, names, setting) for _ in range(setting.of(_REPEATS, 1))]
    )
    return costs


async def _disconnects(broker: Broker, names: list[str], setting: Setting) -> float:
    async with AsyncExitStack() as clients:
        sockets = []
        for _ in range(setting.of(_LEAVERS, 2)):
            client = await clients.enter_async_context(broker.test_client())
            sockets.append(broker.sockets[client.id])
            await sockets[-1].join(*names)

        async def disconnects() -> None:
            for socket in sockets:
                await socket.disconnect(close=True)
            await wait_all_tasks_blocked()

        return await _cost_once(disconnects)


def _doubled(setting: Setting, least: int) -> list[int]:
    return [setting.of(least, 5) << doublings for doublings in range(setting.of(4, 3))]


async def _cost(work: Callable[[], Awaitable[None]], setting: Setting) -> float:
    return min([await _cost_once(work) for _ in range(setting.of(_REPEATS, 1))])


async def _cost_once(work: Callable[[], Awaitable[None]]) -> float:
    """Return the processor time of it, with the collector off: its work grows with all."""
    await wait_all_tasks_blocked()
    gc.collect()
    gc.disable()
    begin = time.thread_time()
    await work()
    took = time.thread_time() - begin
    gc.enable()
    return took


def _growth(costs: list[float]) -> float:
    """Return the mean growth of one doubling, without the first."""
    first, *rest = costs[1:]
    return (rest[-1] / first) ** (1 / len(rest))
