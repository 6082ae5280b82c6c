"""Ends that come at the worst moment: with the connection, under cancellation, in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket


def noting(broker: Broker) -> list[str]:
    log: list[str] = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        log.append("connection")
        await trio.lowlevel.checkpoint()
        log.append("connected")

    @broker.on("disconnecting")
    async def disconnecting(socket: Socket, reason: str) -> None:
        log.append("disconnecting")

    @broker.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        log.append("disconnect")

    return log


WHOLE = ["connection", "connected", "disconnecting", "disconnect"]


@pytest.mark.parametrize("ticks", range(25))
@pytest.mark.parametrize("how", ["41", "1", "vanish"])
async def test_leaving_at_any_moment_of_the_connect_runs_all_hooks_in_order_or_none(
    ticks: int, how: str, wire: Callable[..., Any]
) -> None:
    broker = Broker()
    log = noting(broker)
    async with broker:
        async with wire(broker) as client:
            await client.send("40")
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            if how == "vanish":
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await client.websocket._stream.aclose()
            else:
                await client.send(how)
            await wait_all_tasks_blocked()
            assert log in ([], WHOLE)
        assert log in ([], WHOLE)
        assert broker.statistics().sockets == 0


@pytest.mark.parametrize("ticks", range(25))
async def test_a_server_that_ends_it_at_any_moment_runs_all_hooks_in_order_or_none(
    ticks: int, wire: Callable[..., Any]
) -> None:
    broker = Broker()
    log = noting(broker)
    async with broker, wire(broker) as client:
        await client.send("40")
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        await broker.disconnect_sockets()
        await wait_all_tasks_blocked()
        if broker.sockets:  # it had not come yet
            await broker.disconnect_sockets()
            await wait_all_tasks_blocked()
        assert log in ([], WHOLE)


async def test_a_server_that_ends_it_as_soon_as_it_is_there_runs_all_hooks_in_order() -> None:
    for _ in range(30):  # who of two tasks runs first in a tick is trio's dice
        broker = Broker()
        log = noting(broker)

        async def end(broker: Broker = broker) -> None:
            while not broker.sockets:
                await trio.lowlevel.checkpoint()
            await next(iter(broker.sockets.values())).disconnect()

        async with broker, trio.open_nursery() as nursery:
            nursery.start_soon(end)
            async with broker.test_client():
                await wait_all_tasks_blocked()
            assert log == WHOLE


@pytest.mark.parametrize("ticks", range(0, 60, 3))
async def test_cancelling_the_broker_runs_the_hooks_once_for_everybody(ticks: int) -> None:
    broker = Broker()
    came: list[str] = []
    went: list[tuple[str, str]] = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        came.append(socket.id)
        await socket.join("room")

    @broker.on("hang")
    async def hang(socket: Socket) -> None:
        await trio.sleep_forever()

    @broker.on("disconnecting")
    async def disconnecting(socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        went.append(("disconnecting", socket.id))

    @broker.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        went.append(("disconnect", socket.id))

    async def client() -> None:
        async with broker.test_client() as connected:
            await connected.emit("hang")
            await trio.sleep_forever()

    with trio.CancelScope() as scope:
        async with broker, trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(client)
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            scope.cancel()
    # One that came but whose hook had no turn yet has left all the same: never twice, never half.
    for hook in ("disconnecting", "disconnect"):
        ids = [sid for name, sid in went if name == hook]
        assert len(ids) == len(set(ids))
        assert set(ids) >= set(came)
    assert broker.statistics().tasks == 0


@pytest.mark.parametrize("transport", ["websocket", "polling", "a poll that waits"])
async def test_a_cancelled_broker_says_to_its_hooks_that_it_shuts_down(
    transport: str, wire: Callable[..., Any], http: Callable[..., Any]
) -> None:
    broker = Broker()
    reasons: list[str] = []

    @broker.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        reasons.append(reason)

    with trio.CancelScope() as scope:
        async with broker:
            if transport == "websocket":
                async with wire(broker) as client:
                    await client.enter()
                    scope.cancel()
                    await trio.sleep_forever()
            async with http(broker) as client:
                _, _, opened = await client.request("GET", "/socket.io/?EIO=4&transport=polling")
                sid = opened.decode().split('"')[3]
                target = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
                assert (await client.request("POST", target, b"40"))[0] == 200
                if transport == "a poll that waits":
                    await client.request("GET", target)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(client.request, "GET", target)
                        await wait_all_tasks_blocked()
                        scope.cancel()
                scope.cancel()
                await trio.sleep_forever()
    assert reasons == ["server shutting down"]


async def test_a_broker_cancelled_in_the_middle_of_an_answer_says_that_it_shuts_down(
    http: Callable[..., Any],
) -> None:
    for _ in range(30):  # which of its tasks runs first then is trio's dice
        broker = Broker()
        reasons: list[str] = []

        @broker.on("disconnect")
        async def disconnect(socket: Socket, reason: str, reasons: list[str] = reasons) -> None:
            reasons.append(reason)

        lockstep = trio.testing.lockstep_stream_pair  # who writes waits for the reader
        with trio.CancelScope() as scope:
            async with broker, http(broker, streams=lockstep) as client:
                _, _, opened = await client.request("GET", "/socket.io/?EIO=4&transport=polling")
                sid = opened.decode().split('"')[3]
                target = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
                assert (await client.request("POST", target, b"40"))[0] == 200
                await client.stream.send_all(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                await wait_all_tasks_blocked()
                scope.cancel()
                await trio.lowlevel.checkpoint()
        assert reasons == ["server shutting down"]


async def test_all_hooks_of_a_cancelled_broker_share_one_timeout(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(disconnect_timeout=2.0, handler_grace=5.0)
    ended: list[float] = []

    @broker.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async def client() -> None:
        async with broker.test_client():
            await trio.sleep_forever()

    with trio.CancelScope() as scope:
        async with broker, trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(client)
            await wait_all_tasks_blocked()
            start = trio.current_time()
            scope.cancel()
    assert ended == [pytest.approx(start + 2.0)] * 5
    assert trio.current_time() == pytest.approx(start + 2.0)


async def test_a_silent_websocket_ends_exactly_at_interval_plus_timeout(
    autojump_clock: MockClock, wire: Callable[..., Any]
) -> None:
    broker = Broker(ping_interval=7.0, ping_timeout=3.0)
    log: list[tuple[str, float]] = []

    @broker.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        log.append((reason, trio.current_time()))

    async with broker:
        start = trio.current_time()
        async with wire(broker) as client:
            await client.enter()
            assert await client.get() == "2"
            assert trio.current_time() - start == pytest.approx(7.0, abs=0.01)
            await trio.sleep(1)
            await client.send("3")  # the chain begins anew at the pong
            assert await client.get() == "2"
            assert trio.current_time() - start == pytest.approx(15.0, abs=0.01)
            await trio.sleep_until(start + 17.9)
            assert log == []
            await trio.sleep_until(start + 18.1)
            assert log == [("ping timeout", pytest.approx(start + 18.0, abs=0.01))]


async def test_a_silent_polling_client_ends_exactly_at_interval_plus_timeout(
    autojump_clock: MockClock, http: Callable[..., Any]
) -> None:
    broker = Broker(ping_interval=7.0, ping_timeout=3.0)
    log: list[tuple[str, float]] = []

    @broker.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        log.append((reason, trio.current_time()))

    async with broker, http(broker) as client:
        start = trio.current_time()
        _, _, opened = await client.request("GET", "/socket.io/?EIO=4&transport=polling")
        sid = opened.decode().split('"')[3]
        target = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        assert (await client.request("POST", target, b"40"))[0] == 200
        await trio.sleep_until(start + 9.9)
        assert log == []
        await trio.sleep_until(start + 10.1)
        assert log == [("ping timeout", pytest.approx(start + 10.0, abs=0.01))]
        assert (await client.request("GET", target))[0] == 400


async def test_connect_timeout_is_armed_again_when_the_last_namespace_is_left(
    autojump_clock: MockClock, wire: Callable[..., Any]
) -> None:
    broker = Broker(connect_timeout=4.0)
    async with broker, wire(broker) as client:
        await trio.sleep(3.9)
        await client.enter()
        await trio.sleep(10)
        assert broker.statistics().connections == 1
        await client.send("41")
        await trio.sleep(3.9)
        assert broker.statistics().connections == 1
        await trio.sleep(0.2)
        assert broker.statistics().connections == 0


async def test_a_client_in_no_namespace_ends_at_connect_timeout(
    autojump_clock: MockClock, wire: Callable[..., Any]
) -> None:
    broker = Broker(connect_timeout=4.0)
    async with broker, wire(broker) as client:
        await client.send("40/nowhere,")
        await trio.sleep(3.9)
        assert broker.statistics().connections == 1
        await trio.sleep(0.2)
        assert broker.statistics().connections == 0
