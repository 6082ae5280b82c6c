"""The shapes that messages of all formats share, as Node has them: read with a check, and written.

Keys that are not known are ignored: Node's flags hold more than travels, and new ones come.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

import msgspec

from protocol.errors import ProtocolError
from protocol.socketio import Packet, PacketType, checked

from .messages import (
    Broadcast,
    ClientAnswered,
    ClientCount,
    Recipients,
    ServerEvent,
    SocketFacts,
)

RoomName: TypeAlias = str | int | float | bool | None
"""What Node lets be a room; see `rooms_of`."""

Shape = TypeVar("Shape")


class Flags(msgspec.Struct):
    """How an event is sent."""

    volatile: Any = None
    compress: Any = None
    timeout: Any = None


class Options(msgspec.Struct):
    """Whom a message means, and how an event is sent."""

    rooms: list[RoomName]
    excluded: list[RoomName] = msgspec.field(name="except", default_factory=list)
    flags: Flags | None = None


class EventPacket(msgspec.Struct):
    """A Socket.IO packet that holds an event."""

    type: int
    data: list[Any]
    nsp: str = "/"


class Socket(msgspec.Struct):
    """What a node tells of a socket."""

    id: str
    rooms: list[RoomName]
    handshake: dict[str, Any] = msgspec.field(default_factory=dict)
    data: Any = None


def read(value: Any, shape: type[Shape], what: str) -> Shape:
    """Return `value` in a shape; raises `ProtocolError`, which says where it has another."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"expected {what}: {error}") from None


def rooms_of(names: Iterable[RoomName]) -> tuple[str, ...]:
    """Return the rooms of names: text, or what JavaScript has for a number, a boolean or null.

    None is left out, for no rooms mean everybody. (`to(undefined)` happens to the best.)
    """
    return tuple(_text(name) for name in names)


_WORDS = {None: "null", True: "true", False: "false"}


def _text(name: RoomName) -> str:
    if isinstance(name, str):
        return name
    if name is None or isinstance(name, bool):
        return _WORDS[name]
    return str(int(name) if isinstance(name, float) and name.is_integer() else name)


def recipients_of(options: Options) -> Recipients:
    """Return who is meant."""
    return Recipients(rooms_of(options.rooms), rooms_of(options.excluded))


def broadcast_of(packet: EventPacket, options: Options, request_id: str | None = None) -> Broadcast:
    """Return the event of a packet; raises `ProtocolError` if it is none that a server may send."""
    if packet.type not in (PacketType.EVENT, PacketType.BINARY_EVENT):
        raise ProtocolError(f"expected a packet with an event, type 2, saw type {packet.type}")
    checked(Packet(PacketType.EVENT, "/", packet.data))
    flags = options.flags or Flags()
    return Broadcast(
        recipients_of(options),
        packet.data,
        volatile=bool(flags.volatile),
        compress=flags.compress is not False,
        request_id=request_id,
        timeout=None if request_id is None else _seconds(flags.timeout),
    )


def _seconds(milliseconds: Any) -> float | None:
    is_time = isinstance(milliseconds, int | float) and milliseconds >= 0
    return milliseconds / 1000 if is_time and milliseconds < _ENDLESS else None


_ENDLESS = 2**53  # nobody lives so long, and what is larger may be no float


def server_event_of(data: list[Any], request_id: str | None) -> ServerEvent:
    """Return the event for servers; raises `ProtocolError` if it has no name."""
    if not data or not isinstance(data[0], str):
        raise ProtocolError("expected an event for servers, its name first")
    return ServerEvent(data, request_id)


def facts_of(socket: Socket) -> SocketFacts:
    """Return what was told of a socket."""
    return SocketFacts(socket.id, socket.handshake, rooms_of(socket.rooms), socket.data)


def write_options(who: Recipients) -> dict[str, Any]:
    """Return whom a command means."""
    return {"rooms": list(who.rooms), "except": list(who.excluded)}


def write_event_options(event: Broadcast) -> dict[str, Any]:
    """Return whom an event is for, and how it is sent.

    A flag that is not set is left out: Node takes `volatile: false` for a volatile event.
    """
    flags: dict[str, Any] = {}
    if event.volatile:
        flags["volatile"] = True
    if not event.compress:
        flags["compress"] = False
    if event.timeout is not None and event.request_id is not None:
        flags["timeout"] = round(event.timeout * 1000)
    return write_options(event.to) | {"flags": flags}


def write_packet(event: Broadcast, namespace: str) -> dict[str, Any]:
    """Return the packet of an event. Its type is the same whether it holds bytes or not."""
    return {"type": int(PacketType.EVENT), "data": event.data, "nsp": namespace}


def write_socket(facts: SocketFacts) -> dict[str, Any]:
    """Return what is told of a socket."""
    return {
        "id": facts.id,
        "handshake": facts.handshake,
        "rooms": list(facts.rooms),
        "data": facts.data,
    }


def write_count(answer: ClientCount) -> dict[str, Any]:
    """Return how many clients were asked, and in a key of ours which."""
    ids = {"ids": list(answer.ids)} if answer.ids else {}
    return {"clientCount": answer.count} | ids


def write_client_answer(answer: ClientAnswered) -> dict[str, Any]:
    """Return the first value that a client answers, and in a key of ours whose it is."""
    said = {"packet": answer.values[0]} if answer.values else {}
    return said if answer.id is None else said | {"id": answer.id}
