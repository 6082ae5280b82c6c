"""Session ids of the program's own making: the option `generate_id`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, ConnectError, ConnectionFailure, Request

POLL = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"

Http = Callable[..., Any]
Wire = Callable[..., Any]


def plain(request: Request) -> str:
    return f"node7.{request.query['name']}~-_"


async def asking(request: Request) -> str:
    await trio.sleep(0.5)
    return plain(request)


@pytest.mark.parametrize("generate", [plain, asking])
async def test_a_session_has_the_id_it_was_given_on_both_transports(
    generate: Any, http: Http, wire: Wire, autojump_clock: MockClock
) -> None:
    broker = Broker(generate_id=generate, cookie="io")
    async with broker, http(broker) as client:
        _, headers, opened = await client.request("GET", f"{POLL}&name=a")
        assert json.loads(opened[1:])["sid"] == "node7.a~-_"
        assert headers["set-cookie"].startswith("io=node7.a~-_;")
        target = f"{POLL}&sid=node7.a~-_"
        assert (await client.request("POST", target, b"40"))[0] == 200
        assert (await client.request("GET", target))[2].startswith(b"40{")
        async with wire(broker, f"{WEBSOCKET}&name=b", read_open=False) as websocket:
            opened = await websocket.get()
            assert json.loads(opened[1:])["sid"] == "node7.b~-_"
            await websocket.enter()


async def test_it_is_asked_behind_allow_request_and_only_for_who_is_let_in(http: Http) -> None:
    asked: list[str] = []

    async def allow(request: Request) -> bool:
        asked.append("allow")
        return "ban" not in request.query

    def generate(request: Request) -> str:
        asked.append("generate")
        return "a"

    broker = Broker(allow_request=allow, generate_id=generate)
    async with broker, http(broker) as client:
        assert (await client.request("GET", f"{POLL}&ban=1"))[0] == 403
        assert (await client.request("GET", POLL))[0] == 200
        assert (await client.request("GET", f"{POLL}&sid=gone"))[0] == 400
    assert asked == ["allow", "allow", "generate"]


def fails(request: Request) -> str:
    raise ValueError("swordfish")


async def fails_later(request: Request) -> str:
    raise ValueError("swordfish")


def gives(value: object) -> Callable[[Request], Any]:
    return lambda _request: value


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    ("target", "named"),
    [pytest.param(POLL, {}, id="polling"), pytest.param(WEBSOCKET, UPGRADE, id="websocket")],
)
@pytest.mark.parametrize(
    "generate",
    [
        fails,
        fails_later,
        *map(gives, ["", "a b", "a/b", "a&b", "ü", "a\r\nb", "a" * 129, 7, None, b"a"]),
    ],
)
async def test_what_is_no_id_is_the_programs_error_and_refuses_the_client(
    target: str,
    named: dict[str, str],
    generate: Any,
    http: Http,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker(generate_id=generate)
    failures: list[ConnectionFailure] = []
    broker.on_connection_error(failures.append)
    async with broker, http(broker) as client:
        status, _, body = await client.request("GET", target, **named)
        assert status == 400
        assert b"Bad request" in body
        assert b"swordfish" not in body
        assert broker.statistics().connections == 0
    assert [failure.context["name"] for failure in failures] == ["ID_GENERATION_ERROR"]
    assert sum(record.levelname == "ERROR" for record in caplog.records) == 1


async def test_an_id_in_use_is_not_given_twice(
    http: Http, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(generate_id=gives("same"))
    async with broker, http(broker) as one, http(broker) as two:
        assert (await one.request("GET", POLL))[0] == 200
        assert (await two.request("GET", POLL))[0] == 400
        assert "an id that no other session has" in caplog.text
        assert (await one.request("POST", f"{POLL}&sid=same", b"1"))[0] == 200
        # Its client has not heard of the end yet.
        assert (await two.request("GET", POLL))[0] == 400
        assert (await one.request("GET", f"{POLL}&sid=same"))[2] == b"6"
        assert (await two.request("GET", POLL))[0] == 200
        assert (await two.request("POST", f"{POLL}&sid=same", b"40"))[0] == 200
        assert (await two.request("GET", f"{POLL}&sid=same"))[2].startswith(b"40")


async def test_of_two_handshakes_at_once_one_gets_the_id(http: Http) -> None:
    gate = trio.Event()

    async def generate(request: Request) -> str:
        await gate.wait()
        return "same"

    broker = Broker(generate_id=generate)
    statuses: list[int] = []

    async def come() -> None:
        async with http(broker) as client:
            statuses.append((await client.request("GET", POLL))[0])

    async with broker:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(come)
            await wait_all_tasks_blocked()
            gate.set()
        assert broker.statistics().connections == 1
    assert sorted(statuses) == [200, 400, 400]


async def test_a_refusal_of_its_own_reaches_the_client(http: Http) -> None:
    def generate(request: Request) -> str:
        raise ConnectError("no ids left")

    broker = Broker(generate_id=generate)
    async with broker, http(broker) as client:
        status, _, body = await client.request("GET", POLL)
    assert (status, json.loads(body)) == (400, {"code": 3, "message": "no ids left"})


async def test_it_has_a_bounded_time(
    http: Http, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def generate(request: Request) -> Awaitable[str]:
        return trio.Event().wait()  # type: ignore[return-value]

    broker = Broker(generate_id=generate, middleware_timeout=3)
    async with broker, http(broker) as client:
        assert (await client.request("GET", POLL))[0] == 400
        assert trio.current_time() == pytest.approx(3)
    assert "generate_id took longer than middleware_timeout=3 s" in caplog.text


def test_what_is_no_function_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="generate_id"):
        Broker(generate_id="a")
