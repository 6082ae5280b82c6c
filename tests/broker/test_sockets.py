"""What a socket is and does: rooms, data, handshake, events to it, acks from it, its nursery."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, JoinRefused, Socket, SocketDisconnected


def keeping(broker: Broker) -> list[Socket]:
    sockets: list[Socket] = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)

    return sockets


async def test_rooms_hold_its_own_id_and_joined_rooms_do_not() -> None:
    broker = Broker()
    sockets = keeping(broker)
    async with broker.test_client() as client:
        await wait_all_tasks_blocked()
        socket = sockets[0]
        assert socket.id == client.id
        assert socket.rooms == {socket.id}
        await socket.join("a", "b", "a", "ünï 😀,\x00")
        assert socket.joined_rooms == {"a", "b", "ünï 😀,\x00"}
        assert socket.rooms == socket.joined_rooms | {socket.id}
        assert dict(broker.rooms) == dict.fromkeys(socket.joined_rooms, frozenset({socket.id}))
        await socket.leave("a", "never joined")
        await socket.leave("a")
        assert socket.joined_rooms == {"b", "ünï 😀,\x00"}
        assert "a" not in broker.rooms
        assert len(broker.rooms) == 2
        with pytest.raises(KeyError):
            broker.rooms["a"]
    assert socket.rooms == frozenset()


async def test_joined_leaves_on_the_way_out_whatever_happens() -> None:
    broker = Broker()
    sockets = keeping(broker)
    async with broker.test_client():
        await wait_all_tasks_blocked()
        socket = sockets[0]
        with trio.CancelScope() as scope:
            async with socket.joined("a", "b"):
                assert socket.joined_rooms == {"a", "b"}
                scope.cancel()
                await trio.sleep_forever()
        await wait_all_tasks_blocked()
        assert socket.joined_rooms == frozenset()
        with pytest.raises(ZeroDivisionError):
            async with socket.joined("a"):
                _ = 1 / 0
        assert socket.joined_rooms == frozenset()


async def test_blocks_of_joined_can_be_nested_and_leave_what_they_have_entered() -> None:
    broker = Broker()
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("before")
        async with socket.joined("before", "a"):
            async with socket.joined("a", "b"):
                assert socket.joined_rooms == {"before", "a", "b"}
            assert socket.joined_rooms == {"before", "a"}
        assert socket.joined_rooms == {"before"}


@pytest.mark.parametrize("bad", [None, 1, b"a", ["a"], ("a",)])
async def test_what_is_no_room_is_refused_before_anything_is_joined(bad: Any) -> None:
    broker = Broker()
    sockets = keeping(broker)
    async with broker.test_client():
        await wait_all_tasks_blocked()
        with pytest.raises(TypeError):
            await sockets[0].join("a", bad)
        with pytest.raises(TypeError):
            await sockets[0].leave(bad)
        with pytest.raises(ValueError, match="room"):
            await sockets[0].join("a", "")
        assert sockets[0].joined_rooms == frozenset()


async def test_another_sockets_own_room_cannot_be_joined() -> None:
    broker = Broker()
    sockets = keeping(broker)
    async with broker, broker.test_client() as one, broker.test_client() as two:
        await wait_all_tasks_blocked()
        with pytest.raises(JoinRefused) as refused:
            await sockets[0].join("first", two.id, "last")
        assert refused.value.room == two.id
        assert sockets[0].joined_rooms == {"first"}
        await sockets[0].join(one.id)
        assert sockets[0].rooms == {"first", one.id}
        await broker.to(two.id).emit("private")
        assert await two.expect("private") == ()
        await one.expect_nothing()


async def test_a_room_named_like_a_socket_that_comes_later_does_not_take_its_events(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    sockets = keeping(broker)

    @broker.use
    async def check(socket: Socket) -> None:
        if sockets:
            await sockets[0].join(socket.id)

    async with broker, broker.test_client() as spy:
        await wait_all_tasks_blocked()
        async with broker.test_client() as victim:
            await broker.to(victim.id).emit("private")
            with trio.fail_after(1):
                assert await victim.expect("private") == ()
            await spy.expect_nothing()


async def test_the_handshake_is_as_the_client_came(wire: Callable[..., Any]) -> None:
    broker = Broker()
    sockets = keeping(broker)
    target = "/socket.io/?EIO=4&transport=websocket&a=1&a=2&name=%C3%BC"
    async with broker, wire(broker, target, headers=[(b"X-Thing", b"Value")]) as client:
        await client.enter(auth='{"token":"t"}')
        handshake = sockets[0].handshake
        assert handshake.headers["x-THING"] == handshake.headers["X-Thing"] == "Value"
        assert "x-tHing" in handshake.headers
        assert (handshake.query["a"], handshake.query["name"]) == ("2", "ü")
        assert handshake.auth == {"token": "t"}
        assert handshake.url == target
        assert not handshake.secure
        assert sockets[0].transport == "websocket"
        assert not sockets[0].recovered
        with pytest.raises(AttributeError):
            handshake.secure = True
        with pytest.raises(TypeError):
            handshake.headers["x-thing"] = "other"


async def test_what_waits_for_an_ack_gets_none_a_value_or_a_tuple(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()
    sockets = keeping(broker)
    answers: list[object] = []

    async with broker, wire(broker) as client:
        await client.enter()
        for ack, expected in (("[]", None), ("[null]", None), ("[[1]]", [1]), ("[1,2]", (1, 2))):
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def ask() -> None:
                    answers.append(await sockets[0].emit_with_ack("q", timeout=5))

                id_ = str(await client.get())[2:].partition("[")[0]
                await client.send(f"43{id_}{ack}", f"43{id_}[9]")
            assert answers.pop() == expected
        await client.send("43999[1]")  # nobody asked
        await wait_all_tasks_blocked()
        assert broker.statistics().pending_acks == 0
        assert sockets[0].connected


@pytest.mark.parametrize("timeout", [None, 2.0])
async def test_an_ack_that_does_not_come_is_too_slow(
    timeout: float | None, autojump_clock: MockClock
) -> None:
    broker = Broker(ack_timeout=4.0)
    sockets = keeping(broker)
    async with broker.test_client() as client:
        await wait_all_tasks_blocked()
        start = trio.current_time()
        with pytest.raises(trio.TooSlowError):
            await sockets[0].emit_with_ack("q", timeout=timeout)
        assert trio.current_time() - start == pytest.approx(timeout or 4.0)
        assert await client.expect("q") == ()
        assert broker.statistics().pending_acks == 0


async def test_an_infinite_ack_timeout_waits(autojump_clock: MockClock) -> None:
    broker = Broker()
    sockets = keeping(broker)
    async with broker.test_client():
        await wait_all_tasks_blocked()
        with trio.move_on_after(1000) as scope:
            await sockets[0].emit_with_ack("q", timeout=math.inf)
        assert scope.cancelled_caught
        assert broker.statistics().pending_acks == 0


async def test_who_waits_for_an_ack_hears_that_the_socket_went() -> None:
    broker = Broker()
    sockets = keeping(broker)
    heard: list[BaseException] = []

    async def ask() -> None:
        with pytest.raises(SocketDisconnected) as gone:
            await sockets[0].emit_with_ack("q")
        heard.append(gone.value)

    async with broker, trio.open_nursery() as nursery:
        async with broker.test_client():
            await wait_all_tasks_blocked()
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert len(heard) == 1
        assert broker.statistics().pending_acks == 0


async def test_a_gone_socket_joins_nothing_and_emits_nothing() -> None:
    broker = Broker()
    sockets = keeping(broker)
    async with broker:
        async with broker.test_client():
            await wait_all_tasks_blocked()
        gone = sockets[0]
        assert not gone.connected
        for call in (gone.join("a"), gone.emit_with_ack("q")):
            with pytest.raises(SocketDisconnected):
                await call
        await gone.emit("x")
        gone.emit_nowait("x")
        await gone.leave("a")
        await gone.disconnect()
        await gone.disconnect(close=True)
        assert dict(broker.rooms) == {}


async def test_a_handler_of_a_gone_socket_ends_without_a_logged_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    ended: list[type[BaseException]] = []
    errors: list[object] = []

    @broker.on("event")
    async def event(socket: Socket) -> None:
        try:
            while socket.connected:
                await trio.lowlevel.checkpoint()
            await socket.emit("nothing")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(socket.join, "room")
        except BaseException as error:
            ended.append(type(error))
            raise

    @broker.on("error")
    async def failed(socket: Socket, error: object, event: object) -> None:
        errors.append(error)

    async with broker:
        async with broker.test_client() as client:
            await client.emit("event")
            for _ in range(20):
                await trio.lowlevel.checkpoint()
        assert ended == [ExceptionGroup]
        assert errors == []
        assert "ERROR" not in caplog.text
