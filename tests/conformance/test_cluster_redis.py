"""A node of ours and one of Node's on one Redis: what each does reaches the other's clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import attrs
import pytest
import trio

from broker import Broker, Namespace, SocketDisconnected
from broker.adapters import Emitter, RedisAdapter
from broker.testing.client import TestClient

from .peers import require_redis_adapter
from .redis_peer import RedisNode, RejectedError, redis_node

_clusters = count(1)


@attrs.frozen
class Pair:
    """Our node with `ours`, its client, and Node's with a client `theirs`; both in `/chat`.

    `seen`: what ours has got.
    """

    broker: Broker
    chat: Namespace
    ours: TestClient
    node: RedisNode
    theirs: str
    told: list[tuple[Any, ...]]
    url: str
    key: str
    seen: list[tuple[Any, ...]] = attrs.field(factory=list)

    async def until(self, event: str) -> list[tuple[Any, ...]]:
        """Return what ours has got before this event."""
        with trio.fail_after(10):
            await self.ours.expect(event)
        seen, self.seen[:] = list(self.seen), []
        return seen[:-1]

    async def is_disconnected(self) -> None:
        """Wait until ours is."""
        with trio.fail_after(10), pytest.raises(SocketDisconnected):
            await self.ours.expect("nothing any more")


@asynccontextmanager
async def a_pair(url: str, *, specific: tuple[bool, bool] = (True, True)) -> AsyncIterator[Pair]:
    require_redis_adapter()
    key = f"interop-{next(_clusters)}"
    adapter = RedisAdapter(url, key=key, publish_on_specific_response_channel=specific[0])
    broker = Broker(adapter=adapter)
    chat = broker.of("/chat")
    told: list[tuple[Any, ...]] = []

    @chat.on_server("told")
    async def _told(*args: Any) -> None:
        told.append(args)

    @chat.on_server("asked")
    async def _asked(value: Any) -> Any:
        return value

    async with (
        broker,
        redis_node(url, key=key, publishOnSpecificResponseChannel=specific[1]) as node,
        broker.test_client("/chat", auth={"name": "ours"}) as ours,
    ):
        theirs = await node.do("client", name="theirs")
        pair = Pair(broker, chat, ours, node, theirs, told, url, key)
        ours.watch(lambda event, args: pair.seen.append((event, *args)))
        ours.answer("question", lambda *args: args[0])
        chat.sockets[ours.id].data["name"] = "ours"
        yield pair


@pytest.fixture
async def pair(redis: Any) -> AsyncIterator[Pair]:
    async with a_pair(redis.url) as pair:
        yield pair


BYTES = b"\x00\xff\x80"


# From ours to Node's.


async def test_our_events_reach_their_clients(pair: Pair) -> None:
    chat = pair.chat
    await chat.to(pair.theirs).sockets_join("red")
    await chat.emit("all", 1, {"deep": [BYTES, None, "é"]})
    await chat.to("red").emit("room", BYTES)
    await chat.to("red").to("blue").emit("rooms")
    await chat.except_("red").emit("except")
    await chat.to("blue").emit("another room")
    await chat.local.emit("local")
    await chat.to(pair.theirs).emit("id")
    await chat.sockets[pair.ours.id].broadcast.emit("from a socket")
    await chat.emit("end")
    assert await pair.node.until("theirs", "end") == [
        ["all", 1, {"deep": [BYTES, None, "é"]}],
        ["room", BYTES],
        ["rooms"],
        ["id"],
        ["from a socket"],
    ]


async def test_we_fetch_their_sockets(pair: Pair) -> None:
    await pair.chat.to(pair.theirs).sockets_join("red", "blue")
    here, there = await pair.chat.fetch_sockets()
    assert here.id == pair.ours.id
    assert there.id == pair.theirs
    assert there.rooms == {pair.theirs, "red", "blue"}
    assert there.data == {"name": "theirs"}
    assert there.handshake.auth == {"name": "theirs"}
    assert there.handshake.headers["host"].startswith("127.0.0.1")
    assert [each.id for each in await pair.chat.to("red").fetch_sockets()] == [pair.theirs]
    assert await pair.chat.to("none").fetch_sockets() == []


async def test_we_let_their_sockets_in_and_out(pair: Pair) -> None:
    await pair.chat.sockets_join("red", "blue")
    await pair.chat.to("red").sockets_leave("blue")
    await pair.chat.emit("end")
    await pair.node.until("theirs", "end")
    assert set(await pair.node.do("rooms", id=pair.theirs)) == {pair.theirs, "red"}


@pytest.mark.parametrize("close", [False, True])
async def test_we_disconnect_their_sockets(pair: Pair, close: bool) -> None:
    await pair.chat.to(pair.theirs).disconnect_sockets(close)
    await pair.node.until("theirs", "disconnect")
    assert [each.id for each in await pair.chat.fetch_sockets()] == [pair.ours.id]


async def test_we_ask_their_clients(pair: Pair) -> None:
    for value in (7, {"a": BYTES}):
        answers = await pair.chat.emit_with_ack("question", value)
        assert answers.values[pair.ours.id] == value
        assert list(answers.values.values()) == [value, value]
        assert not answers.missing
        assert answers.unnamed == answers.missing_nodes == 0
    answers = await pair.chat.timeout(0.3).emit_with_ack("silence")
    assert (len(answers.missing), answers.unnamed) == (1, 1)


async def test_we_tell_and_ask_their_programs(pair: Pair) -> None:
    await pair.chat.server_side_emit("told", 1, {"a": [None]})
    assert list(await pair.chat.server_side_emit_with_ack("asked", "x")) == ["x"]
    assert await pair.node.heard(1) == [[1, {"a": [None]}]]


# From Node's to ours.


async def test_their_events_reach_our_clients(pair: Pair) -> None:
    do = pair.node.do
    await pair.chat.sockets[pair.ours.id].join("red")
    await do("emit", "all", 1, {"deep": ["é", None]})
    await do("emit", "bytes", BYTES)
    await do("emit", "room", rooms=["red"])
    await do("emit", "rooms", rooms=["red", "blue"])
    await do("emit", "except", **{"except": ["red"]})
    await do("emit", "another room", rooms=["blue"])
    await do("emit", "local", local=True)
    await do("emit", "id", rooms=[pair.ours.id])
    await do("emit", "end")
    assert await pair.until("end") == [
        ("all", 1, {"deep": ["é", None]}),
        ("bytes", BYTES),
        ("room",),
        ("rooms",),
        ("id",),
    ]


async def test_they_fetch_our_sockets(pair: Pair) -> None:
    await pair.chat.sockets[pair.ours.id].join("red")
    fetched = {each["id"]: each for each in await pair.node.do("fetch")}
    assert fetched.keys() == {pair.ours.id, pair.theirs}
    ours = fetched[pair.ours.id]
    assert set(ours["rooms"]) == {pair.ours.id, "red"}
    assert ours["data"] == {"name": "ours"}
    assert ours["auth"] == {"name": "ours"}
    assert [each["id"] for each in await pair.node.do("fetch", rooms=["red"])] == [pair.ours.id]
    assert set(await pair.node.do("allRooms")) >= {pair.ours.id, pair.theirs, "red"}


async def test_they_let_our_sockets_in_and_out(pair: Pair) -> None:
    await pair.node.do("join", rooms=[pair.ours.id], into=["red", "blue"])
    await pair.node.do("emit", "joined", rooms=["red"])
    await pair.node.do("leave", rooms=["red"], **{"from": ["blue"]})
    await pair.node.do("emit", "end")
    assert await pair.until("end") == [("joined",)]
    assert pair.chat.sockets[pair.ours.id].rooms == {pair.ours.id, "red"}


@pytest.mark.parametrize("close", [False, True])
async def test_they_disconnect_our_sockets(pair: Pair, close: bool) -> None:
    await pair.node.do("disconnect", rooms=[pair.ours.id], close=close)
    await pair.is_disconnected()
    assert [each["id"] for each in await pair.node.do("fetch")] == [pair.theirs]


async def test_they_ask_our_clients(pair: Pair) -> None:
    assert await pair.node.do("ask", "question", 7, timeout=5000) == [7, 7]
    pair.ours.answer("silence", lambda: 1)
    with pytest.raises(RejectedError) as caught:
        await pair.node.do("ask", "silence", timeout=300)
    assert caught.value.args[1] == [1]


async def test_they_tell_and_ask_our_programs(pair: Pair) -> None:
    await pair.node.do("tellServers", "told", 1, {"a": [None]})
    assert await pair.node.do("askServers", "asked", "x") == ["x"]
    assert pair.told == [(1, {"a": [None]})]


# Both.


async def test_the_events_of_one_node_come_in_order_and_once(pair: Pair) -> None:
    for number in range(300):
        await pair.chat.emit("event", number)
    await pair.chat.emit("end")
    assert await pair.node.until("theirs", "end") == [["event", number] for number in range(300)]
    await pair.until("end")
    await pair.node.do("emitMany", many=300)
    await pair.node.do("emit", "end")
    assert await pair.until("end") == [("event", number) for number in range(300)]


async def test_nodes_own_clients_are_at_home_on_both(pair: Pair) -> None:
    async with trio.open_nursery() as nursery:
        address = await nursery.start(pair.broker.serve, "127.0.0.1", 0)
        ours = await pair.node.do("client", name="js", server=address.url)
        await pair.chat.to(ours, pair.theirs).sockets_join("red")
        await pair.chat.emit("joined")
        for name in ("js", "theirs"):
            await pair.node.until(name, "joined")
        await pair.node.do("emit", "from theirs", BYTES, rooms=["red"])
        await pair.node.do("emit", "end")
        both = [await pair.node.until(name, "end") for name in ("js", "theirs")]
        assert both == [[["from theirs", BYTES]]] * 2
        await pair.chat.to("red").emit("from ours", BYTES)
        await pair.chat.emit("end")
        both = [await pair.node.until(name, "end") for name in ("js", "theirs")]
        assert both == [[["from ours", BYTES]]] * 2
        assert len((await pair.chat.to("red").emit_with_ack("question", BYTES)).values) == 2
        assert len(await pair.node.do("fetch")) == 3
        await pair.node.do("disconnect", rooms=[ours])
        await pair.node.until("js", "disconnect")
        nursery.cancel_scope.cancel()


async def test_a_node_of_nodes_that_dies_is_waited_for_no_more(pair: Pair) -> None:
    assert len(await pair.chat.fetch_sockets()) == 2
    pair.node.kill()
    assert [each.id for each in await pair.chat.fetch_sockets()] == [pair.ours.id]


# Answers, to one node or to all.


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("theirs", [True, False])
async def test_answers_are_heard_whatever_channel_they_come_on(
    redis: Any, ours: bool, theirs: bool
) -> None:
    async with a_pair(redis.url, specific=(ours, theirs)) as pair:
        assert len(await pair.chat.fetch_sockets()) == 2
        assert len(await pair.node.do("fetch")) == 2
        assert len((await pair.chat.emit_with_ack("question", 1)).values) == 2
        assert await pair.node.do("ask", "question", 1, timeout=5000) == [1, 1]
        assert list(await pair.chat.server_side_emit_with_ack("asked", 1)) == [1]
        assert await pair.node.do("askServers", "asked", 1) == [1]


# Who only sends.


async def test_their_emitter_reaches_clients_of_both(pair: Pair) -> None:
    async def emit(what: str, *args: Any, **command: Any) -> None:
        await pair.node.do(what, *args, by="emitter", **command)

    await emit("emit", "all", 1, BYTES)
    await emit("join", rooms=[pair.ours.id], into=["red"])
    await emit("emit", "room", rooms=["red"])
    await emit("emit", "except", **{"except": ["red"]})
    await emit("leave", rooms=["red"], **{"from": ["red"]})
    await emit("emit", "left", rooms=["red"])
    await emit("tellServers", "told", 2)
    await emit("emit", "end")
    assert await pair.until("end") == [("all", 1, BYTES), ("room",)]
    assert await pair.node.until("theirs", "end") == [["all", 1, BYTES], ["except"]]
    await emit("disconnect", rooms=[pair.ours.id])
    await pair.is_disconnected()
    assert pair.told == [(2,)]


async def test_our_emitter_reaches_clients_of_both(pair: Pair) -> None:
    async with Emitter(pair.url, key=pair.key) as io:
        chat = io.of("chat")
        await chat.emit("all", 1, {"deep": [BYTES, None]})
        await chat.to(pair.ours.id, pair.theirs).sockets_join("red")
        await chat.in_("red").emit("room")
        await chat.to("red").except_(pair.ours.id).emit("except")
        await chat.to(pair.theirs).sockets_leave("red")
        await chat.to("red").volatile.compress(False).emit("left")
        await chat.to().emit("nobody")
        await chat.server_side_emit("told", 2)
        await io.emit("another namespace")
        await chat.emit("end")
        everything = [("all", 1, {"deep": [BYTES, None]}), ("room",)]
        assert await pair.until("end") == [*everything, ("left",)]
        theirs = await pair.node.until("theirs", "end")
        assert theirs == [*map(list, everything), ["except"]]
        assert await pair.node.heard(1) == [[2]]
        await chat.disconnect_sockets()
        await pair.is_disconnected()
        await pair.node.until("theirs", "disconnect")
    assert pair.told == [(2,)]
