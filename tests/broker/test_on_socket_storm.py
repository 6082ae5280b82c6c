"""Loops and handlers mixed, clients that come and go at any moment, in many schedules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator

import attrs
import pytest
import trio

from actors.sim import Sim
from broker import Broker, ReceivedEvent, Socket
from broker.values.statistics import Statistics

EVENTS = ("handled", "a", "b", "c", "outside")


@attrs.define
class Storm:
    """One run: who has taken what, by socket, in order."""

    sim: Sim
    outside: trio.Nursery
    taken: defaultdict[str, list[int]] = attrs.field(factory=lambda: defaultdict(list))
    busy: set[str] = attrs.field(factory=set)
    broken: list[str] = attrs.field(factory=list)

    def hold(self, condition: object, promise: str) -> None:
        if not condition:
            self.broken.append(promise)

    async def dawdle(self, most: int = 4) -> None:
        for _ in range(self.sim.draw(most, "checkpoints")):
            await trio.lowlevel.checkpoint()

    async def handle(self, socket: Socket, number: int) -> int:
        self.hold(socket.id not in self.busy, "one at a time")
        self.hold(number > max(self.taken[socket.id], default=-1), "in order, once")
        self.hold(socket.data["ready"], "after the connection hooks")
        self.taken[socket.id].append(number)
        self.busy.add(socket.id)
        try:
            await self.dawdle()
        finally:
            self.busy.discard(socket.id)
        return number

    # What a broker calls.

    async def connected(self, socket: Socket) -> None:
        events = socket.events("outside")  # from now on they are the loop's
        self.outside.start_soon(self.loop_outside, socket, events, name="outside")
        socket.data["ready"] = False
        await self.dawdle()
        socket.data["ready"] = True

    async def loop_outside(self, socket: Socket, events: AsyncIterator[ReceivedEvent]) -> None:
        async for received in events:
            received.ack(await self.handle(socket, received.args[0]))

    async def loop_that_is_cancelled(self, socket: Socket) -> None:
        await self.dawdle()
        events = socket.events("a")
        while True:
            received: ReceivedEvent | None = None
            with trio.CancelScope() as scope:
                if self.sim.maybe("impatience", 0.7):
                    self.outside.start_soon(self.cancel_soon, scope)
                received = await anext(events)
            if received is not None:
                received.ack(await self.handle(socket, received.args[0]))
            elif self.sim.maybe("a pause", 0.5):
                await trio.sleep(0.1)

    async def cancel_soon(self, scope: trio.CancelScope) -> None:
        await self.dawdle(8)
        scope.cancel()

    async def loops_one_after_the_other(self, socket: Socket) -> None:
        while True:
            await self.dawdle()
            async for received in socket.events("b", "c"):
                received.ack(await self.handle(socket, received.args[0]))
                if self.sim.maybe("leave the loop", 0.3):
                    break

    async def disconnecting(self, socket: Socket, reason: str) -> None:
        self.hold(socket.id not in self.busy, "the hooks come after the last event")


async def visit(sim: Sim, storm: Storm, broker: Broker) -> tuple[str, int, bool]:
    """Send events as a client; return its id, how many they were, and whether all must arrive."""
    sent = 0
    stays = sim.draw(2, "it stays") == 0
    async with broker.test_client() as client:
        async with trio.open_nursery() as calls:
            for _ in range(2 + sim.draw(6, "events")):
                event = EVENTS[sim.draw(len(EVENTS), "which event")]
                if stays and sim.draw(3, "it wants an ack") == 0:
                    calls.start_soon(client.call, event, sent)
                    await trio.testing.wait_all_tasks_blocked()  # numbers leave in their order
                else:
                    await client.emit(event, sent)
                sent += 1
                await storm.dawdle(3)
        if stays:
            await sim.eventually(lambda: len(storm.taken[client.id]) == sent, within=30)
        elif sim.draw(2, "politely"):
            await client.disconnect()
    return client.id, sent, stays


@pytest.mark.sim(runs=120, sometimes=["all stay", "events are dropped"])
async def test_every_event_is_taken_once_in_order_and_none_is_lost(sim: Sim) -> None:
    broker = Broker(handler_grace=2.0)
    async with broker, trio.open_nursery() as nursery:
        storm = Storm(sim, nursery)
        broker.on("connection", storm.connected)
        broker.on("disconnecting", storm.disconnecting)
        broker.on("handled", storm.handle)
        broker.on_socket(storm.loop_that_is_cancelled)
        broker.on_socket(storm.loops_one_after_the_other)
        before = broker.statistics()
        visits: list[tuple[str, int, bool]] = []

        async def come() -> None:
            visits.append(await visit(sim, storm, broker))

        async with trio.open_nursery() as clients:
            for number in range(2 + sim.draw(2, "one more client")):
                clients.start_soon(come, name=f"client {number}")
        assert storm.broken == []
        for sid, sent, stays in visits:
            assert len(storm.taken[sid]) == sent or not stays
        now = broker.statistics()
        assert attrs.evolve(now, dropped=0) == before
        lost = sum(sent - len(storm.taken[sid]) for sid, sent, _ in visits)
        assert now.dropped == lost
        sim.sometimes("all stay", all(stays for _, _, stays in visits))
        sim.sometimes("events are dropped", lost)
    assert broker.statistics() == Statistics()
    sim.expect_idle()
