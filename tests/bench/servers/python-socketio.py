"""The benchmark's server with python-socketio, on uvicorn and uvloop; as atrio.py does it."""

from __future__ import annotations

import json
import platform
import socket
from importlib.metadata import version

import socketio
import uvicorn

server = socketio.AsyncServer(async_mode="asgi")


@server.event
async def connect(sid: str, environ: dict[str, object]) -> None:
    await server.enter_room(sid, "bench")


@server.event
async def bcast(sid: str, text: str) -> None:
    await server.emit("msg", text, room="bench")


@server.event
async def echo(sid: str, text: str) -> str:
    return text


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        socketio.ASGIApp(server), loop="uvloop", log_level="error", access_log=False
    )
    names = ("python-socketio", "uvicorn", "uvloop")
    what = ", ".join(f"{name} {version(name)}" for name in names)
    said = {"port": listener.getsockname()[1], "version": f"{what}, {platform.python_version()}"}
    print(json.dumps(said), flush=True)  # who connects now waits in the backlog
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
