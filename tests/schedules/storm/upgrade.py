"""The storm of upgrades: a client goes from polling to a websocket while events flow both ways.

It does so as the official one does: probe, let the poll come back, upgrade. Requests are torn and
reset, two websockets probe at once, and any side may go at any moment. As long as the session
lives no event is lost, doubled or overtaken in either direction; and when it ends, what came is a
beginning of what was sent.
"""

from __future__ import annotations

import json
from contextlib import suppress

import trio

from actors.sim import Sim
from broker import Broker, Socket
from protocol import ProtocolError, engineio

from .client import HARBOUR
from .ground import WEATHERS, Ground, dawdle, pause
from .wire import Over, Wire

EVENTS = 6
PATIENCE = 60.0
_POLLING = "/socket.io/?EIO=4&transport=polling"
_WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


class Upgrade:
    """One run, with one client."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.broker = Broker(ping_interval=4.0, ping_timeout=3.0, upgrade_timeout=2.0)
        self.ground = Ground(sim, self.broker, WEATHERS[sim.draw(len(WEATHERS), "the weather")])
        self.hold = self.ground.hold
        self.heard_up = 0  # how many events the server has heard
        self.heard_down = 0  # and the client
        self.complete = trio.Event()
        self.broker.use(self.met)
        self.broker.on("connection", self.connected)
        self.broker.on("up", self.up)

    # The server.

    async def met(self, socket: Socket) -> None:
        self.ground.sockets.append(socket)

    async def connected(self, socket: Socket) -> None:
        socket.nursery.start_soon(self.tick, socket)

    async def tick(self, socket: Socket) -> None:
        for number in range(EVENTS):
            await pause(self.sim, 0.3, "between two events down")
            await socket.emit("down", number)

    async def up(self, socket: Socket, number: int) -> None:
        self.hold(number == self.heard_up, "events up in order", f"{number}, not {self.heard_up}")
        self.heard_up += 1
        self.judge()
        await dawdle(self.sim, 3)

    # The client.

    async def live(self) -> None:
        """Open a session, talk, upgrade, and go; whatever ends it is the end."""
        try:
            async with trio.open_nursery() as nursery:
                client = Visitor(self, nursery)
                with suppress(Over), trio.move_on_after(2 * PATIENCE):  # it has patience, not more
                    await client.open()
                    nursery.start_soon(client.poll)
                    nursery.start_soon(client.talk)
                    nursery.start_soon(client.upgrade)
                    await self.stay(client)
                nursery.cancel_scope.cancel()
        except* Over:
            pass
        finally:
            for wire in client.wires:
                await trio.aclose_forcefully(wire.stream)

    async def stay(self, client: Visitor) -> None:
        """Stay until all has been heard, or go before."""
        if self.sim.maybe("it goes early", 0.3):
            await pause(self.sim, 1.0, "when it goes")
            if client.wires and self.sim.maybe("by a reset", 0.5):
                wires = client.wires
                self.ground.net.reset(wires[self.sim.draw(len(wires), "which")].stream)
            return
        with trio.move_on_after(PATIENCE):  # in a black hole it waits in vain
            await self.complete.wait()
            self.hold(self.heard_down == EVENTS, "no event down is lost", self.heard_down)
            self.hold(self.heard_up == EVENTS, "no event up is lost", self.heard_up)
            self.sim.sometimes("all was heard after the upgrade", client.upgraded)

    def take(self, message: str) -> None:
        """Take a Socket.IO packet of the server's."""
        if message.startswith("2"):
            name, number = json.loads(message[1:])
            self.hold(name == "down", "an event of the server's", message)
            expected = self.heard_down
            self.hold(number == expected, "events down in order", f"{number}, not {expected}")
            self.heard_down += 1
        self.judge()

    def judge(self) -> None:
        """See whether both have heard everything."""
        if self.heard_down == EVENTS and self.heard_up == EVENTS:
            self.complete.set()


