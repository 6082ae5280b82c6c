"""A client over a websocket, and what it has heard; it checks what a client can see by itself.

It behaves as the official ones do, unless the storm tells it otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import attrs
import trio

from actors.sim import Net, Sim
from protocol.socketio import Decoder, Packet, PacketType

from .verdict import Verdict
from .wire import Over, Wire

HARBOUR = "broker"
TARGET = "/socket.io/?EIO=4&transport=websocket"

_DIAL_TIMEOUT = 20.0  # as the official client's `timeout`


@attrs.define(eq=False)
class Presence:
    """One socket, as its client sees it.

    `heard`: what came, in order: (args of an event, None), or (values of an ack, its id).
    `pid`: by what it may come back. `state`: it is here, or the server said that it is out, or the
    client said so, or the connection is over. `fenced`: whether all that was pushed for it has been
    read, for certain.
    """

    client: str
    namespace: str
    sid: str
    pid: str | None = None
    heard: list[tuple[list[Any], int | None]] = attrs.field(factory=list)
    state: Literal["here", "told", "left", "lost"] = "here"
    fenced: bool = False

    def __repr__(self) -> str:
        return f"{self.client} ({self.state})"


class Client:
    """One person, who may connect again and again. `presences`: all its sockets, ever."""

    def __init__(self, sim: Sim, net: Net, name: str, verdict: Verdict) -> None:
        self.sim = sim
        self.net = net
        self.name = name
        self.verdict = verdict
        self.presences: list[Presence] = []
        self.line: Line | None = None
        self.answers: Callable[[Presence, list[Any]], list[Any] | None] = lambda _who, _args: []
        """What an event that wants an ack is answered with; None: with nothing."""

    async def visit(self, script: Callable[[Line], Awaitable[object]]) -> None:
        """Connect, follow `script`, and let go of the connection without a word.

        Returns when the connection is over, too, or could not be made.
        """
        try:
            stream = await self.net.connect(HARBOUR, self.name)
        except OSError:
            return
        line = self.line = Line(self, Wire(stream))
        try:
            async with trio.open_nursery() as nursery:
                try:
                    await line.open(nursery)
                    await script(line)
                except Over:
                    pass
                nursery.cancel_scope.cancel()
        finally:
            line.end("lost")
            await trio.aclose_forcefully(stream)


class Line:
    """One connection of a client: its session, and its sockets by namespace."""

    def __init__(self, client: Client, wire: Wire) -> None:
        self.client = client
        self.wire = wire
        self.sid = ""
        self.over = False
        self.mute = False
        """Whether it answers no pings."""
        self.here: dict[str, Presence] = {}
        self.refusals: dict[str, Any] = {}
        self._wanted: set[str] = set()  # namespaces it has asked for, and waits
        self._left: set[str] = set()  # what comes from there was on its way
        self._acked: set[tuple[str, int]] = set()
        self._last_id = -1
        self._silence = 0.0  # how long the server may send no ping
        self._patience = trio.CancelScope()
        self._changes = trio.lowlevel.ParkingLot()
        self._decoder = Decoder()

    async def open(self, nursery: trio.Nursery) -> None:
        """Shake hands, and begin to read; raises `Over`."""
        opened = None
        with trio.move_on_after(_DIAL_TIMEOUT):
            await self.wire.upgrade(TARGET)
            opened = await self.wire.message()
        if opened is None:
            raise Over
        self._check(str(opened).startswith("0{"), "the open packet comes first", opened)
        told = json.loads(opened[1:])
        self.sid = told["sid"]
        self._silence = (told["pingInterval"] + told["pingTimeout"]) / 1000
        nursery.start_soon(self._read_all, name=f"{self.client.name} reads")

    def _check(self, condition: object, name: str, detail: object = "") -> None:
        self.client.verdict.hold(condition, name, f"{self.client.name}: {detail}")

    # What it does.

    async def send(self, text: str) -> None:
        """Send one Socket.IO packet; raises `Over`."""
        if self.over:
            raise Over
        await self.wire.send(f"4{text}")

    async def enter(self, namespace: str = "/", auth: dict[str, Any] | None = None) -> Presence:
        """Connect to a namespace; raises `Over`, `Refused`."""
        await self.ask(namespace, auth)
        return await self.entered(namespace)

    async def ask(self, namespace: str = "/", auth: dict[str, Any] | None = None) -> None:
        """Ask to be let into a namespace; raises `Over`."""
        self._wanted.add(namespace)
        self.refusals.pop(namespace, None)
        await self.send(f"0{_prefix(namespace)}{'' if auth is None else json.dumps(auth)}")

    async def entered(self, namespace: str = "/") -> Presence:
        """Wait for the answer to `ask`; raises `Over`, `Refused`."""
        await self.until(lambda: namespace in self.here or namespace in self.refusals)
        if namespace in self.refusals:
            raise Refused(self.refusals[namespace])
        return self.here[namespace]

    async def leave(self, namespace: str = "/") -> None:
        """Leave a namespace, or take back the wish to enter it; raises `Over`."""
        self._wanted.discard(namespace)
        self._drop(namespace, "left")
        await self.send(f"1{_prefix(namespace)}")

    async def emit(self, namespace: str, *args: Any) -> None:
        """Send an event; raises `Over`."""
        await self.send(f"2{_prefix(namespace)}{json.dumps(args)}")

    async def begin_call(self, namespace: str, *args: Any) -> int:
        """Send an event that wants an ack, and return its id; raises `Over`."""
        self._last_id += 1
        id_ = self._last_id
        await self.send(f"2{_prefix(namespace)}{id_}{json.dumps(args)}")
        return id_

    async def acked(self, namespace: str, id_: int) -> bool:
        """Wait for an ack; False when the socket goes without; raises `Over`."""
        await self.until(
            lambda: (namespace, id_) in self._acked or namespace not in self.here,
        )
        return (namespace, id_) in self._acked

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is true that a packet brings about; raises `Over`."""
        while not condition():
            if self.over:
                raise Over
            await self._changes.park()

    # What it hears.

    async def _read_all(self) -> None:
        try:
            with trio.move_on_after(self._silence) as self._patience:
                while True:
                    await self._take(await self.wire.message())
                    self._changes.unpark_all()
        except Over:
            pass
        self.end("lost")

    async def _take(self, message: str | bytes) -> None:
        if message == "2":
            self._patience.deadline = trio.current_time() + self._silence
            if not self.mute:
                await self.wire.send("3")
        elif message == "1":
            raise Over
        elif isinstance(message, bytes) or message[0] == "4":
            packet = self._decoder.add(message if isinstance(message, bytes) else message[1:])
            if packet is not None:
                await self._receive(packet)
        else:
            self._check(message[0] == "6", "only what belongs here is sent", message)

    async def _receive(self, packet: Packet) -> None:
        name = packet.namespace
        presence = self.here.get(name)
        match packet.type:
            case PacketType.CONNECT:
                if name not in self._wanted:
                    self._check(name in self._left, "an unwanted CONNECT", packet)
                    return  # it had changed its mind, which the server could not know
                self._wanted.discard(name)
                told = packet.data
                presence = Presence(self.client.name, name, told["sid"], told.get("pid"))
                self.here[name] = presence
                self.client.presences.append(presence)
            case PacketType.CONNECT_ERROR:
                self._check(presence is None, "CONNECT or CONNECT_ERROR, not both", packet)
                if name in self._wanted:
                    self._wanted.discard(name)
                    self.refusals[name] = packet.data
            case PacketType.DISCONNECT:
                self._check(
                    presence is not None or name in self._left,
                    "DISCONNECT only where it was",
                    packet,
                )
                self._drop(name, "told")
            case PacketType.EVENT if presence is not None:
                presence.heard.append((packet.data, None))
                if packet.id is not None:
                    values = self.client.answers(presence, packet.data)
                    if values is not None:
                        await self.send(f"3{_prefix(name)}{packet.id}{json.dumps(values)}")
            case PacketType.ACK if presence is not None and packet.id is not None:
                self._check((name, packet.id) not in self._acked, "one ack", packet)
                self._acked.add((name, packet.id))
                presence.heard.append((packet.data, packet.id))
            case _:  # what was on its way when it left
                self._check(name in self._left, "CONNECT is the first packet", packet)

    def _drop(self, namespace: str, state: Literal["told", "left", "lost"]) -> None:
        presence = self.here.pop(namespace, None)
        if presence is not None:
            presence.state = state
        if state == "left":
            self._left.add(namespace)

    def end(self, state: Literal["left", "lost"]) -> None:
        """Note that the connection is over."""
        self.over = True
        for namespace in list(self.here):
            self._drop(namespace, state)
        self._changes.unpark_all()


class Refused(Exception):  # noqa: N818 - a fact
    """The client may not enter; the argument is what it was told."""


def _prefix(namespace: str) -> str:
    return "" if namespace == "/" else f"{namespace},"
