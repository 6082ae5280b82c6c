"""One client whose connection breaks time and again, beside a twin whose does not.

It comes back at any moment: when its last hooks have run, while they do, and while the server still
holds its old connection for alive, of which it hears nothing any more. Meanwhile others emit to all
that both are in. In the end it has had what its twin has had.
"""

from __future__ import annotations

from typing import Any

import trio

from actors.sim import Sim
from broker import Broker, Recovery, Socket

from .client import Client, Line, Presence
from .ground import Ground, dawdle, pause

ROOMS = ("blue", "green", "red")
RETURNS = 4
EMITTERS = 2
EVENTS = 8  # of each emitter, between two returns at the most
_WINDOW = 30.0


async def storm(sim: Sim) -> None:
    """Run it once."""
    await Recovered(sim).run()


class Recovered:
    """One run. `had`: the events of the one who comes back, over all its connections."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        broker = Broker(
            connection_state_recovery=Recovery(
                max_disconnection=_WINDOW, skip_middlewares=sim.maybe("middleware is skipped", 0.5)
            )
        )
        self.broker = broker
        self.ground = Ground(sim, broker)
        self.had: list[list[Any]] = []
        self.offset: str | None = None
        self.number = 0
        self.twin: Presence | None = None
        self.done = False
        self._old: Presence | None = None  # whose connection it gives up

        @broker.use
        async def check(_socket: Socket) -> None:
            await dawdle(sim)

        @broker.on("connection")
        async def connected(socket: Socket) -> None:
            self.ground.sockets.append(socket)
            if not socket.recovered:
                await socket.join(*ROOMS)

        @broker.on("disconnecting")
        @broker.on("disconnect")
        async def going(_socket: Socket, _reason: str) -> None:
            await dawdle(sim)

    async def run(self) -> None:
        """Let the storm blow, and look at what came of it."""
        await self.ground.run(self._blow, patience=3 * _WINDOW + 100)

    async def _blow(self) -> None:
        twin, cut = self.ground.client("twin"), self.ground.client("cut")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(twin.visit, self._watch)
            await self.sim.eventually(lambda: self.twin is not None)
            await self._come_and_go(cut)
            self.done = True
        assert self.twin is not None
        seen = [data[:-1] for data, _ in self.twin.heard]
        self.ground.hold(self.had == seen, "it has had what its twin has", f"{self.had} {seen}")

    async def _watch(self, line: Line) -> None:
        self.twin = await line.enter()
        await self.sim.eventually(lambda: self.done, within=1000.0)

    async def _come_and_go(self, cut: Client) -> None:
        first = await self._come(cut, None)
        assert first is not None
        presence = first
        for _ in range(RETURNS):
            async with trio.open_nursery() as nursery:
                for _ in range(EMITTERS):
                    nursery.start_soon(self._emit, presence.sid)
                await pause(self.sim, 0.01, "until it breaks")
                back = await self._come(cut, presence)
            assert back is not None
            self.ground.hold(back.pid == presence.pid, "it is recovered")
            self.ground.hold(back.sid == presence.sid, "its id is the same")
            presence = back
        await self.sim.quiesce()
        self._take(presence)

    async def _come(self, cut: Client, before: Presence | None) -> Presence | None:
        """Connect anew, in a task that holds the connection until the next but one."""
        came: list[Presence] = []

        async def script(line: Line) -> None:
            auth = None
            if before is not None:
                self._take(before)
                auth = {"pid": before.pid, "offset": self.offset}
            came.append(await line.enter("/", auth))
            await self.sim.eventually(lambda: self.done or self._is_old(came[0]), within=1000.0)
            await pause(self.sim, 0.01, "until the old connection breaks")

        if before is not None and self.sim.maybe("the server sees the end first", 0.5):
            self._take(before)
            self._old = before
            await pause(self.sim, 0.05, "away")
        self.ground.nursery.start_soon(cut.visit, script)
        await self.sim.eventually(lambda: bool(came))
        self._old = before
        if before is None:
            # Both are in all rooms before anybody emits.
            await self.sim.eventually(
                lambda: all(len(self.broker.rooms.get(room, ())) == 2 for room in ROOMS)
            )
        return came[0]

    def _is_old(self, presence: Presence) -> bool:
        return self._old is presence

    def _take(self, presence: Presence) -> None:
        """Note what it has had on a connection that it gives up, or at the end."""
        for data, _ in presence.heard:
            self.had.append(data[:-1])
            self.offset = data[-1]
        presence.heard = _Nothing()

    async def _emit(self, sid: str) -> None:
        assert self.twin is not None
        for _ in range(self.sim.draw(EVENTS, "events")):
            await dawdle(self.sim)
            self.number += 1
            match self.sim.draw(5, "a target"):
                case 0:
                    target = self.broker.to(ROOMS[self.sim.draw(3, "a room")])
                case 1:
                    target = self.broker.to("blue", "red")
                case 2:
                    target = self.broker.to(sid, self.twin.sid)
                case 3:
                    target = self.broker.except_("red")
                case _:
                    target = self.broker.except_("elsewhere")
            await target.emit("e", self.number)


class _Nothing(list[Any]):
    """What is heard of a connection that was given up."""

    def append(self, _: Any) -> None:
        """Take no notice."""
