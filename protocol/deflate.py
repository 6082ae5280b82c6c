"""Messages deflated one by one: permessage-deflate without context takeover (RFC 7692).

Nothing is remembered from message to message, in neither direction: so a connection needs no memory
for it, and a message is deflated once for all who get it. Whoever would have less than the whole
window from us is declined, and goes on without.

In: `Inflater` lies before a `FrameSplitter`. It puts plain frames in the place of deflated messages
and leaves all other bytes as they are. What is wrong with a deflated message is wrong with what it
lets through, too, so that one place judges and refuses, the websocket library.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import TypeAlias

from .errors import ProtocolError
from .websocket import (
    BINARY,
    CONTINUATION,
    FIN,
    MASKED,
    TEXT,
    FrameSplitter,
    Head,
    Passed,
    binary_frame,
    header,
    text_frame,
    unmasked,
)

_RSV1 = 0x40
_RESERVED = 0x70
_CONTROL = 0x08

_RAW = -15  # no header, the largest window
_CUT = b"\0\0\xff\xff"  # what each message would end with is not sent
_END = b"\x03\0"  # the end of all data, if it comes at the end of a block

# zlib's quickest: of its usual level it takes a third of the time, for an eighth more bytes.
_LEVEL = zlib.Z_BEST_SPEED

# Negotiation.

_Parameters: TypeAlias = list[tuple[str, str | None]]
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_NAME = re.compile(rf"({_WORD})\s*")
_PARAMETER = re.compile(rf';\s*({_WORD})\s*(?:=\s*(?:({_WORD})|"({_WORD})")\s*)?')
_SEPARATOR = re.compile(r",[\s,]*|$")
_BITS = frozenset(map(str, range(8, 16)))


def negotiated(offers: str) -> str | None:
    """Return the answer to a `Sec-WebSocket-Extensions`, or None: the extension is not used.

    Of several offers the first that can be met; a header that breaks the grammar has none.
    """
    for name, parameters in _offers(offers):
        if name == "permessage-deflate" and (answer := _answer(parameters)) is not None:
            return answer
    return None


def _offers(text: str) -> list[tuple[str, _Parameters]]:
    found: list[tuple[str, _Parameters]] = []
    text = text.strip(" \t,")
    start = 0
    while start < len(text):
        if (name := _NAME.match(text, start)) is None:
            return []
        start = name.end()
        parameters: _Parameters = []
        while (parameter := _PARAMETER.match(text, start)) is not None:
            start = parameter.end()
            parameters.append((parameter[1], parameter[2] or parameter[3]))
        if (separator := _SEPARATOR.match(text, start)) is None:
            return []
        start = separator.end()
        found.append((name[1], parameters))
    return found


def _answer(parameters: _Parameters) -> str | None:
    """Return the answer to one offer, or None to decline it."""
    asked = dict(parameters)
    if len(asked) < len(parameters):
        return None
    answer = ["permessage-deflate", "server_no_context_takeover", "client_no_context_takeover"]
    for name, value in parameters:
        match name:
            case "server_no_context_takeover" | "client_no_context_takeover" if value is None:
                pass  # that is how it is done anyway
            case "client_max_window_bits" if value is None or value in _BITS:
                pass  # we inflate any window
            case "server_max_window_bits" if value == "15":
                answer.append("server_max_window_bits=15")
            case _:
                return None
    return "; ".join(answer)


# Out.


def deflated_text_frame(payload: bytes, threshold: int) -> bytes:
    """Return the frame of a text message, deflated if it has so many bytes, and less then."""
    return _deflated_frame(TEXT, payload, threshold) or text_frame(payload)


def deflated_binary_frame(payload: bytes, threshold: int) -> bytes:
    """Return the frame of a binary message, deflated if it has so many bytes, and less then."""
    return _deflated_frame(BINARY, payload, threshold) or binary_frame(payload)


def _deflated_frame(opcode: int, payload: bytes, threshold: int) -> bytes | None:
    if len(payload) < threshold:
        return None
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    data = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    size = len(data) - len(_CUT)
    if size >= len(payload):
        return None
    return header(FIN | _RSV1 | opcode, size) + data[:size]


# In.


class InflatingSplitter:
    """A `FrameSplitter` for one client's byte stream in which messages may be deflated."""

    __slots__ = ("_inflater", "_splitter")

    def __init__(self, max_size: int) -> None:
        """`max_size`: the largest message, in bytes, whether that is deflated or not."""
        self._inflater = Inflater(max_size)
        self._splitter = FrameSplitter(max_size)

    def feed(self, data: bytes) -> Iterator[str | bytes | Passed]:
        """Yield what `data` completes. Finish the iteration before feeding more.

        One message is inflated at a time, when the iteration comes to it.
        """
        for plain in self._inflater.feed(data):
            yield from self._splitter.feed(plain)


