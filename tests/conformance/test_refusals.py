"""What a request that is not served is told: statuses, headers and bodies, to the byte."""

from __future__ import annotations

import pytest

from .endpoint import Endpoint
from .wire import Rejected

TRANSPORT_UNKNOWN = '{"code":0,"message":"Transport unknown"}'
SESSION_UNKNOWN = '{"code":1,"message":"Session ID unknown"}'
BAD_METHOD = '{"code":2,"message":"Bad handshake method"}'
BAD_REQUEST = '{"code":3,"message":"Bad request"}'
BAD_VERSION = '{"code":5,"message":"Unsupported protocol version"}'


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        pytest.param("GET", {"transport": None}, TRANSPORT_UNKNOWN, id="no transport"),
        pytest.param("GET", {"transport": "abc"}, TRANSPORT_UNKNOWN, id="unknown transport"),
        pytest.param("GET", {"sid": "nobody"}, SESSION_UNKNOWN, id="unknown sid"),
        pytest.param("POST", {"sid": "nobody"}, SESSION_UNKNOWN, id="post to unknown sid"),
        pytest.param("GET", {"sid": "__proto__"}, SESSION_UNKNOWN, id="sid that is a JS property"),
        pytest.param("POST", {}, BAD_METHOD, id="handshake by post"),
        pytest.param("PUT", {}, BAD_METHOD, id="handshake by put"),
        pytest.param("DELETE", {}, BAD_METHOD, id="handshake by delete"),
        pytest.param("GET", {"transport": "websocket"}, BAD_REQUEST, id="websocket, no upgrade"),
        pytest.param("GET", {"EIO": None}, BAD_VERSION, id="no version"),
        pytest.param("GET", {"EIO": "abc"}, BAD_VERSION, id="no number as version"),
        pytest.param("GET", {"EIO": "5"}, BAD_VERSION, id="version of tomorrow"),
    ],
)
async def test_refusal_says_why(
    endpoint: Endpoint, method: str, query: dict[str, str | None], body: str
) -> None:
    answer = await endpoint.request(method, endpoint.target(**query))
    assert (answer.status, answer.text) == (400, body)
    assert answer.headers["content-type"] == "application/json"


async def test_transport_is_judged_before_all_else(endpoint: Endpoint) -> None:
    answer = await endpoint.request("PUT", endpoint.target(transport="abc", sid="nobody", EIO="1"))
    assert answer.text == TRANSPORT_UNKNOWN


async def test_client_of_version_2_is_told_what_it_lacks(endpoint: Endpoint) -> None:
    answer = await endpoint.request("GET", endpoint.target(EIO="3"))
    assert answer.status == 400
    assert answer.json["code"] == 5
    assert answer.json["message"] == "Unsupported protocol version"


@pytest.mark.atrio_only
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_client_of_version_2_is_told_which_versions_work(
    endpoint: Endpoint, transport: str
) -> None:
    if transport == "polling":
        answer = await endpoint.request("GET", endpoint.target(EIO="3"))
    else:
        with pytest.raises(Rejected) as refusal:
            async with endpoint.websocket(EIO="3"):
                pass
        answer = refusal.value.answer
    assert answer.status == 400
    assert "3.x" in answer.text
    assert "4.x" in answer.text


@pytest.mark.parametrize(
    ("query", "text"),
    [
        pytest.param({"transport": "abc"}, "Transport unknown", id="unknown transport"),
        pytest.param({"transport": None}, "Transport unknown", id="no transport"),
        pytest.param({"sid": "nobody"}, "Session ID unknown", id="unknown sid"),
    ],
)
async def test_refused_upgrade_says_why_in_plain_text(
    endpoint: Endpoint, query: dict[str, str | None], text: str
) -> None:
    with pytest.raises(Rejected) as refusal:
        async with endpoint.websocket(**query):
            pass
    answer = refusal.value.answer
    assert (answer.status, answer.text) == (400, text)
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["connection"] == "close"


