"""Socket.IO packets that break the rules: the connection is closed, and nothing else happens."""

from __future__ import annotations

import pytest

from .endpoint import Endpoint
from .test_socketio import ATTACHMENTS, connect, connected, opened

ONE = '{"_placeholder":true,"num":0}'


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param("4", id="nothing"),
        pytest.param("49", id="unknown type"),
        pytest.param("4x", id="no type"),
        pytest.param("40", id="a second CONNECT"),
        pytest.param('44{"message":"no"}', id="the server's CONNECT_ERROR"),
        pytest.param('42/custom,["message"]', id="event where it is not"),
        pytest.param('42/nowhere,["message"]', id="event where nobody is"),
        pytest.param("43/custom,1[]", id="ack where it is not"),
        pytest.param("41/custom", id="leaves where it is not"),
        pytest.param("41{}", id="DISCONNECT with a payload"),
        pytest.param("42[]", id="event without a name"),
        pytest.param("42[null]", id="null as a name"),
        pytest.param('42["connect"]', id="connect"),
        pytest.param('42["connect_error"]', id="connect_error"),
        pytest.param('42["disconnect","transport close"]', id="disconnect"),
        pytest.param('42["disconnecting"]', id="disconnecting"),
        pytest.param('42["newListener"]', id="newListener"),
        pytest.param('42["removeListener"]', id="removeListener"),
        pytest.param('42["message"', id="half an array"),
        pytest.param('42["message"]]', id="more than an array"),
        pytest.param("42null", id="null"),
        pytest.param("43{}", id="ack without an array"),
        pytest.param('450-["message"]', id="no attachments"),
        pytest.param(f'4511-["message",{ONE}]', id="too many attachments"),
        pytest.param(f'45x-["message",{ONE}]', id="no number of attachments"),
        pytest.param('45["message"]', id="attachments not announced"),
        pytest.param('4599999999999999999999-["message"]', id="attachments without end"),
    ],
)
async def test_bad_packet_closes_the_connection(broker: Endpoint, packet: str) -> None:
    async with connected(broker) as websocket:
        await websocket.send(packet)
        await websocket.end()


@pytest.mark.atrio_only
@pytest.mark.parametrize(
    "packet",
    [
        pytest.param("42", id="event without a payload"),
        pytest.param("43", id="ack without a payload"),
        pytest.param("431", id="ack with an id alone"),
        pytest.param('42 ["message"]', id="a blank as id"),
    ],
)
async def test_packet_that_node_overlooks_closes_the_connection(
    broker: Endpoint, packet: str
) -> None:
    """Node calls handlers without arguments, or takes a blank for the number 0."""
    async with connected(broker) as websocket:
        await websocket.send(packet)
        await websocket.end()


@pytest.mark.parametrize(
    "packet", ['42["message"]', "41", "431[]", '44{"message":"no"}', b"\1\2"], ids=str
)
async def test_first_packet_must_connect(broker: Endpoint, packet: str | bytes) -> None:
    async with opened(broker) as websocket:
        await websocket.send(packet)
        await websocket.end()


@pytest.mark.parametrize("auth", ['"token"', "[]", "true", "null", "{"])
async def test_connect_takes_an_object(broker: Endpoint, auth: str) -> None:
    async with opened(broker) as websocket:
        await websocket.send(f"40{auth}")
        await websocket.end()


async def test_attachment_must_be_announced(broker: Endpoint) -> None:
    async with connected(broker) as websocket:
        await websocket.send(b"\1\2\3")
        await websocket.end()


async def test_nothing_comes_between_attachments(broker: Endpoint) -> None:
    async with connected(broker) as websocket:
        await websocket.send(f'452-["message",{ATTACHMENTS}]', b"\1", '42["message"]')
        await websocket.end()


@pytest.mark.parametrize(
    "number",
    # Node looks for attachment 0.5, and finds undefined.
    ["1", "-1", '"0"', "null", pytest.param("0.5", marks=pytest.mark.atrio_only)],
)
async def test_placeholder_must_name_its_attachment(broker: Endpoint, number: str) -> None:
    async with connected(broker) as websocket:
        packet = f'451-["message",{{"_placeholder":true,"num":{number}}}]'
        await websocket.send(packet, b"\1")
        await websocket.end()


async def test_placeholder_without_attachments_is_plain_data(broker: Endpoint) -> None:
    async with connected(broker) as websocket:
        answer = await websocket.exchange(f'42["message",{ONE}]')
        assert answer == f'42["message-back",{ONE}]'


async def test_most_attachments_there_may_be(broker: Endpoint) -> None:
    placeholders = ",".join(f'{{"_placeholder":true,"num":{i}}}' for i in range(10))
    attachments = [bytes([i]) for i in range(10)]
    async with connected(broker) as websocket:
        await websocket.send(f'4510-["message",{placeholders}]', *attachments)
        assert await websocket.receive() == f'4510-["message-back",{placeholders}]'
        assert [await websocket.receive() for _ in attachments] == attachments


async def test_refused_namespace_leaves_the_others_alone(broker: Endpoint) -> None:
    async with connected(broker) as websocket:
        answer = await websocket.exchange('40/random,{"token":"123"}')
        assert answer == '44/random,{"message":"Invalid namespace"}'
        assert await websocket.exchange('42["message"]') == '42["message-back"]'


@pytest.mark.parametrize(
    "at_once",
    # Node has not let the client go when its next packet comes in the same read, and closes.
    [False, pytest.param(True, marks=pytest.mark.atrio_only)],
)
async def test_namespace_may_be_left_and_entered_again(broker: Endpoint, at_once: bool) -> None:
    async with connected(broker) as websocket:
        await connect(websocket, "/custom,")
        await websocket.send("41/custom,")
        if not at_once:
            await broker.caught_up()
        await connect(websocket, "/custom,", '{"token":"2"}')


async def test_query_belongs_to_the_name_of_a_namespace(broker: Endpoint) -> None:
    async with opened(broker) as websocket:
        answer = await websocket.exchange("40/custom?token=1,")
        assert answer == '44/custom?token=1,{"message":"Invalid namespace"}'


async def test_ack_nobody_waits_for_is_overlooked(broker: Endpoint) -> None:
    async with connected(broker) as websocket:
        await websocket.send("43789[1]", '42["message"]')
        assert await websocket.receive() == '42["message-back"]'


async def test_ack_of_nothing_is_an_empty_array(broker: Endpoint) -> None:
    async with connected(broker) as websocket:
        assert await websocket.exchange('420["message-with-ack"]') == "430[]"


async def test_event_nobody_handles_is_overlooked(broker: Endpoint) -> None:
    async with connected(broker) as websocket:
        await websocket.send('421["no such event"]', '42["message"]')
        assert await websocket.receive() == '42["message-back"]'
