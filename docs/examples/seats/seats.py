"""Many people want the few seats of a table: exactly as many get one as there are.

Serve it with `atrio serve seats:broker`, and let 20 clients race with `node race.mjs`.
"""

from __future__ import annotations

import trio

from broker import Broker, JoinRefused, Room, Socket

broker = Broker()


async def ask_the_bank(name: object) -> bool:
    """Find out whether somebody may play, which takes its time."""
    await trio.sleep(0.01)
    return name != "debtor"


@broker.room_type("table:*")
class Table(Room):
    """A table: who is in the room has a seat."""

    seats = 4

    async def on_join(self, socket: Socket) -> None:
        if self.size >= self.seats:
            raise JoinRefused("full")
        if not await ask_the_bank(socket.handshake.auth.get("name")):
            raise JoinRefused("no credit")
        # Nobody else can have come in meanwhile: one at a time is let in.
        await socket.emit("seated", {"table": self.name, "seat": self.size + 1})

    async def on_leave(self, _socket: Socket) -> None:
        await self.emit("free seats", self.seats - self.size)


@broker.on("sit")
async def sit(socket: Socket, table: object) -> dict[str, bool]:
    """Take a seat; a refusal goes into the client's ack by itself."""
    await socket.join(f"table:{table}")
    return {"ok": True}


@broker.on("stand up")
async def stand_up(socket: Socket, table: object) -> dict[str, bool]:
    await socket.leave(f"table:{table}")
    return {"ok": True}
