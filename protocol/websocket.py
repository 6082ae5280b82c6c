"""Websocket frames, as far as they carry our messages (RFC 6455).

Out: a message's frame, unmasked, made once and shared by all who get it.

In: `FrameSplitter` takes whole, unfragmented data frames out of the byte stream. All other bytes
(control frames, fragments, frames that are too large or broken in any way) are passed on to a
websocket library, which keeps the RFC. The two kinds come in the order of the wire, and a message
the library assembles must be handled before the frames behind it: `Passed.ends_message` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

TEXT, BINARY, CONTINUATION = 0x1, 0x2, 0x0
FIN = 0x80
MASKED = 0x80


def text_frame(payload: bytes) -> bytes:
    """Return the frame of a text message; `payload` is UTF-8."""
    return header(FIN | TEXT, len(payload)) + payload


def binary_frame(payload: bytes) -> bytes:
    """Return the frame of a binary message."""
    return header(FIN | BINARY, len(payload)) + payload


def header(first: int, size: int) -> bytes:
    """Return the header, unmasked, of a frame with this first byte and payload's size."""
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


class Passed(NamedTuple):
    """Bytes for the websocket library; `ends_message`: with them it has a whole data message."""

    data: bytes
    ends_message: bool = False


class FrameSplitter:
    """Splits one client's byte stream, after the handshake, into messages and `Passed` bytes."""

    __slots__ = ("_chunks", "_ends_message", "_fragmented", "_max_size", "_missing", "_passing")

    def __init__(self, max_size: int) -> None:
        """`max_size`: the largest payload, in bytes, that is taken as a message."""
        self._max_size = max_size
        self._chunks: list[bytes] = []  # the beginning of a frame that is not whole yet
        self._missing = 0  # so many bytes at the least, if we know
        self._passing = 0  # so many bytes of the current frame are still to be passed on
        self._ends_message = False  # whether that frame ends a message
        self._fragmented = False  # whether a fragmented message is open

    def feed(self, data: bytes) -> Iterator[str | bytes | Passed]:
        """Yield what `data` completes. Finish the iteration before feeding more."""
        if len(data) < self._missing:  # of a large frame: joined once, when it is whole
            self._chunks.append(data)
            self._missing -= len(data)
            return
        buffer = b"".join((*self._chunks, data)) if self._chunks else data
        self._chunks = []
        self._missing = 0
        start, end = 0, len(buffer)
        while start < end:
            if self._passing:
                taken = buffer[start : start + self._passing]
                start += len(taken)
                self._passing -= len(taken)
                yield Passed(taken, self._ends_message and not self._passing)
                continue
            if (head := Head.read(buffer, start)) is None:
                break
            if not self._is_ours(head):
                self._pass_on(head)
                continue
            stop = start + head.size + head.payload
            if stop > end:
                self._missing = stop - end
                break
            body = start + head.size
            payload = unmasked(buffer[body:stop], buffer[body - 4 : body])
            if head.first & 0x0F == BINARY:
                start = stop
                yield payload
            elif (text := _decoded(payload)) is not None:
                start = stop
                yield text
            else:
                self._pass_on(head)  # let the library refuse it
        if start < end:
            self._chunks = [buffer[start:]]

    def _is_ours(self, head: Head) -> bool:
        return (
            head.first in (FIN | TEXT, FIN | BINARY)
            and head.payload <= self._max_size
            and head.size == len(header(0, head.payload)) + 4  # masked, and in no longer a form
            and not self._fragmented
        )

    def _pass_on(self, head: Head) -> None:
        self._passing = head.size + head.payload
        is_data = head.first & 0x0F in (TEXT, BINARY, CONTINUATION)
        is_final = bool(head.first & FIN)
        self._ends_message = is_data and is_final
        if is_data:
            self._fragmented = not is_final


class Head(NamedTuple):
    """A frame's header: its first byte, its own size with the mask, its payload's size."""

    first: int
    size: int
    payload: int

    @classmethod
    def read(cls, buffer: bytes, start: int) -> Head | None:
        """Read the header at `start`, or return None when it is not whole yet."""
        available = len(buffer) - start
        if available < 2:
            return None
        first, second = buffer[start], buffer[start + 1]
        payload = second & 0x7F
        extended = {126: 2, 127: 8}.get(payload, 0)
        size = 2 + extended + (4 if second & MASKED else 0)
        if available < size:
            return None
        if extended:
            payload = int.from_bytes(buffer[start + 2 : start + 2 + extended], "big")
        return cls(first, size, payload)


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """Return a payload without its mask of four bytes (or with it: the two are the same)."""
    # One big exclusive-or is the fastest way without C: 0.4 µs for 100 bytes, 12 µs for 10 kB.
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(
        size, "little"
    )


def _decoded(payload: bytes) -> str | None:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None
