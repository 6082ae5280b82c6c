"""A storm around one `on_join`: what it sends and emits, and what others emit meanwhile.

There are two sockets: one in `q`, which joins `r`; one in both. `on_join` of `r` talks to the
joiner directly and through `q`. Checked: what one task emits comes in its order, what both get
comes in the same order to both, and nothing that was emitted is lost or ends a client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from actors.sim import Sim
from broker import Broker, Room, Socket

from .ground import dawdle
from .verdict import Verdict

_TARGETS = (("r",), ("q",), ("r", "q"))
_EACH = 6  # events of one task
_FLOOD = 60  # events of a task that emits to the joiner alone: more than half of the limit
_LIMIT = 60  # packets in an outbox; all broadcasts and half of it fit


async def storm(sim: Sim) -> None:
    """Run one."""
    await Welcome(sim).run()


class Welcome:
    """One run. An event has two arguments: who emitted it, and his how manieth it is."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.verdict = Verdict()
        self.broker = Broker(max_outbox_packets=_LIMIT)
        self.heard: dict[str, list[tuple[str, int]]] = {"joiner": [], "member": []}
        self.direct: set[tuple[str, int]] = set()
        self.joined = trio.Event()
        storm = self

        @self.broker.room_type("r")
        class Welcoming(Room):
            async def on_join(self, socket: Socket) -> None:
                if socket.data["name"] == "joiner":
                    await storm.talk("on_join", socket, _TARGETS[1:2])

    async def talk(self, name: str, socket: Socket, targets: tuple[tuple[str, ...], ...]) -> None:
        """Emit as one task: to rooms, or to the joiner alone."""
        for number in range(_EACH):
            await dawdle(self.sim, 3)
            if self.sim.maybe("to the joiner alone", 0.4):
                self.direct.add((name, number))
                await socket.emit("event", name, number)
            else:
                target = targets[self.sim.draw(len(targets), "which rooms")]
                await self.broker.to(*target).emit("event", name, number)

    async def flood(self, socket: Socket) -> None:
        """Emit much to the joiner alone."""
        for number in range(_FLOOD):
            self.direct.add(("flood", number))
            await socket.emit("event", "flood", number)

    def ear(self, name: str) -> Callable[[str, tuple[Any, ...]], None]:
        """Return what notes the events of a client."""

        def hear(event: str, args: tuple[Any, ...]) -> None:
            if event == "event":
                self.heard[name].append((args[0], args[1]))

        return hear

    async def run(self) -> None:
        """Let them talk at once; then see who heard what."""
        with self.verdict.given():
            async with (
                self.broker,
                self.broker.test_client(name="joiner") as joiner,
                self.broker.test_client(name="member") as member,
            ):
                sockets = {}
                for name, client in (("joiner", joiner), ("member", member)):
                    socket = sockets[name] = self.broker.sockets[client.id]
                    socket.data["name"] = name
                    client.watch(self.ear(name))
                    await socket.join("q")
                await sockets["member"].join("r")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._join, sockets["joiner"])
                    for number in range(3):
                        nursery.start_soon(self.talk, f"task {number}", sockets["joiner"], _TARGETS)
                    if self.sim.maybe("a flood", 0.3):
                        nursery.start_soon(self.flood, sockets["joiner"])
                await self.broker.to("q").emit("event", "end", 0)
                await wait_all_tasks_blocked()
                for client in (joiner, member):
                    client._events.clear()
                self.verdict.hold(
                    all(socket.connected for socket in sockets.values()), "nobody is ended"
                )
            self.look()

    async def _join(self, socket: Socket) -> None:
        await dawdle(self.sim, 6)
        await socket.join("r")

    def look(self) -> None:
        """Compare what both have heard."""
        joiner, member = self.heard["joiner"], self.heard["member"]
        hold = self.verdict.hold
        for name in {task for task, _ in joiner}:
            numbers = [number for task, number in joiner if task == name]
            hold(numbers == sorted(numbers), "one task, one order", (name, numbers))
        both = set(joiner) & set(member)
        hold(
            [event for event in joiner if event in both]
            == [event for event in member if event in both],
            "one order for both",
        )
        hold(self.direct <= set(joiner), "what was for the joiner has come")
        hold(joiner[-1] == member[-1] == ("end", 0), "and the end is the end")
