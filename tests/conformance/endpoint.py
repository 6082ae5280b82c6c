"""Where an app under test listens, and the sessions a client has there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import quote

import trio

from .wire import (
    ACCEPT,
    DEADLINE,
    HOST,
    UPGRADE,
    Answer,
    Connection,
    Ended,
    Rejected,
    Unexpected,
    WebSocket,
)


@dataclass(frozen=True)
class Endpoint:
    """Where one of the apps listens, and how to talk to it."""

    app: str
    port: int
    path: str

    def target(self, **query: str | None) -> str:
        """Return a request target. `EIO` and `transport` have defaults; None leaves one out."""
        whole = {"EIO": "4", "transport": "polling", **query}
        pairs = [f"{name}={quote(value)}" for name, value in whole.items() if value is not None]
        return f"{self.path}?{'&'.join(pairs)}"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        with trio.fail_after(DEADLINE):
            stream = await trio.open_tcp_stream(HOST, self.port)
        connection = Connection(stream)
        try:
            yield connection
        finally:
            await connection.end()

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Make one request on a connection of its own, as the outside suites do."""
        async with self.connect() as connection:
            headers = {"Connection": "close", **(headers or {})}
            return await connection.request(method, target, headers=headers, body=body)

    @asynccontextmanager
    async def websocket(
        self, headers: Mapping[str, str] | None = None, /, **query: str | None
    ) -> AsyncIterator[WebSocket]:
        """Open a websocket; raises `Rejected`."""
        async with self.connect() as connection:
            target = self.target(**{"transport": "websocket", **query})
            await connection.send("GET", target, headers={**UPGRADE, **(headers or {})})
            head = await connection.read_until(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101 "):
                raise Rejected(await connection.receive(begun=head))
            lines = (line.partition(":") for line in head.decode().splitlines()[1:-1])
            answer = {name.lower(): value.strip() for name, _, value in lines}
            assert answer["sec-websocket-accept"] == ACCEPT
            websocket = WebSocket(connection, answer)
            yield websocket
            await websocket.close()

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[Polling]:
        """Open a polling session."""
        async with self.connect() as connection:
            answer = await connection.request("GET", self.target())
            if answer.status != 200:
                raise Unexpected(f"no handshake: {answer}")
            opened = json.loads(answer.text.removeprefix("0"))
            yield Polling(self, connection, opened["sid"])

    async def caught_up(self) -> None:
        """Make sure that the server has seen all that was written before, on any connection.

        Two requests go there and back: a server takes what lies ready in its sockets before it
        waits for more, so what lay there before the second one came has been taken.
        """
        async with self.connect() as connection:
            for _ in range(2):
                answer = await connection.request("GET", self.target(sid="nobody"))
                if answer.status != 400:
                    raise Unexpected(f"a session nobody has: {answer}")


@dataclass
class Polling:
    """A polling session and the connection that opened it."""

    endpoint: Endpoint
    connection: Connection
    sid: str
    target: str = field(init=False)

    def __post_init__(self) -> None:
        self.target = self.endpoint.target(sid=self.sid)

    async def get(self) -> Answer:
        return await self.connection.request("GET", self.target)

    async def post(self, body: str | bytes, headers: Mapping[str, str] | None = None) -> Answer:
        data = body.encode() if isinstance(body, str) else body
        return await self.connection.request("POST", self.target, headers=headers, body=data)

    async def begin_get(self) -> None:
        """Send a poll and make sure that it waits at the server."""
        await self.connection.send("GET", self.target)
        await self.endpoint.caught_up()

    async def elsewhere(self, method: str = "GET", body: bytes | None = None) -> Answer:
        """Make a request of this session on another connection."""
        return await self.endpoint.request(method, self.target, body=body)


def packets(answer: Answer) -> list[str]:
    """Take a poll's answer apart."""
    return answer.text.split("\x1e")


def payload(parts: Iterable[str]) -> bytes:
    """Put packets together for a POST."""
    return "\x1e".join(parts).encode()


async def in_three_tries(row: Callable[[], Awaitable[None]]) -> None:
    """Hold a row whose times are shorter than the pauses a busy machine may force on any process.

    A server that breaks such a row breaks it each time.
    """
    for _ in range(2):
        with suppress(AssertionError, Ended):
            return await row()
    return await row()
