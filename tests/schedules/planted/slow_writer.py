"""A room puts what is said into a box for each client; a writer per client empties it.

Wrong: a box that is full means a client that does not read, so the client is kicked. But the writer
may only have had no turn: it takes a publisher and a room that keep the processor for as many
messages as fit into a box, while one writer waits. In the correct variant the room gives way when a
box is full, and kicks only who has taken nothing for a second.

The plain run shows nothing: publisher, room and writers take turns.
"""

from __future__ import annotations

import trio

from actors import Mailbox, MailboxFull
from actors.sim import Sim

_CLIENTS = 3
_BOX = 16
_MESSAGES = 24
_PATIENCE = 1.0  # virtual seconds


async def _broadcast(*, gives_way: bool) -> None:
    boxes = [Mailbox[int](f"box {number}", _BOX) for number in range(_CLIENTS)]
    publish, published = trio.open_memory_channel[int](0)
    kicked: set[str] = set()

    async def writer(box: Mailbox[int]) -> None:
        while await box.take() is not None:
            await trio.lowlevel.checkpoint()  # the write

    async def put(message: int, box: Mailbox[int]) -> None:
        try:
            box.post_nowait(message)
        except MailboxFull:
            with trio.move_on_after(_PATIENCE if gives_way else 0) as scope:
                await box.post(message)
            if scope.cancelled_caught:
                kicked.add(box.name)

    async def room() -> None:
        async for message in published:
            for box in boxes:
                await put(message, box)

    async def publisher() -> None:
        async with publish:
            for message in range(_MESSAGES):
                await publish.send(message)

    async with trio.open_nursery() as nursery:
        for box in boxes:
            nursery.start_soon(writer, box, name="writer")
        async with trio.open_nursery() as busy:
            busy.start_soon(room)
            busy.start_soon(publisher)
        for box in boxes:
            box.close()
    assert not kicked, f"kicked, though they read: {sorted(kicked)}"


async def broken(sim: Sim) -> None:
    """Kick whose box is full."""
    await _broadcast(gives_way=False)


async def correct(sim: Sim) -> None:
    """Give a full box time."""
    await _broadcast(gives_way=True)
