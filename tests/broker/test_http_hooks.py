"""What a program may change of the gateway's answers, and what it hears of those it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from broker import Broker, ConnectionFailure, Request, ResponseHeaders

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

    broker = Broker()
    for register in (broker.on_headers, broker.on_initial_headers, broker.on_connection_error):
        with pytest.raises(TypeError, match="not async"):
            register(hook)


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
WEBSOCKET = POLL.replace("polling", "websocket")
HALF = {**UPGRADE, "Sec_WebSocket_Key": "short"}


@pytest.mark.parametrize(
    ("method", "target", "named", "code", "context"),
    [
        ("GET", POLL.replace("polling", "pigeon"), {}, 0, {"transport": "pigeon"}),
        ("GET", f"{POLL}&sid=gone", {}, 1, {"sid": "gone"}),
        ("GET", f"{WEBSOCKET}&sid=gone", UPGRADE, 1, {"sid": "gone"}),
        ("POST", POLL, {}, 2, {"method": "POST"}),
        ("GET", WEBSOCKET, {}, 3, {"name": "TRANSPORT_HANDSHAKE_ERROR"}),
        ("GET", POLL, UPGRADE, 3, {"name": "TRANSPORT_HANDSHAKE_ERROR"}),
        ("GET", WEBSOCKET, HALF, 3, {"name": "TRANSPORT_HANDSHAKE_ERROR"}),
        ("GET", f"{POLL}&sid=WEBSOCKET", {}, 3, {"name": "TRANSPORT_MISMATCH"}),
        (
            "POST",
            f"{POLL}&sid=POLLING".replace("EIO=4", "EIO=3"),
            {},
            3,
            {"name": "PROTOCOL_MISMATCH", "protocol": "3", "previous_protocol": "4"},
        ),
        ("GET", POLL, {"Origin": "http://a.example"}, 4, {"origin": "http://a.example"}),
        ("GET", WEBSOCKET, {**UPGRADE, "Origin": "null"}, 4, {"name": "INVALID_ORIGIN"}),
        ("GET", f"{POLL}&ban=1", {}, 4, {"name": "NOT_ALLOWED"}),
        ("GET", f"{WEBSOCKET}&ban=1", UPGRADE, 4, {"name": "NOT_ALLOWED"}),
        ("GET", POLL.replace("EIO=4", "EIO=3"), {}, 5, {"protocol": "3"}),
        ("GET", WEBSOCKET.replace("EIO=4", "EIO=3"), UPGRADE, 5, {"protocol": "3"}),
        ("GET", POLL.replace("EIO=4", "EIO=5"), {}, 5, {"protocol": "5"}),
    ],
)
async def test_a_program_hears_of_each_refused_request_and_of_no_other(
    method: str,
    target: str,
    named: dict[str, str],
    code: int,
    context: dict[str, object],
    http: Http,
    wire: Wire,
) -> None:
    async def allow(request: Request) -> bool:
        return "ban" not in request.query

    broker = Broker(allow_request=allow)
    failures: list[ConnectionFailure] = []
    broker.on_connection_error(failures.append)
    async with broker, http(broker) as polling, wire(broker, read_open=False) as websocket:
        _, _, opened = await polling.request("GET", POLL)
        sids = {
            "POLLING": json.loads(opened[1:])["sid"],
            "WEBSOCKET": json.loads(str(await websocket.get())[1:])["sid"],
        }
        for name, sid in sids.items():
            target = target.replace(f"sid={name}", f"sid={sid}")
        assert failures == []
        async with http(broker) as client:
            status, _, body = await client.request(method, target, **named)
        (failure,) = failures
        assert (failure.request.url, failure.request.method) == (target, method)
        assert failure.code == code
        assert status == (403 if code == 4 else 400)
        assert failure.message in body.decode()
        assert {name: failure.context.get(name) for name in context} == context
        assert failure.context["why"]


async def test_a_client_that_comes_when_the_broker_drains_is_heard_of(
    http: Http, wire: Wire
) -> None:
    broker = Broker()
    failures: list[ConnectionFailure] = []
    broker.on_connection_error(failures.append)
    async with broker, wire(broker), wire(broker), trio.open_nursery() as nursery:
        nursery.start_soon(broker.drain, 1, 1000)
        await trio.testing.wait_all_tasks_blocked()
        async with http(broker) as client:
            assert (await client.request("GET", POLL))[0] == 400
        nursery.cancel_scope.cancel()
    assert [failure.context["name"] for failure in failures] == ["CLOSING"]


async def test_a_hook_that_fails_is_logged_and_the_refusal_stays_as_it_is(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    failures: list[ConnectionFailure] = []

    @broker.on_connection_error
    def fail(failure: ConnectionFailure) -> None:
        raise ValueError("swordfish")

    broker.on_connection_error(failures.append)
    async with broker, http(broker) as client:
        status, _, body = await client.request("GET", f"{POLL}&sid=gone")
    assert (status, json.loads(body)) == (400, {"code": 1, "message": "Session ID unknown"})
    assert len(failures) == 1
    assert "swordfish" in caplog.text
