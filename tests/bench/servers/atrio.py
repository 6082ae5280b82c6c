"""The benchmark's server with atrio: `python atrio.py`. Its first line says where it listens.

All servers here do the same. Each client is in one room. `bcast` goes to the room as `msg`, and
`echo` is acknowledged with what it brought.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version

import trio

from broker import Broker, Socket

broker = Broker()


@broker.on("connection")
async def connected(socket: Socket) -> None:
    await socket.join("bench")


@broker.on("bcast")
async def bcast(socket: Socket, text: str) -> None:
    await broker.to("bench").emit("msg", text)


@broker.on("echo")
async def echo(socket: Socket, text: str) -> str:
    return text


async def main() -> None:
    async with trio.open_nursery() as nursery:
        address = await nursery.start(broker.serve, "127.0.0.1", 0)
        what = f"Python {platform.python_version()}, trio {version('trio')}"
        print(json.dumps({"port": address.port, "version": what}), flush=True)


if __name__ == "__main__":
    trio.run(main)
