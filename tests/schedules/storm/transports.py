"""Order for clients of both transports: half of them poll, half have a websocket.

Tasks publish to all kinds of targets; sockets join and leave meanwhile. Any two clients agree on
the order of what both got, and nobody gets what one task sent in another order than it was sent in.
"""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import trio

from actors.sim import CALM, LAN, Sim
from broker import Broker, Socket
from protocol import engineio

from .client import HARBOUR
from .ground import Ground, dawdle
from .wire import Wire

_TARGET = "/socket.io/?EIO=4&transport="
_PUBLISHERS = 3
_EVENTS = 5
_KINDS = 8

Seen = tuple[str, int]


class Ear:
    """One client's session, and what it has heard, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[Seen] = []
        self.over = trio.Event()

    def take(self, packet: str) -> None:
        """Take a Socket.IO packet."""
        if not packet.startswith("2"):
            return
        event, *args = json.loads(packet[1:])
        if event == "e":
            self.seen.append((args[0], args[1]))
        else:
            self.over.set()


class Transports:
    """One run."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.broker = Broker()
        self.ground = Ground(sim, self.broker, (CALM, LAN)[sim.draw(2, "the weather")])
        self.hold = self.ground.hold
        self.ears: list[Ear] = []
        self.came: list[Socket] = []
        self.full = trio.Event()
        self.broker.on("connection", self.connected)

    async def connected(self, socket: Socket) -> None:
        self.ground.sockets.append(socket)
        self.came.append(socket)
        await socket.join(*(("a",), ("b",), ("a", "b"))[self.sim.draw(3, "its rooms")])
        if len(self.came) == 4:
            self.full.set()

    async def run(self) -> None:
        """Let four clients listen until everything has been published."""
        async with trio.open_nursery() as clients:
            for number, carry in enumerate((self.poll, self.poll, self.listen, self.listen)):
                ear = Ear(f"client {number}")
                self.ears.append(ear)
                clients.start_soon(carry, ear, name=ear.name)
            with trio.fail_after(60.0):
                await self.full.wait()
            async with trio.open_nursery() as tasks:
                for number in range(_PUBLISHERS):
                    tasks.start_soon(self.publish, f"task {number}")
                tasks.start_soon(self.wander)
            await self.broker.emit("over")
            with trio.fail_after(60.0):
                for ear in self.ears:
                    await ear.over.wait()
            clients.cancel_scope.cancel()
        for ear in self.ears:
            self.check_tasks(ear)
        for one, other in combinations(self.ears, 2):
            shared = set(one.seen) & set(other.seen)
            ours, theirs = ([each for each in ear.seen if each in shared] for ear in (one, other))
            self.hold(
                ours == theirs, "one order for all", f"{one.name} {ours}, {other.name} {theirs}"
            )

    def check_tasks(self, ear: Ear) -> None:
        self.hold(len(ear.seen) == len(set(ear.seen)), "nothing twice", ear.seen)
        for number in range(_PUBLISHERS):
            task = f"task {number}"
            turns = [turn for name, turn in ear.seen if name == task]
            self.hold(turns == sorted(turns), "a task's order", f"{ear.name} {task} {turns}")

    # The server's tasks.

    async def publish(self, task: str) -> None:
        for turn in range(_EVENTS):
            await dawdle(self.sim)
            await self.target(self.sim.draw(_KINDS, "the target")).emit("e", task, turn)

    def target(self, kind: int) -> Any:
        """Return a target; a socket is one, for itself alone."""
        broker, one = self.broker, self.came[self.sim.draw(4, "which socket")]
        match kind:
            case 0 | 1:
                return broker.to("ab"[kind])
            case 2:
                return broker.to("a", "b")
            case 3:
                return broker.except_("a")
            case 4:
                return broker.to("a", "b").except_(one.id)
            case 5:
                return one
            case 6:
                return one.to("b")
            case _:
                return broker.local

    async def wander(self) -> None:
        """Let sockets in and out."""
        for _ in range(6):
            await dawdle(self.sim)
            socket = self.came[self.sim.draw(4, "who")]
            await (socket.join, socket.leave)[self.sim.draw(2, "in or out")]("ab"[self.sim.draw(2)])

    # The clients.

    async def dial(self, ear: Ear) -> Wire:
        return Wire(await self.ground.net.connect(HARBOUR, ear.name))

    async def poll(self, ear: Ear) -> None:
        """Have everything by polls; post by another connection."""
        polls, posts = await self.dial(ear), await self.dial(ear)
        opened = await polls.request("GET", f"{_TARGET}polling")
        target = f"{_TARGET}polling&sid={json.loads(opened.body[1:])['sid']}"
        await posts.request("POST", target, b"40")
        while True:
            answer = await polls.request("GET", target)
            for packet in engineio.decode_payload(answer.body):
                if packet.type is engineio.PacketType.PING:
                    await posts.request("POST", target, b"3")
                elif packet.type is engineio.PacketType.MESSAGE:
                    ear.take(str(packet.data))
            await dawdle(self.sim, 3)

    async def listen(self, ear: Ear) -> None:
        """Have everything by a websocket."""
        wire = await self.dial(ear)
        await wire.upgrade(f"{_TARGET}websocket")
        await wire.send("40")
        while True:
            message = str(await wire.message())
            if message == "2":
                await wire.send("3")
            elif message.startswith("4"):
                ear.take(message[1:])


async def storm(sim: Sim) -> None:
    """Run one storm."""
    one = Transports(sim)
    await one.ground.run(one.run, patience=200.0)