class Inflater:
    """Makes the byte stream of a client what it would be without the extension."""

    __slots__ = (
        "_frame",
        "_head",
        "_max_size",
        "_message",
        "_missing",
        "_passing",
        "_refused",
        "_start",
    )

    def __init__(self, max_size: int) -> None:
        """`max_size`: the largest message, in bytes, before and after."""
        self._max_size = max_size
        self._start = b""  # the beginning of a header that is not whole yet
        self._passing = 0  # so many bytes of the current frame are still to be let through
        self._head: Head | None = None  # of the current frame, when it is ours
        self._frame = bytearray()
        self._missing = 0
        self._message: _Message | None = None  # the deflated message that is open
        self._refused = False  # whether the library has been given what it refuses

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` becomes. Finish the iteration before feeding more."""
        buffer = self._start + data
        self._start = b""
        start, end = 0, len(buffer)
        while start < end and not self._refused:
            if self._passing:
                taken = buffer[start : start + self._passing]
                self._passing -= len(taken)
                yield taken
            elif self._missing:
                taken = buffer[start : start + self._missing]
                self._missing -= len(taken)
                self._frame += taken
                if not self._missing:
                    yield from self._inflated()
            elif (head := Head.read(buffer, start)) is None:
                self._start = buffer[start:]
                return
            else:
                yield from self._begin(head)
                continue
            start += len(taken)

    def _begin(self, head: Head) -> Iterator[bytes]:
        if not self._is_ours(head):
            if self._message is not None and not head.first & _CONTROL:
                # A message within a message: the library shall know of both.
                yield _masked_frame(self._message.opcode, b"")
                self._message = None
            self._passing = head.size + head.payload
        elif head.payload > self._max_size:
            yield self._too_large()
        else:
            self._head = head
            self._missing = head.size + head.payload

    def _is_ours(self, head: Head) -> bool:
        opcode = head.first & 0x0F
        reserved = head.first & _RESERVED
        if self._message is None:
            ours = opcode in (TEXT, BINARY) and reserved == _RSV1
        else:
            ours = opcode == CONTINUATION and not reserved
        return ours and head.size == len(header(0, head.payload)) + 4  # and masked, as it must be

    def _inflated(self) -> Iterator[bytes]:
        assert self._head is not None
        head, frame = self._head, bytes(self._frame)
        self._frame = bytearray()
        payload = unmasked(frame[head.size :], frame[head.size - 4 : head.size])
        message = self._message or _Message(head.first & 0x0F, self._max_size)
        final = bool(head.first & FIN)
        try:
            message.add(payload, final=final)
        except ProtocolError:
            self._refused = True
            # As it came it is against the rules: a reserved bit, or it goes on with nothing.
            yield frame
            return
        if message.too_large:
            yield self._too_large()
        elif final:
            self._message = None
            yield _masked_frame(FIN | message.opcode, bytes(message.data))
        else:
            self._message = message

    def _too_large(self) -> bytes:
        self._refused = True
        return _masked_frame(FIN | BINARY, bytes(self._max_size + 1))


class _Message:
    """A deflated message; `data` is what there is of it, and never much more than is allowed."""

    __slots__ = ("_max_size", "_unpacker", "data", "opcode")

    def __init__(self, opcode: int, max_size: int) -> None:
        self.opcode = opcode
        self.data = bytearray()
        self._max_size = max_size
        self._unpacker = zlib.decompressobj(_RAW)

    @property
    def too_large(self) -> bool:
        return len(self.data) > self._max_size

    def add(self, payload: bytes, *, final: bool) -> None:
        """Inflate one more frame; raises `ProtocolError` for what is not deflated well."""
        if not self._unpacker.eof:  # what follows the end of all data is padding
            room = self._max_size + 1 - len(self.data)
            packed = payload + _CUT + _END if final else payload
            try:
                self.data += self._unpacker.decompress(packed, room)
            except zlib.error as error:
                raise ProtocolError(f"expected deflated data: {error}") from None
        if final and not self._unpacker.eof and not self.too_large:
            raise ProtocolError("expected deflated data, saw less than a whole block")


def _masked_frame(first: int, payload: bytes) -> bytes:
    """Return a frame as a client sends it."""
    head = bytearray(header(first, len(payload)))
    head[1] |= MASKED
    return bytes(head) + bytes(4) + payload
