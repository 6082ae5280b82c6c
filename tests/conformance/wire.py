"""The wire as a client has it: HTTP and websocket, written and read by hand.

Writing and reading are apart, so that a test can have a request under way and control what the
server sees first. Every wait has a deadline of its own: no test hangs, whatever the server does.
`endpoint.py` builds on it.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import h11
import trio
from wsproto.connection import Connection as FrameConnection
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

# Longer than any answer may take, on a busy machine too; a row with a limit of its own names it.
DEADLINE = 10.0

HOST = "127.0.0.1"

# A close without a complaint: with its code, or without any, as Node closes.
NORMAL = {1000, 1005}

# A websocket handshake, and the answer that proves it was understood: those of RFC 6455, 1.3.
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Unexpected(AssertionError):  # noqa: N818 - a test's failure, by a better name
    """The server did something else than what the test waits for."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request_bytes(
    method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> bytes:
    """Write a request; a body gets a length unless the headers say how it is framed."""
    lines = {"Host": HOST, **(headers or {})}
    if body is not None and "Transfer-Encoding" not in lines:
        lines.setdefault("Content-Type", "text/plain;charset=UTF-8")
        lines.setdefault("Content-Length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")


def chunked(*chunks: bytes) -> bytes:
    """Frame a body for `Transfer-Encoding: chunked`."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def masked_frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """Write a client's websocket frame. The mask is fixed: only its presence matters here."""
    mask = b"\x37\xfa\x21\x3d"
    first = (0x80 if final else 0) | opcode
    if len(payload) < 126:
        head = struct.pack("!BB", first, 0x80 | len(payload))
    elif len(payload) < 1 << 16:
        head = struct.pack("!BBH", first, 0x80 | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, len(payload))
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Connection:
    """One TCP connection to the server."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._parser = h11.Connection(h11.CLIENT)
        self.ended = False

    async def write(self, data: bytes) -> None:
        """Write raw bytes, at once: nothing is gathered for a fuller packet."""
        with trio.fail_after(DEADLINE):
            await self._stream.send_all(data)

    async def send(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> None:
        """Send a request; `receive` reads its answer."""
        await self.write(request_bytes(method, target, headers, body))

    async def receive(self, method: str = "GET", *, begun: bytes = b"") -> Answer:
        """Read the answer to the oldest request that has none yet; `begun` has been read of it."""
        parser = self._parser
        if begun:
            parser.receive_data(begun)
        # The parser wants to know the request. It has been written by hand, so what it makes of
        # it is dropped.
        parser.send(h11.Request(method=method, target="/", headers=[("Host", HOST)]))
        parser.send(h11.EndOfMessage())
        status, headers, body = 0, dict[str, str](), b""
        with trio.fail_after(DEADLINE):
            while not isinstance(event := await self._next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Response):
                    status = event.status_code
                    for raw_name, raw_value in event.headers:
                        name, value = raw_name.decode(), raw_value.decode("latin-1")
                        headers[name] = f"{headers[name]}, {value}" if name in headers else value
                elif isinstance(event, h11.Data):
                    body += event.data
        if parser.our_state is h11.DONE and parser.their_state is h11.DONE:
            parser.start_next_cycle()
        return Answer(status, headers, body)

    async def _next_event(self) -> h11.Event:
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            if not (data := await self.receive_some()):
                raise Unexpected("the connection ended before an answer came")
            self._parser.receive_data(data)
        assert isinstance(event, h11.Event)
        return event

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        await self.send(method, target, headers=headers, body=body)
        return await self.receive(method)

    async def read_until(self, end: bytes) -> bytes:
        """Read up to and including `end`, without the parser."""
        data = b""
        with trio.fail_after(DEADLINE):
            while not data.endswith(end):
                if not (piece := await self.receive_some(1)):
                    raise Unexpected(f"the connection ended behind {data!r}")
                data += piece
        return data

    async def read_to_end(self) -> bytes:
        """Read until the server ends the connection, which it must."""
        data = b""
        with trio.fail_after(DEADLINE):
            while piece := await self.receive_some():
                data += piece
        return data

    async def receive_some(self, most: int | None = None) -> bytes:
        """Read what there is; nothing means the end, and a reset is an end too."""
        with trio.fail_after(DEADLINE):
            try:
                data = bytes(await self._stream.receive_some(most))
            except trio.BrokenResourceError:
                data = b""
        self.ended = not data
        return data

    async def end(self, *, reset: bool = False) -> None:
        """Go away: in order, or as a machine that lost its power and forgot about it."""
        if reset:
            self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.ended = True
        await self._stream.aclose()


class Rejected(Exception):  # noqa: N818 - it is the handshake that is rejected
    """The server answered a websocket handshake with something else than 101."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


