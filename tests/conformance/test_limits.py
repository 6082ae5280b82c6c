"""What a client may send at once: 1,000,000 bytes, as the handshake says."""

from __future__ import annotations

import pytest

from .endpoint import Endpoint, Polling
from .wire import chunked, masked_frame

MOST = 1_000_000

CHUNKED = {"Transfer-Encoding": "chunked", "Content-Type": "text/plain"}


async def assert_echoes(session: Polling, message: str) -> None:
    assert (await session.post(f"4{message}")).text == "ok"
    assert (await session.get()).text == f"4{message}"


async def test_largest_body_is_taken(engine: Endpoint) -> None:
    async with engine.polling() as session:
        await assert_echoes(session, "a" * (MOST - 1))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"4" + b"a" * MOST, id="one byte more"),
        pytest.param("4" + "\u00e9" * (MOST // 2), id="more bytes than characters"),
    ],
)
async def test_larger_body_is_refused(engine: Endpoint, body: str | bytes) -> None:
    async with engine.polling() as session:
        answer = await session.post(body)
        assert (answer.status, answer.body) == (413, b"")


async def test_larger_body_is_refused_without_a_length_too(engine: Endpoint) -> None:
    async with engine.polling() as session:
        body = chunked(b"4", *[b"a" * 50_000] * 21)
        answer = await session.post(body, CHUNKED)
        assert (answer.status, answer.body) == (413, b"")


@pytest.mark.atrio_only
async def test_larger_body_ends_the_session(engine: Endpoint) -> None:
    """A packet is lost, so nothing that follows could be trusted. In Node the session lives on."""
    async with engine.polling() as session:
        assert (await session.post(b"4" + b"a" * MOST)).status == 413
        assert (await session.elsewhere()).status == 400


@pytest.mark.parametrize("message", ["4" + "a" * (MOST - 1), b"a" * MOST], ids=["text", "binary"])
async def test_largest_message_is_taken(engine: Endpoint, message: str | bytes) -> None:
    async with engine.websocket() as websocket:
        await websocket.receive()
        assert await websocket.exchange(message) == message


@pytest.mark.parametrize("message", ["4" + "a" * MOST, b"a" * (MOST + 1)], ids=["text", "binary"])
async def test_larger_message_closes_the_websocket(engine: Endpoint, message: str | bytes) -> None:
    async with engine.websocket() as websocket:
        await websocket.receive()
        await websocket.send(message)
        assert await websocket.end() == 1009


async def test_larger_message_in_fragments_closes_the_websocket(engine: Endpoint) -> None:
    half = b"4" + b"a" * (MOST // 2)
    async with engine.websocket() as websocket:
        await websocket.receive()
        await websocket.connection.write(masked_frame(1, half, final=False))
        await websocket.connection.write(masked_frame(0, half, final=False))
        assert await websocket.end() == 1009


async def test_large_messages_come_back_whole_and_in_order(engine: Endpoint) -> None:
    messages = [f"4{i}" + "a" * 300_000 for i in range(5)]
    async with engine.websocket() as websocket:
        await websocket.receive()
        for message in messages:
            await websocket.send(message)
        assert [await websocket.receive() for _ in messages] == messages
