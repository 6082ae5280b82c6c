"""The same on python-socketio, served by aiohttp."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import socketio
from aiohttp import web

server = socketio.AsyncServer(async_mode="aiohttp", ping_interval=300)
app = web.Application()
server.attach(app)


@server.event
async def connect(sid: str, _environ: object) -> None:
    await server.enter_room(sid, "all")


async def main() -> None:
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        await send(**json.loads(line))
        print("done", flush=True)


async def send(count: int, size: int, rate: float) -> None:
    pad = "x" * size
    start = time.monotonic()
    sent = 0
    while sent < count:
        due = min(count, int((time.monotonic() - start) * rate))
        for _ in range(due - sent):
            await server.emit("tick", (time.monotonic(), pad), room="all")
        sent = due
        await asyncio.sleep(0.002)


asyncio.run(main())
