"""Two endings of one client at the same moment, each in a task of its own.

The client is in two namespaces, and in rooms of both. Whatever happens in which order, each socket
ends once, for one of the two reasons, and nothing is left of it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import combinations_with_replacement
from typing import Literal, Protocol

import trio

from actors.sim import Sim
from broker import Broker, Socket

from .client import HARBOUR, Line
from .ground import Ground, dawdle
from .wire import Over, Wire

Cause = Literal[
    "the server disconnects",
    "the server closes",
    "the client leaves",
    "the client closes",
    "ping timeout",
    "transport error",
    "slow client",
    "the broker closes",
    "the broker is cancelled",
]

REASONS: dict[Cause, str] = {
    "the server disconnects": "server namespace disconnect",
    "the server closes": "server namespace disconnect",
    "the client leaves": "client namespace disconnect",
    "the client closes": "transport close",
    "ping timeout": "ping timeout",
    "transport error": "transport error",
    "slow client": "slow client",
    "the broker closes": "server shutting down",
    "the broker is cancelled": "server shutting down",
}
# Those that can only happen once are not paired with themselves.
_ONCE = {"the client leaves", "ping timeout", "the broker is cancelled"}
PAIRS = [(a, b) for a, b in combinations_with_replacement(REASONS, 2) if a != b or a not in _ONCE]

_OF_ONE_NAMESPACE = {"the server disconnects", "the client leaves"}
_OF_THE_BROKER = {"the broker closes", "the broker is cancelled"}

_INTERVAL, _TIMEOUT = 1.0, 0.5
_FULL = 20  # packets
_GRACE, _HOOKS = 1.0, 1.0
_PATIENCE = _GRACE + _HOOKS + 0.1
_LATE = 0.002  # an event may wait for the flusher, no ending does

ROOMS = {"red", "blue"}


class Visitor(Protocol):
    """The client, over one carrier. Every method raises `Over` when its connection is."""

    async def live(self) -> None:
        """Enter both namespaces, and at the moment send some events, as long as it is there."""

    async def send(self, packet: str) -> None:
        """Send an Engine.IO packet."""

    async def leave(self) -> None:
        """Leave `/`, if it is there."""

    async def close(self) -> None:
        """Close the connection, in a drawn way."""

    async def vanish(self) -> None:
        """Be gone."""


class OverWebsocket:
    """A client over a websocket."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.line: Line

    async def live(self) -> None:
        await self.pair.ground.client("ann").visit(self.visit)

    async def visit(self, line: Line) -> None:
        self.line = line
        line.mute = self.pair.is_mute
        await line.enter("/")
        await line.enter("/other")
        await trio.sleep_until(self.pair.moment)
        for _ in range(self.pair.events):
            if "/" in line.here:
                await line.emit("/", "work")
        await line.until(lambda: False)

    async def send(self, packet: str) -> None:
        await self.line.wire.send(packet)

    async def leave(self) -> None:
        if "/" in self.line.here:
            await self.line.leave()

    async def close(self) -> None:
        match self.pair.sim.draw(4, "how the client closes"):
            case 0:
                await self.send("1")
            case 1:
                await self.line.wire.say_goodbye()
            case 2:
                await self.vanish()
            case 3:
                self.pair.ground.net.reset(self.line.wire.stream)

    async def vanish(self) -> None:
        await trio.aclose_forcefully(self.line.wire.stream)


