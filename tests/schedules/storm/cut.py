"""A scripted session whose connections are cancelled at one step of the run, whichever it is.

The script does a little of everything. When it is cut, every hook of a socket that was connected
still runs once, and nothing is left of it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import trio

from actors.sim import InvariantViolated, Sim
from broker import Broker, Socket
from broker.sessions.receiver import Receiver
from broker.sessions.session import Session

from .client import HARBOUR, TARGET, Line
from .ground import Ground
from .wire import Over, Wire

_POLLING = "/socket.io/?EIO=4&transport=polling"
_LAST = ["disconnecting", "disconnect"]
_PATIENCE = 5.0  # a session that polls is missed after its heartbeat


What = Literal["connections", "sessions"]
"""A websocket carries its session; one that polls outlives its connections for a while."""


class Knife(trio.abc.Instrument):
    """Cancels all `scopes` after so many steps of any task, counted from the first scope on."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.scopes: list[trio.CancelScope] = []

    @property
    def has_cut(self) -> bool:
        """Whether it has come to that."""
        return self._left <= 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.scopes:
            self._left -= 1
            if not self._left:
                for scope in self.scopes:
                    scope.cancel()


class CutBroker(Broker):
    """A broker whose connections, or sessions, come under the knife."""

    def __init__(self, knife: Knife, what: What) -> None:
        super().__init__(ping_interval=1.0, ping_timeout=1.0)
        self._knife = knife
        self._what = what

    async def _serve_connection(self, stream: trio.abc.Stream) -> None:
        with trio.CancelScope() as scope:
            if self._what == "connections":
                self._knife.scopes.append(scope)
            await super()._serve_connection(stream)

    def _receiver(self, session: Session) -> Receiver:
        if self._what == "sessions":
            self._knife.scopes.append(session.nursery.cancel_scope)
        return super()._receiver(session)


Script: TypeAlias = Callable[["Cut"], Awaitable[None]]


class Cut:
    """One run: `script` is what the client does; it says when it is `complete`."""

    def __init__(self, sim: Sim, script: Script, what: What, at: int) -> None:
        self.script = script
        self.complete = False
        self.knife = Knife(at)
        self.broker = CutBroker(self.knife, what)
        self.ground = Ground(sim, self.broker)
        self.hooks: defaultdict[str, list[str]] = defaultdict(list)
        for name in ("/", "/other"):
            namespace = self.broker.of(name)
            namespace.use(self.met)
            namespace.on("connection", self.connected)
            namespace.on("work", self.work)
            namespace.on("ask", self.ask)
            namespace.on("disconnecting", self.disconnecting)
            namespace.on("disconnect", self.disconnected)

    # The server.

    async def met(self, socket: Socket) -> None:
        self.ground.sockets.append(socket)
        await trio.lowlevel.checkpoint()

    async def connected(self, socket: Socket) -> None:
        self.hooks[socket.id].append("connection")
        await socket.join("hall")
        socket.nursery.start_soon(trio.sleep_forever)

    async def work(self, socket: Socket) -> str:
        await socket.join("red", "blue")
        async with socket.joined("green"):
            await self.broker.to("red").emit("heard")
        await socket.leave("red")
        return "done"

    async def ask(self, socket: Socket) -> object:
        return await socket.emit_with_ack("question", timeout=1.0)

    async def disconnecting(self, socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()  # who is not shielded gets no further
        self.hooks[socket.id].append("disconnecting")

    async def disconnected(self, socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        self.hooks[socket.id].append("disconnect")
        self.ground.hold(not socket.joined_rooms, "the rooms are left")

    # The run.

    async def dial(self) -> Wire:
        return Wire(await self.ground.net.connect(HARBOUR, "ann"))

    async def live(self) -> None:
        trio.lowlevel.add_instrument(self.knife)
        try:
            await self.script(self)
        finally:
            trio.lowlevel.remove_instrument(self.knife)

    async def run(self) -> bool:
        """Return whether the script was cut."""
        await self.ground.run(self.live, patience=_PATIENCE)
        for sid, called in self.hooks.items():
            # The `connection` hook of one that left at once may have had no turn.
            if [hook for hook in called if hook != "connection"] != _LAST or called[-2:] != _LAST:
                raise InvariantViolated("both hooks once, in order", f"{sid}: {called}")
        if not (self.complete or self.knife.has_cut):
            raise InvariantViolated("the script is followed to its end")
        return self.knife.has_cut


async def over_a_websocket(cut: Cut) -> None:
    """Enter, work, ask, be in another namespace for a while, leave, say goodbye."""

    async def follow(line: Line) -> None:
        await line.enter("/")
        await line.acked("/", await line.begin_call("/", "work"))
        await line.acked("/", await line.begin_call("/", "ask"))
        await line.enter("/other")
        await line.emit("/other", "work")
        await line.leave("/other")
        await line.leave("/")
        await line.wire.say_goodbye()
        cut.complete = True
        await line.until(lambda: False)

    await cut.ground.client("ann").visit(follow)


async def over_polling(cut: Cut) -> None:
    """Enter and work over polling, go over to a websocket, work there, and leave."""
    wires = [await cut.dial(), await cut.dial(), await cut.dial()]
    poll, post, websocket = wires
    try:
        told = await _request(poll, "GET", _POLLING)
        sid = json.loads(told[1:])["sid"]
        target = f"{_POLLING}&sid={sid}"
        await _request(post, "POST", target, b"40")
        await _request(poll, "GET", target)
        await _request(post, "POST", target, b'420["work"]')
        while b"430" not in await _request(poll, "GET", target):
            pass
        await websocket.upgrade(f"{TARGET}&sid={sid}")
        await websocket.send("2probe")
        await websocket.message()
        await websocket.send("5", '421["work"]')
        while not str(await websocket.message()).startswith("431"):
            pass
        await websocket.send("41", "1")
        cut.complete = True
        await websocket.message()
    except Over:
        pass
    finally:
        for wire in wires:
            await trio.aclose_forcefully(wire.stream)


async def _request(wire: Wire, method: str, target: str, body: bytes = b"") -> bytes:
    """Return what a request is answered with; raises `Over`, also for a refusal."""
    answer = await wire.request(method, target, body)
    if answer.status != 200:
        raise Over
    return answer.body


def cut(script: Script, what: What, at: int) -> Callable[[Sim], Awaitable[bool]]:
    """Return the program that cuts this script after so many steps."""

    async def program(sim: Sim) -> bool:
        return await Cut(sim, script, what, at).run()

    return program
