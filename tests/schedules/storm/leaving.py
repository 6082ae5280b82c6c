"""The ways in which a client leaves, or vanishes."""

from __future__ import annotations

import trio

from actors.sim import Sim

from .client import HARBOUR, Line
from .ground import pause
from .wire import Over

WAYS = ("41", "1", "goodbye", "drop", "reset", "end", "partition", "mute", "half a frame")

SILENCE = 100.0  # longer than any heartbeat waits


async def leave_somehow(sim: Sim, line: Line) -> None:
    """Leave, in a drawn way; raises `Over`."""
    await leave_by(WAYS[sim.draw(len(WAYS), "how it leaves")], sim, line)


async def leave_by(way: str, sim: Sim, line: Line) -> None:
    """Leave in this way, of `WAYS`; returns when the connection may be dropped. Raises `Over`."""
    match way:
        case "41":
            for namespace in list(line.here):
                await line.leave(namespace)
            await pause(sim, 0.2)
        case "1":
            await line.wire.send("1")
            await pause(sim, 0.2)
        case "goodbye":
            await line.wire.say_goodbye()
            with trio.move_on_after(SILENCE):
                await line.until(lambda: False)
        case "drop":
            pass
        case "reset":
            line.client.net.reset(line.wire.stream)
        case "end":
            await line.wire.end()
            with trio.move_on_after(SILENCE):
                await line.until(lambda: False)
        case "partition":
            line.client.net.partition(line.client.name, HARBOUR)
            await trio.sleep(SILENCE)
            line.client.net.heal()
        case "mute":
            line.mute = True
            with trio.move_on_after(SILENCE):
                await line.until(lambda: False)
            raise Over if line.over else AssertionError("a silent client is still connected")
        case "half a frame":
            await line.wire.write(b"\x81\xfe\x10")
