"""What Node's streams adapter keeps of a client that is away, and how offsets are counted.

While it is away its session is a value in Redis under `key_of(pid)`, for as long as it may come
back; who restores it deletes it. It is restored if the stream still has the entry of its offset,
and then gets what stands behind that.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import attrs
import msgspec

from protocol import msgpack_values
from protocol.errors import ProtocolError

from . import shapes
from .shapes import RoomName, read

KEY_PREFIX = "sio:session:"


@attrs.frozen
class SavedSession:
    """A socket that is away: its id, the private id it comes back with, its rooms and its data."""

    sid: str
    pid: str
    rooms: tuple[str, ...]
    data: Any


class _Saved(msgspec.Struct):
    sid: str
    pid: str
    rooms: list[RoomName]
    data: Any = None


def key_of(pid: str, prefix: str = KEY_PREFIX) -> str:
    """Return the key of a session in Redis."""
    return prefix + pid


def dumps_session(session: SavedSession) -> bytes:
    """Return what is kept: msgpack in base64; raises TypeError or ValueError as `values.dumps`."""
    said = {
        "sid": session.sid,
        "pid": session.pid,
        "rooms": list(session.rooms),
        "data": session.data,
    }
    return base64.b64encode(msgpack_values.dumps_value(said))


def loads_session(data: bytes) -> SavedSession:
    """Read what was kept; raises `ProtocolError`."""
    try:
        value = msgpack_values.loads(base64.b64decode(data, validate=True))
    except binascii.Error as error:
        raise ProtocolError(f"expected a session, msgpack in base64: {error}") from None
    saved = read(value, _Saved, "a session, {sid, pid, rooms, data}")
    return SavedSession(saved.sid, saved.pid, shapes.rooms_of(saved.rooms), saved.data)


_OFFSET = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)
_LAST = 2**64 - 1


def is_offset(text: object) -> bool:
    """Whether a client's offset may be that of an entry: Redis errs on what is none."""
    found = _OFFSET.fullmatch(text) if isinstance(text, str) else None
    return found is not None and all(int(number) <= _LAST for number in found.groups())


def next_offset(offset: str) -> str:
    """Return the first offset that may stand behind another, from where a client missed events."""
    time, number = map(int, offset.split("-"))
    return f"{time}-{number + 1}" if number < _LAST else f"{time + 1}-0"
