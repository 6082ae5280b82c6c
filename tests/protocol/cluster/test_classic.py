"""Classic: the channels, and events as Node's adapter and emitter were seen to send them."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import msgspec
import pytest

from protocol import ProtocolError
from protocol.cluster.classic import Classic
from protocol.cluster.formats import Wire
from protocol.cluster.messages import (
    Broadcast,
    ClientAnswered,
    ClientCount,
    LetIn,
    Message,
    Recipients,
    Request,
    ServerAnswered,
    ServerEvent,
    SocketFacts,
    SocketsFetched,
)

pack = msgspec.msgpack.encode
unpack = msgspec.msgpack.decode

WIRE = Classic().wire("/chat", "node-1")
EVERYBODY = Recipients()
EVENTS, REQUESTS, ANSWERS = (f"socket.io{kind}#/chat#" for kind in ("", "-request", "-response"))


# Channels.


def test_it_listens_to_what_nodes_channels_are() -> None:
    assert WIRE.subscriptions.channels == (REQUESTS, ANSWERS, f"{ANSWERS}node-1#")
    assert WIRE.subscriptions.patterns == ("socket.io#/chat#*",)
    assert WIRE.subscriptions.counted == REQUESTS
    assert WIRE.room_channel("a") is None
    assert not Classic().is_sharded


def test_a_namespace_is_no_pattern() -> None:
    """Redis takes [ab] for one character, ? for any; so the namespace itself would not be heard."""
    wire = Classic().wire("/a[b]?*\\", "n")
    assert wire.subscriptions.patterns == (r"socket.io#/a\[b\]\?\*\\#*",)


@pytest.mark.parametrize(
    ("rooms", "channel"),
    [
        ((), EVENTS),
        (("a",), f"{EVENTS}a#"),
        (("a#b",), f"{EVENTS}a#b#"),
        (("a", "b"), EVENTS),
    ],
)
def test_an_event_for_one_room_goes_to_its_channel(rooms: tuple[str, ...], channel: str) -> None:
    assert WIRE.encode(Broadcast(Recipients(rooms), ["e"])).channel == channel
    assert WIRE.encode(Broadcast(Recipients(rooms), ["e"], request_id="q")).channel == REQUESTS


@pytest.mark.parametrize(
    ("channel", "room"),
    [
        (f"{EVENTS}a#", "a"),
        (f"{EVENTS}a#b#", "a#b"),
        (EVENTS, None),
        (f"{EVENTS}#", None),  # Node takes it for the namespace's own
        (f"{EVENTS}a", None),
        (REQUESTS, None),
        (f"{ANSWERS}node-1#", None),
        ("elsewhere", None),
    ],
)
def test_a_channel_tells_its_room(channel: str, room: str | None) -> None:
    assert WIRE.room_of(channel) == room


def test_answers_go_to_who_asked_or_to_all() -> None:
    answer = ClientCount("q", 3)
    assert WIRE.encode_answer(answer, "node-2").channel == f"{ANSWERS}node-2#"
    assert WIRE.encode_answer(answer, "").channel == ANSWERS  # an old node does not say its id
    to_all = Classic(answer_all=True).wire("/chat", "node-1")
    assert to_all.encode_answer(answer, "node-2").channel == ANSWERS


# Events in.


def event(*said: Any, channel: str = EVENTS, wire: Wire = WIRE) -> Message | None:
    envelope = wire.decode(channel, pack(said))
    return None if envelope is None else envelope.message


PACKET = {"type": 2, "data": ["hi", {"a": b"\1"}], "nsp": "/chat"}
OPTS: dict[str, Any] = {"rooms": [], "except": [], "flags": {}}


def test_an_event_is_read() -> None:
    opts = {"rooms": ["room1"], "except": ["x"], "flags": {"volatile": True}}
    envelope = WIRE.decode(f"{EVENTS}room1#", pack(["abc123", PACKET, opts]))
    assert envelope is not None
    assert (envelope.node, envelope.namespace) == ("abc123", "/chat")
    assert envelope.message == Broadcast(
        Recipients(("room1",), ("x",)), ["hi", {"a": b"\1"}], volatile=True
    )


def test_an_emitters_event_is_read() -> None:
    opts = {"rooms": [], "flags": {"compress": False}, "except": []}
    assert event("emitter", PACKET, opts) == Broadcast(EVERYBODY, PACKET["data"], compress=False)
    # One of socket.io-emitter 3, which knows no exceptions.
    assert event("emitter", PACKET, {"rooms": [], "flags": {}}) == Broadcast(
        EVERYBODY, PACKET["data"]
    )


def test_flags_of_node_that_say_nothing_to_other_nodes_are_left_out() -> None:
    flags = {"local": False, "timeout": 1000, "broadcast": True, "expectSingleResponse": True}
    flags |= {"compress": None, "volatile": None}
    assert event("n", PACKET, OPTS | {"flags": flags}) == Broadcast(EVERYBODY, PACKET["data"])
    assert event("n", PACKET | {"type": 5}, OPTS) == Broadcast(EVERYBODY, PACKET["data"])


def test_what_is_for_others_is_left_to_them() -> None:
    assert event("node-1", PACKET, OPTS) is None
    assert event("n", PACKET | {"nsp": "/other"}, OPTS) is None
    assert event("n", {"type": 2, "data": ["hi"]}, OPTS) is None  # that is `/`
    main = Classic().wire("/", "node-1")
    assert event("n", {"type": 2, "data": ["hi"]}, OPTS, channel="socket.io#/#", wire=main)
    assert event("n", PACKET, OPTS, channel="elsewhere") is None
    assert event("n", PACKET, OPTS, channel=f"{ANSWERS}other#") is None


def test_our_own_events_are_known_without_being_read() -> None:
    own = WIRE.encode(Broadcast(EVERYBODY, ["e"]))
    assert WIRE.decode(own.channel, own.data[:20] + b"\xc1") is None


def test_our_own_are_known_however_they_are_written() -> None:
    own = pack("node-1")
    for channel, said in (
        (EVENTS, pack(["node-1", PACKET, OPTS]).replace(own, b"\xd9\6node-1")),
        (REQUESTS, pack({"uid": "node-1", "type": 6, "data": ["ev"]})),
        (REQUESTS, b'{ "type": 6, "uid": "node-1", "data": ["ev"]}'),
    ):
        assert WIRE.decode(channel, said) is None


@pytest.mark.parametrize(
    ("rooms", "read"),
    [
        ([1, 1.0, 1.5, -1], ("1", "1", "1.5", "-1")),
        ([None, True, False], ("null", "true", "false")),
    ],
)
def test_rooms_that_are_no_text_come_in_as_javascripts(
    rooms: list[Any], read: tuple[str, ...]
) -> None:
    """None must not be lost: `to(undefined)` is for nobody, and no rooms are everybody."""
    assert event("n", PACKET, OPTS | {"rooms": rooms}) == Broadcast(
        Recipients(read), PACKET["data"]
    )


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (("n",), "an event in classic"),
        (("n", PACKET), "an event in classic"),
        ((1, PACKET, OPTS), r"Expected `str \| null`, got `int`"),
        (("n", None, OPTS), "Expected `object`, got `null`"),
        (("n", PACKET, {}), "missing required field `rooms`"),
        (("n", PACKET, {"rooms": "room1"}), "Expected `array`, got `str`"),
        (("n", PACKET, {"rooms": [["a"]]}), r"\$\[2\]\.rooms\[0\]"),
        (("n", PACKET | {"type": 3}, OPTS), "type 2, saw type 3"),
        (("n", PACKET | {"type": 99}, OPTS), "type 2, saw type 99"),
        (("n", PACKET | {"data": []}, OPTS), "what a EVENT may hold"),
        (("n", PACKET | {"data": ["connect"]}, OPTS), "what a EVENT may hold"),
        (("n", PACKET | {"data": "hi"}, OPTS), "Expected `array`, got `str`"),
    ],
)
def test_what_is_no_event_is_refused(said: tuple[Any, ...], text: str) -> None:
    with pytest.raises(ProtocolError, match=f"expected .*{text}"):
        event(*said)


def test_a_message_is_not_larger_than_allowed() -> None:
    wire = Classic(max_size=100).wire("/chat", "node-1")
    with pytest.raises(ProtocolError, match=r"at most 100 bytes \(max_size\), saw 101"):
        wire.decode(EVENTS, b"x" * 101)


@pytest.mark.parametrize("nested", [97, 98])
def test_values_may_be_nested_as_deep_as_clients_may(nested: int) -> None:
    """A client may nest 100 levels, its event's array and this list counted."""
    deep: Any = 1
    for _ in range(nested):
        deep = [deep]
    for request in (
        Broadcast(EVERYBODY, ["e", [deep]]),
        Broadcast(EVERYBODY, ["e", [deep]], request_id="q"),
        ServerEvent(["e", [deep]]),
    ):
        sent = WIRE.encode(request)
        envelope = Classic().wire("/chat", "node-2").decode(sent.channel, sent.data)
        assert envelope is not None
        assert envelope.message == request


