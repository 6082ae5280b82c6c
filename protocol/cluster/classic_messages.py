"""What the objects of classic say, see `classic`.

Answers do not say who gives them. The forms of nodes older than 7 are read, and answered as they
expect: a command for one socket (`sid`, `room`), and the request for ids alone.
"""

from __future__ import annotations

import enum
from typing import Any, TypeAlias

import msgspec

from protocol.errors import ProtocolError

from . import shapes
from .formats import EMITTER
from .messages import (
    Answer,
    Broadcast,
    ClientAnswered,
    ClientCount,
    DisconnectThem,
    Done,
    FetchThem,
    LetIn,
    LetOut,
    ListRooms,
    Recipients,
    RoomsListed,
    ServerAnswered,
    ServerEvent,
    SocketFacts,
    SocketsFetched,
)
from .shapes import EventPacket, Options, RoomName, Socket, read


class Kind(enum.IntEnum):
    """The `type` of a request, and of some answers. Others have none."""

    SOCKETS = 0
    ALL_ROOMS = 1
    REMOTE_JOIN = 2
    REMOTE_LEAVE = 3
    REMOTE_DISCONNECT = 4
    REMOTE_FETCH = 5
    SERVER_SIDE_EMIT = 6
    BROADCAST = 7
    BROADCAST_CLIENT_COUNT = 8
    BROADCAST_ACK = 9


Asking: TypeAlias = (
    Broadcast | LetIn | LetOut | DisconnectThem | FetchThem | ListRooms | ServerEvent
)


def write_request(request: Asking, node: str, namespace: str) -> dict[str, Any]:
    """Return the object that says what `node` asks."""
    match request:
        case Broadcast():
            return _asked(node, Kind.BROADCAST, request.request_id) | {
                "packet": shapes.write_packet(request, namespace),
                "opts": shapes.write_event_options(request),
            }
        case LetIn():
            return _command(node, Kind.REMOTE_JOIN, request) | {"rooms": list(request.rooms)}
        case LetOut():
            return _command(node, Kind.REMOTE_LEAVE, request) | {"rooms": list(request.rooms)}
        case DisconnectThem():
            return _command(node, Kind.REMOTE_DISCONNECT, request) | {"close": request.close}
        case FetchThem(ids_only=True):
            return _asked(node, Kind.SOCKETS, request.request_id) | {
                "rooms": list(request.who.rooms)
            }
        case FetchThem():
            return _asked(node, Kind.REMOTE_FETCH, request.request_id) | {
                "opts": shapes.write_options(request.who)
            }
        case ListRooms():
            return _asked(node, Kind.ALL_ROOMS, request.request_id)
        case ServerEvent():
            return _asked(node, Kind.SERVER_SIDE_EMIT, request.request_id) | {"data": request.data}


def _asked(node: str, kind: Kind, request_id: str | None) -> dict[str, Any]:
    asked: dict[str, Any] = {"uid": node}  # first: see `body.begins_own`
    if request_id is not None:
        asked["requestId"] = request_id
    asked["type"] = int(kind)
    return asked


def _command(node: str, kind: Kind, command: LetIn | LetOut | DisconnectThem) -> dict[str, Any]:
    if command.request_id is not None:
        raise ValueError("nodes answer no commands: those with a request_id are only read")
    said = {"type": int(kind), "opts": shapes.write_options(command.who)}
    # Node's emitter does not say that it is one.
    return said if node == EMITTER else {"uid": node} | said


class Event(msgspec.Struct, array_like=True):
    """An event that asks for no acks, which is a list."""

    uid: str | None
    packet: EventPacket
    opts: Options


class Asked(msgspec.Struct):
    """A request; which keys there are depends on its type."""

    type: int
    uid: str | None = None
    requestId: str | None = None  # noqa: N815 - a name on the wire
    opts: Options | None = None
    sid: str | None = None
    room: RoomName = None
    rooms: list[RoomName] = []
    close: Any = False
    data: list[Any] = []
    packet: EventPacket | None = None


