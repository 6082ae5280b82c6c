"""What a namespace sends to its clients, on its way there."""

from __future__ import annotations

import datetime as dt
from typing import Any, Self

import attrs

from broker.sessions.history import Offsets
from broker.values.encoded import Encoded, Offset, encoded_packet
from broker.values.options import Options
from protocol.parser import Parser, parser_of
from protocol.socketio import RESERVED_EVENTS, Packet, PacketType


@attrs.frozen
class Encoding:
    """How the packets of a namespace are encoded, each once for all who get it.

    `limit`: the largest event or ack, in bytes: no outbox would take more. `offsets`: by which
    clients tell what they have got (None: they need not).
    """

    parser: Parser
    namespace: str
    limit: int
    offsets: Offsets | None = None

    @classmethod
    def of(cls, options: Options, namespace: str) -> Self:
        """Return that of a namespace, whether it exists or not."""
        offsets = None if options.connection_state_recovery is None else Offsets()
        return cls(parser_of(options.parser), namespace, options.max_outbox_bytes, offsets)

    def event(
        self,
        event: str,
        args: tuple[Any, ...],
        id_: int | None = None,
        *,
        compress: bool = True,
        volatile: bool = False,
    ) -> Encoded:
        """Return an event; with an id, one that asks for an ack; perhaps not worth to `compress`.

        With `offsets`, one of them is its last argument, unless it asks for an ack, which the
        client has there then.

        Raises TypeError or ValueError for what cannot be sent: a name that is no str or is
        reserved, a payload of another kind, more bytes than the limit.
        """
        if not isinstance(event, str):
            raise TypeError(f"expected an event's name, a str, saw {event!r}")
        if event in RESERVED_EVENTS:
            raise ValueError(f"{event!r} is reserved: only the broker and its clients emit it")
        data = [event, *args]
        offset = None
        if self.offsets is not None and id_ is None:
            offset = _offset(self.offsets, data[-1], volatile=volatile)
            if offset is not None:
                data.append(offset.text)
        packet = Packet(PacketType.EVENT, self.namespace, data, id_)
        encoded = encoded_packet(packet, self.parser)
        if len(encoded.wire) > self.limit:
            raise self._too_large(f"the event {event!r}", encoded)
        encoded.offset = offset
        if not compress:
            encoded.compress = False
        return encoded

    def ack(self, id_: int, values: list[Any]) -> Encoded:
        """Return the ack of an event; raises TypeError or ValueError for what cannot be sent."""
        packet = Packet(PacketType.ACK, self.namespace, values, id_)
        encoded = encoded_packet(packet, self.parser)
        if len(encoded.wire) > self.limit:
            raise self._too_large("the ack", encoded)
        return encoded

    def control(self, type_: PacketType, data: Any = None) -> Encoded:
        """Return a packet of another type; raises TypeError or ValueError for such data."""
        return encoded_packet(Packet(type_, self.namespace, data), self.parser)

    def _too_large(self, what: str, encoded: Encoded) -> ValueError:
        size = len(encoded.wire)
        return ValueError(f"{what} has {size} bytes, more than max_outbox_bytes={self.limit}")


def _offset(offsets: Offsets, last: object, *, volatile: bool) -> Offset | None:
    """Return the offset of an event that ends so far with `last`.

    A client takes whatever text an event ends with for an offset. So a volatile event, which needs
    none, does not end with a text: such a one would be lost, and the client's seat with it.
    """
    if volatile and not isinstance(last, str | dt.datetime):
        return None
    return offsets.next(lasting=not volatile)
