"""Whose pages may connect, and what a browser is told of it; the cookie for load balancers."""

from __future__ import annotations

import pytest

from .endpoint import Endpoint
from .wire import Answer, Rejected

ALLOWED = "https://app.example"
FOREIGN = "https://evil.example"

PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}


async def post_to_a_new_session(endpoint: Endpoint, origin: str) -> list[Answer]:
    """Shake hands, post and poll as a page of `origin`."""
    headers = {"Origin": origin}
    async with endpoint.connect() as connection:
        handshake = await connection.request("GET", endpoint.target(), headers=headers)
        target = endpoint.target(sid=handshake.text.split('"')[3])
        posted = await connection.request("POST", target, headers=headers, body=b"4hello")
        polled = await connection.request("GET", target, headers=headers)
        assert polled.text == "4hello"
        return [handshake, posted, polled]


async def test_any_origin_may_read_where_all_are_allowed(engine: Endpoint) -> None:
    for answer in await post_to_a_new_session(engine, FOREIGN):
        assert answer.headers["access-control-allow-origin"] in {"*", FOREIGN}


async def test_refusals_can_be_read_too(engine: Endpoint) -> None:
    """Otherwise a browser hides why."""
    answer = await engine.request("GET", engine.target(EIO="3"), headers={"Origin": FOREIGN})
    assert answer.status == 400
    assert answer.headers["access-control-allow-origin"] in {"*", FOREIGN}


async def test_listed_origin_may_read(guarded: Endpoint) -> None:
    for answer in await post_to_a_new_session(guarded, ALLOWED):
        assert answer.headers["access-control-allow-origin"] == ALLOWED
        assert "origin" in answer.headers["vary"].lower()


async def test_listed_origin_may_open_a_websocket(guarded: Endpoint) -> None:
    async with guarded.websocket({"Origin": ALLOWED}) as websocket:
        await websocket.receive()
        assert await websocket.exchange("4hello") == "4hello"


async def test_request_without_an_origin_is_served(guarded: Endpoint) -> None:
    """It comes from no page."""
    answer = await guarded.request("GET", guarded.target())
    assert answer.status == 200
    async with guarded.websocket() as websocket:
        assert (await websocket.receive_text()).startswith("0{")


async def test_own_origin_is_served(guarded: Endpoint) -> None:
    own = {"Host": f"127.0.0.1:{guarded.port}", "Origin": f"http://127.0.0.1:{guarded.port}"}
    answer = await guarded.request("GET", guarded.target(), headers=own)
    assert answer.status == 200
    async with guarded.websocket(own) as websocket:
        assert (await websocket.receive_text()).startswith("0{")


@pytest.mark.parametrize("origin", [FOREIGN, "null", f"{ALLOWED}.evil.example", f"{ALLOWED}:444"])
async def test_foreign_origin_may_not_read(guarded: Endpoint, origin: str) -> None:
    answer = await guarded.request("GET", guarded.target(), headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.atrio_only
@pytest.mark.parametrize("origin", [FOREIGN, "null", f"{ALLOWED}.evil.example", f"{ALLOWED}:444"])
async def test_foreign_origin_may_not_connect(guarded: Endpoint, origin: str) -> None:
    """Node leaves that to the application, and serves a foreign page's websocket."""
    headers = {"Origin": origin}
    answer = await guarded.request("GET", guarded.target(), headers=headers)
    assert (answer.status, answer.text) == (403, '{"code":4,"message":"Forbidden"}')
    assert answer.headers["content-type"] == "application/json"
    with pytest.raises(Rejected) as refusal:
        async with guarded.websocket(headers):
            pass
    assert refusal.value.answer.status == 403
    assert refusal.value.answer.json == {"code": 4, "message": "Forbidden"}


@pytest.mark.atrio_only
async def test_foreign_origin_may_not_use_a_session_it_has_heard_of(guarded: Endpoint) -> None:
    async with guarded.polling() as session:
        answer = await guarded.request(
            "POST", session.target, headers={"Origin": FOREIGN}, body=b"4hello"
        )
        assert answer.status == 403
        await session.post("4own")
        assert (await session.get()).text == "4own"


@pytest.mark.parametrize("app", ["engine", "guarded"])
async def test_listed_origin_may_ask_first(app: str, engine: Endpoint, guarded: Endpoint) -> None:
    endpoint = engine if app == "engine" else guarded
    headers = {"Origin": ALLOWED, **PREFLIGHT}
    answer = await endpoint.request("OPTIONS", endpoint.target(), headers=headers)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] in {"*", ALLOWED}
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] in {"*", "content-type"}


async def test_foreign_origin_asks_in_vain(guarded: Endpoint) -> None:
    headers = {"Origin": FOREIGN, **PREFLIGHT}
    answer = await guarded.request("OPTIONS", guarded.target(), headers=headers)
    assert "access-control-allow-origin" not in answer.headers


async def test_cookie_names_the_session_on_the_polling_handshake_alone(guarded: Endpoint) -> None:
    async with guarded.connect() as connection:
        handshake = await connection.request("GET", guarded.target())
        sid = handshake.text.split('"')[3]
        cookie = f"io={sid}; Path=/; HttpOnly; SameSite=Lax"
        assert handshake.headers["set-cookie"] == cookie
        posted = await connection.request("POST", guarded.target(sid=sid), body=b"4hello")
        polled = await connection.request("GET", guarded.target(sid=sid))
    async with guarded.websocket() as websocket:
        for headers in (posted.headers, polled.headers, websocket.headers):
            assert "set-cookie" not in headers


async def test_no_cookie_unless_it_is_asked_for(endpoint: Endpoint) -> None:
    answer = await endpoint.request("GET", endpoint.target())
    assert "set-cookie" not in answer.headers
