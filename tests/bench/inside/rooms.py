"""What an idle room costs."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Literal

from trio.testing import wait_all_tasks_blocked

from broker import Broker, Room, Socket

from .setting import Setting


class Table(Room):
    """A room of a type, with the hooks that most have and a little state."""

    async def on_create(self) -> None:
        self.seats = 4

    async def on_join(self, socket: Socket) -> None:
        self.seats -= 1

    async def on_leave(self, socket: Socket) -> None:
        self.seats += 1


async def idle_rooms(kind: Literal["plain", "typed"], setting: Setting) -> dict[str, float]:
    """Return how many bytes of the process's memory a room costs, in which one client is."""
    count = setting.of(10_000, 100)
    broker = Broker(max_rooms_per_socket=count + 10)
    if kind == "typed":
        broker.room_type("table:*")(Table)
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("table:first")  # what the first one brings along
        await wait_all_tasks_blocked()
        before = _resident_bytes()
        for number in range(count):
            await socket.join(f"table:{number}")
        await wait_all_tasks_blocked()
        after = _resident_bytes()
    return {f"{kind}-rooms": (after - before) / count}


def _resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
