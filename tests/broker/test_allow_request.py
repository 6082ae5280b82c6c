"""Who may have a session: the option `allow_request`, asked with the handshake's request."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, ConnectError, Request
from broker.engine import Engine, Session

POLL = "/socket.io/?EIO=4&transport=polling"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
HANDSHAKES = [
    pytest.param(POLL, {}, id="polling"),
    pytest.param(POLL.replace("polling", "websocket"), UPGRADE, id="websocket"),
]
both = pytest.mark.parametrize(("target", "named"), HANDSHAKES)

Http = Callable[..., Any]


async def refused(request: Request) -> bool:
    return "banned" not in request.query


async def refused_always(request: Request) -> bool:
    return False


async def says_why(request: Request) -> None:
    raise ConnectError("you are banned", data={"for": "ever"})


async def says_why_in_a_group(request: Request) -> None:
    raise ExceptionGroup("a nursery's", [ConnectError("you are banned")])


async def fails(request: Request) -> None:
    raise ValueError("swordfish")


async def answers_nonsense(request: Request) -> Any:
    return "no"


@both
@pytest.mark.parametrize(
    ("allow", "message", "level"),
    [
        (refused, "Forbidden", "INFO"),
        (says_why, "you are banned", "INFO"),
        (says_why_in_a_group, "you are banned", "INFO"),
        (fails, "Forbidden", "ERROR"),
        (answers_nonsense, "Forbidden", "ERROR"),
    ],
)
async def test_a_client_that_may_not_connect_is_told_so_and_leaves_nothing_behind(
    target: str,
    named: dict[str, str],
    allow: Any,
    message: str,
    level: str,
    http: Http,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "atrio.gateway")
    broker = Broker(allow_request=allow)
    async with broker, http(broker) as client:
        status, _, body = await client.request("GET", f"{target}&banned=1", **named)
        assert (status, json.loads(body)) == (403, {"code": 4, "message": message})
        assert broker.statistics().connections == 0
        records = caplog.records
        assert max(records, key=lambda record: record.levelno).levelname == level
        assert ("swordfish" in caplog.text) == (allow is fails)


async def test_it_is_asked_once_for_a_session_and_sees_the_request(
    http: Http, wire: Callable[..., Any]
) -> None:
    asked: list[Request] = []

    async def allow(request: Request) -> None:
        asked.append(request)

    engine = Engine(path="/engine.io/", allow_request=allow)

    @engine.on_session
    async def echo(session: Session) -> None:
        async for message in session:
            await session.send(message)

    async with engine:
        async with http(engine) as client:
            target = "/engine.io/?EIO=4&transport=polling"
            _, _, opened = await client.request("GET", f"{target}&room=%C3%A4", X_Token="secret")
            target = f"{target}&sid={json.loads(opened[1:])['sid']}"
            assert (await client.request("POST", target, b"4hello"))[0] == 200
            assert (await client.request("GET", target))[2] == b"4hello"
            (request,) = asked
            assert (request.method, request.path) == ("GET", "/engine.io/")
            assert request.url == "/engine.io/?EIO=4&transport=polling&room=%C3%A4"
            assert request.query["room"] == "ä"
            assert request.headers["X-TOKEN"] == "secret"
            assert not request.secure
            assert "secret" not in repr(request).replace(repr(request.headers), "")
            probe = target.replace("polling", "websocket")
            async with wire(engine, probe, read_open=False) as websocket:
                await websocket.send("2probe")
                assert await websocket.get() == "3probe"
        async with wire(engine, "/engine.io/?EIO=4&transport=websocket") as websocket:
            await websocket.send("4hello")
            assert await websocket.get() == "4hello"
        assert len(asked) == 2


@both
async def test_what_is_refused_anyway_is_not_asked_about(
    target: str, named: dict[str, str], http: Http
) -> None:
    asked: list[Request] = []

    async def allow(request: Request) -> None:
        asked.append(request)

    broker = Broker(allow_request=allow)
    evil = {"Origin": "http://evil.example"}
    async with broker:
        for wrong, more, expected in [
            (target.replace("EIO=4", "EIO=3"), {}, 400),
            (f"{target}&sid=gone", {}, 400),
            (target, evil, 403),
        ]:
            async with http(broker) as client:
                assert (await client.request("GET", wrong, **named, **more))[0] == expected
    assert asked == []


@both
async def test_it_has_a_bounded_time(
    target: str,
    named: dict[str, str],
    http: Http,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hang(request: Request) -> None:
        await trio.sleep_forever()

    broker = Broker(allow_request=hang, middleware_timeout=3)
    async with broker, http(broker) as client:
        start = trio.current_time()
        status, _, body = await client.request("GET", target, **named)
        assert trio.current_time() - start == pytest.approx(3)
        assert (status, json.loads(body)["message"]) == (403, "Forbidden")
        assert "middleware_timeout=3 s" in caplog.text


async def waits(note: list[str], name: str) -> None:
    note.append(f"{name} begins")
    try:
        await trio.sleep_forever()
    finally:
        note.append(f"{name} is cancelled")


def begin(client: Any, target: str, named: dict[str, str]) -> Awaitable[None]:
    lines = [f"GET {target} HTTP/1.1", "Host: test.invalid"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    sent: Awaitable[None] = client.stream.send_all("\r\n".join([*lines, "", ""]).encode())
    return sent


@both
async def test_it_is_cancelled_when_the_client_leaves(
    target: str, named: dict[str, str], http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    note: list[str] = []

    async def allow(request: Request) -> None:
        await waits(note, "asking")

    broker = Broker(allow_request=allow)
    async with broker:
        async with http(broker) as client:
            await begin(client, target, named)
            await wait_all_tasks_blocked()
            assert note == ["asking begins"]
        assert note == ["asking begins", "asking is cancelled"]
        assert broker.statistics().connections == 0
    assert caplog.records == []


@both
async def test_who_is_asked_about_when_the_broker_closes_is_refused(
    target: str, named: dict[str, str], http: Http, autojump_clock: MockClock
) -> None:
    note: list[str] = []

    async def allow(request: Request) -> None:
        await waits(note, "asking")

    broker = Broker(allow_request=allow)
    async with broker, http(broker) as client, trio.open_nursery() as nursery:

        async def ask() -> None:
            status, _, body = await client.request("GET", target, **named)
            note.append(f"{status} {body.decode()}")
            await client.stream.aclose()

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await broker.close()
        assert trio.current_time() == start
    assert note[:2] == ["asking begins", "asking is cancelled"]
    assert note[2].startswith("400 ")
    assert "Bad request" in note[2]


@pytest.mark.parametrize("bad", [True, "no", lambda _request: True])
def test_what_is_no_async_function_is_refused_at_once(bad: Any) -> None:
    with pytest.raises(TypeError, match="allow_request"):
        Broker(allow_request=bad)


async def test_a_test_client_that_is_refused_is_told_as_by_middleware() -> None:
    ended: list[str] = []

    def no_id(request: Request) -> str:
        raise ConnectError("no ids left")

    for broker, message in [
        (Broker(allow_request=refused_always), "Forbidden"),
        (Broker(allow_request=says_why), "you are banned"),
        (Broker(generate_id=no_id), "no ids left"),
    ]:
        async with broker:
            with pytest.raises(ConnectError) as raised:
                async with broker.test_client():
                    ended.append("inside")
            assert raised.value.message == message
            assert broker.statistics().connections == 0
    assert ended == []


async def test_frames_that_come_while_it_is_asked_are_not_lost(http: Http) -> None:
    asked = trio.Event()

    async def allow(request: Request) -> None:
        await asked.wait()

    broker = Broker(allow_request=allow)
    async with broker, http(broker) as client:
        await begin(client, POLL.replace("polling", "websocket"), UPGRADE)
        await wait_all_tasks_blocked()
        connect = b"40"
        await client.stream.send_all(b"\x81\x82\0\0\0\0" + connect)  # masked with zeros
        await wait_all_tasks_blocked()
        asked.set()
        received = b""
        with trio.fail_after(5):
            while b'40{"sid"' not in received:
                received += await client.stream.receive_some()
        assert received.startswith(b"HTTP/1.1 101 ")
