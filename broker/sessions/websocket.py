"""A websocket: trio-websocket keeps the RFC, the stream beneath it keeps the speed.

trio-websocket reads from and writes to a `WebSocketTransport`, which is a `trio.abc.Stream`. In
that place whole data frames are taken out of what it would read and go straight to the session;
handshake, control frames, fragments and bad frames are its business. It knows of no extension: what
is deflated is inflated before. The order of the wire holds: a message that trio-websocket assembles
is handled before the frames behind it are looked at.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

import trio
import trio_websocket

from broker.values.option_checks import TransportName
from broker.values.options import EngineOptions
from protocol import deflate
from protocol.websocket import FrameSplitter, Passed, text_frame

from .latch import Latch
from .outbox import Outbox
from .wire import DeflatingWire, Wire, raw_socket

logger = logging.getLogger("atrio.session")

_READ_SIZE = 65536

# What trio-websocket needs of a request: to read all the headers again would take it longer than
# all else, and it would keep them.
_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: atrio\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
)

_CLOSE_FRAME = 0x8
_TOO_LARGE = 1009
_FAULTS = frozenset({1002, 1003, 1007, _TOO_LARGE})  # a client that broke the rules

# Takes one message; may return an event, and then nothing is read until it is set.
Receive: TypeAlias = Callable[[str | bytes], trio.Event | None]


class Goodbye(NamedTuple):
    """What a websocket is closed with: a code (RFC 6455, section 7.4.1), and a text."""

    code: int = 1000  # nothing is wrong
    text: str = ""


class WebSocketTransport(trio.abc.Stream):
    """One websocket connection of one client, from its upgrade request to its end.

    `too_large`: whether it ends because its client sent more than `max_http_buffer_size` at once.

    `name`, `writable`, `flush` and `close` are what a session needs of a transport;
    `receive_some`, `send_all` and `aclose` are for trio-websocket.
    """

    name: TransportName = "websocket"

    def __init__(
        self,
        stream: trio.abc.Stream,
        key: str,
        ahead: bytes,
        options: EngineOptions,
        headers: Iterable[tuple[str, str]] = (),
        extensions: str = "",
    ) -> None:
        """`key`: of the upgrade request, which has been checked; `ahead`: what was read behind it.

        `headers`: what the answer to it holds besides its own; `extensions`: what it offers.
        """
        self._stream = stream
        self._socket = raw_socket(stream)
        self._options = options
        self._request = _REQUEST % key.encode()
        self._headers = [(name.encode(), value.encode()) for name, value in headers]
        threshold = options.per_message_deflate
        agreed = None if threshold is None else deflate.negotiated(extensions)
        self._threshold = None if agreed is None else threshold
        if agreed is not None:
            self._headers.append((b"Sec-WebSocket-Extensions", agreed.encode()))
        splits = FrameSplitter if agreed is None else deflate.InflatingSplitter
        self._splitter = splits(options.max_http_buffer_size)
        self._pieces: Iterator[str | bytes | Passed] = self._splitter.feed(ahead)
        self._opened = Latch()
        self._owed = 0  # messages that trio-websocket owes us: nothing overtakes them
        self._settled = False  # whether nobody takes what it owes any more
        self._paid: trio.Event | None = None  # for the reader, who waits for that
        self.too_large = False
        self._closing = trio.CancelScope()
        self._aborted = False
        self._is_lost = False  # seen as it was written to
        self._goodbye = Goodbye()
        self._wire: Wire | None = None
        self._receive: Receive = lambda _message: None

    async def carry(self, opened: Callable[[], None], receive: Receive) -> bool:
        """Shake hands, call `opened()`, and `receive(message)` for each message until the end.

        Returns whether the client kept the rules. The stream is then closed, or as good as.
        """
        self._receive = receive
        websocket = None
        async with trio.open_nursery() as nursery:
            self._wire = self._new_wire(nursery)
            try:
                with self._closing:
                    websocket = await self._handshake(nursery)
                    opened()
                    self._opened.set()
                    await self._receive_owed(websocket)
                self._receive = lambda _message: None
                self._settle_debts()
                if websocket is not None and not self._aborted:
                    await self._say_goodbye(websocket, self._wire)
                nursery.cancel_scope.cancel()
            finally:
                # The nursery to write in ends, and it ends before this task goes on behind it.
                self._wire = None
        closed = None if websocket is None else websocket.closed
        kept_rules = self._is_lost if closed is None else closed.code not in _FAULTS
        return kept_rules and not self.too_large

    def _new_wire(self, nursery: trio.Nursery) -> Wire:
        if self._threshold is None:
            return Wire(self._stream, nursery, self._broken)
        return DeflatingWire(self._stream, nursery, self._broken, self._threshold)

    async def _handshake(self, nursery: trio.Nursery) -> trio_websocket.WebSocketConnection:
        request = await trio_websocket.wrap_server_stream(
            nursery, self, max_message_size=self._options.max_http_buffer_size
        )
        return await request.accept(extra_headers=self._headers)

    async def _say_goodbye(self, websocket: trio_websocket.WebSocketConnection, wire: Wire) -> None:
        goodbye = Goodbye(_TOO_LARGE) if self.too_large else self._goodbye
        with trio.move_on_after(self._options.grace) as scope:
            await wire.drained()
            await websocket.aclose(goodbye.code, goodbye.text)
        if scope.cancelled_caught:
            logger.info("a websocket is cut: no goodbye within grace=%g s", self._options.grace)

    async def _receive_owed(self, websocket: trio_websocket.WebSocketConnection) -> None:
        """Handle what trio-websocket assembles, until the connection ends."""
        while True:
            try:
                message = await websocket.get_message()
            except trio_websocket.ConnectionClosed as closed:
                self.too_large = self._found_too_large(closed.reason)
                return
            if isinstance(message, str) and self._is_too_large(message):
                self.too_large = True
                return
            wait = self._receive(message)
            if wait is not None:
                await self._wait_for_handlers(wait)
            self._owed -= 1
            if self._paid is not None:
                self._paid.set()

    def _is_too_large(self, message: str) -> bool:
        # trio-websocket counts characters, the limit is in bytes
        limit = self._options.max_http_buffer_size
        return len(message.encode()) > limit

    def _found_too_large(self, reason: trio_websocket.CloseReason | None) -> bool:
        # The client may close with this code, too: when what we sent is too large for it.
        limit = self._options.max_http_buffer_size
        text = f"Exceeded maximum message size: {limit} bytes"
        return reason is not None and (reason.code, reason.reason) == (_TOO_LARGE, text)

    async def _wait_for_handlers(self, ready: trio.Event) -> None:
        self.flush()
        await ready.wait()

    def _settle_debts(self) -> None:
        self._owed = 0
        self._settled = True
        if self._paid is not None:
            self._paid.set()
        self._opened.set()

    def _broken(self) -> None:
        self._is_lost = True
        self.close(abort=True)

    # What a session calls.

    def carries(self, outbox: Outbox) -> None:
        """Write the packets of this outbox from now on."""
        assert self._wire is not None
        self._wire.outbox = outbox

    @property
    def writable(self) -> bool:
        """Whether nothing waits for the client to read."""
        return self._wire is not None and self._wire.writable

    def flush(self) -> None:
        """Write what waits in the outbox."""
        if self._wire is not None:
            self._wire.pump()

    def answer(self, packet: bytes) -> None:
        """Write one packet past the outbox: the answer to a probe."""
        assert self._wire is not None
        self._wire.send_nowait(text_frame(packet))

    def close(self, *, abort: bool = False, goodbye: Goodbye | None = None) -> None:
        """End: send what waits and say goodbye, or (`abort`) not even that."""
        self._goodbye = goodbye or self._goodbye
        self._aborted = self._aborted or abort
        self._closing.cancel()

    # What trio-websocket calls.

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        """Return what is trio-websocket's business; see to all that is not."""
        if self._request:
            request, self._request = self._request, b""
            return request
        await self._opened.wait()
        while True:
            while self._owed:
                self._paid = trio.Event()
                await self._paid.wait()
            for piece in self._pieces:
                if isinstance(piece, Passed):
                    self._owed += piece.ends_message and not self._settled
                    return piece.data
                wait = self._receive(piece)
                if wait is not None:
                    await self._wait_for_handlers(wait)
            data = await self._read()
            if not data:
                return b""
            self._pieces = self._splitter.feed(data)

    async def _read(self) -> bytes:
        """Return what the client has sent next; empty: nothing comes any more.

        Raises `trio.BrokenResourceError` or `trio.ClosedResourceError`.
        """
        socket = self._socket
        if socket is None:
            return bytes(await self._stream.receive_some(_READ_SIZE))
        while True:
            # Nothing is there as a rule, so this waits first: `receive_some` would try to read,
            # then wait, then read again.
            if socket.fileno() < 0:
                raise trio.ClosedResourceError("the connection was closed here")
            await trio.lowlevel.wait_readable(socket)
            try:
                return os.read(socket.fileno(), _READ_SIZE)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError("the connection is lost") from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write trio-websocket's own frames, in order with ours."""
        if self._wire is None:
            raise trio.ClosedResourceError("the connection has ended")
        if self._opened.is_set and data[0] & 0x0F == _CLOSE_FRAME:
            self._wire.outbox = None  # no data may follow it (RFC 6455, section 5.5.1)
        await self._wire.send_all(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """Return: `send_all` waits for itself."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close the stream: trio-websocket is done with it, or gives it up."""
        self._closing.cancel()
        await self._stream.aclose()
