"""Socket.IO rows S1 to S16: what stands behind the `4` of Engine.IO, over websocket.

`quick_broker` has the times of the outside suites, where nobody answers a ping unless a row is
about that; `broker` is the same app with the default times, for rows that are not about time.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from .endpoint import Endpoint, in_three_tries
from .wire import Ended, WebSocket

CONNECT_TIMEOUT = 1.0


@asynccontextmanager
async def opened(broker: Endpoint) -> AsyncIterator[WebSocket]:
    """A websocket in no namespace yet."""
    async with broker.websocket() as websocket:
        assert (await websocket.receive_text()).startswith("0{")
        yield websocket


@asynccontextmanager
async def connected(broker: Endpoint) -> AsyncIterator[WebSocket]:
    """A websocket in the main namespace."""
    async with opened(broker) as websocket:
        await connect(websocket)
        yield websocket


async def connect(websocket: WebSocket, namespace: str = "", auth: str = "") -> None:
    """Connect to a namespace; its `auth` event must follow at once."""
    await websocket.send(f"40{namespace}{auth}")
    reply = await websocket.receive_text()
    assert reply.startswith(f"40{namespace}{{"), reply
    content = json.loads(reply.removeprefix(f"40{namespace}"))
    assert list(content) == ["sid"]
    assert isinstance(content["sid"], str)
    assert await websocket.receive() == f'42{namespace}["auth",{auth or "{}"}]'


@pytest.mark.parametrize("auth", ["", '{"token":"123"}'])
async def test_main_namespace_is_connected_with_the_payload(broker: Endpoint, auth: str) -> None:
    """Rows S1 and S2."""
    async with opened(broker) as websocket:
        await connect(websocket, auth=auth)


@pytest.mark.parametrize("auth", ["", '{"token":"abc"}'])
async def test_other_namespace_is_connected_with_the_payload(broker: Endpoint, auth: str) -> None:
    """Rows S3 and S4."""
    async with opened(broker) as websocket:
        await connect(websocket, "/custom,", auth)


async def test_unknown_namespace_is_refused_by_name(broker: Endpoint) -> None:
    """Row S5."""
    async with opened(broker) as websocket:
        answer = await websocket.exchange("40/random")
        assert answer == '44/random,{"message":"Invalid namespace"}'


async def test_nonsense_before_connecting_closes(broker: Endpoint) -> None:
    """Row S6."""
    async with opened(broker) as websocket:
        await websocket.send("4abc")
        await websocket.end()


async def test_client_without_a_namespace_is_closed(quick_broker: Endpoint) -> None:
    """Row S7: within two seconds, whichever timeout is first."""
    async with opened(quick_broker) as websocket:
        with trio.fail_after(2):
            await websocket.rest()


@pytest.mark.parametrize("first", [[], ["40/random"]])
async def test_pongs_do_not_replace_a_namespace(quick_broker: Endpoint, first: list[str]) -> None:
    """Row S7, for a client that is alive, or tries what there is not."""
    begun = trio.current_time()
    async with quick_broker.websocket() as websocket:
        await websocket.receive()
        await websocket.send(*first)
        with trio.fail_after(2), suppress(Ended):
            while True:
                if await websocket.receive() == "2":
                    await websocket.send("3")
    assert trio.current_time() - begun >= CONNECT_TIMEOUT


async def test_disconnect_is_not_answered_and_leaves_the_connection(
    quick_broker: Endpoint,
) -> None:
    """Row S8."""

    async def row() -> None:
        async with connected(quick_broker) as websocket:
            await websocket.send("41")
            for _ in range(2):
                assert await websocket.receive() == "2"
                await websocket.send("3")

    await in_three_tries(row)


async def test_namespaces_come_and_go_on_one_connection(quick_broker: Endpoint) -> None:
    """Row S9. The server is the clock: nobody answers its ping, so that it soon closes."""

    async def row() -> None:
        async with connected(quick_broker) as websocket:
            assert await websocket.receive() == "2"
            await connect(websocket, "/custom,")
            answer = await websocket.exchange("41/custom", '42["message","to the main one"]')
            assert answer == '42["message-back","to the main one"]'

    await in_three_tries(row)


async def test_event_keeps_types_and_order_of_keys(broker: Endpoint) -> None:
    """Row S10."""
    async with connected(broker) as websocket:
        answer = await websocket.exchange('42["message",1,"2",{"3":[true]}]')
        assert answer == '42["message-back",1,"2",{"3":[true]}]'


ATTACHMENTS = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'


async def test_attachments_come_back_in_order(broker: Endpoint) -> None:
    """Row S11."""
    async with connected(broker) as websocket:
        await websocket.send(f'452-["message",{ATTACHMENTS}]', b"\1\2\3", b"\4\5\6")
        assert await websocket.receive() == f'452-["message-back",{ATTACHMENTS}]'
        assert await websocket.receive() == b"\1\2\3"
        assert await websocket.receive() == b"\4\5\6"


async def test_event_is_acknowledged_with_its_id(broker: Endpoint) -> None:
    """Row S12."""
    async with connected(broker) as websocket:
        answer = await websocket.exchange('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert answer == '43456[1,"2",{"3":[false]}]'


async def test_acknowledgement_carries_attachments(broker: Endpoint) -> None:
    """Row S13."""
    async with connected(broker) as websocket:
        await websocket.send(f'452-789["message-with-ack",{ATTACHMENTS}]', b"\1\2\3", b"\4\5\6")
        assert await websocket.receive() == f"462-789[{ATTACHMENTS}]"
        assert await websocket.receive() == b"\1\2\3"
        assert await websocket.receive() == b"\4\5\6"


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param("4abc", id="S14 no packet"),
        pytest.param("42{}", id="S15 no array"),
        pytest.param('42abc["message-with-ack",1,"2",{"3":[false]}]', id="S16 no number"),
    ],
)
async def test_bad_packet_closes_the_connection(broker: Endpoint, packet: str) -> None:
    """Rows S14, S15 and S16."""
    async with connected(broker) as websocket:
        await websocket.send(packet)
        await websocket.end()
