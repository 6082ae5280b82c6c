"""Writes one client's websocket bytes to its stream.

A plain socket is written raw and without blocking (public trio API: `fileno`, `wait_writable`),
which costs a tenth of a task switch. Any other stream (TLS, memory) is written by a task with
`send_all`: the same contract, a slower way. There is one writer at a time. Bytes of the websocket
library (its handshake, pongs, close) go before what waits in the outbox, in their own order.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

import attrs
import trio

from broker.values.encoded import Encoded

from .outbox import Outbox

# What one write may take: far more than a socket takes at once, and still little of a full outbox,
# for what has been taken can no longer be dropped.
_MOST = 262_144

_CAN_WRITE_RAW = os.name == "posix"  # elsewhere a socket is no file


@attrs.define
class _Chunk:
    """Bytes on their way; `left` of them are not written yet.

    `spared`: so many more they are in the outbox, where they are not deflated.
    """

    left: bytes
    packets: int = 0
    done: trio.Event | None = None
    counted: bool = True  # whether they came out of the outbox
    spared: int = 0


class Wire:
    """The writing half of a websocket; `outbox` is set when it may write a session's packets."""

    def __init__(
        self, stream: trio.abc.Stream, nursery: trio.Nursery, on_broken: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._nursery = nursery
        self._on_broken = on_broken
        self._socket = (
            stream.socket if _CAN_WRITE_RAW and isinstance(stream, trio.SocketStream) else None
        )
        self._control: deque[_Chunk] = deque()
        self._busy = False
        self._broken = False
        self._idle = trio.Event()
        self.outbox: Outbox | None = None

    @property
    def writable(self) -> bool:
        """Whether nothing waits for the peer to read."""
        return not self._busy and not self._broken

    def pump(self) -> None:
        """Write what waits, as far as the socket takes it; a task writes the rest."""
        while not self._busy and not self._broken and (chunk := self._next()) is not None:
            if self._socket is None or not self._write_some(chunk, self._socket):
                self._busy = True
                self._nursery.start_soon(self._write_rest, chunk)
        if not self._busy:
            self._idle.set()

    def send_nowait(self, data: bytes) -> None:
        """Write `data` before what waits in the outbox."""
        self._control.append(_Chunk(data, counted=False))
        self.pump()

    async def send_all(self, data: bytes) -> None:
        """Write `data` before what waits in the outbox; returns when the stream has it all.

        Raises `trio.BrokenResourceError`.
        """
        chunk = _Chunk(data, done=trio.Event(), counted=False)
        self._control.append(chunk)
        self.pump()
        while chunk.left and not self._broken:
            assert chunk.done is not None
            await chunk.done.wait()
        await trio.lowlevel.checkpoint()
        if chunk.left:
            raise trio.BrokenResourceError("the peer has gone")

    async def drained(self) -> None:
        """Wait until everything is written, or cannot be."""
        self.pump()
        while self._busy:
            self._idle = trio.Event()
            await self._idle.wait()

    def _next(self) -> _Chunk | None:
        if self._control:
            return self._control.popleft()
        if self.outbox is None or self.outbox.empty:
            return None
        return self._chunk(self.outbox.take(_MOST))

    def _chunk(self, events: list[Encoded]) -> _Chunk:
        if len(events) == 1:
            return _Chunk(events[0].wire, events[0].packets)
        return _Chunk(
            b"".join([event.wire for event in events]), sum([event.packets for event in events])
        )

    def _write_some(self, chunk: _Chunk, socket: trio.socket.SocketType) -> bool:
        """Write what the socket takes now; return whether nothing is left to write."""
        try:
            # The number is asked for each time: a closed socket has none, and the kernel gives
            # the old one to the next client.
            count = os.write(socket.fileno(), chunk.left)
        except BlockingIOError:
            return False
        except OSError:
            self._fail()
            return True
        self._wrote(chunk, count)
        return not chunk.left

    async def _write_rest(self, chunk: _Chunk) -> None:
        try:
            if self._socket is None:
                await self._stream.send_all(chunk.left)
                self._wrote(chunk, len(chunk.left))
            else:
                await trio.lowlevel.wait_writable(self._socket)
                while not self._write_some(chunk, self._socket):
                    await trio.lowlevel.wait_writable(self._socket)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._fail()
        finally:
            self._busy = False
        self.pump()

    def _wrote(self, chunk: _Chunk, count: int) -> None:
        chunk.left = chunk.left[count:]
        if chunk.counted and self.outbox is not None:
            if chunk.left:
                self.outbox.written(count, 0)
            else:
                self.outbox.written(count + chunk.spared, chunk.packets)
        if chunk.done is not None and not chunk.left:
            chunk.done.set()

    def _fail(self) -> None:
        """Nothing can be written any more: wake who waits, tell the session."""
        if self._broken:
            return
        self._broken = True
        self._idle.set()
        for chunk in self._control:
            if chunk.done is not None:
                chunk.done.set()
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

    def _chunk(self, events: list[Encoded]) -> _Chunk:
        data = b"".join([event.deflated(self._threshold) for event in events])
        size = sum([len(event.wire) for event in events])
        packets = sum([event.packets for event in events])
        return _Chunk(data, packets, spared=size - len(data))
