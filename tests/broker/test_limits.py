"""Whoever meets a limit finds its option's name in the log, or in what is raised."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio_websocket
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.events import TextMessage

from broker import Broker, Socket

from .stalled import noting

POLLING = "/socket.io/?EIO=4&transport=polling"


def logged(caplog: pytest.LogCaptureFixture, option: str) -> list[str]:
    """Return the lines that name an option with its value."""
    return [record.getMessage() for record in caplog.records if f"{option}=" in record.getMessage()]


@pytest.fixture(autouse=True)
def _every_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "atrio")


async def opened(client: Any) -> str:
    _, _, body = await client.request("GET", POLLING)
    return POLLING + "&sid=" + str(body.decode().split('"sid":"')[1].split('"')[0])


@pytest.mark.parametrize("frames", ["one", "fragments", "characters"])
async def test_max_http_buffer_size_over_websocket(
    frames: str, wire: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(max_http_buffer_size=1000)
    _, reasons = noting(broker)
    async with broker, wire(broker) as client:
        await client.enter()
        if frames == "one":
            await client.send('42["' + "x" * 2000 + '"]')
        else:
            letter = "ü" if frames == "characters" else "xx"  # 600 characters may be 1200 bytes
            for whole in (False, True):
                fragment = TextMessage(data=letter * 300, message_finished=whole)
                await client.websocket._send(fragment)
        with pytest.raises(trio_websocket.ConnectionClosed):
            await client.get()
        await wait_all_tasks_blocked()
        assert reasons == ["message too large"]
        assert len(logged(caplog, "max_http_buffer_size")) == 1


async def test_a_client_that_finds_our_messages_too_large_is_no_case_of_it(
    wire: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    _, reasons = noting(broker)
    async with broker, wire(broker) as client:
        await client.enter()
        await client.websocket.aclose(1009, "message too big")
        await wait_all_tasks_blocked()
        assert reasons == ["transport error"]
        assert logged(caplog, "max_http_buffer_size") == []


async def test_max_http_buffer_size_over_polling(
    http: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(max_http_buffer_size=1000)
    async with broker, http(broker) as client:
        target = await opened(client)
        status, _, _ = await client.request("POST", target, b"4" * 1001)
        assert status == 413
        assert len(logged(caplog, "max_http_buffer_size")) == 1


async def test_timeouts_of_a_connection(
    wire: Callable[..., Any], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(ping_interval=5.0, ping_timeout=2.0, connect_timeout=3.0)
    _, reasons = noting(broker)
    async with broker, wire(broker) as silent, wire(broker):
        await silent.enter()
        await trio.sleep(3.1)
        assert len(logged(caplog, "connect_timeout")) == 1
        await trio.sleep(4)
        assert reasons == ["ping timeout"]
        assert len(logged(caplog, "ping_timeout")) == 1


async def test_upgrade_timeout(
    http: Callable[..., Any],
    wire: Callable[..., Any],
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker(upgrade_timeout=3.0)
    async with broker, http(broker) as client:
        target = (await opened(client)).replace("polling", "websocket")
        async with wire(broker, target, read_open=False) as probe:
            await probe.send("2probe")
            assert await probe.get() == "3probe"
            await trio.sleep(3.1)
        assert len(logged(caplog, "upgrade_timeout")) == 1
        assert broker.statistics().connections == 1


async def test_middleware_timeout(
    wire: Callable[..., Any], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(middleware_timeout=1.0)

    @broker.use
    async def check(socket: Socket) -> None:
        await trio.sleep_forever()

    @broker.of
    async def look(name: str, auth: object) -> bool:
        await trio.sleep_forever()
        return True

    async with broker, wire(broker) as client:
        for namespace in ("", "/dynamic,"):
            caplog.clear()
            await client.send(f"40{namespace}")
            assert str(await client.get()).startswith(f"44{namespace}")
            assert len(logged(caplog, "middleware_timeout")) == 1


async def test_timeouts_of_handlers_and_acks(
    wire: Callable[..., Any], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(handler_timeout=1.0, ack_timeout=2.0)
    sockets, _ = noting(broker)
    errors: list[Exception] = []

    @broker.on("e")
    async def handle(socket: Socket) -> None:
        await trio.sleep_forever()

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: str) -> None:
        errors.append(error)

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('421["e"]')
        assert "internal" in str(await client.get())
        (error,) = errors
        assert isinstance(error, trio.TooSlowError)
        assert "handle took longer than handler_timeout=1 s" in str(error)
        assert "handler_timeout=1 s" in caplog.text
        with pytest.raises(trio.TooSlowError, match=r"'question' .* ack_timeout=2 s"):
            await sockets[0].emit_with_ack("question")
        with pytest.raises(trio.TooSlowError, match=r"'question' .* timeout=3 s"):
            await sockets[0].emit_with_ack("question", timeout=3)


async def test_graces(
    wire: Callable[..., Any], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(handler_grace=1.0, grace=3.0)

    @broker.on("e")
    async def handle(socket: Socket, shielded: bool) -> None:
        with trio.CancelScope(shield=shielded):
            await trio.sleep(10)

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('42["e",false]')
        await wait_all_tasks_blocked()
        await client.send("41")
        await trio.sleep(1.1)
        assert len(logged(caplog, "handler_grace")) == 1
        await client.enter()
        await client.send('42["e",true]')
        await wait_all_tasks_blocked()
        await broker.close()
    assert len([line for line in logged(caplog, "grace") if "the broker cancels" in line]) == 1


async def test_a_full_inbox_is_logged_at_most_once_a_minute(
    wire: Callable[..., Any], autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(max_inbox_packets=4, ping_interval=1000.0)

    @broker.on("e")
    async def handle(socket: Socket) -> None:
        await trio.sleep(0.1)

    async with broker, wire(broker) as client:
        await client.enter()
        for _ in range(3):
            await client.send(*['42["e"]'] * 100)
            await trio.sleep(15)
        assert len(logged(caplog, "max_inbox_packets")) == 1
        await trio.sleep(15)
        await client.send(*['42["e"]'] * 100)
        await trio.sleep(15)
        assert len(logged(caplog, "max_inbox_packets")) == 2
