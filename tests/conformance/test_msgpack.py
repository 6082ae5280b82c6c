"""The msgpack parser on the wire: a client without one of its own, and clients with the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from .endpoint import Endpoint
from .peers import Servers
from .real_clients import MODES, Client
from .test_socketio import opened
from .wire import WebSocket

pack = msgspec.msgpack.encode
UNDEFINED = msgspec.msgpack.Ext(0, b"\0")
CONNECT = {"type": 0, "nsp": "/"}


@pytest.fixture
def broker(servers: Servers) -> Endpoint:
    """The Socket.IO app, with the default heartbeat, whose parser is msgpack."""
    return servers["calm-msgpack"].endpoint


async def receive(websocket: WebSocket) -> Any:
    data = await websocket.receive()
    assert isinstance(data, bytes)
    return msgspec.msgpack.decode(data)


@asynccontextmanager
async def connected(broker: Endpoint, auth: Any) -> AsyncIterator[WebSocket]:
    async with opened(broker) as websocket:
        await websocket.send(pack(CONNECT | {"data": auth}))
        welcome = await receive(websocket)
        assert welcome.keys() == {"type", "nsp", "data"}
        assert (welcome["type"], welcome["nsp"]) == (0, "/")
        assert isinstance(welcome["data"]["sid"], str)
        told = {} if auth is UNDEFINED else auth
        assert await receive(websocket) == {"type": 2, "nsp": "/", "data": ["auth", told]}
        yield websocket


@pytest.mark.parametrize("auth", [UNDEFINED, {"token": "123"}], ids=["undefined", "an object"])
async def test_an_event_and_its_ack_are_a_map_each(broker: Endpoint, auth: Any) -> None:
    async with connected(broker, auth) as websocket:
        args = [1, "two", b"\0", {"three": [None]}]
        await websocket.send(pack({"type": 2, "nsp": "/", "data": ["message", *args]}))
        assert (await receive(websocket))["data"] == ["message-back", *args]
        event = {"type": 2, "nsp": "/", "data": ["message-with-ack", *args], "id": 0}
        await websocket.send(pack(event | {"options": {"compress": True}}))
        assert await receive(websocket) == {"type": 3, "nsp": "/", "data": args, "id": 0}


async def test_unknown_namespace_is_refused_by_name(broker: Endpoint) -> None:
    async with opened(broker) as websocket:
        await websocket.send(pack({"type": 0, "nsp": "/random"}))
        answer = await receive(websocket)
        assert answer == {"type": 4, "nsp": "/random", "data": {"message": "Invalid namespace"}}


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(pack(CONNECT)[:-1], id="half a packet"),
        pytest.param(pack(CONNECT) + b"\0", id="more than a packet"),
        pytest.param(pack([2, "/", ["message"]]), id="a list"),
        pytest.param(pack({"nsp": "/", "data": ["message"]}), id="no type"),
        pytest.param(pack({"type": 5, "nsp": "/", "data": ["message"]}), id="BINARY_EVENT"),
        pytest.param(pack({"type": 2, "data": ["message"]}), id="no namespace"),
        pytest.param(pack({"type": 2, "nsp": "/"}), id="no payload"),
        pytest.param(pack({"type": 2, "nsp": "/", "data": "message"}), id="text for a payload"),
        pytest.param(pack({"type": 2, "nsp": "/", "data": ["message"], "id": "0"}), id="text id"),
        pytest.param(pack({"type": 3, "nsp": "/", "data": {}, "id": 0}), id="ack with a map"),
        pytest.param(pack({"type": 1, "nsp": "/", "data": {}}), id="DISCONNECT with a payload"),
        pytest.param(pack(CONNECT), id="a second CONNECT"),
        pytest.param(pack(CONNECT | {"data": []}), id="CONNECT with a list"),
        pytest.param(pack({"type": 2, "nsp": "/nowhere", "data": ["message"]}), id="nowhere"),
        pytest.param('42["message"]', id="JSON"),
    ],
)
async def test_bad_packet_closes_the_connection(broker: Endpoint, packet: str | bytes) -> None:
    async with connected(broker, {"a": 1}) as websocket:
        await websocket.send(packet)
        await websocket.end()


@pytest.mark.atrio_only  # Node's parser for msgpack takes all of these
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(["disconnect", "transport close"], id="a reserved name"),
        pytest.param([], id="no name"),
        pytest.param([None], id="nil as a name"),
        pytest.param(["message", {1: 2}], id="a number as key"),
        pytest.param(["message", msgspec.msgpack.Ext(5, b"a")], id="an unknown extension"),
    ],
)
async def test_packet_that_node_overlooks_closes_the_connection(
    broker: Endpoint, data: list[Any]
) -> None:
    async with connected(broker, {"a": 1}) as websocket:
        await websocket.send(pack({"type": 2, "nsp": "/", "data": data}))
        await websocket.end()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("parser", "app"),
    [("json", "msgpack-meeting"), ("msgpack", "meeting")],
    ids=["json client", "msgpack client"],
)
async def test_client_with_the_other_parser_is_ended(
    client: Client, servers: Servers, parser: str, app: str, mode: str
) -> None:
    seen = await client.run("other_parser.mjs", servers[app].url, mode, parser)
    assert seen["reason"] in {"transport close", "transport error"}
