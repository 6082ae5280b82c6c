"""One raw connection of a client: HTTP/1.1 and websocket frames over a simulated stream.

No library stands between a storm and the wire: a client may stop in the middle of a request, never
read, or break any rule. Whatever ends a connection, on whichever side, is `Over`.
"""

from __future__ import annotations

from typing import NamedTuple

import trio

from actors.sim.link_end import LinkEnd

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_FIN, _MASKED = 0x80, 0x80
_NO_MASK = bytes(4)  # a mask all the same, and the payload can be read in a trace

_UPGRADE = (
    "GET {} HTTP/1.1\r\nHost: broker\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Over(Exception):  # noqa: N818 - a fact
    """The connection has ended."""


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes


def frame(message: str | bytes) -> bytes:
    """Return a message as the frame of a client."""
    if isinstance(message, str):
        return _frame(_TEXT, message.encode())
    return _frame(_BINARY, message)


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = bytes((_FIN | opcode, _MASKED | size))
    elif size < 1 << 16:
        head = bytes((_FIN | opcode, _MASKED | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FIN | opcode, _MASKED | 127)) + size.to_bytes(8, "big")
    return head + _NO_MASK + payload


class Wire:
    """Bytes out and in; `close_code` is that of the websocket close frame that was read, if any."""

    def __init__(self, stream: LinkEnd) -> None:
        self.stream = stream
        self.close_code: int | None = None
        self._read = bytearray()
        self._to_write = bytearray()
        self._writing = False
        self._ends = False

    # Bytes.

    async def write(self, data: bytes) -> None:
        """Write, behind what another task writes now; raises `Over`."""
        self._to_write += data
        if self._writing:
            return
        self._writing = True
        try:
            while self._to_write:
                data = bytes(self._to_write)
                self._to_write.clear()
                await self.stream.send_all(data)
            if self._ends:
                await self.stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Over from None
        finally:
            self._writing = False

    async def end(self) -> None:
        """Send the end behind all that is written, and go on reading; raises `Over`."""
        self._ends = True
        await self.write(b"")

    async def _read_more(self) -> None:
        try:
            data = await self.stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Over from None
        if not data:
            raise Over
        self._read += data

    async def _take(self, count: int) -> bytes:
        while len(self._read) < count:
            await self._read_more()
        taken = bytes(self._read[:count])
        del self._read[:count]
        return taken

    # HTTP.

    async def request(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Send a request and return its answer; raises `Over`."""
        await self.write(request(method, target, body))
        return await self.answer()

    async def answer(self) -> Answer:
        """Return the answer to the oldest request that has none; raises `Over`."""
        while (end := self._read.find(b"\r\n\r\n")) < 0:
            await self._read_more()
        head = (await self._take(end + 4)).decode().lower()
        _, _, length = head.partition("content-length: ")
        size = int(length.split("\r\n", 1)[0]) if length else 0
        return Answer(int(head.split(" ", 2)[1]), await self._take(size))

    # A websocket.

    async def upgrade(self, target: str) -> None:
        """Become a websocket; raises `Over`, too, when the server would rather not."""
        await self.write(_UPGRADE.format(target).encode())
        if (await self.answer()).status != 101:
            raise Over

    async def send(self, *messages: str | bytes) -> None:
        """Send messages at once; raises `Over`."""
        await self.write(b"".join(map(frame, messages)))

    async def say_goodbye(self) -> None:
        """Send a close frame; raises `Over`."""
        await self.write(_frame(_CLOSE, (1000).to_bytes(2, "big")))

    async def message(self) -> str | bytes:
        """Return the next message; raises `Over`, also when the server says goodbye."""
        while True:
            first, second = await self._take(2)
            size = second
            if second >= 126:
                size = int.from_bytes(await self._take(2 if second == 126 else 8), "big")
            payload = await self._take(size)
            match first & 0x0F:
                case 0x1:
                    return payload.decode()
                case 0x2:
                    return payload
                case 0x8:
                    self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
                    await self.write(_frame(_CLOSE, payload[:2]))
                    raise Over
                case 0x9:
                    await self.write(_frame(_PONG, payload))
                case opcode:
                    assert opcode == _PONG, f"opcode {opcode:#x}"


def request(method: str, target: str, body: bytes = b"") -> bytes:
    """Return an HTTP request."""
    length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
    return f"{method} {target} HTTP/1.1\r\nHost: broker\r\n{length}\r\n".encode() + body
