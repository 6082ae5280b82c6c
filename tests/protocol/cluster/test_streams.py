"""Streams: entries, which stream, and what goes to channels instead; as Node sends it."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import orjson
import pytest

from protocol import ProtocolError
from protocol.cluster.formats import EMITTER, Appended, Published
from protocol.cluster.messages import (
    Broadcast,
    ClientCount,
    Closed,
    DisconnectThem,
    FetchThem,
    Heartbeat,
    LetIn,
    LetOut,
    Recipients,
    Request,
    ServerEvent,
)
from protocol.cluster.streams import Streams, hash_code, namespace_of

pack = msgspec.msgpack.encode
unpack = msgspec.msgpack.decode

NODE, OTHER = "0123456789abcdef", "fedcba9876543210"
WIRE = Streams().wire("/chat", NODE)
ROOM = Recipients(("room1",))
CHANNEL = "socket.io#/chat#"


def entry(kind: str, data: Any, **other: str) -> dict[bytes, bytes]:
    said = {"uid": OTHER, "nsp": "/chat", "type": kind} | other
    fields = {name.encode(): value.encode() for name, value in said.items()}
    return fields if data is None else fields | {b"data": data}


# Streams.


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 0),
        ("/", 47),
        ("/chat", 46_457_863),
        ("/notifications", -1_014_064_871),
        ("é😀", 1_996_812),
    ],
)
def test_the_hash_is_nodes(text: str, code: int) -> None:
    assert hash_code(text) == code


def test_a_namespace_has_a_stream_that_nodes_read() -> None:
    assert Streams().stream_of("/notifications") == "socket.io"
    assert Streams().streams == ("socket.io",)
    three = Streams(stream="s", stream_count=3)
    assert three.streams == ("s--2", "s--1", "s-0", "s-1", "s-2")
    assert three.stream_of("/chat") == f"s-{46_457_863 % 3}"
    # Node's is s--2, which its nodes write to and do not read.
    assert three.stream_of("/notifications") == "s-1"
    with pytest.raises(ValueError, match="stream_count"):
        Streams(stream_count=0)


def test_it_listens_to_what_nodes_channels_are() -> None:
    assert WIRE.subscriptions.channels == (CHANNEL, f"{CHANNEL}{NODE}#")
    assert WIRE.subscriptions.patterns == ()
    assert WIRE.subscriptions.counted == CHANNEL
    assert WIRE.room_channel("a") is None
    assert WIRE.room_of(f"{CHANNEL}a#") is None
    assert not Streams().is_sharded
    assert Streams(use_sharded=True).is_sharded


# Entries.

OPTS = {"rooms": ["room1"], "except": [], "flags": {}}
PACKET = {"type": 2, "data": ["hi", 1], "nsp": "/chat"}
ENTRIES: list[tuple[str, dict[str, Any] | None, Request]] = [
    ("1", None, Heartbeat(first=True)),
    ("3", {"packet": PACKET, "opts": OPTS}, Broadcast(ROOM, ["hi", 1])),
    ("4", {"opts": OPTS, "rooms": ["a"]}, LetIn(ROOM, ("a",))),
    ("5", {"opts": OPTS, "rooms": ["a"]}, LetOut(ROOM, ("a",))),
    ("6", {"opts": OPTS, "close": False}, DisconnectThem(ROOM, close=False)),
    ("13", None, Closed()),
]


@pytest.mark.parametrize(("kind", "data", "request_"), ENTRIES, ids=[e[0] for e in ENTRIES])
def test_entries_are_nodes(kind: str, data: dict[str, Any] | None, request_: Request) -> None:
    fields = entry(kind, None if data is None else orjson.dumps(data))
    envelope = WIRE.decode_entry(fields, "5-0")
    assert envelope is not None
    assert (envelope.node, envelope.offset, envelope.message) == (OTHER, "5-0", request_)
    sent = Streams(stream="s").wire("/chat", OTHER).encode(request_)
    assert isinstance(sent, Appended)
    assert sent.stream == "s"
    written = dict(sent.fields)
    if data is not None:
        assert orjson.loads(written.pop(b"data")) == data
    assert written == entry(kind, None)
    assert list(sent.fields)[:3] == [b"uid", b"nsp", b"type"]


def test_data_with_bytes_is_msgpack_in_base64() -> None:
    event = Broadcast(ROOM, ["hi", {"a": b"\1"}])
    sent = WIRE.encode(event)
    assert isinstance(sent, Appended)
    data = unpack(base64.b64decode(sent.fields[b"data"]))
    assert data["packet"] == PACKET | {"data": ["hi", {"a": b"\1"}]}
    envelope = Streams().wire("/chat", OTHER).decode_entry(sent.fields, "1-0")
    assert envelope is not None
    assert envelope.message == event


def test_what_is_for_others_is_left_to_them() -> None:
    data = orjson.dumps({"packet": PACKET, "opts": OPTS})
    assert WIRE.decode_entry(entry("3", data, uid=NODE), "1-0") is None
    assert WIRE.decode_entry(entry("3", data, nsp="/other"), "1-0") is None
    assert WIRE.decode_entry(entry("14", data), "1-0") is None
    assert WIRE.decode_entry({b"foo": b"bar"}, "1-0") is None
    assert namespace_of(entry("3", data, nsp="/other")) == "/other"
    assert namespace_of({b"foo": b"bar"}) == ""


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (entry("", b"{}"), "an entry's `type`, saw ''"),
        (entry("x", b"{}"), "an entry's `type`, saw 'x'"),
        (entry("²", b"{}"), "an entry's `type`"),
        (entry("3", b"{"), "expected JSON"),
        (entry("3", b"#"), "JSON, or msgpack in base64"),
        (entry("3", "é".encode()), "JSON, or msgpack in base64"),
        (entry("3", b"kQ"), "JSON, or msgpack in base64"),
        (entry("3", b"kQ=="), "expected msgpack: it is truncated"),
        (entry("3", b"x" * 300), r"at most 200 bytes \(max_size\), saw 300"),
        (entry("3", b"{}"), "missing required field `packet`"),
        (entry("3", None), "Expected `object`, got `null`"),
    ],
)
def test_what_is_no_entry_is_refused(fields: dict[bytes, bytes], text: str) -> None:
    wire = Streams(max_size=200).wire("/chat", NODE)
    with pytest.raises(ProtocolError, match=f"expected.*{text}|{text}"):
        wire.decode_entry(fields, "1-0")


# What a client missed.


def test_a_clients_missed_events_are_those_of_its_namespace_whoever_sent_them() -> None:
    data = orjson.dumps({"packet": PACKET, "opts": OPTS})
    for uid in (NODE, OTHER, EMITTER):
        assert WIRE.decode_missed(entry("3", data, uid=uid), "1-0") == Broadcast(ROOM, ["hi", 1])
    assert WIRE.decode_missed(entry("3", data, nsp="/other"), "1-0") is None
    for kind, said, _ in ENTRIES:
        if kind != "3":
            fields = entry(kind, None if said is None else orjson.dumps(said))
            assert WIRE.decode_missed(fields, "1-0") is None


# Channels.


@pytest.mark.parametrize(
    ("request_", "kind", "data"),
    [
        (
            Broadcast(ROOM, ["hi", 1], request_id="q1"),
            3,
            {"requestId": "q1", "packet": PACKET, "opts": OPTS},
        ),
        (FetchThem(ROOM, "q1"), 7, {"requestId": "q1", "opts": OPTS}),
        (ServerEvent(["ev"], "q1"), 9, {"requestId": "q1", "packet": ["ev"]}),
        (ServerEvent(["ev"]), 9, {"packet": ["ev"]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_worth_nothing_later_goes_to_a_channel_as_msgpack(
    request_: Request, kind: int, data: dict[str, Any]
) -> None:
    said = {"uid": OTHER, "nsp": "/chat", "type": kind, "data": data}
    sent = Streams().wire("/chat", OTHER).encode(request_)
    assert isinstance(sent, Published)
    assert sent.channel == CHANNEL
    assert unpack(sent.data) == said
    envelope = WIRE.decode(CHANNEL, pack(said))
    assert envelope is not None
    assert (envelope.node, envelope.offset, envelope.message) == (OTHER, None, request_)
    assert WIRE.decode("elsewhere", pack(said)) is None


def test_answers_go_to_who_asked_as_msgpack() -> None:
    sent = WIRE.encode_answer(ClientCount("q1", 2), OTHER)
    assert sent.channel == f"{CHANNEL}{OTHER}#"
    data = {"requestId": "q1", "clientCount": 2}
    assert unpack(sent.data) == {"uid": NODE, "nsp": "/chat", "type": 11, "data": data}


def test_an_undefined_in_msgpack_is_null() -> None:
    """@msgpack/msgpack writes it so: flags that are not set, an answer without a value."""
    flags = {"volatile": None, "compress": None, "timeout": None}
    data = {"requestId": "q1", "packet": PACKET, "opts": OPTS | {"flags": flags}}
    envelope = WIRE.decode(CHANNEL, pack({"type": 3, "data": data, "uid": OTHER, "nsp": "/chat"}))
    assert envelope is not None
    assert envelope.message == Broadcast(ROOM, ["hi", 1], request_id="q1")


# The emitter, from its source: it has no version on npm.


def test_an_emitters_messages_are_all_entries() -> None:
    wire = Streams(stream_count=3).wire("/chat", EMITTER)
    for request in (Broadcast(ROOM, ["hi", 1]), LetIn(ROOM, ("a",)), ServerEvent(["ev"])):
        sent = wire.encode(request)
        assert isinstance(sent, Appended)
        assert sent.stream == Streams(stream_count=3).stream_of("/chat")
        assert sent.fields[b"uid"] == b"emitter"
        envelope = WIRE.decode_entry(sent.fields, "1-0")
        assert envelope is not None
        assert (envelope.node, envelope.message) == (EMITTER, request)