@pytest.mark.atrio_only
@pytest.mark.parametrize("version", [None, "abc", "5"])
async def test_bad_version_is_refused_before_the_upgrade(
    endpoint: Endpoint, version: str | None
) -> None:
    """Node accepts first, and then writes an HTTP answer where frames are expected."""
    with pytest.raises(Rejected) as refusal:
        async with endpoint.websocket(EIO=version):
            pass
    assert refusal.value.answer.status == 400
    assert refusal.value.answer.text == "Unsupported protocol version"


@pytest.mark.atrio_only
async def test_put_to_a_session_is_the_clients_error(engine: Endpoint) -> None:
    """Node says 500, as if it were its own. The session lives on."""
    async with engine.polling() as session:
        answer = await session.elsewhere("PUT", b"4hello")
        assert (answer.status, answer.body) == (405, b"")
        await session.post("4hello")
        assert (await session.get()).text == "4hello"


async def test_binary_body_ends_the_session(engine: Endpoint) -> None:
    """Binary is base64 in this revision of the protocol."""
    async with engine.polling() as session:
        answer = await session.post("4hello", {"Content-Type": "application/octet-stream"})
        assert (answer.status, answer.body) == (400, b"")
        assert (await session.elsewhere()).text == SESSION_UNKNOWN


async def test_session_keeps_to_its_transport(engine: Endpoint) -> None:
    async with engine.websocket() as websocket:
        sid = (await websocket.receive_text()).split('"')[3]
        answer = await engine.request("GET", engine.target(sid=sid))
        assert (answer.status, answer.text) == (400, BAD_REQUEST)
        answer = await engine.request("POST", engine.target(sid=sid), body=b"4hello")
        assert (answer.status, answer.text) == (400, BAD_REQUEST)
        assert await websocket.exchange("4hello") == "4hello"


async def test_polling_session_is_not_reached_without_polling(engine: Endpoint) -> None:
    async with engine.polling() as session:
        answer = await session.endpoint.request(
            "GET", engine.target(transport="websocket", sid=session.sid)
        )
        assert (answer.status, answer.text) == (400, BAD_REQUEST)
        await session.post("4hello")
        assert (await session.get()).text == "4hello"


@pytest.mark.atrio_only
async def test_websocket_session_is_not_reached_without_an_upgrade(engine: Endpoint) -> None:
    """Node never answers this."""
    async with engine.websocket() as websocket:
        sid = (await websocket.receive_text()).split('"')[3]
        answer = await engine.request("GET", engine.target(transport="websocket", sid=sid))
        assert (answer.status, answer.text) == (400, BAD_REQUEST)
        assert await websocket.exchange("4hello") == "4hello"


async def test_session_keeps_to_its_version(engine: Endpoint) -> None:
    async with engine.polling() as session:
        answer = await engine.request("GET", engine.target(sid=session.sid, EIO="3"))
        assert (answer.status, answer.text) == (400, BAD_REQUEST)


async def test_other_paths_are_not_found(endpoint: Endpoint) -> None:
    answer = await endpoint.request("GET", "/elsewhere?EIO=4&transport=polling")
    assert answer.status == 404


@pytest.mark.atrio_only
async def test_other_path_is_told_where_the_endpoint_is(endpoint: Endpoint) -> None:
    answer = await endpoint.request("GET", "/elsewhere")
    assert endpoint.path in answer.text


async def test_answers_have_their_types_and_are_not_stored(engine: Endpoint) -> None:
    async with engine.connect() as connection:
        handshake = await connection.request("GET", engine.target())
        sid = handshake.text.split('"')[3]
        posted = await connection.request("POST", engine.target(sid=sid), body=b"4hello")
        polled = await connection.request("GET", engine.target(sid=sid))
    for answer in (handshake, polled):
        assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-length"] == str(len(answer.body))
    assert posted.headers["content-type"] == "text/html"
