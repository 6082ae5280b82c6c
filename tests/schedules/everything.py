"""A small program with something of all that could make two runs of one seed differ."""

from __future__ import annotations

import os
import random
import secrets
import time
import uuid

import trio

from actors import Mailbox
from actors.sim import Sim

_TASKS = 3


async def everything(sim: Sim) -> list[str]:
    """Fails in some schedules; returns what was seen in the others."""
    seen: list[str] = []
    box: Mailbox[str] = Mailbox("box", 2)
    lock, gate, limiter = trio.Lock(), trio.Event(), trio.CapacityLimiter(1)

    async def sleeper(number: int) -> None:
        await gate.wait()  # whom an event wakes first is the order of a set
        with trio.move_on_after(1.0):  # equal deadlines, too
            await trio.sleep_forever()
        seen.append(f"{number} woke at {time.monotonic():.3f}")

    async def worker(number: int) -> None:
        async with lock:
            await trio.to_thread.run_sync(seen.append, f"thread {number}", limiter=limiter)
        await trio.sleep(random.random())
        await box.post(f"{number} {uuid.uuid4()} {secrets.token_hex(2)} {os.urandom(1).hex()}")
        if sim.maybe("a slip", 0.1):
            seen.append("a slip")

    async def reader() -> None:
        seen.extend([str(await box.take()) for _ in range(_TASKS)])
        gate.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        for number in range(_TASKS):
            nursery.start_soon(sleeper, number)
            nursery.start_soon(worker, number)
    order = [text[0] for text in seen if "woke" in text]
    assert order != ["2", "1", "0"], f"the other way round, {time.time():.6f}"
    return seen
