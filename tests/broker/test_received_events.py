"""What a loop over a socket's events yields, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, ReceivedEvent, Socket, SocketDisconnected


async def test_a_received_event_has_its_parts_by_name_and_is_acknowledged() -> None:
    broker = Broker()
    seen: list[ReceivedEvent] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for received in socket.events():
            seen.append(received)
            match received:
                case ("add", int(one), int(two)):
                    received.ack(one + two)
                case ("pair",):
                    received.ack(1, 2)
                case _:
                    received.ack()

    async with broker.test_client() as client:
        assert await client.call("add", 2, 3) == 5
        assert await client.call("pair") == (1, 2)
        assert await client.call("other") is None
        await client.emit("unasked", "x")
        await wait_all_tasks_blocked()
        await client.expect_nothing()
    assert [(each.event, each.args, each.wants_ack) for each in seen] == [
        ("add", (2, 3), True),
        ("pair", (), True),
        ("other", (), True),
        ("unasked", ("x",), False),
    ]
    assert isinstance(seen[0], tuple)


@pytest.mark.parametrize("send", ["call", "emit"])
async def test_an_event_is_acknowledged_once(send: str) -> None:
    broker = Broker()
    errors: list[BaseException] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for received in socket.events():
            received.ack(1)
            with pytest.raises(RuntimeError, match="'x' was acknowledged") as caught:
                received.ack(2)
            errors.append(caught.value)

    async with broker.test_client() as client:
        assert await getattr(client, send)("x") in (1, None)
        await wait_all_tasks_blocked()
    assert len(errors) == 1


async def test_an_ack_that_cannot_be_sent_may_be_replaced() -> None:
    broker = Broker()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for received in socket.events():
            with pytest.raises(TypeError):
                received.ack(object())
            received.ack("better")

    async with broker.test_client() as client:
        assert await client.call("x") == "better"


async def test_an_ack_for_a_client_that_has_gone_is_ignored() -> None:
    broker = Broker()
    acknowledged: list[int] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for received in socket.events():
            try:
                await trio.sleep_forever()
            finally:
                received.ack(object())
                acknowledged.append(1)

    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:

        async def call() -> None:
            with pytest.raises(SocketDisconnected):
                await client.call("x")

        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        await client.disconnect()
        assert acknowledged == [1]


async def test_an_event_is_taken_only_when_the_loop_asks(wire: Callable[..., Any]) -> None:
    """So the bounds hold: the client is read no further when so much waits."""
    broker = Broker(max_inbox_packets=4)
    seen: list[int] = []
    go = trio.Semaphore(0)

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for _, number in socket.events("n"):
            seen.append(number)
            await go.acquire()

    async with broker, wire(broker) as client:
        await client.enter()
        (session,) = broker._life.services.sessions.values()  # type: ignore[union-attr]
        for number in range(10):
            await client.send(f'42["n",{number}]')
        await wait_all_tasks_blocked()
        assert session.is_paused
        assert seen == [0]
        for _ in range(10):
            go.release()
            await wait_all_tasks_blocked()
        assert not session.is_paused
        assert seen == list(range(10))


async def test_a_body_may_wait_for_an_ack_of_its_client(wire: Callable[..., Any]) -> None:
    broker = Broker()
    seen: list[object] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for event, *_ in socket.events():
            seen.append(event)
            seen.append(await socket.emit_with_ack("q"))

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('42["one"]', '42["two"]')
        assert await client.get() == '420["q"]'
        await client.send("430[1]")
        assert await client.get() == '421["q"]'
        await client.send("431[2]")
        await wait_all_tasks_blocked()
        assert seen == ["one", 1, "two", 2]


async def test_to_cancel_the_waiting_loses_no_event(autojump_clock: MockClock) -> None:
    broker = Broker()
    seen: list[object] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        events = socket.events()
        while True:
            with trio.move_on_after(0) as scope:
                seen.append((await anext(events))[1])
            if scope.cancelled_caught:
                await trio.lowlevel.checkpoint()
            with trio.move_on_after(0.5):
                seen.append((await anext(events))[1])

    async with broker.test_client() as client:
        for number in range(20):
            await client.emit("n", number)
            await trio.sleep(0.3)
    assert seen == list(range(20))


async def test_to_be_cancelled_in_the_moment_an_event_arrives_loses_none() -> None:
    broker = Broker()
    seen: list[object] = []
    scopes: list[trio.CancelScope] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        events = socket.events()
        while True:
            with trio.CancelScope() as scope:
                scopes.append(scope)
                seen.append((await anext(events))[1])

    async with broker.test_client() as client:
        await wait_all_tasks_blocked()
        (socket,) = broker.sockets.values()
        put = socket.inbound.put

        def put_and_cancel(packet: Any, size: int) -> None:
            if packet.data[1] % 3:
                scopes[-1].cancel()
            put(packet, size)
            if packet.data[1] % 2:
                scopes[-1].cancel()

        socket.inbound.put = put_and_cancel  # type: ignore[method-assign]
        for number in range(24):
            await client.emit("n", number)
        await wait_all_tasks_blocked()
        assert seen == list(range(24))


async def test_a_malformed_event_is_the_clients_error(wire: Callable[..., Any]) -> None:
    broker = Broker()
    log: list[str] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        try:
            async for event, *_ in socket.events():
                log.append(event)
        finally:
            log.append("cancelled")

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        log.append(reason)

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('42["good"]', '42{"no":"array"}')
        await wait_all_tasks_blocked()
        assert log == ["good", "cancelled", "forced close"]


async def test_a_name_that_is_a_number_is_as_javascript_has_it(wire: Callable[..., Any]) -> None:
    broker = Broker()
    seen: list[object] = []

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for event, *_ in socket.events("7"):
            seen.append(event)

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send("42[7]")
        await wait_all_tasks_blocked()
        assert seen == ["7"]
