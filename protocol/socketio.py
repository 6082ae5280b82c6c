"""Socket.IO protocol 5: packets, and their usual form, JSON with binary attachments.

Source: the Socket.IO protocol document, revision 5, and socket.io-parser 4.2.7. The text form is
`<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]`; the namespace `/` is left out. Binary
types carry placeholders in their JSON and are followed by their attachments, nothing in between.

The decoder is strict where Node is not, unless it is lenient: an EVENT or ACK has its array (`42`
alone is refused), and nothing stands between the ack id and the array (`42 ["a"]` is refused).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from . import values
from .errors import ProtocolError

# Only the server and its client emit these, so a peer that sends one as an event breaks the rules.
RESERVED_EVENTS = frozenset(
    {
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    }
)

# As in socket.io-parser: each attachment may be as large as a payload, so they are few.
MAX_ATTACHMENTS = 10


class PacketType(enum.IntEnum):
    """The digit a packet begins with."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


class Packet(NamedTuple):
    """One Socket.IO packet, its attachments in their places.

    `data` is a list in an EVENT (its name first) and an ACK, a dict or None in a CONNECT, a dict
    or str in a CONNECT_ERROR, None in a DISCONNECT. The decoder gives BINARY_EVENT and BINARY_ACK
    as EVENT and ACK: whether a packet had attachments is of no interest above the codec.
    """

    type: PacketType
    namespace: str = "/"
    data: Any = None
    id: int | None = None


class Encoded(NamedTuple):
    """A packet's wire form, Engine.IO messages in order: UTF-8 text, then binary ones.

    `text` is None when all of it is binary; then there is at least one of `attachments`.
    """

    text: bytes | None
    attachments: Sequence[bytes] = ()


_BINARY = {PacketType.EVENT: PacketType.BINARY_EVENT, PacketType.ACK: PacketType.BINARY_ACK}
_PLAIN = {binary: plain for plain, binary in _BINARY.items()}
_DIGITS = {str(int(type_)): type_ for type_ in PacketType}
_DIGIT_OF = {type_: digit for digit, type_ in _DIGITS.items()}


def plain_type(type_: PacketType) -> PacketType:
    """Return EVENT and ACK for their binary forms, any other type as it is."""
    return _PLAIN.get(type_, type_)


def encode(packet: Packet) -> Encoded:
    """Return the wire form; raises TypeError or ValueError for data that cannot be sent.

    EVENT and ACK become their binary forms when their data holds bytes.
    """
    type_ = _PLAIN.get(packet.type, packet.type)
    body = b""
    attachments: list[bytes] = []
    if packet.data is not None:
        lead = 1 if type_ is PacketType.EVENT else 0
        body, attachments = values.dumps(packet.data, lead=lead)
    head = _DIGIT_OF[type_]
    if attachments:
        if type_ not in _BINARY:
            raise TypeError(f"a {type_.name} packet cannot hold bytes")
        if len(attachments) > MAX_ATTACHMENTS:
            raise ValueError(
                f"{len(attachments)} binary values in one event; clients refuse more than "
                f"{MAX_ATTACHMENTS}"
            )
        head = f"{_DIGIT_OF[_BINARY[type_]]}{len(attachments)}-"
    if packet.namespace != "/":
        head += packet.namespace + ","
    if packet.id is not None:
        head += str(packet.id)
    return Encoded(head.encode() + body, attachments)


_MAX_ID = 10**16 - 1  # so many digits are read

# <attachments>-, <namespace> up to a comma or the end, <ack id>; the JSON is what remains.
_HEAD = re.compile(
    r"(?:(?P<count>\d{1,4})-)?(?:(?P<namespace>/[^,]*)(?:,|$))?(?P<id>\d{1,16})?", re.ASCII
)


# Where Node reads a number: white space is part of one, and none is 0.
_LENIENT_HEAD = re.compile(_HEAD.pattern.replace(r"\d{1,16}", r"[\d\s]{1,16}"), re.ASCII)


