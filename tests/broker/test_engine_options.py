"""What the options of the Engine.IO layer change, as a client sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from broker import Broker

POLL = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}

Http = Callable[..., Any]
Wire = Callable[..., Any]


async def test_only_the_transports_of_the_option_are_served(http: Http, wire: Wire) -> None:
    broker = Broker(transports=["websocket"])
    async with broker:
        async with http(broker) as client:
            status, _, body = await client.request("GET", POLL)
            assert (status, json.loads(body)["code"]) == (400, 0)
        async with wire(broker, read_open=False) as websocket:
            assert json.loads((await websocket.get())[1:])["upgrades"] == []
    broker = Broker(transports="polling")
    async with broker:
        async with http(broker) as client:
            _, _, opened = await client.request("GET", POLL)
            assert json.loads(opened[1:])["upgrades"] == []
        async with http(broker) as client:
            status, _, body = await client.request("GET", WEBSOCKET, **UPGRADE)
            assert (status, body) == (400, b"Transport unknown")


async def test_without_upgrades_none_is_offered_and_a_probe_is_closed(
    http: Http, wire: Wire
) -> None:
    broker = Broker(allow_upgrades=False)
    async with broker, http(broker) as client:
        _, _, body = await client.request("GET", POLL)
        opened = json.loads(body[1:])
        assert opened["upgrades"] == []
        sid = opened["sid"]
        async with wire(broker, f"{WEBSOCKET}&sid={sid}", read_open=False) as probe:
            with pytest.raises(ConnectionClosed):
                await probe.get()
        assert (await client.request("POST", f"{POLL}&sid={sid}", b"40"))[0] == 200
        assert (await client.request("GET", f"{POLL}&sid={sid}"))[2].startswith(b"40{")


async def test_the_open_packet_tells_the_heartbeat_and_the_largest_message(wire: Wire) -> None:
    broker = Broker(ping_interval=7, ping_timeout=3.5, max_http_buffer_size=1234)
    async with broker, wire(broker, read_open=False) as client:
        opened = json.loads((await client.get())[1:])
    assert opened.pop("sid")
    assert opened == {
        "upgrades": [],
        "pingInterval": 7000,
        "pingTimeout": 3500,
        "maxPayload": 1234,
    }


@pytest.mark.parametrize("path", ["/live/", "live", "/live"])
async def test_the_path_is_served_with_and_without_its_last_slash_and_no_other(
    path: str, http: Http
) -> None:
    broker = Broker(path=path)
    query = "?EIO=4&transport=polling"
    async with broker, http(broker) as client:
        for target, expected in [
            ("/live/", 200),
            ("/live", 200),
            ("/livelier", 404),
            ("/live/more", 404),
            ("/socket.io/", 404),
            ("/", 404),
        ]:
            assert (await client.request("GET", target + query))[0] == expected, target


async def test_what_is_emitted_together_is_written_together(
    wire: Wire, autojump_clock: MockClock
) -> None:
    writes: list[None] = []
    broker = Broker()

    def counted() -> tuple[trio.abc.Stream, trio.abc.Stream]:
        ours, theirs = trio.testing.memory_stream_pair()
        pump = theirs.send_stream.send_all_hook
        assert pump is not None

        async def count() -> None:
            writes.append(None)
            await pump()

        theirs.send_stream.send_all_hook = count
        return ours, theirs

    async with broker, wire(broker, streams=counted) as client:
        await client.enter()
        await trio.testing.wait_all_tasks_blocked()
        writes.clear()
        for number in range(50):
            broker.emit_nowait("n", number)
        assert [await client.get() for _ in range(50)] == [f'42["n",{n}]' for n in range(50)]
        assert len(writes) == 1


async def test_the_statistics_say_how_many_clients_there_are(http: Http, wire: Wire) -> None:
    broker = Broker()
    async with broker, http(broker) as client, wire(broker):
        await client.request("GET", POLL)
        assert broker.statistics().connections == 2
