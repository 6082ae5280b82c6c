"""The storm of shutdown: the broker ends at any moment, whatever its clients are doing.

Some never answer, some never read, some are just coming. It ends within its grace (and hooks have
their own limit), tells those who listen, calls every hook once, and leaves nothing.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

import trio

from actors.sim import Sim
from broker import Broker, ConnectError, Socket

from .client import HARBOUR, Client, Line, Refused
from .ground import WEATHERS, Ground, dawdle, pause

GRACE = 2.0
HOOKS = 1.0
_EVER = 1000.0  # longer than any limit
_LATE = 0.01  # what the limits do not count: checkpoints take no time, a link's latency does

WAVES = 0.2

WAYS = ("close", "close twice", "cancel", "leave", "drain", "close in a drain", "drain in vain")


class Shutdown:
    """One run."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.broker = Broker(grace=GRACE, disconnect_timeout=HOOKS, handler_grace=_EVER)
        self.ground = Ground(sim, self.broker, WEATHERS[sim.draw(len(WEATHERS), "the weather")])
        self.ground.verdict.expected_logs = ("disconnect_timeout", "handler_grace")
        self.hold = self.ground.hold
        self.entered: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self.broker.use(self.met)
        self.broker.on("connection", self.connected)
        self.broker.on("work", self.work)
        self.broker.on("disconnect", self.disconnected)

    # The server.

    async def met(self, socket: Socket) -> None:
        self.ground.sockets.append(socket)
        await self.linger("middleware")
        if self.sim.maybe("a refusal", 0.1):
            raise ConnectError("not today")

    async def connected(self, socket: Socket) -> None:
        self.entered[socket.id] += 1
        await socket.join("hall")
        await self.linger("a connection hook")

    async def work(self, socket: Socket, text: str) -> str:
        await self.linger("a handler")
        await self.broker.to("hall").emit("worked", text)
        return text

    async def disconnected(self, socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()  # who is not shielded gets no further
        self.left[socket.id] += 1
        self.hold(self.left[socket.id] == 1, "disconnect once", socket)
        await self.linger("a disconnect hook")

    async def linger(self, what: str) -> None:
        """Take a moment, or far too long."""
        if self.sim.maybe(f"{what} hangs", 0.1):
            await trio.sleep(_EVER)
        await dawdle(self.sim, 3)

    # The clients.

    async def visit(self, line: Line) -> None:
        sim = self.sim
        line.mute = sim.maybe("it never answers", 0.2)
        try:
            await line.enter()
        except Refused:
            return
        for number in range(sim.draw(4, "events")):
            await line.emit("/", "work", str(number))
            if sim.maybe("a pause", 0.3):
                await pause(sim, 0.1)
        if sim.maybe("it never reads", 0.2):
            await trio.sleep(_EVER)
        await line.until(lambda: False)

    async def live(self, client: Client) -> None:
        await pause(self.sim, 0.3)
        await client.visit(self.visit)
        told = client.line is not None and client.line.wire.close_code is not None
        self.sim.sometimes("a client was told", told)

    # The storm.

    async def blow(self) -> None:
        sim = self.sim
        with self.ground.verdict.given():
            async with trio.open_nursery() as crowd:
                for number in range(1 + sim.draw(3, "more clients")):
                    client = self.ground.client("abc"[number])
                    crowd.start_soon(self.live, client, name=client.name)
                await self.serve_and_end()
                crowd.cancel_scope.cancel()
            self.ground.check_empty()
            for sid in self.entered:
                self.hold(self.left[sid] == 1, "one disconnect for each connection", sid)

    def life(self, way: str) -> AbstractAsyncContextManager[object]:
        """Return the broker's life, if it ends by being left; else `serve` opens it."""
        return self.broker if way == "leave" else nullcontext()

    async def serve_and_end(self) -> None:
        """Serve for a drawn time, and end in a drawn way, in time."""
        way = WAYS[self.sim.draw(len(WAYS), "how it ends")]
        listener = self.ground.net.listen(HARBOUR)
        async with trio.open_nursery() as nursery, self.life(way):
            serve = partial(self.broker.serve, listeners=[listener])
            await nursery.start(serve)
            await pause(self.sim, 0.5, "when it ends")
            await dawdle(self.sim, 30)
            began = trio.current_time()
            self.sim.sometimes("somebody was there", len(self.broker.sockets) > 0)
            match way:
                case "close":
                    await self.broker.close()
                case "close twice":
                    nursery.start_soon(self.broker.close)
                    await self.broker.close()
                case "drain":
                    await self.broker.drain(1, WAVES)
                    began += 2 * WAVES  # there are three clients at the most
                case "close in a drain":
                    nursery.start_soon(self.broker.drain, 1, WAVES)
                    await pause(self.sim, WAVES)
                    began = trio.current_time()
                    await self.broker.close()
                case "drain in vain":
                    with trio.move_on_after(WAVES / 2):
                        await self.broker.drain(1, WAVES)
                    began = trio.current_time()
                    await self.broker.close()
                case "cancel":
                    nursery.cancel_scope.cancel()
        took = trio.current_time() - began
        self.hold(took <= GRACE + HOOKS + _LATE, "it ends within its grace", f"{took:g} s")
        if way == "cancel":
            self.hold(took <= HOOKS + _LATE, "cancelled, it waits for hooks only", f"{took:g} s")


async def storm(sim: Sim) -> None:
    """End a broker that is in use."""
    await Shutdown(sim).blow()
    sim.expect_idle()
