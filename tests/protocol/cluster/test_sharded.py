"""Sharded: which channel, and the message that it shares with streams, as Node sends it."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from protocol import ProtocolError
from protocol.cluster.formats import EMITTER
from protocol.cluster.messages import (
    Answer,
    Broadcast,
    ClientAnswered,
    ClientCount,
    Closed,
    DisconnectThem,
    FetchThem,
    Heartbeat,
    LetIn,
    LetOut,
    ListRooms,
    Message,
    Recipients,
    Request,
    ServerAnswered,
    ServerEvent,
    SocketFacts,
    SocketsFetched,
)
from protocol.cluster.sharded import Mode, Sharded

pack = msgspec.msgpack.encode
unpack = msgspec.msgpack.decode

NODE, OTHER = "0123456789abcdef", "fedcba9876543210"
WIRE = Sharded().wire("/chat", NODE)
ROOM = Recipients(("room1",))
CHANNEL = "socket.io#/chat#"
ID = "x" * 20  # as long as a socket's
V2_ID = f"/chat#{ID}"  # of a client of Socket.IO v2


# Channels.


def test_it_listens_to_what_nodes_channels_are() -> None:
    assert WIRE.subscriptions.channels == (CHANNEL, f"{CHANNEL}{NODE}#")
    assert WIRE.subscriptions.patterns == ()
    assert WIRE.subscriptions.counted == CHANNEL
    assert Sharded().is_sharded


@pytest.mark.parametrize(
    ("mode", "room", "listened", "sent"),
    [
        ("static", "room1", False, False),
        ("static", ID, False, False),
        ("dynamic", "room1", True, True),
        ("dynamic", ID, False, False),
        ("dynamic", "😀" * 10, False, False),  # 20 to JavaScript
        ("dynamic", "é" * 19, True, True),
        ("dynamic", V2_ID, True, False),  # Node sends there, and does not listen
        ("dynamic", "/other#" + ID, True, True),
        ("dynamic-private", "room1", True, True),
        ("dynamic-private", ID, True, True),
        ("dynamic-private", V2_ID, True, True),
    ],
)
def test_a_room_has_a_channel_as_the_mode_says(
    mode: Mode, room: str, *, listened: bool, sent: bool
) -> None:
    wire = Sharded(mode=mode).wire("/chat", NODE)
    channel = f"{CHANNEL}{room}#"
    assert wire.room_channel(room) == (channel if listened else None)
    assert wire.encode(Broadcast(Recipients((room,)), ["e"])).channel == (
        channel if sent else CHANNEL
    )


@pytest.mark.parametrize(
    "request_",
    [
        Broadcast(Recipients(), ["e"]),
        Broadcast(Recipients(("a", "b")), ["e"]),
        Broadcast(ROOM, ["e"], request_id="q"),  # answered by all, whoever has the room
        LetIn(ROOM, ("a",)),
        FetchThem(ROOM, "q"),
        ServerEvent(["e"]),
    ],
)
def test_all_else_goes_to_the_namespaces_channel(request_: Request) -> None:
    assert Sharded(mode="dynamic-private").wire("/chat", NODE).encode(request_).channel == CHANNEL


def test_answers_go_to_who_asked() -> None:
    assert WIRE.encode_answer(ClientCount("q", 1), OTHER).channel == f"{CHANNEL}{OTHER}#"


@pytest.mark.parametrize(
    ("channel", "room"),
    [
        (f"{CHANNEL}a#", "a"),
        (f"{CHANNEL}a#b#", "a#b"),
        (CHANNEL, None),
        (f"{CHANNEL}#", None),
        (f"{CHANNEL}{NODE}#", None),
        ("elsewhere", None),
    ],
)
def test_a_channel_tells_its_room(channel: str, room: str | None) -> None:
    assert WIRE.room_of(channel) == room


def test_a_room_named_as_a_node_loses_nothing() -> None:
    """Its channel is that of the node's answers, and stays when the room goes."""
    assert WIRE.room_channel(NODE) is None
    sent = Sharded().wire("/chat", OTHER).encode(Broadcast(Recipients((NODE,)), ["e"]))
    assert sent.channel in WIRE.subscriptions.channels
    envelope = WIRE.decode(sent.channel, sent.data)
    assert envelope is not None
    assert envelope.message == Broadcast(Recipients((NODE,)), ["e"])


# Messages.

PACKET = {"type": 2, "data": ["hi", 1], "nsp": "/chat"}
OPTS = {"rooms": ["room1"], "except": ["x"], "flags": {}}
COMMAND = {"rooms": ["room1"], "except": [], "flags": {}}
FACTS = SocketFacts("s1", {"auth": {}}, ("s1",), {"a": 1})
TOLD = {"id": "s1", "handshake": {"auth": {}}, "rooms": ["s1"], "data": {"a": 1}}