def test_deeper_ones_are_refused() -> None:
    for data in (b"[" * 200 + b"]" * 200, b'"' + b"x" * 9 + b'"'):
        with pytest.raises(ProtocolError, match="expected"):
            WIRE.decode(REQUESTS, b'{"type":6,"data":' + data + b"}")


# Events out.


def test_an_event_goes_out_as_nodes_does() -> None:
    sent = WIRE.encode(Broadcast(Recipients(("a", "b"), ("c",)), ["hi", 1, b"\1"]))
    assert unpack(sent.data) == [
        "node-1",
        {"type": 2, "data": ["hi", 1, b"\1"], "nsp": "/chat"},
        {"rooms": ["a", "b"], "except": ["c"], "flags": {}},
    ]


def test_flags_that_are_not_set_are_absent() -> None:
    """Node takes `volatile: false` for volatile."""
    _, _, opts = unpack(WIRE.encode(Broadcast(EVERYBODY, ["e"], volatile=True)).data)
    assert opts["flags"] == {"volatile": True}
    _, _, opts = unpack(WIRE.encode(Broadcast(EVERYBODY, ["e"], compress=False)).data)
    assert opts["flags"] == {"compress": False}


def test_values_go_out_as_to_clients() -> None:
    when = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
    data = ["e", when, math.nan, math.inf, (1, bytearray(b"x")), None]
    read = ["e", "2024-02-29T12:00:00.000Z", None, None, [1, b"x"], None]
    assert unpack(WIRE.encode(Broadcast(EVERYBODY, data)).data)[1]["data"] == read
    assert unpack(WIRE.encode(ServerEvent(data)).data)["data"] == read


