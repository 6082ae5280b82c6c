"""What several tests of the simulation need: strategies that are told what to choose, and bugs."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio

from actors.sim import Sim, Strategy, TaskView


class First(Strategy):
    """Always the plain choice, but a class of one's own."""

    name = "first"

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
        return 0

    def draw(self, n: int) -> int:
        return 0

    def chance(self, p: float) -> bool:
        return False


class Last(First):
    """Always the task that has the least right to run; and the plain numbers."""

    name = "last"

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
        return len(ready) - 1


def scripted(
    picks: Sequence[int], draws: Sequence[int] = (), chances: Sequence[bool] = ()
) -> Callable[[int], Strategy]:
    """A strategy that makes these choices, as far as they are offered, and then plain ones.

    The first number that is drawn is that of the random numbers; it is plain.
    """

    class Scripted(First):
        name = "scripted"

        def __init__(self, seed: int) -> None:
            super().__init__(seed)
            self.picks, self.draws, self.chances = deque(picks), deque([0, *draws]), deque(chances)

        def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
            return self.picks.popleft() % len(ready) if self.picks else 0

        def draw(self, n: int) -> int:
            return self.draws.popleft() % n if self.draws else 0

        def chance(self, p: float) -> bool:
            return self.chances.popleft() if self.chances else False

    return Scripted


Program = Callable[[Sim], Awaitable[Any]]


def checkpoints(*counts: int) -> Program:
    """Tasks `t0`, `t1`, … that write their number at each step, of which they take so many."""

    async def program(sim: Sim) -> list[int]:
        log: list[int] = []

        async def task(number: int, count: int) -> None:
            log.append(number)
            for _ in range(count - 1):
                await trio.lowlevel.checkpoint()
                log.append(number)

        async with trio.open_nursery() as nursery:
            for number, count in enumerate(counts):
                nursery.start_soon(task, number, count, name=f"t{number}")
        return log

    return program


async def lost_update(sim: Sim) -> None:
    """Read, pass a checkpoint, write: two who do that lose one of the writes."""
    balance = 0

    async def deposit() -> None:
        nonlocal balance
        seen = balance
        await trio.lowlevel.checkpoint()
        balance = seen + 1

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(deposit)
    assert balance == 3


async def ghost_join(sim: Sim) -> None:
    """A room that closes itself when it is empty, while a join already waits in its mailbox."""
    registry_in, registry_out = trio.open_memory_channel[tuple[str, object]](16)

    async def room(inbox: trio.MemoryReceiveChannel[tuple[str, object]]) -> None:
        members = 0
        async for what, who in inbox:
            if what == "join":
                members += 1
                assert isinstance(who, trio.Event)
                who.set()
            else:
                members -= 1
                if not members:
                    await registry_in.send(("closing", None))
                    return

    async def registry(rooms: trio.Nursery) -> None:
        inbox: trio.MemorySendChannel[tuple[str, object]] | None = None
        async for what, who in registry_out:
            if what == "closing":
                inbox = None
                continue
            if inbox is None:
                inbox, outbox = trio.open_memory_channel[tuple[str, object]](16)
                sim.name(inbox, "room")
                rooms.start_soon(room, outbox, name="room")
            await inbox.send((what, who))

    async def client() -> None:
        joined = trio.Event()
        await registry_in.send(("join", joined))
        await joined.wait()
        await trio.lowlevel.checkpoint()
        await registry_in.send(("leave", None))

    sim.name(registry_in, "registry")
    async with trio.open_nursery() as servers:
        servers.start_soon(registry, servers, name="registry")
        async with trio.open_nursery() as clients:
            for _ in range(3):
                clients.start_soon(client, name="client")
        servers.cancel_scope.cancel()