class Decoder:
    """Turns one session's Engine.IO messages into packets: `add` each in the order it came."""

    __slots__ = ("_attachments", "_lenient", "_max_attachments", "_pending")

    def __init__(self, max_attachments: int = MAX_ATTACHMENTS, *, lenient: bool = False) -> None:
        """`max_attachments`: how many a packet may have; `lenient`: as Node reads, see above."""
        self._max_attachments = max_attachments
        self._lenient = lenient
        self._pending: tuple[Packet, int] | None = None  # waits for so many attachments
        self._attachments: list[bytes] = []

    def add(self, message: str | bytes) -> Packet | None:
        """Return the packet that `message` completes, or None; raises `ProtocolError`."""
        if self._pending is not None:
            return self._add_attachment(message, *self._pending)
        if not isinstance(message, str):
            raise ProtocolError(_unannounced(message))
        if message.startswith("2["):  # the packet nearly all are: an event of `/` without an ack
            return _checked(PacketType.EVENT, "/", message[1:], None)
        return self._add_text(message)

    def _add_text(self, message: str) -> Packet | None:
        type_ = _DIGITS.get(message[:1])
        head = (_LENIENT_HEAD if self._lenient else _HEAD).match(message, 1)
        if type_ is None or head is None:
            raise ProtocolError(f"expected a Socket.IO packet, saw {message[:20]!r}")
        count = head["count"]
        if (count is not None) != (type_ in _PLAIN):
            raise ProtocolError(f"expected a number of attachments in binary types only, {type_!r}")
        body = message[head.end() :]
        if self._lenient and not body and type_ in _BINARY:
            return None  # Node, too, has nobody to give it to
        packet = _checked(
            _PLAIN.get(type_, type_),
            head["namespace"] or "/",
            body,
            None if head["id"] is None else _number(head["id"]),
        )
        if count is None:
            return packet
        if not 1 <= int(count) <= self._max_attachments:
            raise ProtocolError(
                f"expected 1 to {self._max_attachments} attachments, {count} announced "
                f"(max_attachments={self._max_attachments})"
            )
        self._pending = packet, int(count)
        return None

    def _add_attachment(self, message: str | bytes, packet: Packet, count: int) -> Packet | None:
        if isinstance(message, str):
            raise ProtocolError(f"expected {count} attachments, saw text after some")
        self._attachments.append(message)
        if len(self._attachments) < count:
            return None
        attachments, self._attachments = self._attachments, []
        self._pending = None
        return packet._replace(data=values.fill_placeholders(packet.data, attachments))


def _number(text: str) -> int:
    try:
        return int(text.strip() or 0)
    except ValueError:
        raise ProtocolError(f"expected an ack id, saw {text!r}") from None


def _checked(type_: PacketType, namespace: str, text: str, id_: int | None) -> Packet:
    """Read the JSON and check what the type demands of it."""
    match type_:
        case PacketType.EVENT:
            data = values.loads(text) if text.startswith("[") else None
            if not data or not _is_event_name(data[0]):
                raise ProtocolError(f"expected an event's array, its name first, saw {text[:40]!r}")
        case PacketType.ACK:
            if id_ is None or not text.startswith("["):
                raise ProtocolError("expected an ack's id and array")
            data = values.loads(text)
        case PacketType.CONNECT:
            if text and not text.startswith("{"):
                raise ProtocolError(
                    "expected an object or nothing in a CONNECT"
                )  # may hold secrets
            data = values.loads(text) if text else None
        case PacketType.CONNECT_ERROR:
            data = values.loads(text)
            if not isinstance(data, dict | str):
                raise ProtocolError("expected an object or a string in a CONNECT_ERROR")
        case _:
            if text:
                raise ProtocolError(f"expected nothing in a DISCONNECT, saw {text[:40]!r}")
            data = None
    if id_ is not None and type_ not in _BINARY:
        raise ProtocolError(f"expected no ack id in a {type_.name}")
    return Packet(type_, namespace, data, id_)


def _unannounced(message: bytes) -> str:
    seen = "expected a packet, saw an attachment that none announced"
    if message[:1] and 0x80 <= message[0] < 0x90:  # a short map of msgpack
        seen += (
            ": a client with socket.io-msgpack-parser? Take that parser from it, or set "
            "parser='msgpack' here"
        )
    return seen


def checked(packet: Packet) -> Packet:
    """Return a packet that any parser has read, BINARY_EVENT and BINARY_ACK as EVENT and ACK.

    Raises `ProtocolError` when it holds what its type does not allow, as the decoder here does.
    """
    type_, namespace, data, id_ = packet
    type_ = plain_type(type_)
    if not isinstance(namespace, str) or not namespace.startswith("/"):
        raise ProtocolError(f"expected a namespace, text that begins with '/', saw {namespace!r}")
    if id_ is not None and not (type(id_) is int and 0 <= id_ <= _MAX_ID and type_ in _BINARY):
        raise ProtocolError(f"expected an ack id in events and acks only, saw {id_!r}")
    match type_:
        case PacketType.EVENT:
            fits = isinstance(data, list) and bool(data) and _is_event_name(data[0])
        case PacketType.ACK:
            fits = isinstance(data, list) and id_ is not None
        case PacketType.CONNECT:
            fits = data is None or isinstance(data, dict)
        case PacketType.CONNECT_ERROR:
            fits = isinstance(data, dict | str)
        case _:
            fits = data is None
    if not fits:
        raise ProtocolError(f"expected what a {type_.name} may hold, saw {type(data).__name__}")
    return packet if type_ is packet.type else packet._replace(type=type_)


def _is_event_name(name: object) -> bool:
    if isinstance(name, str):
        return name not in RESERVED_EVENTS
    return isinstance(name, int | float) and not isinstance(name, bool)  # as Node allows


class JsonParser:
    """The parser `"json"`, which every client has; a `protocol.parser.Parser`."""

    encode = staticmethod(encode)

    def __init__(self, max_attachments: int = MAX_ATTACHMENTS, *, lenient: bool = False) -> None:
        """As those of `Decoder`: for packets that are read."""
        self._max_attachments = max_attachments
        self._lenient = lenient

    def decoder(self) -> Decoder:
        """Return what reads one new connection."""
        return Decoder(self._max_attachments, lenient=self._lenient)

    def __repr__(self) -> str:
        return "<Parser 'json'>"


JSON = JsonParser()
