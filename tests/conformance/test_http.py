"""HTTP as clients and proxies speak it: pipelined, chunked, in pieces, in old dialects."""

from __future__ import annotations

import pytest

from .endpoint import Endpoint, packets, payload
from .wire import UPGRADE, Rejected, chunked, request_bytes


async def test_pipelined_handshakes_are_answered_in_order(endpoint: Endpoint) -> None:
    async with endpoint.connect() as connection:
        ask = [request_bytes("GET", endpoint.target(t=str(i))) for i in range(3)]
        refused = request_bytes("GET", endpoint.target(transport="abc"))
        await connection.write(b"".join([ask[0], refused, *ask[1:]]))
        assert [(await connection.receive()).status for _ in range(4)] == [200, 400, 200, 200]


async def test_post_and_poll_may_be_pipelined(engine: Endpoint) -> None:
    async with engine.polling() as session:
        post = request_bytes("POST", session.target, body=b"4hello")
        await session.connection.write(post + request_bytes("GET", session.target))
        assert (await session.connection.receive("POST")).text == "ok"
        assert (await session.connection.receive()).text == "4hello"


async def test_post_pipelined_behind_a_waiting_poll_is_not_lost(
    quick_engine: Endpoint,
) -> None:
    """The answers keep the requests' order, so a server may let the poll wait for its ping."""
    async with quick_engine.polling() as session:
        post = request_bytes("POST", session.target, body=payload(["3", "4hello"]))
        await session.connection.write(request_bytes("GET", session.target) + post)
        polled = packets(await session.connection.receive())
        posted = await session.connection.receive("POST")
        assert (posted.status, posted.text) == (200, "ok")
        while "4hello" not in polled:
            polled += packets(await session.get())
        assert polled.count("4hello") == 1


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([payload(["4h\u00e9llo", "4\u20ac"])], id="one chunk"),
        pytest.param([b"4h\xc3", b"\xa9llo\x1e", b"4\xe2\x82", b"\xac"], id="cut characters"),
    ],
)
async def test_chunked_post_is_taken(engine: Endpoint, chunks: list[bytes]) -> None:
    async with engine.polling() as session:
        headers = {"Transfer-Encoding": "chunked", "Content-Type": "text/plain"}
        assert (await session.post(chunked(*chunks), headers)).text == "ok"
        assert packets(await session.get()) == ["4h\u00e9llo", "4\u20ac"]


async def test_request_may_be_cut_at_any_byte(engine: Endpoint) -> None:
    async with engine.polling() as session:
        post = request_bytes("POST", session.target, body=b"4hello")
        for cut in range(1, len(post)):
            await session.connection.write(post[:cut])
            await engine.caught_up()
            await session.connection.write(post[cut:])
            assert (await session.connection.receive("POST")).text == "ok"
            assert (await session.get()).text == "4hello"


async def test_client_may_ask_whether_to_send_its_body(engine: Endpoint) -> None:
    """As curl does with a large one."""
    async with engine.polling() as session:
        headers = {"Expect": "100-continue", "Content-Length": "6", "Content-Type": "text/plain"}
        await session.connection.send("POST", session.target, headers=headers)
        head = await session.connection.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 100 ")
        await session.connection.write(b"4hello")
        assert (await session.connection.receive("POST")).text == "ok"


async def test_connection_is_kept_or_closed_as_the_client_asks(endpoint: Endpoint) -> None:
    async with endpoint.connect() as connection:
        for _ in range(2):
            assert (await connection.request("GET", endpoint.target())).status == 200
        last = await connection.request("GET", endpoint.target(), headers={"Connection": "close"})
        assert last.headers["connection"] == "close"
        assert await connection.read_to_end() == b""


async def test_old_proxy_speaks_http_1_0(endpoint: Endpoint) -> None:
    async with endpoint.connect() as connection:
        await connection.write(f"GET {endpoint.target()} HTTP/1.0\r\n\r\n".encode())
        answer = await connection.read_to_end()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b'\r\n\r\n0{"sid":' in answer


async def test_headers_of_the_outside_suites_change_nothing(endpoint: Endpoint) -> None:
    headers = {"Connection": "close", "Accept-Encoding": "gzip,deflate,br"}
    answer = await endpoint.request("GET", endpoint.target(), headers=headers)
    assert answer.text.startswith("0{")
    assert "content-encoding" not in answer.headers


async def test_compression_is_offered_in_vain(engine: Endpoint) -> None:
    """It is off by default, in Node too."""
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    async with engine.websocket(offer) as websocket:
        assert "sec-websocket-extensions" not in websocket.headers
        await websocket.receive()
        assert await websocket.exchange("4hello") == "4hello"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Connection": "keep-alive, Upgrade"}, id="Firefox"),
        pytest.param({"Connection": "upgrade", "Upgrade": "WebSocket"}, id="other case"),
    ],
)
async def test_upgrade_is_understood_in_every_spelling(
    endpoint: Endpoint, headers: dict[str, str]
) -> None:
    async with endpoint.websocket(headers) as websocket:
        assert (await websocket.receive_text()).startswith("0{")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-WebSocket-Version": "12"}, id="other version"),
        pytest.param({"Sec-WebSocket-Key": "short"}, id="bad key"),
    ],
)
async def test_bad_websocket_handshake_is_refused(
    endpoint: Endpoint, headers: dict[str, str]
) -> None:
    with pytest.raises(Rejected) as refusal:
        async with endpoint.websocket(headers):
            pass
    assert refusal.value.answer.status in {400, 426}


async def test_upgrade_by_post_is_refused(endpoint: Endpoint) -> None:
    async with endpoint.connect() as connection:
        target = endpoint.target(transport="websocket")
        answer = await connection.request("POST", target, headers=UPGRADE, body=b"")
        assert answer.status in {400, 405}


async def test_frames_may_come_with_the_handshake(engine: Endpoint) -> None:
    """A client need not wait for the 101, nor a network keep the two apart."""
    async with engine.connect() as connection:
        target = engine.target(transport="websocket")
        handshake = request_bytes("GET", target, UPGRADE)
        frame = b"\x81\x86\0\0\0\x004hello"
        await connection.write(handshake + frame)
        head = await connection.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        answer = await connection.read_until(b"4hello")
        assert answer.endswith(b"\x81\x064hello")
