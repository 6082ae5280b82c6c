"""Events on their way to clients."""

from __future__ import annotations

from typing import Any

from protocol.socketio import RESERVED_EVENTS, Packet, PacketType

from .encoded import Encoded, encoded_packet


def encoded_event(
    namespace: str,
    event: str,
    args: tuple[Any, ...],
    *,
    limit: int,
    id_: int | None = None,
    compress: bool = True,
) -> Encoded:
    """Encode an event, once for all who get it.

    Raises TypeError or ValueError for what cannot be sent: a name that is no str or is reserved, a
    payload of another kind, more than `limit` bytes (no outbox would take it).
    """
    if not isinstance(event, str):
        raise TypeError(f"expected an event's name, a str, saw {event!r}")
    if event in RESERVED_EVENTS:
        raise ValueError(f"{event!r} is reserved: only the broker and its clients emit it")
    encoded = encoded_packet(Packet(PacketType.EVENT, namespace, [event, *args], id_))
    if len(encoded.wire) > limit:
        raise ValueError(
            f"the event {event!r} has {len(encoded.wire)} bytes, more than max_outbox_bytes={limit}"
        )
    if not compress:
        encoded.compress = False
    return encoded
