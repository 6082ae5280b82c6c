"""The layer below: Engine.IO alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker.engine import Engine, Session

TARGET = "/engine.io/?EIO=4&transport=websocket"
POLL = "/engine.io/?EIO=4&transport=polling"


def echoing(**options: Any) -> Engine:
    engine = Engine(path="/engine.io/", **options)

    @engine.on_session
    async def echo(session: Session) -> None:
        async for message in session:
            await session.send(message)

    return engine


async def test_text_and_bytes_come_back_in_order(wire: Callable[..., Any]) -> None:
    engine = echoing()
    async with engine, wire(engine, TARGET) as client:
        sent = ["4hello", b"\x00\x01", "4", b"", "4ünï😀"]
        await client.send(*sent)
        assert [await client.get() for _ in sent] == sent


async def test_one_poll_brings_all_that_one_post_caused(http: Callable[..., Any]) -> None:
    engine = echoing()
    async with engine, http(engine) as client:
        _, _, opened = await client.request("GET", POLL)
        target = f"{POLL}&sid={opened.decode().split(chr(34))[3]}"
        body = b"4one\x1ebAQID\x1e4two"
        assert (await client.request("POST", target, body))[::2] == (200, b"ok")
        assert (await client.request("GET", target))[::2] == (200, body)


async def test_the_handler_is_cancelled_when_the_session_ends(wire: Callable[..., Any]) -> None:
    engine = Engine()
    log: list[object] = []

    @engine.on_session
    async def hang(session: Session) -> None:
        assert session.transport == "websocket"
        assert session.reason is None
        try:
            await trio.sleep_forever()
        finally:
            log.append(session.reason)
            await session.send("ignored")

    async with engine:
        async with wire(engine, TARGET):
            await wait_all_tasks_blocked()
            assert engine.statistics()["sessions"] == 1
        assert log == ["transport close"]
        assert engine.statistics() == {"sessions": 0, "outbox_bytes": 0, "outbox_packets": 0}


async def test_what_was_sent_before_the_handler_returned_still_goes_out(
    wire: Callable[..., Any],
) -> None:
    engine = Engine()

    @engine.on_session
    async def greet(session: Session) -> None:
        for number in range(50):
            await session.send(str(number))

    async with engine, wire(engine, TARGET) as client:
        assert [await client.get() for _ in range(50)] == [f"4{number}" for number in range(50)]


async def test_a_handler_that_fails_is_logged_and_ends_that_session_alone(
    wire: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine()

    @engine.on_session
    async def fail(session: Session) -> None:
        async for message in session:
            if message == "fail":
                raise ValueError("swordfish")
            await session.send(message)

    async with engine, wire(engine, TARGET) as one, wire(engine, TARGET) as two:
        await one.send("4fail")
        await wait_all_tasks_blocked()
        assert "swordfish" in caplog.text
        assert engine.statistics()["sessions"] == 1
        await two.send("4x")
        assert await two.get() == "4x"


@pytest.mark.parametrize("bad", [None, 1, ["x"], bytearray(b"x")])
async def test_only_str_and_bytes_are_sent(bad: Any, wire: Callable[..., Any]) -> None:
    engine = Engine()
    raised: list[type[BaseException]] = []

    @engine.on_session
    async def send(session: Session) -> None:
        try:
            await session.send(bad)
        except TypeError as error:
            raised.append(type(error))

    async with engine, wire(engine, TARGET):
        await wait_all_tasks_blocked()
    assert raised == [TypeError]


async def test_a_flood_nobody_reads_is_bounded(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    engine = Engine(max_inbox_packets=4, ping_interval=2.0, ping_timeout=1.0)
    release = trio.Event()
    got: list[object] = []

    @engine.on_session
    async def wait(session: Session) -> None:
        await release.wait()
        async for message in session:
            got.append(message)  # noqa: PERF401 - it never ends by itself

    async with engine, wire(engine, TARGET) as client:
        await client.send(*[f"4{number}" for number in range(20)])
        await trio.sleep(30)
        assert engine.statistics()["sessions"] == 1
        release.set()
        await wait_all_tasks_blocked()
        assert got == [str(number) for number in range(20)]


@pytest.mark.parametrize(
    "key", [b"", b"short", b"dGhlIHNhbXBsZSBub25jZQ", b"\xe9GhlIHNhbXBsZSBub25jZQ==", b"a, b"]
)
async def test_a_websocket_without_a_key_of_16_bytes_is_refused(
    key: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine()
    async with trio.open_nursery() as nursery:
        address = await nursery.start(engine.serve, "127.0.0.1", 0)
        with trio.fail_after(5):
            async with await trio.open_tcp_stream("127.0.0.1", address.port) as stream:
                await stream.send_all(
                    b"GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
                    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: " + key + b"\r\n\r\n"
                )
                answer = bytes(await stream.receive_some())
        nursery.cancel_scope.cancel()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert "failed" not in caplog.text
