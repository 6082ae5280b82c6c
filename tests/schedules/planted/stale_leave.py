"""A user's connection is lost; the user reconnects, and the room gets a leave for the old one.

Wrong: the room knows members by user, not by connection, so a leave of the old connection that
comes late removes the new one, until a heartbeat puts it back. Three things must come in this
order in the room's mailbox: the new join, the old leave, what a friend says; and all of it before
the heartbeat. In the correct variant a leave counts only for the connection it is about.

The plain run shows nothing: to dial takes much longer than to notice that a connection is lost.
"""

from __future__ import annotations

import attrs
import trio

from actors import Mailbox
from actors.sim import Sim

_DIALLING = 12  # steps: connect, shake hands, log in
_HEARTBEAT = 2  # steps after the join
_OTHERS = 4  # clients who have nothing to do with it
_WORDS = 4  # of each of them


@attrs.frozen
class Join:
    """Also what a heartbeat says."""

    user: str
    connection: int


@attrs.frozen
class Leave:
    user: str
    connection: int


@attrs.frozen
class Say:
    text: str


@attrs.define
class _Room:
    checks_connection: bool
    mailbox: Mailbox[Join | Leave | Say] = attrs.field(factory=lambda: Mailbox("room", 64))
    members: dict[str, int] = attrs.field(factory=lambda: {"ann": 1})
    missed: list[str] = attrs.field(factory=list)

    async def run(self) -> None:
        while (message := await self.mailbox.take()) is not None:
            match message:
                case Join(user=user, connection=connection):
                    self.members[user] = connection
                case Leave(user=user, connection=connection):
                    if not self.checks_connection or self.members.get(user) == connection:
                        self.members.pop(user, None)
                case Say(text=text):
                    if text == "welcome back, ann" and "ann" not in self.members:
                        self.missed.append(text)


async def _reconnect(room: _Room) -> None:
    back = trio.Event()

    async def old_connection() -> None:
        await trio.lowlevel.checkpoint()  # its read fails
        await room.mailbox.post(Leave("ann", 1))

    async def new_connection() -> None:
        for _ in range(_DIALLING):
            await trio.lowlevel.checkpoint()
        await room.mailbox.post(Join("ann", 2))
        back.set()
        for _ in range(_HEARTBEAT):
            await trio.lowlevel.checkpoint()
        await room.mailbox.post(Join("ann", 2))

    async def friend() -> None:
        await back.wait()
        await room.mailbox.post(Say("welcome back, ann"))

    async def other() -> None:
        for _ in range(_WORDS):
            await room.mailbox.post(Say("the weather"))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run, name="room")
        async with trio.open_nursery() as clients:
            for task in (old_connection, new_connection, friend, *[other] * _OTHERS):
                clients.start_soon(task)
        room.mailbox.close()
    assert not room.missed, f"ann is connected, and has missed {room.missed}"


async def broken(sim: Sim) -> None:
    """Know members by user only."""
    await _reconnect(_Room(checks_connection=False))


async def correct(sim: Sim) -> None:
    """Know them by user and connection."""
    await _reconnect(_Room(checks_connection=True))
