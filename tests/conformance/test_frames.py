"""Websocket frames as a network and a hostile client deliver them: cut, joined, bent."""

from __future__ import annotations

import pytest
from wsproto.events import BytesMessage, Pong, TextMessage

from .endpoint import Endpoint
from .wire import WebSocket, masked_frame

TEXT, BINARY, CONTINUATION, PING = 1, 2, 0, 9

# Data and control frames mixed, a fragmented message among them, and what must come back of it.
MIXED = b"".join(
    [
        masked_frame(TEXT, b"4one"),
        masked_frame(PING, b"first"),
        masked_frame(TEXT, b"4two"),
        masked_frame(TEXT, b"4th", final=False),
        masked_frame(PING, b"second"),
        masked_frame(CONTINUATION, b"re\xc3", final=False),
        masked_frame(CONTINUATION, b"\xa9"),
        masked_frame(BINARY, b"\4\5\6"),
        masked_frame(TEXT, b"4seven"),
    ]
)
MESSAGES = ["4one", "4two", "4thre\u00e9", b"\4\5\6", "4seven"]
PONGS = [b"first", b"second"]


async def receive_mixed(
    websocket: WebSocket, times: int = 1
) -> tuple[list[str | bytes], list[bytes]]:
    """Receive what MIXED brings. Pongs may pass messages: nobody promises their order."""
    messages: list[str | bytes] = []
    pongs: list[bytes] = []
    while len(messages) < times * len(MESSAGES) or len(pongs) < times * len(PONGS):
        match await websocket.next_event():
            case Pong(payload=payload):
                pongs.append(bytes(payload))
            case TextMessage(data=data):
                messages.append(data)
            case BytesMessage(data=data):
                messages.append(bytes(data))
    return messages, pongs


async def test_frames_may_be_cut_at_any_byte(engine: Endpoint) -> None:
    async with engine.websocket() as websocket:
        await websocket.receive()
        for cut in range(1, len(MIXED)):
            await websocket.connection.write(MIXED[:cut])
            await engine.caught_up()
            await websocket.connection.write(MIXED[cut:])
            assert await receive_mixed(websocket) == (MESSAGES, PONGS), f"cut at byte {cut}"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
async def test_frames_may_come_in_crumbs(engine: Endpoint, size: int) -> None:
    async with engine.websocket() as websocket:
        await websocket.receive()
        for begin in range(0, len(MIXED), size):
            await websocket.connection.write(MIXED[begin : begin + size])
            await engine.caught_up()
        assert await receive_mixed(websocket) == (MESSAGES, PONGS)


async def test_many_frames_may_come_at_once(engine: Endpoint) -> None:
    async with engine.websocket() as websocket:
        await websocket.receive()
        await websocket.connection.write(MIXED * 50)
        assert await receive_mixed(websocket, 50) == (MESSAGES * 50, PONGS * 50)


@pytest.mark.parametrize("length", [0, 125, 126, 127, 65535, 65536])
async def test_every_form_of_length_is_understood(engine: Endpoint, length: int) -> None:
    async with engine.websocket() as websocket:
        await websocket.receive()
        assert await websocket.exchange(b"a" * length) == b"a" * length


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param(b"\x81\x024a", 1002, id="not masked"),
        pytest.param(b"\xc1" + masked_frame(TEXT, b"4a")[1:], 1002, id="reserved bit"),
        pytest.param(masked_frame(3, b"4a"), 1002, id="reserved data opcode"),
        pytest.param(masked_frame(11, b"4a"), 1002, id="reserved control opcode"),
        pytest.param(masked_frame(CONTINUATION, b"4a"), 1002, id="nothing to continue"),
        pytest.param(
            masked_frame(TEXT, b"4a", final=False) + masked_frame(TEXT, b"4b"),
            1002,
            id="text in the middle of a text",
        ),
        pytest.param(masked_frame(PING, b"a", final=False), 1002, id="ping in fragments"),
        pytest.param(masked_frame(PING, b"a" * 126), 1002, id="ping too long"),
        pytest.param(masked_frame(8, b"\x03"), 1002, id="half a close code"),
        pytest.param(masked_frame(8, b"\x03\xed"), 1002, id="close code not for the wire"),
        pytest.param(masked_frame(TEXT, b"4\xc3\x28"), 1007, id="no UTF-8"),
        pytest.param(masked_frame(TEXT, b"4\xe2\x82"), 1007, id="half a character"),
        pytest.param(masked_frame(TEXT, b"4\xed\xa0\x80"), 1007, id="half an astral character"),
    ],
)
async def test_bad_frame_ends_the_websocket(engine: Endpoint, frames: bytes, code: int) -> None:
    """RFC 6455, section 7.1.7: the server should say why, and may just go (1006)."""
    async with engine.websocket() as websocket:
        await websocket.receive()
        await websocket.send("4before")
        assert await websocket.receive() == "4before"
        await websocket.connection.write(frames)
        assert await websocket.end() in {code, 1006}


async def test_close_is_answered_with_its_code(engine: Endpoint) -> None:
    async with engine.websocket() as websocket:
        await websocket.receive()
        await websocket.connection.write(masked_frame(8, b"\x03\xe9going"))
        assert await websocket.end() == 1001


@pytest.mark.parametrize("packet", ["2", "2probe", "9", "", "hello", "-1", "\u0664"])
async def test_packet_a_client_must_not_send_closes(engine: Endpoint, packet: str) -> None:
    """In this revision of the protocol it is the server who pings."""
    async with engine.websocket() as websocket:
        await websocket.receive()
        await websocket.send(packet)
        await websocket.end()


@pytest.mark.parametrize("packet", ["0", "5", "6", "3", "3probe"])
async def test_packet_out_of_place_is_overlooked(engine: Endpoint, packet: str) -> None:
    async with engine.websocket() as websocket:
        await websocket.receive()
        assert await websocket.exchange(packet, "4hello") == "4hello"