class Visitor:
    """The client: up to four connections, of which one polls, one posts and two probe."""

    def __init__(self, storm: Upgrade, nursery: trio.Nursery) -> None:
        self.storm = storm
        self.sim = storm.sim
        self.nursery = nursery
        self.wires: list[Wire] = []
        self.sid = ""
        self.upgraded = False
        self._polling = trio.Lock()
        self._posting = trio.Lock()
        self._pausing = False
        self._over_there = trio.Event()
        self._websocket: Wire | None = None

    async def dial(self) -> Wire:
        try:
            wire = Wire(await self.storm.ground.net.connect(HARBOUR, "client"))
        except OSError:
            raise Over from None
        self.wires.append(wire)
        return wire

    async def open(self) -> None:
        """Open a session and enter the namespace; raises `Over`."""
        self._poll_wire = await self.dial()
        self._post_wire = await self.dial()
        answer = await self._poll_wire.request("GET", _POLLING)
        self.sid = json.loads(answer.body[1:])["sid"]
        await self.post("40")

    @property
    def target(self) -> str:
        return f"{_POLLING}&sid={self.sid}"

    async def post(self, text: str) -> None:
        """Post one packet; raises `Over`."""
        async with self._posting:
            answer = await self._post_wire.request("POST", self.target, text.encode())
        if answer.status != 200:
            raise Over

    async def poll(self) -> None:
        """Poll until it is upgraded."""
        while not self.upgraded:
            async with self._polling:
                if self._pausing:
                    return
                answer = await self._poll_wire.request("GET", self.target)
            if answer.status != 200:
                raise Over
            await self.take_payload(answer.body)
            await dawdle(self.sim, 2)

    async def take_payload(self, body: bytes) -> None:
        try:
            packets = engineio.decode_payload(body)
        except ProtocolError as error:
            self.storm.hold(condition=False, name="a payload can be read", detail=error)
            raise Over from None
        for packet in packets:
            await self.take(packet)

    async def take(self, packet: engineio.Packet) -> None:
        """Take an Engine.IO packet; raises `Over`."""
        match packet.type:
            case engineio.PacketType.PING:
                await self.send("3")
            case engineio.PacketType.MESSAGE:
                self.storm.take(packet.data)
            case engineio.PacketType.CLOSE:
                raise Over
            case _:
                pass

    async def send(self, text: str) -> None:
        """Send one packet, by whatever carries it now; raises `Over`."""
        if self._websocket is not None and self.upgraded:
            await self._websocket.send(text)
        else:
            await self.post(text)

    async def talk(self) -> None:
        """Send events, one after the other."""
        for number in range(EVENTS):
            await pause(self.sim, 0.3, "between two events up")
            await self._sendable()
            await self.send(f'42["up",{number}]')

    async def _sendable(self) -> None:
        """Wait while it changes over: nothing is sent between the last post and the upgrade."""
        if self._pausing:
            await self._over_there.wait()

    async def upgrade(self) -> None:
        """Probe, and go over to the websocket."""
        await pause(self.sim, 1.0, "when it probes")
        if self.sim.maybe("a second probe", 0.2):
            self.nursery.start_soon(self.probe_only)
        wire = await self.dial()
        try:
            await wire.upgrade(f"{_WEBSOCKET}&sid={self.sid}")
            await wire.send("2probe")
            with trio.fail_after(5.0):
                answer = await wire.message()
        except (Over, trio.TooSlowError):
            return  # it goes on polling
        if answer != "3probe":
            return
        self._pausing = True
        async with self._polling, self._posting:  # the last poll comes back, the last post is in
            await pause(self.sim, 0.3, "before it upgrades")
            await wire.send("5")
            self._websocket = wire
            self.upgraded = True
            self._over_there.set()
        self.sim.sometimes("it upgraded")
        while True:
            message = await wire.message()
            await self.take(engineio.decode(message))

    async def probe_only(self) -> None:
        """Probe, and stop there."""
        wire = await self.dial()
        try:
            await wire.upgrade(f"{_WEBSOCKET}&sid={self.sid}")
            await wire.send("2probe")
            await wire.message()
            self.sim.sometimes("a second probe was answered")
        except Over:
            pass


async def storm(sim: Sim) -> None:
    """Upgrade while everything else goes on."""
    upgrade = Upgrade(sim)
    await upgrade.ground.run(upgrade.live, patience=PATIENCE)
