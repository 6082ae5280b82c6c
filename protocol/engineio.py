"""Engine.IO protocol 4: packets, polling payloads, the open packet.

Source: the Engine.IO protocol document, revision 4, and engine.io-parser 5.2. A packet is one
digit and its data. Over a websocket a text frame is one packet and a binary frame is the data of a
message; in a polling payload packets are joined by U+001E and a binary message is `b` + base64.
"""

from __future__ import annotations

import base64
import binascii
import enum
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson

from .errors import ProtocolError

VERSION = "4"
SEPARATOR = b"\x1e"


class PacketType(enum.IntEnum):
    """The digit a packet begins with."""

    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


class Packet(NamedTuple):
    """One Engine.IO packet; `data` is bytes only in a binary message."""

    type: PacketType
    data: str | bytes = ""


_TYPES = {str(int(type_)): type_ for type_ in PacketType}


def encode(packet: Packet) -> str | bytes:
    """Return the packet as one websocket message: str is a text frame, bytes a binary one."""
    if isinstance(packet.data, bytes):
        return packet.data
    return f"{packet.type:d}{packet.data}"


def decode(message: str | bytes) -> Packet:
    """Read one websocket message; raises `ProtocolError`."""
    if isinstance(message, bytes):
        return Packet(PacketType.MESSAGE, message)
    type_ = _TYPES.get(message[:1])
    if type_ is None:
        raise ProtocolError(f"expected an Engine.IO packet (a digit 0 to 6), saw {message[:20]!r}")
    return Packet(type_, message[1:])


def size_of(message: str | bytes) -> int:
    """Return how many bytes a message is on the wire."""
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    return len(message.encode())


def encode_payload(packets: Iterable[Packet]) -> bytes:
    """Return the body of a polling request or response."""
    return SEPARATOR.join(
        binary_in_payload(packet.data)
        if isinstance(packet.data, bytes)
        else f"{packet.type:d}{packet.data}".encode()
        for packet in packets
    )


def binary_in_payload(data: bytes) -> bytes:
    """Return a binary message as a polling payload holds it."""
    return b"b" + base64.b64encode(data)


def decode_payload(body: bytes) -> list[Packet]:
    """Read the body of a polling request; raises `ProtocolError` if any packet in it is bad."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"expected a polling payload in UTF-8: {error}") from None
    return [_decode_in_payload(part) for part in text.split("\x1e")]


def _decode_in_payload(part: str) -> Packet:
    if not part.startswith("b"):
        return decode(part)
    try:
        # JavaScript's own decoder accepts base64 without its padding.
        return Packet(
            PacketType.MESSAGE,
            base64.b64decode(part[1:] + "=" * (-(len(part) - 1) % 4), validate=True),
        )
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(f"expected base64 behind `b` in a polling payload: {error}") from None


def open_packet(
    sid: str,
    *,
    upgrades: Sequence[str],
    ping_interval: float,
    ping_timeout: float,
    max_payload: int,
) -> Packet:
    """Return the packet that opens a session. Times are seconds (the wire has milliseconds)."""
    return Packet(
        PacketType.OPEN,
        orjson.dumps(
            {
                "sid": sid,
                "upgrades": list(upgrades),
                "pingInterval": round(ping_interval * 1000),
                "pingTimeout": round(ping_timeout * 1000),
                "maxPayload": max_payload,
            }
        ).decode(),
    )
