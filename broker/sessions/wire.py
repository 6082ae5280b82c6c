"""Writes one client's websocket bytes to its stream.

A plain socket is written raw and without blocking (public trio API: `fileno`, `wait_writable`),
which costs a tenth of a task switch. Any other stream (TLS, memory) is written by a task with
`send_all`: the same contract, a slower way. There is one writer at a time. Bytes of the websocket
library (its handshake, pongs, close) go before what waits in the outbox, in their own order.

What a socket takes whole, as nearly always, costs few calls: each flush of each client comes here.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import attrs
import trio

from broker.values.encoded import Encoded

from .outbox import Outbox

# What one write may take: far more than a socket takes at once, and still little of a full outbox,
# for what has been taken can no longer be dropped.
_MOST = 262_144

_IS_FILE = os.name == "posix"  # elsewhere a socket is no file


def raw_socket(stream: trio.abc.Stream) -> trio.socket.SocketType | None:
    """Return the socket whose bytes are the stream's, if there is one."""
    return stream.socket if _IS_FILE and isinstance(stream, trio.SocketStream) else None


@attrs.define
class _Piece:
    """Bytes on their way; `left` of them are not written yet.

    `outbox`: where they come from, and count as so many bytes (not deflated) and packets until they
    are written; None: from the websocket library. `done`: for who waits until then.
    """

    left: bytes
    outbox: Outbox | None = None
    size: int = 0
    packets: int = 0
    done: trio.Event | None = None

    def wrote(self, count: int) -> None:
        """Note that so many more are written."""
        self.left = self.left[count:]
        if self.outbox is not None:
            if not self.left:
                self.outbox.written(self.size, self.packets)
            elif count:
                self.size -= count
                self.outbox.written(count, 0)
        if self.done is not None and not self.left:
            self.done.set()


class Wire:
    """The writing half of a websocket; `outbox` is set when it may write a session's packets."""

    def __init__(
        self, stream: trio.abc.Stream, nursery: trio.Nursery, on_broken: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._nursery = nursery
        self._on_broken = on_broken
        self._socket = raw_socket(stream)
        self._control: list[_Piece] = []
        self._busy = False
        self._broken = False
        self._idle: trio.Event | None = None  # for who waits until all is written
        self.outbox: Outbox | None = None

    @property
    def writable(self) -> bool:
        """Whether nothing waits for the peer to read."""
        return not self._busy and not self._broken

    def pump(self) -> None:
        """Write what waits, as far as the socket takes it; a task writes the rest."""
        while self._control and self.writable:
            self._write_piece(self._control.pop(0))
        outbox = self.outbox
        while outbox is not None and not (outbox.empty or self._busy or self._broken):
            events = outbox.take(_MOST)
            data = self._joined(events)
            if len(events) == 1:
                size, packets = len(events[0].wire), events[0].packets
            else:
                size = sum([len(event.wire) for event in events])
                packets = sum([event.packets for event in events])
            count = self._write(data)
            if count == len(data):
                outbox.written(size, packets)
            else:
                self._write_later(_Piece(data, outbox, size, packets), count)
        if self._idle is not None and not self._busy:
            self._idle.set()

    def send_nowait(self, data: bytes) -> None:
        """Write `data` before what waits in the outbox."""
        self._control.append(_Piece(data))
        self.pump()

    async def send_all(self, data: bytes) -> None:
        """Write `data` before what waits in the outbox; returns when the stream has it all.

        Raises `trio.BrokenResourceError`.
        """
        done = trio.Event()
        piece = _Piece(data, done=done)
        self._control.append(piece)
        self.pump()
        while piece.left and not self._broken:
            await done.wait()
        await trio.lowlevel.checkpoint()
        if piece.left:
            raise trio.BrokenResourceError("the peer has gone")

    async def drained(self) -> None:
        """Wait until everything is written, or cannot be."""
        self.pump()
        while self._busy:
            self._idle = trio.Event()
            await self._idle.wait()

    def _joined(self, events: list[Encoded]) -> bytes:
        """Return the bytes of events, as the client is to have them."""
        if len(events) == 1:
            return events[0].wire
        return b"".join([event.wire for event in events])

    def _write(self, data: bytes) -> int:
        """Write what the socket takes now; return how many bytes that was."""
        if self._socket is None:
            return 0
        try:
            # The number is asked for each time: a closed socket has none, and the kernel gives
            # the old one to the next client.
            return os.write(self._socket.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError:
            self._fail()
            return 0

    def _write_piece(self, piece: _Piece) -> None:
        count = self._write(piece.left)
        if count == len(piece.left):
            piece.wrote(count)
        else:
            self._write_later(piece, count)

    def _write_later(self, piece: _Piece, count: int) -> None:
        """Have a task write what is left of a piece of which `count` bytes are written."""
        piece.wrote(count)
        if not self._broken:
            self._busy = True
            self._nursery.start_soon(self._write_rest, piece)

    async def _write_rest(self, piece: _Piece) -> None:
        try:
            while piece.left and not self._broken:
                if self._socket is None:
                    await self._stream.send_all(piece.left)
                    piece.wrote(len(piece.left))
                else:
                    await trio.lowlevel.wait_writable(self._socket)
                    piece.wrote(self._write(piece.left))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._fail()
        finally:
            self._busy = False
            if self._broken and piece.done is not None:
                piece.done.set()  # who sends it hears that it cannot be
        self.pump()

    def _fail(self) -> None:
        """Nothing can be written any more: wake who waits, tell the session."""
        if self._broken:
            return
        self._broken = True
        if self._idle is not None:
            self._idle.set()
        for piece in self._control:
            if piece.done is not None:
                piece.done.set()
        self._on_broken()


class DeflatingWire(Wire):
    """The same for a client that inflates what has `threshold` bytes or more."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        nursery: trio.Nursery,
        on_broken: Callable[[], None],
        threshold: int,
    ) -> None:
        super().__init__(stream, nursery, on_broken)
        self._threshold = threshold

    def _joined(self, events: list[Encoded]) -> bytes:
        return b"".join([event.deflated(self._threshold) for event in events])
