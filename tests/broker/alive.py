"""A server that lives beside the test.

In the block of `async with broker:` a test is part of the life, and is cancelled with the rest of
it when a close has taken its grace: what it would have checked then would never be checked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from broker.serving.server import Server


@asynccontextmanager
async def alive(server: Server) -> AsyncIterator[None]:
    """Open the server's life for the block, in a task of its own."""
    async with trio.open_nursery() as nursery:
        await nursery.start(_live, server)
        yield
        nursery.cancel_scope.cancel()


async def _live(server: Server, task_status: trio.TaskStatus[None]) -> None:
    async with server:
        task_status.started()
        await trio.sleep_forever()
