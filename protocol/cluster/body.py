"""The bytes of a message: JSON, or msgpack if there are bytes in it. The first byte says which.

Both ways values are those of `protocol.values`. They may be nested as deep as a client's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from protocol import msgpack_values, values
from protocol.errors import ProtocolError

from .messages import (
    Broadcast,
    ClientAnswered,
    Message,
    ServerAnswered,
    ServerEvent,
    SocketsFetched,
)

MAX_SIZE: Final = 64 * 2**20
"""How many bytes a message may have: the facts of 50,000 sockets, and no more than one can bear."""

# A message, its data, its packet or its list of sockets, and one of these stand around values.
_MAX_DEPTH = values.MAX_DEPTH + 4


def dumps(body: dict[str, Any], message: Message) -> bytes:
    """Return `body`, which says `message`: as JSON, or as msgpack if there are bytes in it.

    Raises TypeError or ValueError with the path of what cannot be sent.
    """
    try:
        text, attachments = values.dumps(body)
    except (TypeError, ValueError) as error:
        raise _fault_of(message) or error from None
    return msgpack_values.dumps_value(body) if attachments else text


def dumps_msgpack(body: Any, message: Message) -> bytes:
    """Return `body`, which says `message`, as msgpack; raises as `dumps`."""
    try:
        return msgpack_values.dumps_value(body)
    except (TypeError, ValueError) as error:
        raise _fault_of(message) or error from None


def _fault_of(message: Message) -> Exception | None:
    """Return the error of what a user wants to send, with its path there, if that is at fault."""
    match message:
        case Broadcast(data=data) | ServerEvent(data=data):
            return values.fault_of(data, lead=1)
        case ClientAnswered(values=answered):
            return values.fault_of(answered)
        case ServerAnswered(value=value):
            return values.fault_of([value])
        case SocketsFetched(sockets=sockets):
            return values.fault_of([socket.data for socket in sockets])
        case _:
            return None


def check_size(data: bytes, max_size: int) -> None:
    """Raise `ProtocolError` for more bytes than are allowed."""
    if len(data) > max_size:
        raise ProtocolError(f"expected at most {max_size} bytes (max_size), saw {len(data)}")


def loads(data: bytes) -> Any:
    """Read JSON or msgpack; raises `ProtocolError`."""
    if data[:1] == b"{":
        return values.loads(data.decode("utf-8", "replace"), _MAX_DEPTH)
    return msgpack_values.loads(data, _MAX_DEPTH)


def begins_own(node: str) -> tuple[bytes, bytes]:
    """Return what messages of `node` begin with, by which most are known without being read."""
    return msgspec.json.encode({"uid": node})[:-1], b"\x93" + msgspec.msgpack.encode(node)
