"""Engine.IO rows 1 to 22: handshake, messages, heartbeat and close. 23 to 25: test_upgrade.py.

`endpoint` and `quick` are the Engine.IO echo and the Socket.IO app in turn, `engine` the echo.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
import trio
from wsproto.utilities import RemoteProtocolError

from .endpoint import Endpoint, in_three_tries, packets, payload
from .peers import Servers
from .wire import Rejected

# The clock of rows about time: the servers' heartbeat.
INTERVAL, TIMEOUT = 0.3, 0.2


def assert_opens(text: str, upgrades: list[str]) -> None:
    assert text.startswith("0")
    opened: dict[str, Any] = json.loads(text[1:])
    assert isinstance(opened.pop("sid"), str)
    assert opened == {
        "upgrades": upgrades,
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": 1_000_000,
    }


async def assert_ends_without_opening(endpoint: Endpoint, **query: str | None) -> None:
    """Refused at the handshake, or accepted and closed: the outside suites allow both."""
    # Node accepts a bad EIO, and then writes an HTTP answer where frames are expected.
    with trio.fail_after(2), suppress(Rejected, RemoteProtocolError):
        async with endpoint.websocket(**query) as websocket:
            await websocket.end()


async def test_polling_handshake_opens_with_the_options(quick: Endpoint) -> None:
    """Row 1."""
    answer = await quick.request("GET", quick.target())
    assert answer.status == 200
    assert_opens(answer.text, upgrades=["websocket"])


@pytest.mark.parametrize("version", [None, "abc"])
async def test_polling_handshake_needs_the_version(endpoint: Endpoint, version: str | None) -> None:
    """Row 2."""
    answer = await endpoint.request("GET", endpoint.target(EIO=version))
    assert answer.status == 400


@pytest.mark.parametrize("transport", [None, "abc"])
async def test_handshake_needs_a_known_transport(endpoint: Endpoint, transport: str | None) -> None:
    """Row 3: there is no default."""
    answer = await endpoint.request("GET", endpoint.target(transport=transport))
    assert answer.status == 400


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_handshake_must_be_a_get(endpoint: Endpoint, method: str) -> None:
    """Row 4."""
    answer = await endpoint.request(method, endpoint.target(), body=b"4hello")
    assert answer.status == 400


async def test_websocket_handshake_opens_with_the_options(quick: Endpoint) -> None:
    """Row 5."""
    async with quick.websocket() as websocket:
        assert_opens(await websocket.receive_text(), upgrades=[])


@pytest.mark.parametrize("version", [None, "abc"])
async def test_websocket_handshake_needs_the_version(
    endpoint: Endpoint, version: str | None
) -> None:
    """Row 6."""
    await assert_ends_without_opening(endpoint, EIO=version)


@pytest.mark.parametrize("transport", [None, "abc"])
async def test_websocket_handshake_needs_a_known_transport(
    endpoint: Endpoint, transport: str | None
) -> None:
    """Row 7."""
    await assert_ends_without_opening(endpoint, transport=transport)


async def test_posted_text_comes_back_with_the_next_poll(engine: Endpoint) -> None:
    """Row 8."""
    async with engine.polling() as session:
        answer = await session.post("4hello")
        assert (answer.status, answer.text) == (200, "ok")
        answer = await session.get()
        assert (answer.status, answer.text) == (200, "4hello")


async def test_one_poll_returns_all_that_one_post_brought(engine: Endpoint) -> None:
    """Row 9."""
    sent = ["4test1", "4test2", "4test3"]
    async with engine.polling() as session:
        assert (await session.post(payload(sent))).text == "ok"
        answer = await session.get()
        assert answer.status == 200
        assert packets(answer) == sent


async def test_binary_is_polled_as_base64_in_its_place(engine: Endpoint) -> None:
    """Row 10."""
    sent = ["4hello", "bAQIDBA=="]
    async with engine.polling() as session:
        assert (await session.post(payload(sent))).text == "ok"
        answer = await session.get()
        assert answer.status == 200
        assert packets(answer) == sent


async def test_bad_packet_ends_the_polling_session(engine: Endpoint) -> None:
    """Row 11. What the POST itself answers is left open there: Node says ok."""
    async with engine.polling() as session:
        await session.post("abc")
        assert (await session.elsewhere()).status == 400


async def test_second_poll_ends_both_and_the_session(engine: Endpoint) -> None:
    """Row 12."""
    async with engine.polling() as session:
        await session.begin_get()
        second = await session.elsewhere()
        first = await session.connection.receive()
        assert (first.status, first.text) == (200, "1")
        assert (second.status, second.body) == (400, b"")
        assert (await session.elsewhere()).status == 400


@pytest.mark.parametrize("reset", [False, True])
async def test_aborted_poll_ends_the_session(engine: Endpoint, reset: bool) -> None:
    """Row 13: at once, even when the server sees the second poll before the abort."""
    async with engine.polling() as session:
        await session.begin_get()
        await session.connection.end(reset=reset)
        assert (await session.elsewhere()).status == 400


async def test_websocket_echoes_text(engine: Endpoint) -> None:
    """Row 14."""
    async with engine.websocket() as websocket:
        await websocket.receive()
        assert await websocket.exchange("4hello") == "4hello"


async def test_websocket_echoes_binary_without_a_prefix(engine: Endpoint) -> None:
    """Row 15."""
    async with engine.websocket() as websocket:
        await websocket.receive()
        assert await websocket.exchange(b"\1\2\3\4") == b"\1\2\3\4"


async def test_bad_packet_closes_the_websocket(engine: Endpoint) -> None:
    """Row 16."""
    async with engine.websocket() as websocket:
        await websocket.receive()
        await websocket.send("abc")
        await websocket.end()


async def test_polling_session_lives_on_its_pongs(quick: Endpoint) -> None:
    """Row 17."""

    async def row() -> None:
        async with quick.polling() as session:
            for _ in range(3):
                answer = await session.get()
                assert (answer.status, answer.text) == (200, "2")
                assert (await session.post("3")).status == 200

    await in_three_tries(row)


async def test_silent_polling_session_ends_on_time(quick: Endpoint, servers: Servers) -> None:
    """Row 18: a poll then gets no ping out of the queue either."""
    # Node's two timers follow each other and are late on a busy machine; ours is one deadline,
    # which each request is held against.
    late = 0.3 if servers.peer == "node" else 0.0
    async with quick.polling() as session:
        await trio.sleep(INTERVAL + TIMEOUT + late)  # the row: nothing happens for so long
        assert (await session.elsewhere()).status == 400


async def test_websocket_session_lives_on_its_pongs(quick: Endpoint) -> None:
    """Row 19."""

    async def row() -> None:
        async with quick.websocket() as websocket:
            await websocket.receive()
            for _ in range(3):
                assert await websocket.receive() == "2"
                await websocket.send("3")

    await in_three_tries(row)


async def test_websocket_without_pongs_is_closed(quick: Endpoint) -> None:
    """Row 20."""
    begun = trio.current_time()
    async with quick.websocket() as websocket:
        await websocket.receive()
        with trio.fail_after(5):
            _, messages = await websocket.rest()
    assert messages == ["2"]
    assert trio.current_time() - begun >= INTERVAL + TIMEOUT


async def test_posted_close_answers_the_waiting_poll(endpoint: Endpoint) -> None:
    """Row 21."""
    async with endpoint.polling() as session:
        await session.begin_get()
        assert (await session.elsewhere("POST", b"1")).status == 200
        answer = await session.connection.receive()
        assert (answer.status, answer.text) == (200, "6")
        assert (await session.elsewhere()).status == 400


async def test_close_packet_ends_the_websocket(quick: Endpoint) -> None:
    """Row 22."""
    async with quick.websocket() as websocket:
        await websocket.receive()
        await websocket.send("1")
        with trio.fail_after(5):
            await websocket.rest()  # Node pings before it notices


@pytest.mark.atrio_only
async def test_close_packet_ends_the_websocket_at_once(endpoint: Endpoint) -> None:
    """Row 22, mended: Node overlooks the packet and waits for its heartbeat, 45 s here."""
    async with endpoint.websocket() as websocket:
        await websocket.receive()
        await websocket.send("1")
        await websocket.end()
