"""Our codecs of Redis messages beside Node's own adapters: each hears what the other says."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from protocol.cluster.classic import Classic
from protocol.cluster.formats import EMITTER, Appended
from protocol.cluster.messages import (
    Broadcast,
    ClientAnswered,
    ClientCount,
    DisconnectThem,
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
from protocol.cluster.recovery import (
    SavedSession,
    dumps_session,
    key_of,
    loads_session,
    next_offset,
)
from protocol.cluster.sharded import Sharded
from protocol.cluster.streams import Streams, StreamsWire
from protocol.socketio import PacketType

from .cluster_peer import Setting, fields_of, only
from .peers import require_adapters

SETTINGS = {
    "classic": Setting("classic", Classic()),
    "classic-to-one": Setting(
        "classic", Classic(prefix="app"), {"key": "app", "publishOnSpecificResponseChannel": True}
    ),
    "sharded": Setting("sharded", Sharded()),
    "sharded-static": Setting(
        "sharded",
        Sharded(prefix="app", mode="static"),
        {"channelPrefix": "app", "subscriptionMode": "static"},
    ),
    "sharded-private": Setting(
        "sharded", Sharded(mode="dynamic-private"), {"subscriptionMode": "dynamic-private"}
    ),
    "streams": Setting("streams", Streams()),
    "streams-sharded": Setting(
        "streams",
        Streams(prefix="app", stream="s", stream_count=3, use_sharded=True),
        {"channelPrefix": "app", "streamName": "s", "streamCount": 3, "useShardedPubSub": True},
    ),
}

ID = "x" * 20
ROOM = Recipients(("room1",), ("room2",))
AIM = {"rooms": ["room1"], "except": ["room2"]}
EVERYBODY = Recipients()


@pytest.fixture(params=["classic", "sharded", "streams"])
def setting(request: pytest.FixtureRequest) -> Setting:
    require_adapters()
    return SETTINGS[request.param]


@pytest.fixture(params=SETTINGS)
def any_setting(request: pytest.FixtureRequest) -> Setting:
    require_adapters()
    return SETTINGS[request.param]


# What Node's nodes say.


async def test_we_hear_nodes_events(any_setting: Setting) -> None:
    async with any_setting.node() as node:
        values = ["é😀", 1.5, -(2**53) + 1, None, True, {"a": [{}]}, {"$undefined": 0}]
        values += [{"$date": 1_709_200_800_005}, {"$date": -1}, {"$number": "Infinity"}]
        read = ["é😀", 1.5, -(2**53) + 1, None, True, {"a": [{}]}, None]
        read += ["2024-02-29T10:00:00.005Z", "1969-12-31T23:59:59.999Z", None]
        heard = await node.do("emit", **AIM, args=["hi", *values])
        assert only(heard) == Broadcast(ROOM, ["hi", *read])
        assert (heard[0].node, heard[0].namespace) == (node.uid, "/chat")
        heard = await node.do("emit", args=["hi", *values, {"$bytes": "AQI="}, [{"$bytes": ""}]])
        assert only(heard) == Broadcast(EVERYBODY, ["hi", *read, b"\1\2", [b""]])
        heard = await node.do("emit", rooms=["a", "b"], volatile=True, compress=False, args=["hi"])
        assert only(heard) == Broadcast(
            Recipients(("a", "b")), ["hi"], volatile=True, compress=False
        )
        heard = await node.do("emit", rooms=[1, {"$undefined": 0}], args=["hi"])
        [event] = [envelope.message for envelope in heard]
        assert isinstance(event, Broadcast)
        assert event.to.rooms == ("1", "null")
        assert await node.do("emit", namespace="/other", args=["hi"]) == []


async def test_we_hear_nodes_commands(setting: Setting) -> None:
    async with setting.node() as node:
        assert only(await node.do("join", **AIM, into=["a", "b"])) == LetIn(ROOM, ("a", "b"))
        assert only(await node.do("leave", **AIM, **{"from": "a"})) == LetOut(ROOM, ("a",))
        for close in (True, False):
            heard = await node.do("disconnect", **AIM, close=close)
            assert only(heard) == DisconnectThem(ROOM, close=close)
        heard = await node.do("tellServers", args=["told", {"a": 1}])
        assert only(heard) == ServerEvent(["told", {"a": 1}])
        heard = await node.do("tellServers", args=["told", {"$bytes": "AQ=="}])
        # In classic Node has JSON for bytes, and makes none of it again.
        json = {"type": "Buffer", "data": [1]}
        assert only(heard) == ServerEvent(["told", json if setting.is_classic else b"\1"])


FACTS = SocketFacts("s9", {"headers": {"host": "y"}, "auth": {}}, ("s9", "room1"), {"name": "ann"})


async def test_node_hears_our_answers(any_setting: Setting) -> None:
    async with any_setting.node() as node:
        await node.socket(ID, rooms=["room1"], data={"name": "bob"})
        asked = only(await node.do("fetch", **AIM))
        assert isinstance(asked, FetchThem)
        assert asked == FetchThem(ROOM, asked.request_id)
        assert any(said.get("channel") == node.wire.subscriptions.counted for said in node.said)
        await node.hear_answer(SocketsFetched(asked.request_id, (FACTS,)))
        mine, ours = node.word("result")
        assert (mine["id"], mine["data"]) == (ID, {"name": "bob"})
        assert ours == {
            "id": "s9",
            "handshake": FACTS.handshake,
            "rooms": ["s9", "room1"],
            "data": {"name": "ann"},
        }
        told = only(await node.do("askServers", args=["asked", 1]))
        assert isinstance(told, ServerEvent)
        assert told == ServerEvent(["asked", 1], told.request_id)
        assert told.request_id is not None
        await node.hear_answer(ServerAnswered(told.request_id, {"yes": [b"\1"]}))
        assert node.word("result") == [{"yes": [b"\1"]}]


async def test_node_hears_the_acks_of_our_clients(setting: Setting) -> None:
    async with setting.node() as node:
        event = only(await node.do("ask", **AIM, timeout=5000, args=["q", {"$bytes": "AQ=="}]))
        assert isinstance(event, Broadcast)
        assert event == Broadcast(ROOM, ["q", b"\1"], request_id=event.request_id, timeout=5)
        assert event.request_id is not None
        await node.hear_answer(ClientCount(event.request_id, 2, ("s1", "s2")))
        await node.hear_answer(ClientAnswered(event.request_id, ["yes", "not carried"], "s1"))
        await node.hear_answer(ClientAnswered(event.request_id, [b"\1"]))
        assert node.word("result") == ["yes", b"\1"]


# What we say.


async def test_node_hears_our_events(setting: Setting) -> None:
    async with setting.node() as node:
        await node.socket(ID, rooms=["room1"])
        await node.socket("y" * 20, rooms=["room1", "room2"])
        data = ["hi", "é😀", 1.5, None, {"a": [b"\1", {}]}]
        await node.hear_request(Broadcast(ROOM, data))
        [sent] = node.sent()
        # Where it keeps sessions Node adds the offset, for a client that comes back.
        offset = ["1-0"] if setting.name == "streams" else []
        assert (sent.socket, sent.volatile, sent.compress) == (ID, False, True)
        assert sent.packet == (PacketType.EVENT, "/chat", data + offset, None)
        await node.hear_request(Broadcast(EVERYBODY, ["hi"], volatile=True, compress=False))
        assert [(s.socket, s.volatile, s.compress) for s in node.sent()] == [
            (ID, True, False),
            ("y" * 20, True, False),
        ]
        assert node.sent()[0].packet.data == ["hi"]  # no offset: it is volatile to Node, too
        await node.hear_request(Broadcast(Recipients((ID,)), ["private"]))
        assert [sent.socket for sent in node.sent()] == [ID]


async def test_node_hears_our_commands(setting: Setting) -> None:
    async with setting.node() as node:
        await node.socket(ID, rooms=["room1"])
        await node.hear_request(LetIn(ROOM, ("a", "b")))
        assert await node.rooms(ID) == {ID, "room1", "a", "b"}
        await node.hear_request(LetOut(Recipients((ID,)), ("a",)))
        assert await node.rooms(ID) == {ID, "room1", "b"}
        await node.hear_request(DisconnectThem(Recipients(("other",)), close=True))
        assert node.said == [] or setting.name == "streams"
        await node.hear_request(DisconnectThem(ROOM, close=True))
        assert (node.word("disconnected"), node.word("close")) == (ID, True)
        await node.hear_request(ServerEvent(["told", {"a": b"\1"}]))
        assert node.word("heard") == ["told", {"a": b"\1"}]
        await node.hear_request(ServerEvent(["told", "text"]))
        assert node.word("heard") == ["told", "text"]


async def test_node_answers_us(any_setting: Setting) -> None:
    async with any_setting.node() as node:
        await node.socket(ID, rooms=["room1"], data={"name": "ann"})
        facts = SocketFacts(
            ID, {"headers": {"host": "x"}, "auth": {}}, (ID, "room1"), {"name": "ann"}
        )
        heard = await node.hear_request(FetchThem(ROOM, "q1"))
        assert only(heard) == SocketsFetched("q1", (facts,))
        assert heard[0].node == ("" if any_setting.is_classic else node.uid)
        assert only(await node.hear_request(FetchThem(Recipients(("none",)), "q2"))) == (
            SocketsFetched("q2", ())
        )
        heard = await node.hear_request(ServerEvent(["asked", "yes"], "q3"))
        assert only(heard) == ServerAnswered("q3", "yes")
        assert node.word("heard") == ["asked", "yes"]
        if any_setting.is_classic:
            assert only(await node.hear_request(ListRooms("q4"))) == RoomsListed(
                "q4", (ID, "room1")
            )
            ids = FetchThem(Recipients(("room1",)), "q5", ids_only=True)
            assert only(await node.hear_request(ids)) == SocketsFetched(
                "q5",
                (SocketFacts(ID, {}, (), None),),
                ids_only=True,
            )


async def test_nodes_clients_answer_us(setting: Setting) -> None:
    async with setting.node() as node:
        await node.socket(ID, rooms=["room1"])
        heard = await node.hear_request(Broadcast(ROOM, ["q", b"\1"], request_id="q1", timeout=9))
        assert only(heard) == ClientCount("q1", 1)
        [sent] = node.sent()
        assert sent.packet.data == ["q", b"\1"]
        assert sent.packet.id is not None
        for said, read in (("yes", "yes"), ({"$bytes": "AQ=="}, b"\1"), ({"$date": 0}, ISO_0)):
            heard = await node.do("ack", id=ID, values=[said, "not carried"])
            assert only(heard) == ClientAnswered("q1", [read])
        [nothing] = [envelope.message for envelope in await node.do("ack", id=ID, values=[])]
        assert nothing in (ClientAnswered("q1", []), ClientAnswered("q1", [None]))


ISO_0 = "1970-01-01T00:00:00.000Z"


async def test_own_messages_are_passed_over_on_both_sides(setting: Setting) -> None:
    async with setting.node() as node:
        sent = node.wire.encode(Broadcast(ROOM, ["hi", b"\1"]))
        twin = setting.format_.wire("/chat", node.uid)
        await node.socket(ID, rooms=["room1"])
        await node.hear(twin.encode(Broadcast(ROOM, ["hi"])))
        assert node.sent() == []
        if isinstance(sent, Appended):
            assert isinstance(node.wire, StreamsWire)
            assert node.wire.decode_entry(sent.fields, "1-0") is None
        else:
            assert node.wire.decode(sent.channel, sent.data) is None


async def test_we_listen_where_node_does(any_setting: Setting) -> None:
    async with any_setting.node() as node:
        twin = any_setting.format_.wire("/chat", node.uid)
        subscriptions = twin.subscriptions
        listens = [channel for channel in node.listens if "/chat#" in channel]
        assert listens == [*subscriptions.patterns, *subscriptions.channels]
        node.listens.clear()
        await node.socket(ID, rooms=["room1"])
        channels = [twin.room_channel(room) for room in (ID, "room1")]
        assert node.listens == [channel for channel in channels if channel is not None]


# Emitters.


async def test_an_emitter_of_ours_reaches_node(setting: Setting) -> None:
    async with setting.node(EMITTER) as node:
        await node.socket(ID, rooms=["room1"])
        await node.hear_request(Broadcast(ROOM, ["hi", b"\1"]))
        assert [sent.packet.data[:2] for sent in node.sent()] == [["hi", b"\1"]]
        await node.hear_request(LetIn(ROOM, ("a",)))
        await node.hear_request(LetOut(ROOM, ("room1",)))
        assert await node.rooms(ID) == {ID, "a"}
        await node.hear_request(ServerEvent(["told", 1]))
        assert node.word("heard") == ["told", 1]
        await node.hear_request(DisconnectThem(Recipients(("a",)), close=False))
        assert node.word("disconnected") == ID


async def test_nodes_emitter_reaches_us() -> None:
    require_adapters()
    async with SETTINGS["classic"].node() as node:

        async def emit(what: str, **command: Any) -> Any:
            [envelope] = await node.do("", emitter=what, namespace="chat", **command)
            assert envelope.node in (EMITTER, "")
            return envelope.message

        data = ["hi", {"$bytes": "AQ=="}, {"$date": 0}]
        assert await emit("emit", **AIM, args=data, compress=False) == Broadcast(
            ROOM, ["hi", b"\1", ISO_0], compress=False
        )
        assert await emit("emit", args=["hi"], volatile=True) == Broadcast(
            EVERYBODY, ["hi"], volatile=True
        )
        assert await emit("join", **AIM, into="a") == LetIn(ROOM, ("a",))
        assert await emit("leave", **AIM, **{"from": ["a"]}) == LetOut(ROOM, ("a",))
        assert await emit("disconnect", **AIM, close=True) == DisconnectThem(ROOM, close=True)
        assert await emit("tellServers", args=["told", 1]) == ServerEvent(["told", 1])


async def test_classic_nodes_list_our_rooms() -> None:
    require_adapters()
    async with SETTINGS["classic"].node() as node:
        await node.socket(ID, rooms=["room1"])
        asked = only(await node.do("allRooms"))
        assert isinstance(asked, ListRooms)
        await node.hear_answer(RoomsListed(asked.request_id, ("room1", "ours")))
        assert node.word("result") == [ID, "room1", "ours"]


# Node's traps.


async def test_clients_of_v2_in_a_namespace_get_what_is_for_them_alone() -> None:
    """Node's nodes do not listen to their channel, and send to it."""
    require_adapters()
    v2 = f"/chat#{ID}"
    async with SETTINGS["sharded"].node() as node:
        await node.socket(v2)
        event = Broadcast(Recipients((v2,)), ["private"])
        assert node.wire.room_channel(v2) not in {None, *node.listens}
        assert only(await node.do("emit", rooms=[v2], args=["private"])) == event
        [published] = [said for said in node.said if "published" in said]
        assert published["channel"] == node.wire.room_channel(v2)
        await node.hear_request(event)
        assert [sent.socket for sent in node.sent()] == [v2]


