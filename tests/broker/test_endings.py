"""How a socket ends: once, for one reason, in one order, whatever is cancelled meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, DisconnectReason, Socket


def recording(broker: Broker, namespace: str = "/") -> list[tuple[str, str]]:
    """Register hooks that note (hook, reason)."""
    log: list[tuple[str, str]] = []
    space = broker.of(namespace)

    @space.on("connection")
    async def connected(socket: Socket) -> None:
        log.append(("connection", ""))

    @space.on("disconnecting")
    async def disconnecting(socket: Socket, reason: str) -> None:
        log.append(("disconnecting", reason))

    @space.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        log.append(("disconnect", reason))

    return log


CAUSES = {
    "41": "client namespace disconnect",
    "1": "transport close",
    "abc": "parse error",
    "42{}": "forced close",
    "40": "forced close",
    "2": "transport error",
    "42/nowhere,[1]": "forced close",
}


@pytest.mark.parametrize(("sent", "reason"), CAUSES.items())
async def test_what_a_client_sends_ends_it_once(
    sent: str, reason: str, wire: Callable[..., Any]
) -> None:
    broker = Broker()
    log = recording(broker)
    async with broker:
        async with wire(broker) as client:
            await client.enter()
            await client.send(sent)
            await wait_all_tasks_blocked()
        assert log == [("connection", ""), ("disconnecting", reason), ("disconnect", reason)]
        assert reason in {str(known) for known in DisconnectReason}


async def test_a_peer_that_vanishes_is_a_transport_close(wire: Callable[..., Any]) -> None:
    broker = Broker()
    log = recording(broker)
    async with broker:
        async with wire(broker) as client:
            await client.enter()
        assert log[1:] == [("disconnecting", "transport close"), ("disconnect", "transport close")]


@pytest.mark.parametrize("close", [False, True])
async def test_disconnect_by_the_server(*, close: bool, wire: Callable[..., Any]) -> None:
    broker = Broker()
    log = recording(broker)
    other = recording(broker, "/other")

    @broker.on("kick me")
    async def kick(socket: Socket) -> None:
        await socket.disconnect(close=close)
        await socket.disconnect(close=close)

    async with broker, wire(broker) as client:
        await client.enter("/other")
        await client.enter()
        await client.send('42["kick me"]')
        assert await client.get() == "41"
        await wait_all_tasks_blocked()
        reason = "server namespace disconnect"
        assert log[1:] == [("disconnecting", reason), ("disconnect", reason)]
        assert [hook for hook, _ in other[1:]] == (["disconnecting", "disconnect"] if close else [])


async def test_close_tells_clients_and_runs_the_hooks(wire: Callable[..., Any]) -> None:
    broker = Broker()
    log = recording(broker)
    async with broker, wire(broker) as client:
        await client.enter()
        await broker.close()
        reason = "server shutting down"
        assert log[1:] == [("disconnecting", reason), ("disconnect", reason)]


async def test_the_order_of_an_end() -> None:
    broker = Broker(handler_grace=5.0)
    log: list[object] = []
    sockets: list[Socket] = []
    began, go = trio.Event(), trio.Event()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)
        await socket.join("room")

        async def task() -> None:
            try:
                await trio.sleep_forever()
            finally:
                log.append(("task", socket.connected))

        socket.nursery.start_soon(task)

    @broker.on("event")
    async def event(socket: Socket, number: int) -> None:
        began.set()
        await go.wait()
        log.append((number, socket.connected))
        await socket.emit("nobody hears this")

    @broker.on("disconnecting")
    async def disconnecting(socket: Socket, reason: str) -> None:
        delivery = await broker.to("room").emit("bye")
        log.append(("disconnecting", socket.joined_rooms, "room" in broker.rooms, delivery))

    @broker.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        log.append(("disconnect", socket.joined_rooms, "room" in broker.rooms))
        assert socket.id not in broker.sockets

    async with broker, broker.test_client() as other:
        await wait_all_tasks_blocked()
        async with broker.test_client() as client, trio.open_nursery() as nursery:
            await client.emit("event", 1)
            await client.emit("event", 2)
            await began.wait()
            nursery.start_soon(client.disconnect)
            await wait_all_tasks_blocked()
            assert log == [("task", False)]
            assert not sockets[1].connected
            go.set()
        await wait_all_tasks_blocked()
        assert await other.expect("bye") == ()
        assert log[1:3] == [(1, False), (2, False)]
        name, rooms, there, delivery = log[3]  # type: ignore[misc]
        assert (name, rooms, there, delivery.recipients) == (  # type: ignore[has-type]
            "disconnecting",
            {"room"},
            True,
            1,
        )
        assert log[4] == ("disconnect", frozenset(), True)
        assert len(log) == 5


async def test_a_socket_in_no_room_has_its_own_id_for_a_room_until_its_rooms_are_left() -> None:
    broker = Broker()
    seen: list[bool] = []

    async def look(socket: Socket, reason: str) -> None:
        seen.append(socket.rooms == {socket.id})

    broker.on("disconnecting", look)
    broker.on("disconnect", look)
    async with broker, broker.test_client():
        pass
    assert seen == [True, False]


async def test_a_post_behind_the_servers_disconnect_takes_nothing_from_the_polls(
    http: Callable[..., Any],
) -> None:
    broker = Broker()

    @broker.on("bye")
    async def bye(socket: Socket) -> None:
        await socket.emit("last words")
        await socket.disconnect(close=True)

    async with broker, http(broker) as client:
        _, _, opened = await client.request("GET", "/socket.io/?EIO=4&transport=polling")
        sid = opened.decode().split('"')[3]
        target = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        assert (await client.request("POST", target, b'40\x1e42["bye"]'))[0] == 200
        assert (await client.request("POST", target, b"3"))[0] == 400
        assert b'42["last words"]' in (await client.request("GET", target))[2]
        assert (await client.request("GET", target))[2] == b"1"
        assert (await client.request("GET", target))[0] == 400


async def test_events_behind_the_servers_disconnect_are_dropped_and_counted() -> None:
    broker = Broker()
    handled: list[int] = []
    go = trio.Event()

    @broker.on("event")
    async def event(socket: Socket, number: int) -> None:
        handled.append(number)
        await go.wait()
        await socket.disconnect()

    async with broker, broker.test_client() as client:
        for number in range(4):
            await client.emit("event", number)
        await wait_all_tasks_blocked()
        go.set()
        await wait_all_tasks_blocked()
        assert handled == [0]
        assert broker.statistics().dropped == 3


async def test_closing_the_connection_drops_the_events_of_its_other_namespaces(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()
    handled: list[int] = []
    go = trio.Event()

    @broker.of("/busy").on("event")
    async def event(socket: Socket, number: int) -> None:
        handled.append(number)
        await go.wait()

    @broker.on("close")
    async def close(socket: Socket) -> None:
        await socket.disconnect(close=True)

    async with broker, wire(broker) as client:
        await client.enter()
        await client.enter("/busy")
        await client.send('42/busy,["event",0]', '42/busy,["event",1]', '42["close"]')
        await wait_all_tasks_blocked()
        go.set()
        await wait_all_tasks_blocked()
        assert handled == [0]


async def test_handlers_are_cancelled_after_handler_grace(autojump_clock: MockClock) -> None:
    broker = Broker(handler_grace=3.0)
    log: list[tuple[str, float]] = []

    @broker.on("hang")
    async def hang(socket: Socket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            log.append(("cancelled", trio.current_time()))

    @broker.on("disconnecting")
    async def disconnecting(socket: Socket, reason: str) -> None:
        log.append(("disconnecting", trio.current_time()))

    async with broker:
        async with broker.test_client() as client:
            await client.emit("hang")
            await client.emit("hang")
            await wait_all_tasks_blocked()
            start = trio.current_time()
        assert log == [
            ("cancelled", pytest.approx(start + 3.0)),
            ("disconnecting", pytest.approx(start + 3.0)),
        ]
        assert broker.statistics().dropped == 1


async def test_disconnect_hooks_are_cancelled_after_disconnect_timeout(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(disconnect_timeout=2.0)
    log: list[str] = []

    @broker.on("disconnecting")
    async def disconnecting(socket: Socket, reason: str) -> None:
        log.append("disconnecting")
        await trio.sleep_forever()

    @broker.on("disconnect")
    async def disconnect(socket: Socket, reason: str) -> None:
        log.append("disconnect")

    async with broker:
        async with broker.test_client():
            await wait_all_tasks_blocked()
            start = trio.current_time()
        assert trio.current_time() - start == pytest.approx(2.0)
        assert log == ["disconnecting", "disconnect"]
        assert broker.statistics().sockets == 0


async def test_a_handler_that_cannot_be_cancelled_does_not_keep_the_hooks_from_running(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(handler_grace=1.0, disconnect_timeout=2.0)
    log = recording(broker)

    @broker.on("stubborn")
    async def stubborn(socket: Socket) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    async with broker:
        async with broker.test_client() as client:
            await client.emit("stubborn")
            await wait_all_tasks_blocked()
        assert [hook for hook, _ in log] == ["connection", "disconnecting", "disconnect"]