SAID: list[tuple[int, dict[str, Any] | None, Message]] = [
    (1, None, Heartbeat(first=True)),
    (2, None, Heartbeat()),
    (3, {"packet": PACKET, "opts": OPTS}, Broadcast(Recipients(("room1",), ("x",)), ["hi", 1])),
    (
        3,
        {"requestId": "q1", "packet": PACKET, "opts": COMMAND | {"flags": {"volatile": True}}},
        Broadcast(ROOM, ["hi", 1], volatile=True, request_id="q1"),
    ),
    (4, {"opts": COMMAND, "rooms": ["a"]}, LetIn(ROOM, ("a",))),
    (5, {"opts": COMMAND, "rooms": ["a"]}, LetOut(ROOM, ("a",))),
    (6, {"opts": COMMAND, "close": True}, DisconnectThem(ROOM, close=True)),
    (7, {"requestId": "q1", "opts": COMMAND}, FetchThem(ROOM, "q1")),
    (8, {"requestId": "q1", "sockets": [TOLD]}, SocketsFetched("q1", (FACTS,))),
    (9, {"packet": ["ev", 1]}, ServerEvent(["ev", 1])),
    (9, {"requestId": "q1", "packet": ["ev"]}, ServerEvent(["ev"], "q1")),
    (10, {"requestId": "q1", "packet": [1]}, ServerAnswered("q1", [1])),
    (11, {"requestId": "q1", "clientCount": 2}, ClientCount("q1", 2)),
    (12, {"requestId": "q1", "packet": "yes"}, ClientAnswered("q1", ["yes"])),
    (12, {"requestId": "q1"}, ClientAnswered("q1", [])),
    # In keys of ours, which Node's nodes pass over.
    (11, {"requestId": "q1", "clientCount": 1, "ids": ["s1"]}, ClientCount("q1", 1, ("s1",))),
    (12, {"requestId": "q1", "packet": 1, "id": "s1"}, ClientAnswered("q1", [1], "s1")),
    (13, None, Closed()),
]


def body(kind: int, data: Any, **other: Any) -> dict[str, Any]:
    said = {"uid": OTHER, "nsp": "/chat", "type": kind} | other
    return said if data is None else said | {"data": data}


@pytest.mark.parametrize(
    ("kind", "data", "message"), SAID, ids=[f"{kind}-{data}"[:30] for kind, data, _ in SAID]
)
def test_messages_are_nodes(kind: int, data: dict[str, Any] | None, message: Any) -> None:
    said = body(kind, data)
    for channel in WIRE.subscriptions.channels:
        for raw in (orjson.dumps(said), pack(said)):
            envelope = WIRE.decode(channel, raw)
            assert envelope is not None
            assert (envelope.node, envelope.namespace) == (OTHER, "/chat")
            assert envelope.message == message
    other = Sharded().wire("/chat", OTHER)
    is_answer = isinstance(message, Answer)
    sent = other.encode_answer(message, NODE) if is_answer else other.encode(message)
    assert orjson.loads(sent.data) == said


def test_they_are_msgpack_if_there_are_bytes_in_them() -> None:
    for sent in (
        WIRE.encode(Broadcast(ROOM, ["e", {"a": b"\1"}])),
        WIRE.encode(ServerEvent(["e", b"\1"])),
        WIRE.encode_answer(ClientAnswered("q", [[b"\1"]]), OTHER),
        WIRE.encode_answer(ServerAnswered("q", b"\1"), OTHER),
        WIRE.encode_answer(SocketsFetched("q", (SocketFacts("s", {}, (), b"\1"),)), OTHER),
    ):
        assert unpack(sent.data)["uid"] == NODE


def test_what_is_for_others_is_left_to_them() -> None:
    for raw in (orjson.dumps, pack):
        assert WIRE.decode(CHANNEL, raw(body(2, None, uid=NODE))) is None
        assert WIRE.decode(CHANNEL, raw(body(2, None, nsp="/other"))) is None
        assert WIRE.decode("elsewhere", raw(body(2, None))) is None
        assert WIRE.decode(CHANNEL, raw(body(14, {"new": 1}))) is None


def test_our_own_are_known_without_being_read() -> None:
    sent = WIRE.encode(Broadcast(ROOM, ["e"]))
    assert WIRE.decode(CHANNEL, sent.data[:40]) is None


def test_an_emitter_says_that_it_is_one() -> None:
    sent = Sharded().wire("/chat", EMITTER).encode(LetIn(ROOM, ("a",)))
    envelope = WIRE.decode(sent.channel, sent.data)
    assert envelope is not None
    assert (envelope.node, envelope.message) == (EMITTER, LetIn(ROOM, ("a",)))


@pytest.mark.parametrize(
    "request_", [ListRooms("q"), FetchThem(ROOM, "q", ids_only=True), LetIn(ROOM, (), "q")]
)
def test_what_only_classic_has_is_an_error(request_: Request) -> None:
    with pytest.raises(ValueError, match="only"):
        WIRE.encode(request_)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({}, "missing required field `uid`"),
        (body(3, None), "Expected `object`, got `null`"),
        (body(3, {"packet": PACKET}), "missing required field `opts`"),
        (body(3, {"packet": PACKET | {"type": 3}, "opts": OPTS}), "type 2, saw type 3"),
        (body(3, {"packet": PACKET, "opts": OPTS, "requestId": 1}), "got `int`"),
        (body(4, {"opts": OPTS}), "missing required field `rooms`"),
        (body(4, {"opts": OPTS, "rooms": "a"}), "got `str`"),
        (body(6, {}), "missing required field `opts`"),
        (body(7, {"opts": OPTS}), "missing required field `requestId`"),
        (body(8, {"requestId": "q", "sockets": [{"id": "s"}]}), "required field `rooms`"),
        (body(9, {"packet": []}), "its name first"),
        (body(10, {}), "missing required field `requestId`"),
        (body(11, {"requestId": "q", "clientCount": -1}), "a number of clients, saw -1"),
        (body(12, []), "got `array`"),
        (body("3", {}), "Expected `int`, got `str`"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_message_is_refused(said: Any, text: str) -> None:
    for raw in (orjson.dumps(said), pack(said)):
        with pytest.raises(ProtocolError, match="expected") as refused:
            WIRE.decode(CHANNEL, raw)
        assert text in str(refused.value)
