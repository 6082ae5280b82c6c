"""Socket.IO packets as msgpack: what `socket.io-msgpack-parser` 3.0.2 speaks on the client.

A packet is one binary Engine.IO message, a map `{type, nsp, data?, id?}` with the types 0 to 4:
bytes stand where they are, so there are no attachments, and no limit to how many. What is absent
has no key: the JavaScript side refuses a `data` of nil in a DISCONNECT. It writes its own absent
keys as an extension (see `msgpack_values`), python-socketio writes nil: both are read as absent.
Other keys are ignored: the client adds its `options`.
"""

from __future__ import annotations

from typing import Any

from . import msgpack_values
from .errors import ProtocolError
from .socketio import Encoded, Packet, PacketType, checked, plain_type

_TYPES = {int(type_): type_ for type_ in PacketType if plain_type(type_) is type_}


class MsgpackParser:
    """The parser `"msgpack"`; a `protocol.parser.Parser`."""

    def encode(self, packet: Packet, /) -> Encoded:
        """Return one binary message; raises TypeError or ValueError for data that cannot be sent.

        The data is what JSON may hold, and goes out the same, but for its bytes.
        """
        type_ = plain_type(packet.type)
        message: dict[str, Any] = {"type": int(type_), "nsp": packet.namespace}
        if packet.data is not None:
            message["data"] = packet.data
        if packet.id is not None:
            message["id"] = packet.id
        lead = 1 if type_ is PacketType.EVENT else 0
        return Encoded(None, (msgpack_values.dumps(message, lead=lead),))

    def decoder(self) -> MsgpackDecoder:
        """Return what reads one connection."""
        return MsgpackDecoder()

    def __repr__(self) -> str:
        return "<Parser 'msgpack'>"


class MsgpackDecoder:
    """Turns messages into packets, one each: it holds nothing between them."""

    __slots__ = ()

    def add(self, message: str | bytes, /) -> Packet:
        """Return the packet of `message`; raises `ProtocolError`."""
        if isinstance(message, str):
            raise ProtocolError(
                f"expected msgpack, saw a text of {len(message)} characters: a client without "
                "socket.io-msgpack-parser? Give it that parser, or set parser='json' here"
            )
        value = msgpack_values.loads(message)
        if type(value) is not dict:
            raise ProtocolError(f"expected a packet, a map, saw {type(value).__name__}")
        number = value.get("type")
        type_ = _TYPES.get(number) if type(number) is int else None
        if type_ is None:
            raise ProtocolError(f"expected a packet's type from 0 to 4, saw {number!r}")
        return checked(Packet(type_, value.get("nsp"), value.get("data"), value.get("id")))  # type: ignore[arg-type]


MSGPACK = MsgpackParser()
