"""Peers that vanish in the middle of everything, or were never clients: the others do not notice.

Each test has a witness: another client of the same server, whose session outlives it all.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from .endpoint import Endpoint, Polling
from .wire import UPGRADE, WebSocket, masked_frame, request_bytes

both_ways = pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])


async def assert_well(witness: WebSocket, endpoint: Endpoint) -> None:
    """The witness is served, and newcomers are."""
    await endpoint.caught_up()
    assert await witness.exchange("4hello") == "4hello"
    async with endpoint.polling() as session:
        await session.post("4hello")
        assert (await session.get()).text == "4hello"


async def assert_forgotten(session: Polling) -> None:
    await session.endpoint.caught_up()
    answer = await session.elsewhere()
    assert (answer.status, answer.json["code"]) == (400, 1)


POST = request_bytes("POST", "/engine.io/?EIO=4&transport=polling&sid=nobody", body=b"4hello")


@both_ways
@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /engine.io/?EIO=4&trans", id="half a line"),
        pytest.param(b"GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHo", id="half a head"),
        pytest.param(POST[:-3], id="half a body"),
        pytest.param(request_bytes("GET", "/engine.io/?EIO=4", UPGRADE)[:-2], id="half an upgrade"),
    ],
)
async def test_peer_vanishes_before_it_is_anybody(
    engine: Endpoint, begun: bytes, reset: bool
) -> None:
    async with engine.websocket() as witness:
        await witness.receive()
        async with engine.connect() as connection:
            await connection.write(begun)
            await engine.caught_up()
            await connection.end(reset=reset)
        await assert_well(witness, engine)


@both_ways
async def test_peer_vanishes_before_it_reads_its_answer(engine: Endpoint, reset: bool) -> None:
    async with engine.websocket() as witness:
        await witness.receive()
        async with engine.connect() as connection:
            await connection.send("GET", engine.target())
            await connection.end(reset=reset)
        async with engine.connect() as connection:
            await connection.send("GET", engine.target(transport="websocket"), headers=UPGRADE)
            await connection.end(reset=reset)
        await assert_well(witness, engine)


@both_ways
async def test_peer_vanishes_while_its_poll_waits(engine: Endpoint, reset: bool) -> None:
    async with engine.websocket() as witness, engine.polling() as session:
        await witness.receive()
        await session.begin_get()
        await session.connection.end(reset=reset)
        await assert_forgotten(session)
        await assert_well(witness, engine)


@both_ways
async def test_peer_vanishes_in_the_middle_of_a_post(engine: Endpoint, reset: bool) -> None:
    async with engine.websocket() as witness, engine.polling() as session:
        await witness.receive()
        post = request_bytes("POST", session.target, body=b"4hello")
        await session.connection.write(post[:-2])
        await engine.caught_up()
        await session.connection.end(reset=reset)
        await assert_forgotten(session)
        await assert_well(witness, engine)


@both_ways
@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x81", id="half a frame's head"),
        pytest.param(masked_frame(1, b"4hello")[:-3], id="half a frame"),
        pytest.param(masked_frame(1, b"4hel", final=False), id="half a message"),
        pytest.param(masked_frame(1, b"4hello"), id="before its echo"),
        pytest.param(masked_frame(8, b""), id="before its close is answered"),
    ],
)
async def test_websocket_vanishes(engine: Endpoint, begun: bytes, reset: bool) -> None:
    async with engine.websocket() as witness:
        await witness.receive()
        async with engine.websocket() as websocket:
            sid = (await websocket.receive_text()).split('"')[3]
            await websocket.connection.write(begun)
            await engine.caught_up()
            await websocket.connection.end(reset=reset)
        await engine.caught_up()
        answer = await engine.request("GET", engine.target(sid=sid))
        assert answer.json == {"code": 1, "message": "Session ID unknown"}
        await assert_well(witness, engine)


@both_ways
@pytest.mark.parametrize("probe", [False, True])
async def test_websocket_vanishes_in_an_upgrade(engine: Endpoint, probe: bool, reset: bool) -> None:
    """Its session goes on polling."""
    async with engine.websocket() as witness, engine.polling() as session:
        await witness.receive()
        async with engine.websocket(sid=session.sid) as websocket:
            if probe:
                assert await websocket.exchange("2probe") == "3probe"
            await websocket.connection.end(reset=reset)
        await engine.caught_up()
        await session.post("4hello")
        assert (await session.get()).text == "4hello"
        await assert_well(witness, engine)


@both_ways
async def test_peer_vanishes_with_much_unread(engine: Endpoint, reset: bool) -> None:
    async with engine.websocket() as witness:
        await witness.receive()
        async with engine.websocket() as websocket:
            await websocket.receive()
            for _ in range(3):  # what comes back is more than the sockets' buffers hold
                await websocket.send(b"a" * 900_000)
            await engine.caught_up()
            await websocket.connection.end(reset=reset)
        await assert_well(witness, engine)


@both_ways
async def test_peer_vanishes_between_attachments(broker: Endpoint, reset: bool) -> None:
    async with broker.websocket() as witness:
        await witness.receive()
        async with broker.websocket() as websocket:
            await websocket.receive()
            await websocket.send("40", '452-["message",{"_placeholder":true,"num":0}]', b"\1")
            await broker.caught_up()
            await websocket.connection.end(reset=reset)
        await broker.caught_up()
        await witness.send("40")
        assert (await witness.receive_text()).startswith("40{")


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(32), id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP 2"),
        pytest.param(b"EHLO mail.example\r\n\r\n", id="SMTP"),
        pytest.param(b"GET\r\n\r\n", id="no target"),
        pytest.param(b"GE T / HTTP/1.1\r\nHost: a\r\n\r\n", id="blank in the method"),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", id="no colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n", id="zero byte"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 200_000, id="endless header"),
        pytest.param(b"GET /" + b"a" * 200_000, id="endless target"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: no\r\n\r\n", id="length of letters"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            id="two lengths",
        ),
        pytest.param(bytes(range(128, 256)) * 4 + b"\r\n\r\n", id="noise"),
    ],
)
async def test_garbage_instead_of_a_request_is_refused(engine: Endpoint, garbage: bytes) -> None:
    async with engine.websocket() as witness:
        await witness.receive()
        async with engine.connect() as connection:
            with suppress(trio.BrokenResourceError):  # the server need not hear it out
                await connection.write(garbage)
            answer = await connection.read_to_end()
        assert answer.startswith(b"HTTP/1.1 4") or answer == b""
        await assert_well(witness, engine)


async def test_bad_chunk_ends_connection_and_session(engine: Endpoint) -> None:
    async with engine.websocket() as witness, engine.polling() as session:
        await witness.receive()
        headers = {"Transfer-Encoding": "chunked", "Content-Type": "text/plain"}
        post = request_bytes("POST", session.target, headers, b"6\r\n4hello\r\nno size\r\n")
        await session.connection.write(post)
        answer = await session.connection.read_to_end()
        assert answer.startswith(b"HTTP/1.1 4") or answer == b""
        await assert_forgotten(session)
        await assert_well(witness, engine)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"4a\x1e", id="empty packet"),
        pytest.param(b"4a\x1e9", id="unknown packet"),
        # Node makes something of these.
        pytest.param(b"b!!!!", id="no base64", marks=pytest.mark.atrio_only),
        pytest.param(b"4\xff\xfe", id="no UTF-8", marks=pytest.mark.atrio_only),
    ],
)
async def test_bad_payload_ends_the_session(engine: Endpoint, body: bytes) -> None:
    async with engine.websocket() as witness, engine.polling() as session:
        await witness.receive()
        await session.post(body)
        await assert_forgotten(session)
        await assert_well(witness, engine)


async def test_second_post_ends_the_session(engine: Endpoint) -> None:
    async with engine.websocket() as witness, engine.polling() as session:
        await witness.receive()
        post = request_bytes("POST", session.target, body=b"4hello")
        await session.connection.write(post[:-2])
        await engine.caught_up()
        answer = await session.elsewhere("POST", b"4second")
        assert (answer.status, answer.body) == (400, b"")
        await assert_forgotten(session)
        await assert_well(witness, engine)