@pytest.mark.parametrize(
    "request_", [Broadcast(EVERYBODY, ["e", {"a": {1}}]), ServerEvent(["e", {"a": {1}}])]
)
def test_what_cannot_be_sent_is_named_with_its_path(request_: Request) -> None:
    with pytest.raises(TypeError, match=r"args\[0\]\.a: set cannot be sent"):
        WIRE.encode(request_)


def test_answers_that_cannot_be_sent_are_named_with_their_path() -> None:
    with pytest.raises(TypeError, match=r"args\[0\]: set cannot be sent"):
        WIRE.encode_answer(ServerAnswered("q", {1}), "n")
    with pytest.raises(TypeError, match=r"args\[0\]\.a: set cannot be sent"):
        WIRE.encode_answer(ClientAnswered("q", [{"a": {1}}]), "n")
    facts = [SocketFacts("s", {}, (), data) for data in ({}, {"user": {1}})]
    with pytest.raises(TypeError, match=r"args\[1\]\.user: set cannot be sent"):
        WIRE.encode_answer(SocketsFetched("q", tuple(facts)), "n")


def test_a_lone_surrogate_is_refused_wherever_it_stands() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        WIRE.encode(Broadcast(Recipients(("\ud83d", "b")), ["e"]))
    with pytest.raises(ValueError, match="surrogate"):
        WIRE.encode(LetIn(EVERYBODY, ("\ud83d",)))
