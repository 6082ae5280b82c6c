"""A call that raises `Cancelled` has not happened, at whichever of its moments it was cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import wait_all_tasks_blocked

from actors import Ask
from broker import Broker, JoinRefused, Room, Socket, SocketDisconnected


@asynccontextmanager
async def one_socket() -> AsyncIterator[tuple[Broker, Socket, Any]]:
    broker = Broker()
    async with broker, broker.test_client() as client:
        await wait_all_tasks_blocked()
        yield broker, broker.sockets[client.id], client


class Careful(Room):
    """A room whose hooks wait here and there; its events say what it has done."""

    async def on_create(self) -> None:
        await trio.lowlevel.checkpoint()
        self.done = 0

    async def on_join(self, socket: Socket) -> None:
        await trio.lowlevel.checkpoint()
        await socket.emit("snapshot")
        await trio.lowlevel.checkpoint()

    async def receive(self, message: object) -> int:
        await trio.lowlevel.checkpoint()
        self.done += message == "tell" or isinstance(message, Ask)
        await trio.lowlevel.checkpoint()
        return self.done


@asynccontextmanager
async def one_socket_and_rooms() -> AsyncIterator[tuple[Broker, Socket, Any]]:
    async with one_socket() as (broker, socket, client):
        broker.room_type("own*")(Careful)
        yield broker, socket, client


async def was_cancelled(steps: int, call: Callable[[], Awaitable[object]]) -> bool:
    """Run `call`, cancelled after so many ticks; return whether it raised `Cancelled`."""
    finished = False
    scope = trio.CancelScope()

    async def cancel() -> None:
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        if steps:
            nursery.start_soon(cancel)
        else:
            scope.cancel()
        with scope:
            await call()
            finished = True
        nursery.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    return not finished


STEPS = [step for step in range(8) for _ in range(4)]  # who is first in a tick is trio's dice
MORE_STEPS = [step for step in range(20) for _ in range(2)]


@pytest.mark.parametrize("steps", STEPS)
async def test_a_join_is_whole_or_absent(steps: int) -> None:
    async with one_socket() as (broker, socket, _):
        cancelled = await was_cancelled(steps, lambda: socket.join("a"))
        assert socket.joined_rooms == (frozenset() if cancelled else {"a"})
        assert dict(broker.rooms).keys() == socket.joined_rooms
        assert broker.statistics().rooms == len(socket.joined_rooms)
        await socket.join("a")  # nothing is stuck
        assert broker.rooms["a"] == {socket.id}


@pytest.mark.parametrize("steps", STEPS)
async def test_a_join_of_two_rooms_is_whole_or_absent(steps: int) -> None:
    async with one_socket() as (_, socket, _):
        cancelled = await was_cancelled(steps, lambda: socket.join("a", "b"))
        assert socket.joined_rooms == (frozenset() if cancelled else {"a", "b"})


@pytest.mark.parametrize("steps", STEPS)
async def test_a_cancelled_join_of_two_rooms_leaves_no_room_it_was_in_before(steps: int) -> None:
    async with one_socket() as (_, socket, _):
        await socket.join("a")
        await was_cancelled(steps, lambda: socket.join("a", "b"))
        assert "a" in socket.joined_rooms


@pytest.mark.parametrize("steps", STEPS)
async def test_a_cancelled_join_undoes_no_other_join(steps: int) -> None:
    async with one_socket() as (_, socket, _):
        for _ in range(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(was_cancelled, steps, lambda: socket.join("a", "b", "c"))
                await socket.join("a", "b", "c")
            assert socket.joined_rooms == {"a", "b", "c"}
            await socket.leave("a", "b", "c")


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("rooms", [("a",), ("a", "b"), ("nowhere",), None])
async def test_a_broadcast_is_whole_or_absent(steps: int, rooms: tuple[str, ...] | None) -> None:
    async with one_socket() as (broker, socket, client):
        await socket.join("a", "b")
        target = broker.local if rooms is None else broker.to(*rooms)
        cancelled = await was_cancelled(steps, lambda: target.emit("e"))
        if cancelled or rooms == ("nowhere",):
            await client.expect_nothing()
        else:
            assert await client.expect("e") == ()
            await client.expect_nothing()


@pytest.mark.parametrize("steps", STEPS)
async def test_an_emit_to_one_socket_is_whole_or_absent(steps: int) -> None:
    async with one_socket() as (_, socket, client):
        if not await was_cancelled(steps, lambda: socket.emit("e")):
            assert await client.expect("e") == ()
        await client.expect_nothing()


@pytest.mark.parametrize("steps", STEPS)
async def test_a_cancelled_wait_for_an_ack_leaves_nothing_pending(steps: int) -> None:
    async with one_socket() as (broker, socket, _):
        assert await was_cancelled(steps, lambda: socket.emit_with_ack("e"))
        assert broker.statistics().pending_acks == 0


@pytest.mark.parametrize("steps", STEPS)
async def test_a_leave_happens_in_a_cancelled_scope(steps: int) -> None:
    async with one_socket() as (broker, socket, _):
        await socket.join("a", "b")
        await was_cancelled(steps, lambda: socket.leave("a", "b"))
        assert socket.joined_rooms == frozenset()
        assert dict(broker.rooms) == {}


@pytest.mark.parametrize("steps", STEPS)
async def test_a_disconnect_happens_in_a_cancelled_scope(steps: int) -> None:
    async with one_socket() as (broker, socket, client):
        await was_cancelled(steps, socket.disconnect)
        assert not socket.connected
        assert not client.connected
        assert dict(broker.sockets) == {}


@pytest.mark.parametrize("steps", STEPS)
async def test_joined_leaves_whenever_it_is_cancelled(steps: int) -> None:
    async with one_socket() as (broker, socket, _):

        async def visit() -> None:
            async with socket.joined("a", "b"):
                await trio.sleep_forever()

        assert await was_cancelled(steps, visit)
        assert socket.joined_rooms == frozenset()
        assert dict(broker.rooms) == {}


@pytest.mark.parametrize("steps", STEPS)
async def test_joined_leaves_no_room_that_it_has_not_entered(steps: int) -> None:
    async with one_socket() as (_, socket, _):
        await socket.join("a")

        async def visit() -> None:
            async with socket.joined("a", "b"):
                pass

        await was_cancelled(steps, visit)
        assert socket.joined_rooms == {"a"}


@pytest.mark.parametrize(
    "name",
    [
        "join",
        "rejoin",
        "join own",
        "join none",
        "leave",
        "leave none",
        "emit",
        "room",
        "wide",
        "nobody",
        "fetch",
        "disconnect",
        "close",
    ],
)
async def test_every_call_is_a_checkpoint(name: str) -> None:
    async with one_socket() as (broker, socket, _):
        await socket.join("a")
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "join": lambda: socket.join("b"),
            "rejoin": lambda: socket.join("a"),
            "join own": lambda: socket.join(socket.id),
            "join none": socket.join,
            "leave": lambda: socket.leave("a"),
            "leave none": socket.leave,
            "emit": lambda: socket.emit("e"),
            "room": lambda: broker.to("a").emit("e"),
            "wide": lambda: broker.emit("e"),
            "nobody": lambda: broker.to().emit("e"),
            "fetch": broker.fetch_sockets,
            "disconnect": socket.disconnect,
            "close": broker.close,
        }
        with trio.testing.assert_checkpoints():
            await calls[name]()


@pytest.mark.parametrize("method", ["join", "joined"])
async def test_a_join_that_is_impossible_is_a_checkpoint_too(method: str) -> None:
    async with one_socket() as (broker, socket, _), broker.test_client() as other:

        async def enter(room: str) -> None:
            if method == "join":
                await socket.join(room)
            else:
                async with socket.joined(room):
                    pass

        with trio.testing.assert_checkpoints(), pytest.raises(JoinRefused):
            await enter(other.id)
        await socket.disconnect()
        with trio.testing.assert_checkpoints(), pytest.raises(SocketDisconnected):
            await enter("a")


async def test_a_join_behind_a_leave_that_was_not_waited_for_is_a_join() -> None:
    async with one_socket() as (broker, socket, client):
        await socket.join("a")
        with trio.CancelScope() as scope:
            scope.cancel()
            await socket.leave("a")
        await socket.join("a")
        await broker.to("a").emit("e")
        await wait_all_tasks_blocked()
        assert socket.joined_rooms == {"a"}
        assert await client.expect("e") == ()


async def test_a_join_beside_a_leave_ends_as_the_later_of_them_says() -> None:
    async with one_socket() as (broker, socket, _):
        for _ in range(20):
            await socket.join("a")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(socket.leave, "a")
                nursery.start_soon(socket.join, "a")
            assert (socket.joined_rooms == {"a"}) == ("a" in broker.rooms)
            assert broker.rooms.get("a", frozenset()) <= {socket.id}


# Rooms of a user's type, whose calls take longer.


@pytest.mark.parametrize("steps", MORE_STEPS)
@pytest.mark.parametrize("rooms", [("own",), ("a", "own", "b"), ("own", "own 2")])
async def test_a_join_of_such_rooms_is_whole_or_absent(steps: int, rooms: tuple[str, ...]) -> None:
    async with one_socket_and_rooms() as (broker, socket, _):
        cancelled = await was_cancelled(steps, lambda: socket.join(*rooms))
        assert socket.joined_rooms == (frozenset() if cancelled else {*rooms})
        assert dict(broker.rooms).keys() == socket.joined_rooms
        for room in rooms:
            assert (await broker.to(room).emit("e")).recipients == (not cancelled)
        if cancelled:
            assert broker.statistics().rooms == 0
            await socket.join(*rooms)  # nothing is stuck
            assert socket.joined_rooms == {*rooms}


@pytest.mark.parametrize("steps", MORE_STEPS)
async def test_a_cancelled_join_keeps_the_socket_in_step_with_its_rooms(steps: int) -> None:
    async with one_socket_and_rooms() as (broker, socket, client):
        cancelled = False

        async def join() -> None:
            nonlocal cancelled
            cancelled = await was_cancelled(steps, lambda: socket.join("own"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(join)
            for number in range(12):
                await broker.to("own").emit("of the room", number)
                await broker.emit("of all", number)
        for number in range(12):
            assert await client.expect("of all") == (number,)
        if cancelled:
            await wait_all_tasks_blocked()
            assert not client._events["of the room"]
        else:
            await broker.to("own").emit("of the room", 12)
            (first,) = await client.expect("of the room")
            for number in range(first + 1, 13):
                assert await client.expect("of the room") == (number,)


@pytest.mark.parametrize("steps", MORE_STEPS)
@pytest.mark.parametrize("call", ["ask", "tell"])
async def test_an_ask_and_a_tell_are_whole_or_absent(steps: int, call: str) -> None:
    async with one_socket_and_rooms() as (broker, socket, _):
        await socket.join("own")
        room = broker.room("own")
        cancelled = await was_cancelled(
            steps, lambda: room.ask(Ask[int]()) if call == "ask" else room.tell("tell")
        )
        assert await room.ask(Ask[int]()) == (1 if cancelled else 2)


@pytest.mark.parametrize("steps", MORE_STEPS)
async def test_joined_leaves_such_rooms_whenever_it_is_cancelled(steps: int) -> None:
    async with one_socket_and_rooms() as (broker, socket, _):

        async def visit() -> None:
            async with socket.joined("a", "own", "b"):
                await trio.sleep_forever()

        assert await was_cancelled(steps, visit)
        assert socket.joined_rooms == frozenset()
        assert dict(broker.rooms) == {}
        assert broker.statistics().mailbox_messages == 0


async def test_joined_has_entered_none_of_its_rooms_when_one_refuses() -> None:
    async with one_socket_and_rooms() as (broker, socket, _):

        @broker.room_type("full")
        class Full(Room):
            async def on_join(self, _socket: Socket) -> None:
                raise JoinRefused("full")

        await socket.join("mine")
        with pytest.raises(JoinRefused):
            async with socket.joined("mine", "a", "full"):
                pass
        assert socket.joined_rooms == {"mine"}


@pytest.mark.parametrize("name", ["join", "rejoin", "leave", "ask", "tell", "emit"])
async def test_every_call_of_such_a_room_is_a_checkpoint(name: str) -> None:
    async with one_socket_and_rooms() as (broker, socket, _):
        await socket.join("own")
        room = broker.room("own")
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "join": lambda: socket.join("own 2"),
            "rejoin": lambda: socket.join("own"),
            "leave": lambda: socket.leave("own"),
            "ask": lambda: room.ask(Ask[int]()),
            "tell": lambda: room.tell("x"),
            "emit": lambda: room.emit("e"),
        }
        with trio.testing.assert_checkpoints():
            await calls[name]()
