"""Classic: requests and answers, as Node's adapter and emitter were seen to send them."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from protocol import ProtocolError
from protocol.cluster.classic import Classic
from protocol.cluster.formats import EMITTER
from protocol.cluster.messages import (
    Broadcast,
    ClientAnswered,
    ClientCount,
    Closed,
    DisconnectThem,
    Done,
    FetchThem,
    Heartbeat,
    LetIn,
    LetOut,
    ListRooms,
    Recipients,
    Request,
    RoomsListed,
    ServerAnswered,
    ServerEvent,
    SocketFacts,
    SocketsFetched,
)

pack = msgspec.msgpack.encode
unpack = msgspec.msgpack.decode

WIRE = Classic().wire("/chat", "node-1")
EVERYBODY = Recipients()
ROOM = Recipients(("room1",))
REQUESTS, ANSWERS = "socket.io-request#/chat#", "socket.io-response#/chat#"


# Requests, as they were captured.

CAPTURED: list[tuple[dict[str, Any], Request]] = [
    (
        {
            "uid": "abc123",
            "type": 2,
            "opts": {"rooms": ["room1"], "except": []},
            "rooms": ["roomX"],
        },
        LetIn(ROOM, ("roomX",)),
    ),
    (
        {
            "uid": "abc123",
            "type": 3,
            "opts": {"rooms": ["room1"], "except": []},
            "rooms": ["roomX"],
        },
        LetOut(ROOM, ("roomX",)),
    ),
    (
        {"uid": "abc123", "type": 4, "opts": {"rooms": ["room1"], "except": []}, "close": False},
        DisconnectThem(ROOM, close=False),
    ),
    (
        {
            "uid": "abc123",
            "requestId": "q1",
            "type": 5,
            "opts": {"rooms": ["room1"], "except": []},
        },
        FetchThem(ROOM, "q1"),
    ),
    ({"uid": "abc123", "requestId": "q1", "type": 1}, ListRooms("q1")),
    ({"uid": "abc123", "type": 6, "data": ["ev", 1]}, ServerEvent(["ev", 1])),
    ({"uid": "abc123", "requestId": "q1", "type": 6, "data": ["ev"]}, ServerEvent(["ev"], "q1")),
    (
        {"uid": "abc123", "requestId": "q1", "type": 0, "rooms": ["room1"]},
        FetchThem(ROOM, "q1", ids_only=True),
    ),
    (
        {"uid": "abc123", "requestId": "q1", "type": 7}
        | {"packet": {"type": 2, "data": ["ev"], "nsp": "/chat"}}
        | {"opts": {"rooms": ["room1"], "except": [], "flags": {}}},
        Broadcast(ROOM, ["ev"], request_id="q1"),
    ),
]


@pytest.mark.parametrize(("said", "request_"), CAPTURED, ids=lambda value: type(value).__name__)
def test_requests_are_those_that_were_captured(said: dict[str, Any], request_: Request) -> None:
    for data in (orjson.dumps(said), pack(said)):
        envelope = WIRE.decode(REQUESTS, data)
        assert envelope is not None
        assert (envelope.node, envelope.message) == ("abc123", request_)
    sent = Classic().wire("/chat", "abc123").encode(request_)
    assert sent.channel == REQUESTS
    assert (unpack if sent.data[0] != ord("{") else orjson.loads)(sent.data) == said


def test_requests_are_json_unless_they_hold_bytes_or_an_event() -> None:
    assert orjson.loads(WIRE.encode(ServerEvent(["ev", "x"])).data)["data"] == ["ev", "x"]
    assert unpack(WIRE.encode(ServerEvent(["ev", b"x"])).data)["data"] == ["ev", b"x"]
    assert unpack(WIRE.encode(Broadcast(ROOM, ["ev"], request_id="q")).data)["type"] == 7


def test_nodes_bytes_in_json_are_what_json_has_of_them() -> None:
    """Node's adapter writes a Buffer so, and makes none of it again."""
    said = b'{"uid":"n","type":6,"data":["ev",{"type":"Buffer","data":[1,2]}]}'
    envelope = WIRE.decode(REQUESTS, said)
    assert envelope is not None
    assert envelope.message == ServerEvent(["ev", {"type": "Buffer", "data": [1, 2]}])


