"""What an event's arguments may be, in msgpack: as in JSON, so that handlers see no difference.

Out: what `values` has for JSON, but that bytes are bytes. Datetimes are ISO text, NaN and the
infinities nil.

In: what JSON gives, and bytes. notepack.io, which the JavaScript parser is made of, has a meaning
of its own for the extension type 0, by its form: `fixext 1` is `undefined`, which JSON leaves out
of objects and makes null elsewhere; `fixext 8` is a `Date`, which JSON writes as ISO text; any
other form is an ArrayBuffer. msgpack's own timestamp (the type -1, which later versions of it and
`@msgpack/msgpack` write for a `Date`) is ISO text, too. NaN comes in as null, text that is no UTF-8
with U+FFFD for what is none. Other extensions, and keys that are no text, are errors of the peer.

msgspec reads nearly all; what it takes for something else is read again, slowly, by `_Reader`.
"""

from __future__ import annotations

import datetime as dt
import math
import struct
from typing import Any, Final

import msgspec

from . import values
from .errors import ProtocolError


class _OtherwiseError(Exception):
    """Something that msgspec does not see as we do."""


def _refuse_extension(_code: int, _data: memoryview) -> Any:
    raise _OtherwiseError


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ext_hook=_refuse_extension)


def dumps(packet: dict[str, Any], *, lead: int = 0) -> bytes:
    """Return the msgpack of a packet, whose `data` is what a user wants to send.

    Raises TypeError or ValueError with the path of what cannot be sent, as `values.dumps`.
    """
    data = packet.get("data")
    if not values.is_plain(data):
        packet = packet | {"data": values.plain(data, lead=lead)}
    try:
        return _encoder.encode(packet)
    except UnicodeEncodeError as error:
        raise values.fault_of(data, lead=lead) or error from None


def dumps_value(value: Any) -> bytes:
    """Return the msgpack of any value that may be sent; raises as `dumps`."""
    try:
        return _encoder.encode(value if values.is_plain(value) else values.plain(value))
    except UnicodeEncodeError as error:
        raise values.fault_of(value) or error from None


def loads(data: bytes, max_depth: int = values.MAX_DEPTH) -> Any:
    """Read msgpack from a peer, nested at most so deep; raises `ProtocolError`.

    The map that is a packet does not count: it stands around what JSON counts from.
    """
    try:
        value = _decoder.decode(data)
    except RecursionError as error:
        raise ProtocolError(f"expected msgpack: {error}") from None
    except (_OtherwiseError, msgspec.DecodeError, ValueError):  # text, dates beyond Python's
        return _Reader(data, max_depth).read_all()
    return value if values.is_plain(value, max_depth + 1) else _Reader(data, max_depth).read_all()


_ABSENT: Final = object()
_TIMESTAMP = -1
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {
    0xCA + index: struct.Struct(f">{format_}") for index, format_ in enumerate("fdBHIQbhiq")
}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
# What a length of so many bytes stands before.
_SIZED = {
    **{0xC4 + index: ("bytes", 1 << index) for index in range(3)},
    **{0xC7 + index: ("extension", 1 << index) for index in range(3)},
    **{0xD9 + index: ("text", 1 << index) for index in range(3)},
    **{0xDC + index: ("list", 2 << index) for index in range(2)},
    **{0xDE + index: ("dict", 2 << index) for index in range(2)},
}


