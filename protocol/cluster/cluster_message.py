"""The message that sharded and streams share: `{uid, nsp, type, data}` of Node's `ClusterAdapter`.

It says who sends it and what it is about, answers too, so it means the same on whatever channel it
comes. `data` is absent where there is nothing to say.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from protocol.errors import ProtocolError

from . import shapes
from .messages import (
    Answer,
    Broadcast,
    ClientAnswered,
    ClientCount,
    Closed,
    DisconnectThem,
    Done,
    Envelope,
    FetchThem,
    Heartbeat,
    LetIn,
    LetOut,
    ListRooms,
    Message,
    RoomsListed,
    ServerAnswered,
    ServerEvent,
    SocketsFetched,
)
from .shapes import EventPacket, Options, RoomName, Socket, read


class Kind(enum.IntEnum):
    """The `type` of a message."""

    INITIAL_HEARTBEAT = 1
    HEARTBEAT = 2
    BROADCAST = 3
    SOCKETS_JOIN = 4
    SOCKETS_LEAVE = 5
    DISCONNECT_SOCKETS = 6
    FETCH_SOCKETS = 7
    FETCH_SOCKETS_RESPONSE = 8
    SERVER_SIDE_EMIT = 9
    SERVER_SIDE_EMIT_RESPONSE = 10
    BROADCAST_CLIENT_COUNT = 11
    BROADCAST_ACK = 12
    ADAPTER_CLOSE = 13


def write(message: Message, node: str, namespace: str) -> dict[str, Any]:
    """Return the object that says a message; raises ValueError if there is none for it."""
    kind, data = _kind_and_data(message, namespace)
    written = {"uid": node, "nsp": namespace, "type": int(kind)}  # in order: `body.begins_own`
    return written if data is None else written | {"data": data}


def _kind_and_data(message: Message, namespace: str) -> tuple[Kind, dict[str, Any] | None]:
    match message:
        case Broadcast():
            return Kind.BROADCAST, _asked(message.request_id) | {
                "packet": shapes.write_packet(message, namespace),
                "opts": shapes.write_event_options(message),
            }
        case LetIn():
            return Kind.SOCKETS_JOIN, _command(message) | {"rooms": list(message.rooms)}
        case LetOut():
            return Kind.SOCKETS_LEAVE, _command(message) | {"rooms": list(message.rooms)}
        case DisconnectThem():
            return Kind.DISCONNECT_SOCKETS, _command(message) | {"close": message.close}
        case FetchThem(ids_only=False):
            return Kind.FETCH_SOCKETS, _asked(message.request_id) | _whom(message)
        case ServerEvent():
            return Kind.SERVER_SIDE_EMIT, _asked(message.request_id) | {"packet": message.data}
        case Heartbeat():
            return Kind.INITIAL_HEARTBEAT if message.first else Kind.HEARTBEAT, None
        case Closed():
            return Kind.ADAPTER_CLOSE, None
        case SocketsFetched(ids_only=False):
            sockets = [shapes.write_socket(facts) for facts in message.sockets]
            return Kind.FETCH_SOCKETS_RESPONSE, _asked(message.request_id) | {"sockets": sockets}
        case ServerAnswered():
            asked = _asked(message.request_id)
            return Kind.SERVER_SIDE_EMIT_RESPONSE, asked | {"packet": message.value}
        case ClientCount():
            asked = _asked(message.request_id)
            return Kind.BROADCAST_CLIENT_COUNT, asked | shapes.write_count(message)
        case ClientAnswered():
            asked = _asked(message.request_id)
            return Kind.BROADCAST_ACK, asked | shapes.write_client_answer(message)
        case FetchThem() | SocketsFetched() | ListRooms() | RoomsListed() | Done():
            raise ValueError(f"only classic has a message for {message}")


def _asked(request_id: str | None) -> dict[str, Any]:
    # Node's nodes answer whatever has the key, even if it holds null.
    return {} if request_id is None else {"requestId": request_id}


def _whom(message: LetIn | LetOut | DisconnectThem | FetchThem) -> dict[str, Any]:
    return {"opts": shapes.write_options(message.who) | {"flags": {}}}


def _command(command: LetIn | LetOut | DisconnectThem) -> dict[str, Any]:
    if command.request_id is not None:
        raise ValueError("nodes answer no commands: those with a request_id are only read")
    return _whom(command)


class Head(msgspec.Struct):
    """What all messages have."""

    uid: str
    nsp: str
    type: int
    data: Any = None


def read_envelope(value: Any, node: str | None, namespace: str) -> Envelope | None:
    """Return the message that an object says; raises `ProtocolError`.

    None for one of another namespace, of a kind that is not known, or of this `node`.
    """
    head = read(value, Head, "a message of a cluster, {uid, nsp, type, data}")
    if head.nsp != namespace or head.uid == node:
        return None
    message = read_message(head.type, head.data)
    return None if message is None else Envelope(head.uid, namespace, message)


class _Event(msgspec.Struct):
    packet: EventPacket
    opts: Options
    requestId: str | None = None  # noqa: N815 - a name on the wire


class _Command(msgspec.Struct):
    opts: Options
    rooms: list[RoomName]


class _Disconnect(msgspec.Struct):
    opts: Options
    close: Any = False


class _Fetch(msgspec.Struct):
    opts: Options
    requestId: str  # noqa: N815 - a name on the wire


class _Fetched(msgspec.Struct):
    requestId: str  # noqa: N815 - a name on the wire
    sockets: list[Socket]


class _ServerEvent(msgspec.Struct):
    packet: list[Any]
    requestId: str | None = None  # noqa: N815 - a name on the wire


class _Answer(msgspec.Struct):
    requestId: str  # noqa: N815 - a name on the wire
    packet: Any = msgspec.UNSET
    id: str | None = None


class _Count(msgspec.Struct):
    requestId: str  # noqa: N815 - a name on the wire
    clientCount: int  # noqa: N815 - a name on the wire
    ids: list[str] = []


def read_message(kind: int, data: Any) -> Message | None:
    """Return what a message says; None if its kind is not known. Raises `ProtocolError`."""
    match kind:
        case Kind.INITIAL_HEARTBEAT | Kind.HEARTBEAT:
            return Heartbeat(first=kind == Kind.INITIAL_HEARTBEAT)
        case Kind.ADAPTER_CLOSE:
            return Closed()
        case Kind.BROADCAST:
            event = read(data, _Event, "an event")
            return shapes.broadcast_of(event.packet, event.opts, event.requestId)
        case Kind.SOCKETS_JOIN | Kind.SOCKETS_LEAVE:
            command = read(data, _Command, "whom to let into rooms, or out of them")
            make = LetIn if kind == Kind.SOCKETS_JOIN else LetOut
            return make(shapes.recipients_of(command.opts), shapes.rooms_of(command.rooms))
        case Kind.DISCONNECT_SOCKETS:
            them = read(data, _Disconnect, "whom to disconnect")
            return DisconnectThem(shapes.recipients_of(them.opts), bool(them.close))
        case Kind.FETCH_SOCKETS:
            fetch = read(data, _Fetch, "whom to fetch")
            return FetchThem(shapes.recipients_of(fetch.opts), fetch.requestId)
        case Kind.SERVER_SIDE_EMIT:
            said = read(data, _ServerEvent, "an event for servers")
            return shapes.server_event_of(said.packet, said.requestId)
        case _:
            return _read_answer(kind, data)


def _read_answer(kind: int, data: Any) -> Answer | None:
    match kind:
        case Kind.FETCH_SOCKETS_RESPONSE:
            fetched = read(data, _Fetched, "sockets")
            return SocketsFetched(fetched.requestId, tuple(map(shapes.facts_of, fetched.sockets)))
        case Kind.SERVER_SIDE_EMIT_RESPONSE:
            answer = read(data, _Answer, "a server's answer")
            value = None if answer.packet is msgspec.UNSET else answer.packet
            return ServerAnswered(answer.requestId, value)
        case Kind.BROADCAST_CLIENT_COUNT:
            count = read(data, _Count, "how many clients were asked")
            if count.clientCount < 0:
                raise ProtocolError(f"expected a number of clients, saw {count.clientCount}")
            return ClientCount(count.requestId, count.clientCount, tuple(count.ids))
        case Kind.BROADCAST_ACK:
            answer = read(data, _Answer, "a client's answer")
            values = [] if answer.packet is msgspec.UNSET else [answer.packet]
            return ClientAnswered(answer.requestId, values, answer.id)
        case _:
            return None