class OverPolling:
    """A client that polls over one connection, and posts over another."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.is_here = True
        self.target = "/socket.io/?EIO=4&transport=polling"
        self.wires: list[Wire] = []
        self.posting = trio.Lock()

    async def live(self) -> None:
        net = self.pair.ground.net
        self.wires = [Wire(await net.connect(HARBOUR, "ann")) for _ in range(2)]
        with suppress(Over):
            opened = await self.request(0, "GET")
            self.target += "&sid=" + json.loads(opened[1:])["sid"]
            await self.send("40\x1e40/other,")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.talk)
                await self.poll()

    async def talk(self) -> None:
        await trio.sleep_until(self.pair.moment)
        with suppress(Over):
            for _ in range(self.pair.events):
                if self.is_here:
                    await self.send('42["work"]')

    async def poll(self) -> None:
        with suppress(Over):
            while True:
                packets = (await self.request(0, "GET")).split("\x1e")
                if "1" in packets:
                    return
                if "41" in packets:
                    self.is_here = False
                if "2" in packets and not self.pair.is_mute:
                    await self.send("3")

    async def request(self, wire: int, method: str, body: str = "") -> str:
        answer = await self.wires[wire].request(method, self.target, body.encode())
        if answer.status != 200:
            raise Over
        return answer.body.decode()

    async def send(self, packet: str) -> None:
        async with self.posting:
            if packet[:2] != "42" or self.is_here:
                await self.request(1, "POST", packet)

    async def leave(self) -> None:
        if self.is_here:
            self.is_here = False
            await self.send("41")

    async def close(self) -> None:
        await self.send("1")

    async def vanish(self) -> None:
        for wire in self.wires:
            await trio.aclose_forcefully(wire.stream)


class Pair:
    """One run."""

    def __init__(self, sim: Sim, causes: tuple[Cause, Cause]) -> None:
        self.sim = sim
        self.causes = causes
        self.broker = Broker(
            ping_interval=_INTERVAL,
            ping_timeout=_TIMEOUT,
            max_outbox_packets=_FULL,
            grace=_GRACE,
            disconnect_timeout=_HOOKS,
            handler_grace=_GRACE,
        )
        self.ground = Ground(sim, self.broker)
        self.hold = self.ground.hold
        self.sockets: dict[str, Socket] = {}
        self.hooks: defaultdict[str, list[tuple[str, str, float]]] = defaultdict(list)
        carriers: tuple[type[Visitor], ...] = (OverWebsocket, OverPolling)
        self.client = carriers[sim.draw(len(carriers), "the carrier")](self)
        self.moment = 0.0
        self.ended = trio.Event()
        for name in ("/", "/other"):
            namespace = self.broker.of(name)
            namespace.on("connection", self.connected)
            namespace.on("work", self.work)
            namespace.on("disconnecting", self.disconnecting)
            namespace.on("disconnect", self.disconnected)

    @property
    def events(self) -> int:
        """How many events the client sends at the moment: none when it is silent."""
        return 0 if self.is_mute else self.sim.draw(3, "events")

    @property
    def is_mute(self) -> bool:
        """Whether the client answers no pings."""
        return "ping timeout" in self.causes

    # The server.

    async def connected(self, socket: Socket) -> None:
        self.ground.sockets.append(socket)
        self.sockets[socket.namespace.name] = socket
        await socket.join(*ROOMS)
        socket.nursery.start_soon(trio.sleep_forever)

    async def work(self, socket: Socket) -> None:
        await dawdle(self.sim, 8)
        await socket.join("late")

    async def disconnecting(self, socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()  # who is not shielded gets no further
        self.hooks[socket.namespace.name].append(("disconnecting", reason, trio.current_time()))
        self.hold(socket.joined_rooms >= ROOMS, "the rooms are there until `disconnecting`")
        self.hold(not socket.connected, "who goes is not connected", socket)

    async def disconnected(self, socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        self.hooks[socket.namespace.name].append(("disconnect", reason, trio.current_time()))
        members = self.broker.of(socket.namespace.name).rooms.values()
        self.hold(not socket.joined_rooms, "the rooms are left before `disconnect`")
        self.hold(not any(socket.id in there for there in members), "it is in no room")
        await dawdle(self.sim, 3)

    async def serve(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as self.ground.nursery:
            listener = self.ground.net.listen(HARBOUR)
            await self.ground.nursery.start(partial(self.broker.serve, listeners=[listener]))
            task_status.started()
        self.ended.set()

    # The endings.

    async def strike(self, cause: Cause) -> None:
        """End the client, now."""
        socket = self.sockets["/"]
        await trio.sleep_until(self.moment)
        match cause:
            case "the server disconnects":
                await socket.disconnect()
            case "the server closes":
                await socket.disconnect(close=True)
            case "the client leaves":
                await self.client.leave()
            case "the client closes":
                await self.client.close()
            case "ping timeout":
                pass  # it has been mute all the time, and this is the moment
            case "transport error":
                await self.client.send("2")  # the server pings, nobody else
            case "slow client":
                for _ in range(2 * _FULL):
                    self.sockets["/other"].emit_nowait("more than it can take")
            case "the broker closes":
                await self.broker.close()
            case "the broker is cancelled":
                self.ground.nursery.cancel_scope.cancel()

    # The run.

    async def blow(self) -> None:
        with self.ground.verdict.given():
            async with trio.open_nursery() as crowd:
                await crowd.start(self.serve)
                before, tasks = self.ground.figures(), self.ground.count_tasks()
                self.moment = trio.current_time() + _INTERVAL + _TIMEOUT
                crowd.start_soon(self.client.live)
                await trio.sleep_until(self.moment - _TIMEOUT / 2)
                self.hold(set(self.sockets) == {"/", "/other"}, "it came")
                await self.strike_both()
                await trio.sleep(_PATIENCE)
                self.check_endings()
                if not self.ended.is_set():
                    await self.client.vanish()
                    await trio.sleep(_PATIENCE)
                    self.ground.take_census(before, tasks)
                    await self.broker.close()
                crowd.cancel_scope.cancel()
            self.ground.check_empty()
            for name in self.sockets:
                self.check_hooks(name)
        self.sim.expect_idle()

    async def strike_both(self) -> None:
        async def strike(cause: Cause) -> None:
            with suppress(Over, trio.ClosedResourceError):  # the other one was first
                await self.strike(cause)

        async with trio.open_nursery() as nursery:
            for cause in self.causes:
                nursery.start_soon(strike, cause, name=cause)

    def check_endings(self) -> None:
        """Check that all that had to end has ended, at once, for one of the two reasons."""
        whole = set(self.causes) - _OF_ONE_NAMESPACE
        self.hold(self.ended.is_set() == bool(whole & _OF_THE_BROKER), "the broker's end")
        for name, socket in self.sockets.items():
            causes = whole if name == "/other" else set(self.causes)
            reasons = {REASONS[cause] for cause in causes}
            self.hold(socket.gone == bool(causes), "it has gone if it had to", (name, causes))
            for hook, reason, when in self.hooks[name]:
                self.hold(reason in reasons, "one of the two reasons", (name, hook, reason))
                late = when - self.moment
                if (
                    reason == "ping timeout"
                    and "the client leaves" in self.causes
                    and late >= _TIMEOUT
                ):
                    late -= _TIMEOUT  # what it sent instead of a pong has given it as long again
                self.hold(0 <= late <= _LATE, "it ends at that moment", (name, hook, late))

    def check_hooks(self, name: str) -> None:
        called = [(hook, reason) for hook, reason, _ in self.hooks[name]]
        reason = called[0][1] if called else ""
        self.hold(
            called == [("disconnecting", reason), ("disconnect", reason)],
            "both hooks once, in order, with the same reason",
            (name, called),
        )


def pair(causes: tuple[Cause, Cause]) -> Callable[[Sim], Awaitable[None]]:
    """Return the program of these two endings."""

    async def program(sim: Sim) -> None:
        await Pair(sim, causes).blow()

    return program


async def any_pair(sim: Sim) -> None:
    """Two endings, drawn."""
    await Pair(sim, PAIRS[sim.draw(len(PAIRS), "the pair")]).blow()