class Ended(Exception):  # noqa: N818 - no error by itself
    """The server ended the websocket. 1005: its close had no code, 1006: there was no close."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class WebSocket:
    """A websocket: its frames are a library's, everything else is done here, in the open."""

    def __init__(self, connection: Connection, headers: Mapping[str, str]) -> None:
        self.connection = connection
        self.headers = headers
        self._frames = FrameConnection(ConnectionType.CLIENT)

    async def send(self, *messages: str | bytes) -> None:
        """Send messages, all in one write."""
        frames = b""
        for message in messages:
            match message:
                case str():
                    frames += self._frames.send(TextMessage(data=message))
                case bytes():
                    frames += self._frames.send(BytesMessage(data=message))
        await self.connection.write(frames)

    async def receive(self) -> str | bytes:
        """Receive a whole message; raises `Ended`."""
        text, data = "", b""
        while True:
            match await self.next_event():
                case TextMessage(data=part, message_finished=finished):
                    text += part
                    if finished:
                        return text
                case BytesMessage(data=part, message_finished=finished):
                    data += part
                    if finished:
                        return data
                case Ping() as ping:
                    await self.connection.write(self._frames.send(ping.response()))

    async def next_event(self) -> Event:
        with trio.fail_after(DEADLINE):
            while (event := next(self._frames.events(), None)) is None:
                if not (data := await self.connection.receive_some()):
                    raise Ended(1006)
                self._frames.receive_data(data)
            if isinstance(event, CloseConnection):
                await self._answer_close(event)
                raise Ended(event.code)
        return event

    async def _answer_close(self, close: CloseConnection) -> None:
        """End the websocket as the RFC says: the TCP connection is the server's to end."""
        if self._frames.state is ConnectionState.REMOTE_CLOSING:
            with suppress(trio.BrokenResourceError):  # the server need not wait for it
                await self.connection.write(self._frames.send(close.response()))
        await self.connection.read_to_end()

    async def receive_text(self) -> str:
        message = await self.receive()
        assert isinstance(message, str), f"expected text, got {message!r}"
        return message

    async def exchange(self, *messages: str | bytes) -> str | bytes:
        """Send messages and receive one."""
        await self.send(*messages)
        return await self.receive()

    async def end(self) -> int:
        """Wait for the server to end it, which must be the next thing; return the code."""
        code, messages = await self.rest()
        if messages:
            raise Unexpected(f"expected the end, got {messages!r}")
        return code

    async def rest(self) -> tuple[int, list[str | bytes]]:
        """Wait for the server to end it; return the code, and what came before."""
        messages: list[str | bytes] = []
        try:
            while True:
                messages.append(await self.receive())
        except Ended as ended:
            return ended.code, messages

    async def close(self) -> None:
        """Close it from this side, unless it has ended; the server must answer."""
        if self._frames.state is ConnectionState.OPEN and not self.connection.ended:
            await self.connection.write(self._frames.send(CloseConnection(code=1000)))
            code, _ = await self.rest()
            if code not in NORMAL:
                raise Unexpected(f"a close was answered with {code}")
