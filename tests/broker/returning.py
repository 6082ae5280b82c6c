"""A client that comes back, as the official one does, over a wire that a test can cut.

It keeps its `pid` and the last text that an event ended with, and tells both when it connects.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import trio
import trio_websocket
from trio.testing import wait_all_tasks_blocked

from broker import Broker

Wire = Callable[..., AbstractAsyncContextManager[Any]]


class Polled:
    """A client that polls, with the face of the websocket client that `wire` gives."""

    def __init__(self, posts: Any, polls: Any) -> None:
        self._posts = posts
        self._polls = polls
        self._url = "/socket.io/?EIO=4&transport=polling"
        self._came: list[str] = []

    async def open(self) -> None:
        """Have a session."""
        opened = await self.get()
        self._url += f"&sid={json.loads(opened[1:])['sid']}"

    async def send(self, message: str) -> None:
        """Send one packet."""
        status, _, _ = await self._posts.request("POST", self._url, message.encode())
        assert status == 200

    async def get(self) -> str:
        """Return the next packet."""
        if not self._came:
            status, _, body = await self._polls.request("GET", self._url)
            if status != 200:
                raise trio_websocket.ConnectionClosed(None)
            self._came = body.decode().split("\x1e")
        return self._came.pop(0)


def polling(http: Wire) -> Wire:
    """Return what is to `http` as `wire` is to itself. Who breaks off is found out by the ping."""

    @asynccontextmanager
    async def polled(broker: Broker) -> AsyncIterator[Polled]:
        async with http(broker) as posts, http(broker) as polls:
            client = Polled(posts, polls)
            await client.open()
            yield client

    return polled


class Returning:
    """`got`: the events it has had, without offsets; `offset` and `pid`: what it tells.

    `sid` and `recovered`: of its latest connection; `refused`: what it was refused with, if it was.
    """

    def __init__(self, broker: Broker, wire: Wire, namespace: str = "/") -> None:
        self._broker = broker
        self._wire = wire
        self._prefix = "" if namespace == "/" else f"{namespace},"
        self.got: list[list[Any]] = []
        self.pid: str | None = None
        self.offset: str | None = None
        self.sid = ""
        self.recovered = False
        self.refused: Any = None

    @asynccontextmanager
    async def connection(
        self, *, deaf: bool = False, hears: float = math.inf, **auth: Any
    ) -> AsyncIterator[Any]:
        """Be connected for the block, and break off at its end, without a word.

        `hears`: so many events arrive, and what comes behind them is lost; `deaf`: none do.
        """
        hears = 0 if deaf else hears
        connected = trio.Event()
        async with self._wire(self._broker) as client, trio.open_nursery() as nursery:
            told = {"pid": self.pid, "offset": self.offset} if self.pid else {}
            told = {key: value for key, value in told.items() if value is not None}
            await client.send(f"40{self._prefix}{json.dumps({**told, **auth})}")
            nursery.start_soon(self._read, client, connected, hears)
            await connected.wait()
            await wait_all_tasks_blocked()
            yield client
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    async def _read(self, client: Any, connected: trio.Event, hears: float) -> None:
        with suppress(trio_websocket.ConnectionClosed):
            while True:
                message = str(await client.get())
                if message[:2] in ("40", "44"):
                    self.hear(message)
                    connected.set()
                elif message == "2" and hears > 0:
                    await client.send("3")
                elif message[:2] == "42" and hears > 0:
                    hears -= 1
                    assert connected.is_set(), f"{message} before CONNECT"
                    self.hear(message)

    def hear(self, message: str) -> None:
        """Take one Engine.IO message."""
        kind, text = message[:2], message[2:].removeprefix(self._prefix)
        if kind == "40":
            told = json.loads(text)
            self.sid = told["sid"]
            self.recovered = self.pid is not None and told.get("pid") == self.pid
            self.pid = told.get("pid")
        elif kind == "44":
            self.refused = json.loads(text)
        elif kind == "42":
            data = json.loads(text.lstrip("0123456789"))
            if text.startswith("[") and isinstance(data[-1], str):
                self.offset = data.pop()
            self.got.append(data)

    @property
    def names(self) -> list[str]:
        """The names of the events it has had, in order."""
        return [event for event, *_ in self.got]