@pytest.mark.parametrize(
    "request_",
    [LetIn(ROOM, ("a",)), LetOut(ROOM, ("a",)), DisconnectThem(ROOM, close=True)],
    ids=lambda value: type(value).__name__,
)
def test_an_emitters_commands_do_not_say_who_sends_them(request_: Request) -> None:
    sent = Classic().wire("/chat", EMITTER).encode(request_)
    assert "uid" not in orjson.loads(sent.data)
    envelope = WIRE.decode(sent.channel, sent.data)
    assert envelope is not None
    assert (envelope.node, envelope.message) == ("", request_)


def test_an_emitters_event_for_servers_says_that_it_is_one() -> None:
    sent = Classic().wire("/chat", EMITTER).encode(ServerEvent(["ev"]))
    assert orjson.loads(sent.data) == {"uid": "emitter", "type": 6, "data": ["ev"]}


@pytest.mark.parametrize(
    ("said", "request_"),
    [
        ({"type": 2, "sid": "s1", "room": "a"}, LetIn(Recipients(("s1",)), ("a",), "q1")),
        ({"type": 3, "sid": "s1", "room": 1}, LetOut(Recipients(("s1",)), ("1",), "q1")),
        (
            {"type": 4, "sid": "s1", "close": True},
            DisconnectThem(Recipients(("s1",)), True, "q1"),
        ),
    ],
)
def test_old_nodes_commands_for_one_socket_are_read(
    said: dict[str, Any], request_: Request
) -> None:
    envelope = WIRE.decode(REQUESTS, orjson.dumps({"requestId": "q1"} | said))
    assert envelope is not None
    assert envelope.message == request_
    with pytest.raises(ValueError, match="only read"):
        WIRE.encode(request_)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ([], "a request in classic"),
        ({}, "missing required field `type`"),
        ({"type": "2"}, "Expected `int`, got `str`"),
        ({"type": True}, "Expected `int`, got `bool`"),
        ({"type": 2}, "`opts`, in a request of type 2"),
        ({"type": 2, "opts": {}}, "missing required field `rooms`"),
        ({"type": 2, "opts": {"rooms": []}, "rooms": "a"}, r"got `str` - at `\$\.rooms`"),
        ({"type": 4}, "`opts`, in a request of type 4"),
        ({"type": 5, "opts": {"rooms": []}}, "`requestId` in a request of type 5"),
        ({"type": 5, "requestId": 5, "opts": {"rooms": []}}, "got `int`"),
        ({"type": 1}, "`requestId` in a request of type 1"),
        ({"type": 6}, "an event for servers, its name first"),
        ({"type": 6, "data": [1]}, "an event for servers, its name first"),
        ({"type": 7, "requestId": "q"}, "a packet in a broadcast"),
    ],
)
def test_what_is_no_request_is_refused(said: Any, text: str) -> None:
    for data in (orjson.dumps(said), pack(said)):
        if data[:1] == b"[":
            continue
        with pytest.raises(ProtocolError, match=f"expected .*{text}"):
            WIRE.decode(REQUESTS, data)


def test_what_a_newer_node_may_ask_is_none() -> None:
    assert WIRE.decode(REQUESTS, b'{"uid":"n","type":10,"other":1}') is None
    assert WIRE.decode(ANSWERS, b'{"type":10,"requestId":"q","other":1}') is None


@pytest.mark.parametrize("request_", [Heartbeat(), Closed()])
def test_that_a_node_is_here_or_goes_is_not_said_in_classic(request_: Request) -> None:
    assert WIRE.encode(request_) is None


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (1500, 1.5),
        (0, 0),
        (None, None),
        (-1, None),
        ("1", None),
        (2**60, None),
    ],
)
def test_how_long_acks_are_waited_for_is_in_milliseconds(
    timeout: Any, seconds: float | None
) -> None:
    packet = {"type": 2, "data": ["ev"], "nsp": "/chat"}
    opts = {"rooms": [], "flags": {"timeout": timeout}}
    said = {"uid": "n", "requestId": "q1", "type": 7, "packet": packet, "opts": opts}
    envelope = WIRE.decode(REQUESTS, pack(said))
    assert envelope is not None
    event = Broadcast(EVERYBODY, ["ev"], request_id="q1", timeout=seconds)
    assert envelope.message == event
    flags = unpack(WIRE.encode(event).data)["opts"]["flags"]
    assert flags == ({} if seconds is None else {"timeout": timeout})


