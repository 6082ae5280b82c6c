"""Clients of the room broker, and what they do.

`visits`: who comes, says something, goes, and comes again, so that rooms close and are opened anew.
`slow_reader`: a member reads one event in a hundred seconds, while another one talks.
`resets`: the same visits over a network whose connections break in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import trio

from actors.sim import Faults, Sim
from broker.audit import RoomAudit

from .room_broker import Ack, Broker, Command, Event, Join, Joined, Leave, Left, Said, Say
from .room_lines import MemoryLine, StreamLine

_ROOM = "lobby"
PATIENCE = 30.0  # virtual seconds that an answer may take
_NAP = 100.0
_BREAKING = Faults(reset=0.05)

Visit = Callable[["Client"], Awaitable[None]]


class Line(Protocol):
    """A client's end of the line to its session."""

    name: str

    async def send(self, message: Any) -> None:
        """Send; raises `trio.BrokenResourceError`."""

    async def receive(self) -> Any:
        """Wait for the next event; None at the end."""

    async def aclose(self) -> None:
        """Hang up."""


class _CutOffError(Exception):
    """The broker, or the network, has ended the connection."""


class Client:
    """Sends, and reads while it waits for something; the audit hears of all of it."""

    def __init__(self, line: Line, audit: RoomAudit, nap: float = 0.0) -> None:
        """`nap`: so many virtual seconds it sleeps behind every event."""
        self.name = line.name
        self._line = line
        self._nap = nap
        self._said = 0
        self._all = audit
        self._audit = audit.client(self.name)
        self._audit.healthy = not nap

    async def visit(self, what: Visit) -> None:
        """Do that, or as much of it as can be done before it is cut off, and hang up."""
        with suppress(_CutOffError):
            await what(self)
        self._audit.cut_off()
        await self._line.aclose()

    async def join(self) -> None:
        self._audit.asked("Joined")
        await self._send(Join(_ROOM))
        await self.until(Joined)

    async def say(self, times: int, *, wait: bool = True) -> None:
        """Say something so often, every second time as a shout; wait for each ack, or for none."""
        for _ in range(times):
            self._said += 1
            text = f"{self.name} {self._said}{'!' * (self._said % 2)}"
            self._audit.sent(_ROOM, text, ack=True)
            await self._send(Say(_ROOM, text))
            if wait:
                await self.until(Ack)

    async def leave(self) -> None:
        self._audit.asked("Left")
        self._audit.leaving(_ROOM)
        await self._send(Leave(_ROOM))
        await self.until(Left)

    async def until(self, kind: type[Event]) -> None:
        """Read up to the next event of this kind."""
        event = None
        while not isinstance(event, kind):
            with trio.move_on_after(math.inf if self._nap else 2 * PATIENCE):
                event = await self._line.receive()
                if event is None:
                    raise _CutOffError
            self._all.check()
            assert event is not None
            self._tell(event)
            if self._nap:
                await trio.sleep(self._nap)

    async def _send(self, command: Command) -> None:
        try:
            await self._line.send(command)
        except trio.BrokenResourceError:
            raise _CutOffError from None

    def _tell(self, event: Event) -> None:
        match event:
            case Joined(room=room, epoch=epoch, number=number):
                self._audit.answered("Joined")
                self._audit.joined(room, (epoch, number))
            case Left(room=room, epoch=epoch, number=number):
                self._audit.answered("Left")
                self._audit.left(room, (epoch, number))
            case Said(room=room, epoch=epoch, number=number, text=text):
                self._audit.saw(room, text, (epoch, number))
            case Ack(text=text):
                self._audit.acked(text)


async def regular(client: Client) -> None:
    """Come twice, and talk."""
    for _ in range(2):
        await client.join()
        await client.say(2)
        await client.leave()


async def in_a_hurry(client: Client) -> None:
    """Come twice, talk, and leave without waiting for the acks."""
    for _ in range(2):
        await client.join()
        await client.say(2, wait=False)
        await client.leave()


async def rude(client: Client) -> None:
    """Talk, and hang up without a goodbye."""
    await client.join()
    await client.say(1)


async def talker(client: Client) -> None:
    """Talk for long."""
    await client.join()
    await client.say(12)
    await client.leave()


_VISITS = {"ann": regular, "bob": in_a_hurry, "cat": rude}

Lines = tuple[Any, Any]
"""The ends of the client and of the session."""


async def _story(
    sim: Sim,
    fault: str,
    lines: Callable[[str], Lines],
    visits: Mapping[str, Visit],
    naps: Mapping[str, float],
) -> None:
    """Let clients visit a broker; audit it when they have gone and nothing happens any more."""
    audit = RoomAudit(trio.current_time, patience=PATIENCE)
    async with trio.open_nursery() as nursery:
        broker = Broker(nursery, audit.server, fault)
        async with trio.open_nursery() as clients:
            for name, visit in visits.items():
                ours, theirs = lines(name)
                nursery.start_soon(broker.serve, theirs, name=f"session of {name}")
                client = Client(ours, audit, naps.get(name, 0.0))
                clients.start_soon(client.visit, visit, name=name)
        await sim.quiesce()
        audit.finish(left={"rooms": broker.rooms, "sessions": broker.sessions})
        nursery.cancel_scope.cancel()


async def visits(sim: Sim, fault: str = "") -> None:
    """Three clients come and go."""
    await _story(sim, fault, MemoryLine.pair, _VISITS, {})


async def slow_reader(sim: Sim, fault: str = "") -> None:
    """One talks, and one is slow."""
    await _story(sim, fault, MemoryLine.pair, {"ann": talker, "dan": rude}, {"dan": _NAP})


async def resets(sim: Sim, fault: str = "") -> None:
    """Three clients come and go, over connections that break."""
    net = sim.net(_BREAKING)

    def line(name: str) -> Lines:
        ours, theirs = net.pair(name, "broker")
        return StreamLine(name, ours), StreamLine(name, theirs)

    await _story(sim, fault, line, _VISITS, {})
