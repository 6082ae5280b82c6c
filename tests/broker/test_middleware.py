"""Connect middleware: who gets in, and what is left of who does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, ConnectError, Socket


async def test_middleware_runs_in_order_before_the_socket_is_there() -> None:
    broker = Broker()
    chat = broker.of("/chat")
    seen: list[object] = []

    @chat.use
    async def first(socket: Socket) -> None:
        seen.append(("first", socket.id in chat.sockets, socket.connected))

    @chat.use
    async def second(socket: Socket) -> None:
        seen.append("second")
        socket.data["user"] = socket.handshake.auth["user"]

    @chat.on("connection")
    async def connected(socket: Socket) -> None:
        seen.append((socket.data["user"], chat.sockets[socket.id] is socket, socket.connected))

    async with broker.test_client("/chat", auth={"user": "ann"}):
        pass
    assert seen == [("first", False, False), "second", ("ann", True, True)]


@pytest.mark.parametrize("wrap", [False, True])
async def test_a_refusal_stops_the_chain_and_reaches_the_client(*, wrap: bool) -> None:
    broker = Broker()
    later: list[Socket] = []

    @broker.use
    async def refuse(socket: Socket) -> None:
        await socket.join("waiting")
        error = ConnectError("not authorized", data={"retry": False})
        raise ExceptionGroup("a nursery's", [error]) if wrap else error

    @broker.use
    async def second(socket: Socket) -> None:
        later.append(socket)

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        later.append(socket)

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        later.append(socket)

    async with broker:
        with pytest.raises(ConnectError) as refused:
            async with broker.test_client():
                pass
        assert (refused.value.message, refused.value.data) == ("not authorized", {"retry": False})
        assert later == []
        assert dict(broker.rooms) == {}
        assert broker.statistics().sockets == 0


async def test_middleware_that_fails_refuses_without_saying_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()

    @broker.use
    async def fail(socket: Socket) -> None:
        raise ValueError("swordfish")

    with pytest.raises(ConnectError) as refused:
        async with broker.test_client():
            pass
    assert "swordfish" not in str(refused.value.message)
    assert "swordfish" in caplog.text


async def test_slow_middleware_is_cancelled_and_refuses(autojump_clock: MockClock) -> None:
    broker = Broker(middleware_timeout=3.0)
    cancelled: list[float] = []

    @broker.use
    async def slow(socket: Socket) -> None:
        start = trio.current_time()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(trio.current_time() - start)

    with pytest.raises(ConnectError):
        async with broker.test_client():
            pass
    assert cancelled == [pytest.approx(3.0)]


@pytest.mark.parametrize("data", [object(), 2**60])
async def test_a_refusal_that_cannot_be_sent_refuses_all_the_same(
    data: object, wire: Callable[..., Any]
) -> None:
    broker = Broker()

    @broker.of("/closed").use
    async def refuse(socket: Socket) -> None:
        raise ConnectError("no", data=data)

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send("40/closed,")
        with trio.fail_after(1):
            assert str(await client.get()).startswith("44/closed,")
        assert len(broker.sockets) == 1  # the other namespace's socket has noticed nothing


async def test_a_client_that_vanishes_in_middleware_leaves_nothing(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()
    cancelled = trio.Event()
    hooks: list[str] = []

    @broker.use
    async def slow(socket: Socket) -> None:
        await socket.join("early")
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        hooks.append("connection")

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        hooks.append("disconnect")

    async with broker:
        async with wire(broker) as client:
            await client.send("40")
            await wait_all_tasks_blocked()
        assert cancelled.is_set()
        assert hooks == []
        assert dict(broker.rooms) == {}


async def test_what_is_emitted_in_middleware_comes_behind_the_connect_packet(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()

    @broker.use
    async def early(socket: Socket) -> None:
        await socket.emit("one")
        await socket.join("room")
        await broker.to("room").emit("two")

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.emit("three")

    async with broker, wire(broker) as client:
        await client.send("40")
        assert str(await client.get()).startswith("40{")
        assert await client.until('42["three"]') == ['42["one"]', '42["two"]', '42["three"]']


async def test_a_client_refused_with_a_full_inbox_is_read_again(
    autojump_clock: MockClock, wire: Callable[..., Any]
) -> None:
    """Else it could never leave, and its silence would never end it: it would stay for ever."""
    broker = Broker(max_inbox_packets=4)
    decide = trio.Event()

    @broker.of("/closed").use
    async def refuse(socket: Socket) -> None:
        await decide.wait()
        raise ConnectError("no")

    @broker.on("still")
    async def still(socket: Socket) -> str:
        return "here"

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send("40/closed,", *['42/closed,["x"]'] * 4, '421["still"]')
        await wait_all_tasks_blocked()
        decide.set()
        assert str(await client.get()).startswith("44/closed,")
        with trio.fail_after(5):
            assert await client.get() == '431["here"]'


async def test_a_refused_client_may_ask_again_on_the_same_connection(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()

    @broker.use
    async def check(socket: Socket) -> None:
        if socket.handshake.auth.get("token") != "right":
            raise ConnectError("wrong token")

    async with broker, wire(broker) as client:
        await client.send('40{"token":"wrong"}')
        assert await client.get() == '44{"message":"wrong token"}'
        assert await client.enter(auth='{"token":"right"}')


@pytest.mark.parametrize("bad", [len, None, 3])
def test_middleware_must_be_async(bad: Any) -> None:
    with pytest.raises(TypeError):
        Broker().use(bad)