class _Reader:
    """Reads one message, in time that grows with its length only: a length says nothing yet."""

    __slots__ = ("_at", "_data", "_max_depth")

    def __init__(self, data: bytes, max_depth: int = values.MAX_DEPTH) -> None:
        self._data = data
        self._max_depth = max_depth
        self._at = 0

    def read_all(self) -> Any:
        value = self._read(0)
        if self._at < len(self._data):
            raise ProtocolError(f"expected msgpack: {len(self._data) - self._at} bytes behind it")
        return None if value is _ABSENT else value

    def _take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) < count:
            raise ProtocolError("expected msgpack: it is truncated")
        self._at += count
        return piece

    def _read(self, depth: int) -> Any:
        at = self._at
        if at == len(self._data):
            raise ProtocolError("expected msgpack: it is truncated")
        self._at = at + 1
        prefix = self._data[at]
        if prefix < 0x80:
            return prefix
        if prefix >= 0xE0:
            return prefix - 0x100
        if prefix < 0x90:
            return self._dict(prefix & 0x0F, depth)
        if prefix < 0xA0:
            return self._list(prefix & 0x0F, depth)
        if prefix < 0xC0:
            return _text(self._take(prefix & 0x1F))
        if prefix in _CONSTANTS:
            return _CONSTANTS[prefix]
        number = _NUMBERS.get(prefix)
        if number is not None:
            (value,) = number.unpack(self._take(number.size))
            return value if math.isfinite(value) else None
        if prefix in _FIXED_EXTENSIONS:
            return self._fixed_extension(_FIXED_EXTENSIONS[prefix])
        if prefix in _SIZED:
            kind, size = _SIZED[prefix]
            return self._sized(kind, int.from_bytes(self._take(size)), depth)
        raise ProtocolError(f"expected msgpack: nothing begins with {prefix:#x}")

    def _sized(self, kind: str, length: int, depth: int) -> Any:
        match kind:
            case "bytes":
                return self._take(length)
            case "text":
                return _text(self._take(length))
            case "list":
                return self._list(length, depth)
            case "dict":
                return self._dict(length, depth)
            case _:
                return self._extension(length)

    def _fixed_extension(self, size: int) -> Any:
        code, data = self._take_extension(size)
        if code == _TIMESTAMP:
            return _timestamp(data)
        if size == 1:
            return _ABSENT
        if size == 8:
            return _date(int.from_bytes(data, signed=True))
        raise ProtocolError(f"expected an extension that notepack.io writes, saw fixext {size}")

    def _extension(self, size: int) -> Any:
        code, data = self._take_extension(size)
        return _timestamp(data) if code == _TIMESTAMP else data  # an ArrayBuffer

    def _take_extension(self, size: int) -> tuple[int, bytes]:
        code = int.from_bytes(self._take(1), signed=True)
        if code not in (0, _TIMESTAMP):
            raise ProtocolError(f"expected extensions of type 0 or -1 only, saw type {code}")
        return code, self._take(size)

    def _list(self, length: int, depth: int) -> list[Any]:
        inside = self._deeper(depth)
        read = []
        for _ in range(length):
            item = self._read(inside)
            read.append(None if item is _ABSENT else item)
        return read

    def _dict(self, length: int, depth: int) -> dict[str, Any]:
        inside = self._deeper(depth)
        read: dict[str, Any] = {}
        for _ in range(length):
            key = self._read(inside)
            if type(key) is not str:
                raise ProtocolError("expected a map's keys to be text, saw another kind")
            value = self._read(inside)
            if value is not _ABSENT:
                read[key] = value
        return read

    def _deeper(self, depth: int) -> int:
        if depth > self._max_depth:
            raise ProtocolError(f"expected msgpack nested at most {self._max_depth} deep")
        return depth + 1


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    try:  # halves of an emoji, as some write them: two that belong together are one again
        halves = data.decode("utf-8", "surrogatepass")
        return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def _timestamp(data: bytes) -> str | None:
    """Return the ISO text of msgpack's own timestamp, to the millisecond below."""
    match len(data):
        case 4:
            seconds, nanoseconds = int.from_bytes(data), 0
        case 8:
            nanoseconds, seconds = divmod(int.from_bytes(data), 1 << 34)
        case 12:
            nanoseconds, seconds = int.from_bytes(data[:4]), int.from_bytes(data[4:], signed=True)
        case length:
            raise ProtocolError(f"expected a timestamp of 4, 8 or 12 bytes, saw {length}")
    return _date(seconds * 1000 + nanoseconds // 1_000_000)


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_CYCLE = 146_097 * 86_400_000  # 400 years in ms: after these the calendar begins anew
_LAST_DATE = 8_640_000_000_000_000  # ms; what a Date of JavaScript can be


def _date(milliseconds: int) -> str | None:
    """Return what `Date.prototype.toJSON` does."""
    if abs(milliseconds) > _LAST_DATE:
        return None
    cycles, rest = divmod(milliseconds, _CYCLE)
    when = _EPOCH + dt.timedelta(milliseconds=rest)
    year = when.year + 400 * cycles
    shown = f"{year:04}" if 0 <= year <= 9999 else f"{year:+07}"
    return f"{shown}{when:-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03}Z"
