"""How packets become Engine.IO messages, and back: the parsers there are, and what one is.

Both sides must use the same. A parser says what lies in the messages; what a packet may be is the
protocol's affair, so whatever a parser of somebody else reads is checked here.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias, runtime_checkable

import attrs

from . import msgpack, socketio
from .socketio import Encoded, Packet


class PacketDecoder(Protocol):
    """The reading half of a parser, for one connection: it may hold half a packet."""

    def add(self, message: str | bytes, /) -> Packet | None:
        """Return the packet that `message` completes, or None while more must come.

        Messages come in the order the client sent them. Raises `ProtocolError` for what is none:
        then the connection ends, and nothing more is added.
        """


@runtime_checkable
class Parser(Protocol):
    """What the option `parser` takes. It is shared by all connections, and never awaits."""

    def encode(self, packet: Packet, /) -> Encoded:
        """Return the messages of a packet, which holds any data a user emits.

        Raises TypeError or ValueError for what cannot be sent.
        """

    def decoder(self) -> PacketDecoder:
        """Return what reads one new connection."""


ParserName: TypeAlias = Literal["json", "msgpack"]
_EXPECTED = (
    "parser: expected 'json' or 'msgpack', or an object with the methods of "
    "protocol.parser.Parser, `encode` and `decoder`"
)


def parser_of(
    choice: ParserName | Parser,
    max_attachments: int = socketio.MAX_ATTACHMENTS,
    *,
    lenient: bool = False,
) -> Parser:
    """Return the parser of a name, or one that is given.

    What the latter reads is checked. `max_attachments`: how many a packet of JSON that is read may
    have; `lenient`: it may be what Node reads besides. Raises ValueError or TypeError for what is
    no parser.
    """
    if isinstance(choice, str):
        match choice:
            case "json":
                return socketio.JsonParser(max_attachments, lenient=lenient)
            case "msgpack":
                return msgpack.MSGPACK
            case _:
                raise ValueError(f"{_EXPECTED}, saw {choice!r}")
    if isinstance(choice, type) or not isinstance(choice, Parser):
        raise TypeError(f"{_EXPECTED}, saw {choice!r}")
    return _Checking(choice)


@attrs.frozen
class _Checking:
    """A parser of somebody else: as it is, but for a check of the packets it reads."""

    _parser: Parser

    def encode(self, packet: Packet, /) -> Encoded:
        return self._parser.encode(packet)

    def decoder(self) -> PacketDecoder:
        return _CheckingDecoder(self._parser.decoder())


@attrs.frozen
class _CheckingDecoder:
    _decoder: PacketDecoder

    def add(self, message: str | bytes, /) -> Packet | None:
        packet = self._decoder.add(message)
        return None if packet is None else socketio.checked(packet)