# Answers, as they were captured.

FACTS = SocketFacts("s1", {"headers": {"host": "x"}, "auth": {}}, ("s1", "room1"), {"a": 1})
ANSWERED: list[tuple[dict[str, Any], Any]] = [
    (
        {
            "requestId": "q1",
            "sockets": [
                {
                    "id": "s1",
                    "handshake": {"headers": {"host": "x"}, "auth": {}},
                    "rooms": ["s1", "room1"],
                    "data": {"a": 1},
                }
            ],
        },
        SocketsFetched("q1", (FACTS,)),
    ),
    ({"requestId": "q1", "sockets": []}, SocketsFetched("q1", ())),
    (
        {"requestId": "q1", "sockets": ["s1", "s2"]},
        SocketsFetched(
            "q1",
            tuple(SocketFacts(id_, {}, (), None) for id_ in ("s1", "s2")),
            ids_only=True,
        ),
    ),
    ({"requestId": "q1", "rooms": ["a", "b"]}, RoomsListed("q1", ("a", "b"))),
    ({"type": 6, "requestId": "q1", "data": [1]}, ServerAnswered("q1", [1])),
    ({"type": 8, "requestId": "q1", "clientCount": 2}, ClientCount("q1", 2)),
    ({"type": 9, "requestId": "q1", "packet": "yes"}, ClientAnswered("q1", ["yes"])),
    ({"type": 9, "requestId": "q1"}, ClientAnswered("q1", [])),
    # In keys of ours, which Node's nodes pass over.
    (
        {"type": 8, "requestId": "q1", "clientCount": 2, "ids": ["s1", "s2"]},
        ClientCount("q1", 2, ("s1", "s2")),
    ),
    ({"type": 9, "requestId": "q1", "packet": 1, "id": "s1"}, ClientAnswered("q1", [1], "s1")),
    ({"requestId": "q1"}, Done("q1")),
]


@pytest.mark.parametrize(("said", "answer"), ANSWERED, ids=lambda value: type(value).__name__)
def test_answers_are_those_that_were_captured(said: dict[str, Any], answer: Any) -> None:
    for channel in (ANSWERS, f"{ANSWERS}node-1#"):
        for data in (orjson.dumps(said), pack(said)):
            envelope = WIRE.decode(channel, data)
            assert envelope is not None
            assert (envelope.node, envelope.message) == ("", answer)
    sent = WIRE.encode_answer(answer, "node-2")
    assert (unpack if sent.data[0] != ord("{") else orjson.loads)(sent.data) == said


def test_what_a_client_answers_is_msgpack_and_its_first_value_only() -> None:
    sent = WIRE.encode_answer(ClientAnswered("q", ["a", "b"]), "n")
    assert unpack(sent.data) == {"type": 9, "requestId": "q", "packet": "a"}


def test_an_undefined_answer_is_none() -> None:
    envelope = WIRE.decode(ANSWERS, b'{"type":6,"requestId":"q1"}')
    assert envelope is not None
    assert envelope.message == ServerAnswered("q1", None)


def test_an_answer_to_nothing_is_none() -> None:
    assert WIRE.decode(ANSWERS, b'{"sockets":[]}') is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"requestId": 1}, "Expected `str | null`, got `int`"),
        ({"requestId": "q", "sockets": [{}]}, "missing required field `id`"),
        ({"requestId": "q", "sockets": "s1"}, "Expected `array | null`, got `str`"),
        ({"requestId": "q", "type": 8}, "`clientCount`, saw None"),
        ({"requestId": "q", "type": 8, "clientCount": -1}, "`clientCount`, saw -1"),
        ({"requestId": "q", "type": 8, "clientCount": "2"}, "got `str`"),
    ],
)
def test_what_is_no_answer_is_refused(said: Any, text: str) -> None:
    with pytest.raises(ProtocolError, match="expected") as refused:
        WIRE.decode(ANSWERS, orjson.dumps(said))
    assert text in str(refused.value)
