"""The storm of acks: who asks one client or a room races answers, deadlines, endings, and himself.

Each question has a number, and each answer is that number and the client's name. What is checked:
only what was answered counts, and for the question it was meant for; whoever is a member from
before the call until it returns has answered or is missing; it returns at its deadline at the
latest, and earlier only when everybody has answered or gone; then no table holds anything of it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import trio

from actors.sim import Sim
from broker import Answers, Broker, Socket, SocketDisconnected

from .client import Line, Presence
from .ground import WEATHERS, Ground, dawdle, pause
from .hurry import hurried

PATIENCE = 200.0
_TIMEOUTS = (0.0, 0.001, 0.01, 0.1, 1.0, 10.0)
_ASKERS = 3
_QUESTIONS = 3
_SOON = 0.1
_PATIENCE_WITH_CLIENTS = 10.0  # some never come


class Acks:
    """One run."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.broker = Broker()
        self.ground = Ground(sim, self.broker, WEATHERS[sim.draw(len(WEATHERS), "the weather")])
        self.hold = self.ground.hold
        self.answered: set[tuple[str, int]] = set()
        self.names: dict[str, str] = {}
        self.numbers = 0
        self.open = 0  # questions that are under way
        self.ends: dict[str, float] = {}
        self.crowd = 2 + sim.draw(2, "one more client")
        self.full = trio.Event()
        self.curtain = trio.Event()
        self.broker.on("connection", self.connected)
        self.broker.on("disconnecting", self.disconnecting)

    async def connected(self, socket: Socket) -> None:
        self.ground.sockets.append(socket)
        await socket.join("r")
        if len(self.ground.sockets) == self.crowd:
            self.full.set()

    async def disconnecting(self, socket: Socket, _reason: str) -> None:
        self.ends[socket.id] = trio.current_time()

    # The clients.

    async def play(self) -> None:
        async with trio.open_nursery() as nursery:
            for name in ("ann", "ben", "cid")[: self.crowd]:
                client = self.ground.client(name)
                client.answers = self.answer
                nursery.start_soon(partial(client.visit, self.visit), name=name)
            with trio.move_on_after(_PATIENCE_WITH_CLIENTS):
                await self.full.wait()
            async with trio.open_nursery() as asking:
                for _ in range(_ASKERS):
                    asking.start_soon(self.ask_often)
                asking.start_soon(self.kick)
            self.curtain.set()

    async def visit(self, line: Line) -> None:
        await line.enter()
        with trio.move_on_after(_PATIENCE_WITH_CLIENTS):
            await self.full.wait()
        match self.sim.draw(4, "how it ends"):
            case 0:
                await pause(self.sim, _SOON)
                await line.leave()
            case 1:
                await pause(self.sim, _SOON)
                return
        await self.curtain.wait()

    def answer(self, who: Presence, args: list[Any]) -> list[Any] | None:
        self.names[who.sid] = who.client
        if self.sim.maybe("silence", 0.2):
            return None
        self.answered.add((who.sid, args[1]))
        return [args[1], who.client]

    # The server.

    async def kick(self) -> None:
        await pause(self.sim, _SOON)
        for socket in list(self.broker.sockets.values()):
            if self.sim.maybe("it is disconnected", 0.2):
                await socket.disconnect(close=self.sim.maybe("with all", 0.5))

    async def ask_often(self) -> None:
        await pause(self.sim, _SOON)
        for _ in range(_QUESTIONS):
            self.numbers += 1
            sockets = list(self.broker.sockets.values())
            timeout = _TIMEOUTS[self.sim.draw(len(_TIMEOUTS), "how long it waits")]
            if sockets and self.sim.maybe("only one is asked", 0.3):
                socket = sockets[self.sim.draw(len(sockets), "who")]
                call = partial(self.ask_one, socket, self.numbers, timeout)
            else:
                call = partial(self.ask_many, self.numbers, timeout)
            self.open += 1
            try:
                await hurried(self.sim, call)
            finally:
                self.open -= 1
            if not self.open:
                for socket in self.ground.sockets:
                    self.hold(not socket.acks, "no table holds what nobody waits for", socket)
            await dawdle(self.sim)

    async def ask_one(self, socket: Socket, number: int, timeout: float) -> None:
        start = trio.current_time()
        try:
            value = await socket.emit_with_ack("q", number, timeout=timeout)
            self.check_value(socket.id, number, value)
        except trio.TooSlowError:
            self.hold(trio.current_time() >= start + timeout, "it waits as long as it says")
        except SocketDisconnected:
            self.hold(socket.gone, "who is told that it has gone, it has gone", socket)
        self.hold(trio.current_time() <= start + timeout, "it waits no longer than it says")

    async def ask_many(self, number: int, timeout: float) -> None:
        target = self.broker.to("r") if self.sim.maybe("a room", 0.5) else self.broker
        start = trio.current_time()
        before = self.here()
        answers: Answers = await target.timeout(timeout).emit_with_ack("q", number)
        for sid, value in answers.values.items():
            self.check_value(sid, number, value)
        self.hold(not answers.missing & answers.values.keys(), "missing or not", answers)
        stayed = before & self.here()
        accounted = answers.missing | answers.values.keys()
        self.hold(stayed <= accounted, "every member has answered or is missing", answers)
        now = trio.current_time()
        self.hold(now <= start + timeout, "it waits no longer than it says")
        if not answers.values and answers.missing <= self.ends.keys():
            last = max((self.ends[sid] for sid in answers.missing), default=start)
            self.hold(now <= max(start, last), "who goes is missing at once", answers)
        if now < start + timeout:
            self.hold(not answers.missing & self.here(), "it waits for who is there", answers)

    def here(self) -> set[str]:
        """Return the ids of the members that are there."""
        return {
            socket.id
            for socket in self.broker.sockets.values()
            if not socket.gone and "r" in socket.rooms
        }

    def check_value(self, sid: str, number: int, value: object) -> None:
        expected = (number, self.names.get(sid))
        self.hold(value == expected, "the answer is for this question", f"{value} {expected}")
        self.hold((sid, number) in self.answered, "who has answered, has", f"{sid} {number}")


async def storm(sim: Sim) -> None:
    """Run one storm."""
    acks = Acks(sim)
    await acks.ground.run(acks.play, patience=PATIENCE)