def read_request(asked: Asked) -> Asking | None:
    """Return what was asked, or None for what is not known; raises `ProtocolError`."""
    match asked.type:
        case Kind.SOCKETS:
            who = Recipients(shapes.rooms_of(asked.rooms))
            return FetchThem(who, _id_of(asked), ids_only=True)
        case Kind.ALL_ROOMS:
            return ListRooms(_id_of(asked))
        case Kind.REMOTE_JOIN:
            return LetIn(*_who_and_rooms(asked))
        case Kind.REMOTE_LEAVE:
            return LetOut(*_who_and_rooms(asked))
        case Kind.REMOTE_DISCONNECT:
            who, _, request_id = _who_and_rooms(asked)
            return DisconnectThem(who, bool(asked.close), request_id)
        case Kind.REMOTE_FETCH:
            return FetchThem(shapes.recipients_of(_options_of(asked)), _id_of(asked))
        case Kind.SERVER_SIDE_EMIT:
            return shapes.server_event_of(asked.data, asked.requestId)
        case Kind.BROADCAST:
            if asked.packet is None:
                raise ProtocolError("expected a packet in a broadcast that asks for acks")
            return shapes.broadcast_of(asked.packet, _options_of(asked), _id_of(asked))
        case _:
            return None


def _who_and_rooms(asked: Asked) -> tuple[Recipients, tuple[str, ...], str | None]:
    if asked.opts is None and asked.sid is not None:
        return Recipients((asked.sid,)), shapes.rooms_of([asked.room]), asked.requestId
    return shapes.recipients_of(_options_of(asked)), shapes.rooms_of(asked.rooms), None


def _options_of(asked: Asked) -> Options:
    if asked.opts is None:
        raise ProtocolError(f"expected whom it means, `opts`, in a request of type {asked.type}")
    return asked.opts


def _id_of(asked: Asked) -> str:
    if asked.requestId is None:
        raise ProtocolError(f"expected a `requestId` in a request of type {asked.type}")
    return asked.requestId


def write_answer(answer: Answer) -> dict[str, Any]:
    """Return the object that says an answer."""
    said: dict[str, Any] = {"requestId": answer.request_id}
    match answer:
        case SocketsFetched(ids_only=True):
            return said | {"sockets": [facts.id for facts in answer.sockets]}
        case SocketsFetched():
            return said | {"sockets": [shapes.write_socket(facts) for facts in answer.sockets]}
        case RoomsListed():
            return said | {"rooms": list(answer.rooms)}
        case Done():
            return said
        case ServerAnswered():
            return {"type": int(Kind.SERVER_SIDE_EMIT)} | said | {"data": answer.value}
        case ClientCount():
            kind = Kind.BROADCAST_CLIENT_COUNT
            return {"type": int(kind)} | said | shapes.write_count(answer)
        case ClientAnswered():
            return {"type": int(Kind.BROADCAST_ACK)} | said | shapes.write_client_answer(answer)


class _Answered(msgspec.Struct):
    requestId: str | None = None  # noqa: N815 - a name on the wire
    type: int | None = None
    sockets: list[Socket | str] | None = None
    rooms: list[RoomName] | None = None
    clientCount: int | None = None  # noqa: N815 - a name on the wire
    ids: list[str] = []
    data: Any = None
    packet: Any = msgspec.UNSET
    id: str | None = None


def read_answer(value: Any) -> Answer | None:
    """Return the answer that an object says, or None; raises `ProtocolError`."""
    answered = read(value, _Answered, "an answer in classic")
    request_id = answered.requestId
    if request_id is None:
        return None  # to nothing that anybody asked, as it is in Node
    match answered.type:
        case None:
            return _plain_answer_of(answered, request_id)
        case Kind.SERVER_SIDE_EMIT:
            return ServerAnswered(request_id, answered.data)
        case Kind.BROADCAST_CLIENT_COUNT:
            if answered.clientCount is None or answered.clientCount < 0:
                raise ProtocolError(f"expected a `clientCount`, saw {answered.clientCount!r}")
            return ClientCount(request_id, answered.clientCount, tuple(answered.ids))
        case Kind.BROADCAST_ACK:
            values = [] if answered.packet is msgspec.UNSET else [answered.packet]
            return ClientAnswered(request_id, values, answered.id)
        case _:
            return None


def _plain_answer_of(answered: _Answered, request_id: str) -> Answer:
    """Return an answer that does not say its kind."""
    if answered.sockets is not None:
        sockets = tuple(
            SocketFacts(told, {}, (), None) if isinstance(told, str) else shapes.facts_of(told)
            for told in answered.sockets
        )
        ids_only = bool(sockets) and isinstance(answered.sockets[0], str)
        return SocketsFetched(request_id, sockets, ids_only)
    if answered.rooms is not None:
        return RoomsListed(request_id, shapes.rooms_of(answered.rooms))
    return Done(request_id)