@pytest.mark.parametrize("namespace", ["/", "/chat", "/notifications", "/game"])
async def test_a_namespace_of_a_negative_hash_crosses_nodes(namespace: str) -> None:
    """Node's nodes write to a stream that none of them reads."""
    require_adapters()
    setting = SETTINGS["streams-sharded"]
    format_ = setting.format_
    assert isinstance(format_, Streams)
    async with setting.node() as node:
        await node.do("emit", namespace=namespace, args=["hi"])
        stream = node.word("appended")
        assert stream in format_.streams
        if not stream.startswith("s--"):
            assert stream == format_.stream_of(namespace)
        await node.do("socket", namespace=namespace, id=ID)
        await node.hear(format_.wire(namespace, "atrio").encode(Broadcast(EVERYBODY, ["hi"])))
        assert [sent.socket for sent in node.sent()] == [ID]


# Recovery.

SESSION = SavedSession(ID, "p1", (ID, "room1"), {"name": "ann", "photo": b"\1"})


async def test_a_session_that_node_keeps_is_ours_and_the_other_way_round() -> None:
    require_adapters()
    async with SETTINGS["streams"].node() as node:
        photo = {"$bytes": "AQ=="}
        session = {"sid": ID, "pid": "p1", "rooms": [ID, "room1"]}
        session |= {"data": {"name": "ann", "photo": photo}}
        await node.do("persist", session=session)
        assert node.word("kept") == key_of("p1")
        assert loads_session(node.word("value").encode()) == SESSION

        await node.hear_request(Broadcast(EVERYBODY, ["first"]))
        first = node.word("offset")
        await node.do("emit", **AIM, args=["missed", {"$bytes": "AQ=="}])
        entry = fields_of(node.word("fields"))
        await node.hear_request(Broadcast(Recipients(("other",)), ["not for it"]))
        await node.hear_request(Broadcast(ROOM, ["missed, too"]))
        saved = dumps_session(attrs.evolve(SESSION, pid="p2")).decode()
        await node.do("keep", key=key_of("p2"), value=saved)
        await node.do("restore", pid="p2", offset=first)
        restored = node.word("result")
        missed = restored.pop("missedPackets")
        assert restored == {
            "sid": ID,
            "pid": "p2",
            "rooms": [ID, "room1"],
            "data": {"name": "ann", "photo": b"\1"},
        }
        assert missed == [["missed", b"\1", "2-0"], ["missed, too", "4-0"]]
        assert next_offset(first) == "1-1"
        assert isinstance(node.wire, StreamsWire)
        event = node.wire.decode_missed(entry, "2-0")
        assert event == Broadcast(ROOM, ["missed", b"\1"])
        assert event.to.include(SESSION.rooms)
