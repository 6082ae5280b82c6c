"""What `stalled.py` measures: everybody is in one room, and is sent what stdin says."""

from __future__ import annotations

import json
import sys
import time

import trio

from broker import Broker, Socket

broker = Broker(ping_interval=300.0)


@broker.on("connection")
async def connected(socket: Socket) -> None:
    await socket.join("all")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        address = await nursery.start(broker.serve, "127.0.0.1", 0)
        print(address.port, flush=True)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            await send(**json.loads(line))
            print("done", flush=True)
        await broker.close()


async def send(count: int, size: int, rate: float) -> None:
    room = broker.to("all")
    pad = "x" * size
    start = time.monotonic()
    sent = 0
    while sent < count:
        due = min(count, int((time.monotonic() - start) * rate))
        for _ in range(due - sent):
            await room.emit("tick", time.monotonic(), pad)
        sent = due
        await trio.sleep(0.002)


trio.run(main)
