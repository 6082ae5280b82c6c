"""Children that end when nobody needs them, while others come: none meets a dead one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import trio

from actors.sim import Sim, explore
from broker import Broker, ConnectError, Room, Socket
from broker.rooms.resting import RestingActor

from .faults.planting import Fault, replaced


class Crowd:
    """Clients that come and go, and a caller that holds what it has found; one run."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.broker = Broker(cleanup_empty_child_namespaces=True)
        self.org = self.broker.of(re.compile(r"^/org-\w+$"))
        self.org.use(self.check)
        self.org.on("connection", self.connected)
        self.org.on("disconnect", self.gone)
        self.org.on("echo", self.echo)
        crowd = self

        @self.org.room_type("table")
        class Table(Room):
            async def on_join(self, socket: Socket) -> None:
                await crowd.dawdle(3)

            async def on_close(self) -> None:
                await crowd.dawdle(3)

            async def receive(self, message: object) -> object:
                await crowd.dawdle(3)
                return message

    async def dawdle(self, most: int) -> None:
        for _ in range(self.sim.draw(most, "checkpoints")):
            await trio.lowlevel.checkpoint()

    async def check(self, socket: Socket) -> None:
        await self.dawdle(6)
        if self.sim.maybe("a refusal", 0.2):
            raise ConnectError("not today")

    async def connected(self, socket: Socket) -> None:
        await socket.join("room")
        if self.sim.maybe("a table", 0.5):
            await socket.join("table")

    async def gone(self, socket: Socket, reason: str) -> None:
        await self.dawdle(4)
        await socket.namespace.emit("gone")

    async def echo(self, socket: Socket, number: int) -> int:
        for target in (socket.namespace.to("room"), socket.namespace, self.org):
            await target.emit("echo", number)
        return number

    async def visit(self, number: int) -> None:
        for _ in range(2):
            await self.dawdle(12)
            with suppress(ConnectError):
                async with self.broker.test_client(f"/org-{number // 2}") as client:
                    assert await client.call("echo", number) == number
                    heard = 0
                    while heard < 3:
                        heard += await client.expect("echo") == (number,)

    async def call(self) -> None:
        held = self.broker.of("/org-1") if self.sim.maybe("held", 0.5) else None
        for _ in range(4):
            await self.dawdle(10)
            held = self.org.children.get(f"/org-{self.sim.draw(2, 'which')}", held)
            if held is not None:
                await self.dawdle(4)
                await held.emit("news")
                if self.sim.maybe("tell", 0.5):
                    await held.room("table").tell("x")


async def storm(sim: Sim) -> None:
    crowd = Crowd(sim)
    async with crowd.broker:
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(crowd.visit, number)
            nursery.start_soon(crowd.call)
        await trio.sleep(1)
        assert crowd.broker.statistics().namespaces == 1
        assert all(child.lasting for child in crowd.org.children.values())


@pytest.mark.sim(runs=300, max_steps=50_000)
async def test_whoever_comes_while_one_ends_gets_a_living_one(sim: Sim) -> None:
    await storm(sim)


@contextmanager
def who_is_in_middleware_is_not_counted() -> Iterator[None]:
    def is_idle(self: RestingActor) -> bool:
        return not (self.sockets or self.rooms or self._posting)

    with replaced(RestingActor, "_is_idle", is_idle):
        yield


@contextmanager
def nobody_looks_when_the_last_has_gone() -> Iterator[None]:
    with replaced(RestingActor, "look_again", lambda _: None):
        yield


@contextmanager
def what_waits_is_not_looked_at() -> Iterator[None]:
    async def between_turns(self: RestingActor) -> None:
        if self._is_idle():
            await trio.lowlevel.checkpoint()  # so that it is no single step
            self.mailbox.close()
            self._on_rest()

    with replaced(RestingActor, "between_turns", between_turns):
        yield


@pytest.mark.parametrize(
    "fault",
    [
        who_is_in_middleware_is_not_counted,
        nobody_looks_when_the_last_has_gone,
        what_waits_is_not_looked_at,
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_in_resting_is_found(fault: Fault) -> None:
    with fault():
        report = explore(storm, runs=100, max_steps=50_000)
    assert report.failure is not None
