"""What a program may change of the gateway's answers, and what it hears of those it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from broker import Broker, Request, ResponseHeaders

POLL = "/socket.io/?EIO=4&transport=polling"

Http = Callable[..., Any]
Wire = Callable[..., Any]


def answer_headers(client: Any) -> dict[str, str]:
    """Return what the 101 of a raw websocket client held."""
    return {name.decode(): value.decode() for name, value in client.websocket.handshake_headers}


async def test_the_first_answer_and_every_answer_have_hooks_of_their_own(http: Http) -> None:
    broker = Broker(cookie="io")
    called: list[tuple[str, str, str]] = []

    @broker.on_headers
    def every(headers: ResponseHeaders, request: Request) -> None:
        called.append(("every", request.method, request.query.get("sid", "")))
        assert ("x-initial" in headers) == ("sid" not in request.query)
        headers["X-Every"] = "1"

    @broker.on_initial_headers
    def initial(headers: ResponseHeaders, request: Request) -> None:
        called.append(("initial", request.method, request.query.get("sid", "")))
        headers["X-Initial"] = "1"

    async with broker, http(broker) as client:
        status, headers, opened = await client.request("GET", POLL)
        assert (status, headers["x-every"], headers["x-initial"]) == (200, "1", "1")
        sid = json.loads(opened[1:])["sid"]
        assert headers["set-cookie"].startswith(f"io={sid};")
        assert headers["cache-control"] == "no-store"
        for method, body in (("POST", b"40"), ("GET", b"")):
            status, headers, _ = await client.request(method, f"{POLL}&sid={sid}", body)
            assert (status, headers["x-every"]) == (200, "1")
            assert "x-initial" not in headers
        assert called == [
            ("initial", "GET", ""),
            ("every", "GET", ""),
            ("every", "POST", sid),
            ("every", "GET", sid),
        ]
        # A refusal is no answer of a session.
        assert "x-every" not in (await client.request("GET", f"{POLL}&sid=gone"))[1]
        assert "x-every" not in (await client.request("PUT", f"{POLL}&sid={sid}"))[1]
        assert len(called) == 4


async def test_the_answer_to_a_websocket_handshake_has_them_too(wire: Wire, http: Http) -> None:
    broker = Broker()
    seen: list[dict[str, str]] = []

    @broker.on_initial_headers
    def initial(headers: ResponseHeaders, request: Request) -> None:
        seen.append(dict(headers))
        headers["X-Initial"] = request.query["transport"]

    @broker.on_headers
    def every(headers: ResponseHeaders, request: Request) -> None:
        headers["X-Every"] = "1"

    target = "/socket.io/?EIO=4&transport=websocket"
    async with broker:
        async with wire(broker, target) as client:
            headers = answer_headers(client)
            assert (headers["x-initial"], headers["x-every"]) == ("websocket", "1")
            assert seen == [{}]
        async with http(broker) as polling:
            _, _, opened = await polling.request("GET", target.replace("websocket", "polling"))
            sid = json.loads(opened[1:])["sid"]
            async with wire(broker, f"{target}&sid={sid}", read_open=False) as client:
                headers = answer_headers(client)
                assert "x-initial" not in headers
                assert headers["x-every"] == "1"


async def test_headers_can_be_replaced_removed_and_added_in_any_case(http: Http) -> None:
    broker = Broker(cookie="io", cors_allowed_origins="*")
    raw: list[ResponseHeaders] = []

    @broker.on_headers
    def change(headers: ResponseHeaders, request: Request) -> None:
        headers["cache-CONTROL"] = "private"
        headers["content-type"] = "text/plain"
        del headers["VARY"]
        headers.add("set-cookie", "a=1")
        headers.add("Set-Cookie", "b=2")
        raw.append(headers)

    async with broker, http(broker) as client:
        _, headers, _ = await client.request("GET", POLL, Origin="https://app.example")
        assert headers["cache-control"] == "private"
        assert headers["content-type"] == "text/plain"
        assert "vary" not in headers
        assert headers["access-control-allow-origin"] == "https://app.example"
    cookies = [value for name, value in raw[0].fields() if name.lower() == "set-cookie"]
    assert [cookie[:3] for cookie in cookies] == ["io=", "a=1", "b=2"]
    assert "b=2" in headers["set-cookie"]  # the test's client keeps the last


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "1\r\nSet-Cookie: admin=1"),
        ("X-A", "1\n2"),
        ("X-A\r\nX-B", "1"),
        ("X A", "1"),
        ("", "1"),
        ("X-A", "ü"),
        ("X-A", " 1"),
        ("X-A", 1),
        ("Content-Length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("sec-websocket-protocol", "x"),
    ],
)
async def test_what_would_break_the_answer_is_the_hooks_error_and_costs_no_client_its_answer(
    name: str, value: Any, http: Http, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()

    @broker.on_headers
    def first(headers: ResponseHeaders, request: Request) -> None:
        headers["X-First"] = "1"

    @broker.on_headers
    def inject(headers: ResponseHeaders, request: Request) -> None:
        headers["X-Half"] = "1"
        headers[name] = value

    async with broker, http(broker) as client, wire(broker) as websocket:
        status, headers, _ = await client.request("GET", POLL)
        assert status == 200
        for answer in (headers, answer_headers(websocket)):
            assert answer["x-first"] == "1"
            assert "x-half" not in answer
            assert "set-cookie" not in answer
        await websocket.enter()
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 2
    assert all("inject" in record.getMessage() and record.exc_info for record in errors)


async def test_a_hook_that_is_async_is_refused_at_once() -> None:
    async def hook(*_: object) -> None:
        raise AssertionError

    for register in (Broker().on_headers, Broker().on_initial_headers):
        with pytest.raises(TypeError, match="not async"):
            register(hook)
