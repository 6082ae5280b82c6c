"""What fails in rooms of a user's type: who hears of it, and what it means for the room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import ActorGone
from actors.actor import CAPACITY
from broker import Broker, EventError, Room, Socket

from .diary import Add, Fail, diary, words


async def test_an_error_is_raised_in_the_asker_and_by_default_the_room_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    notes = diary(broker)
    async with broker, broker.test_client() as client:
        room = broker.room("r")
        await broker.sockets[client.id].join("r")
        await room.ask(Add(5))
        with pytest.raises(KeyError):
            await room.ask(Fail(KeyError("x")))
        await room.tell(Fail(KeyError("y")))
        assert await room.ask(Add(1)) == 6
        assert "close" not in words(notes)
    assert "room 'r': the receive of Fail" in caplog.text
    assert caplog.text.count("Traceback") == 2


async def test_a_refusal_is_an_answer_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker()
    notes = diary(broker, on_error="crash")
    async with broker, broker.test_client() as client:
        await broker.sockets[client.id].join("r")
        with pytest.raises(EventError, match="no: never"):
            await broker.room("r").ask(Fail(EventError("no", "never")))
        await broker.room("r").tell(Fail(EventError("no", "never")))
        await wait_all_tasks_blocked()
        assert broker.room("r").size == 1
        assert words(notes) == ["open", "create", "join"]
    assert "Traceback" not in caplog.text


async def test_close_lets_everybody_out_and_what_waits_begins_the_next_life() -> None:
    broker = Broker()
    notes = diary(broker, on_error="close")
    async with broker, broker.test_client() as one, broker.test_client() as two:
        first, second = broker.sockets[one.id], broker.sockets[two.id]
        await first.join("r")
        await second.join("r")
        room = broker.room("r")
        room.tell_nowait(Fail(ZeroDivisionError()))
        room.tell_nowait("behind")
        await wait_all_tasks_blocked()
        assert notes[4:] == [
            ("leave", one.id),
            ("leave", two.id),
            ("close", "r"),
            ("shut", "r"),
            ("open", "r"),
            ("create", "r"),
            ("told", "behind"),
            ("close", "r"),
            ("shut", "r"),
        ]
        assert first.joined_rooms == second.joined_rooms == frozenset()
        assert (await room.emit("x")).recipients == 0


async def test_crash_runs_no_more_hooks_and_ends_the_lifespan_with_the_error() -> None:
    broker = Broker()
    notes = diary(broker, on_error="crash")
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r", "other")
        with pytest.raises(ZeroDivisionError):
            await broker.room("r").ask(Fail(ZeroDivisionError()))
        await wait_all_tasks_blocked()
        assert words(notes) == ["open", "create", "join", "error", "shut"]
        assert socket.joined_rooms == {"other"}
        await socket.join("r")
        assert socket.joined_rooms == {"r", "other"}
        assert (await broker.to("r").emit("alive")).recipients == 1
        await client.expect("alive")


async def test_a_room_that_cannot_be_created_says_so_to_who_wanted_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    attempts: list[str] = []

    @broker.room_type("*")
    class Stillborn(Room):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            attempts.append("open")
            if self.name == "b":
                raise OSError("no lifespan")
            yield
            attempts.append("unreached")

        async def on_create(self) -> None:
            raise OSError("no room")

        async def on_close(self) -> None:
            attempts.append("close")

    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        with pytest.raises(OSError, match="no room"):
            await socket.join("a")
        with pytest.raises(OSError, match="no lifespan"):
            await broker.room("b").ask(Add(1))
        await broker.room("a").tell("x")
        await wait_all_tasks_blocked()
        assert attempts == ["open", "open", "open"]
        assert broker.statistics().rooms == 0
        assert socket.joined_rooms == frozenset()
    assert "could not be created" in caplog.text


async def test_a_lifespan_that_fails_ends_the_room_and_what_it_owes_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    notes: list[str] = []
    fail = trio.Event()

    @broker.room_type("r")
    class Guarded(Room):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            async with trio.open_nursery() as self.nursery:
                self.nursery.start_soon(self.guard)
                yield
                self.nursery.cancel_scope.cancel()

        async def guard(self) -> None:
            await fail.wait()
            raise RuntimeError("the link broke")

        async def on_leave(self, socket: Socket) -> None:
            notes.append("leave")

        async def on_close(self) -> None:
            notes.append("close")

        async def receive(self, message: object) -> None:
            await trio.sleep_forever()

    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        socket = broker.sockets[client.id]
        await socket.join("r")

        @nursery.start_soon
        async def ask() -> None:
            with pytest.raises(ActorGone):
                await broker.room("r").ask(Add(1))
            notes.append("told so")

        await wait_all_tasks_blocked()
        fail.set()
        await wait_all_tasks_blocked()
        assert notes.count("told so") == notes.count("close") == notes.count("leave") == 1
        assert socket.joined_rooms == frozenset()
    assert "the lifespan of room 'r' failed" in caplog.text


async def test_a_call_into_a_room_is_bounded_by_handler_timeout(autojump_clock: MockClock) -> None:
    broker = Broker(handler_timeout=2.0)

    @broker.room_type("r")
    class Slow(Room):
        async def receive(self, message: Add) -> int:
            await trio.sleep(message.number)
            return 1

    async with broker:
        with pytest.raises(trio.TooSlowError, match="handler_timeout=2 s"):
            await broker.room("r").ask(Add(3))
        assert await broker.room("r").ask(Add(1)) == 1


async def test_an_error_of_on_leave_fails_the_test_of_its_client() -> None:
    broker = Broker()

    @broker.room_type("r")
    class Broken(Room):
        async def on_leave(self, socket: Socket) -> None:
            raise ZeroDivisionError(socket.id)

    async with broker:
        with pytest.raises(ZeroDivisionError):
            async with broker.test_client() as client:
                await broker.sockets[client.id].join("r")
        async with broker.test_client() as client:
            await broker.sockets[client.id].join("r")
            await broker.sockets[client.id].leave("r")
            assert isinstance(await client.expect_error(ZeroDivisionError), ZeroDivisionError)


async def test_a_full_room_stops_the_reading_from_who_sends_to_it_and_nobody_else() -> None:
    broker = Broker(max_inbox_packets=4)
    go = trio.Event()

    @broker.room_type("stuck")
    class Stuck(Room):
        async def receive(self, message: object) -> None:
            await go.wait()

    @broker.on("tell")
    async def tell(socket: Socket, number: int) -> None:
        await broker.room("stuck").tell(number)

    @broker.on("echo")
    async def echo(socket: Socket, value: str) -> str:
        return value

    async with broker, broker.test_client() as sender, broker.test_client() as other:
        for _ in range(1 + CAPACITY):
            await broker.room("stuck").tell("x")
        for number in range(20):
            await sender.emit("tell", number)
        await wait_all_tasks_blocked()
        assert broker.sockets[sender.id].statistics().inbox_events == 4
        assert broker.sockets[other.id].statistics().inbox_events == 0
        assert await other.call("echo", "still here") == "still here"
        go.set()
        await wait_all_tasks_blocked()
        assert broker.sockets[sender.id].statistics().inbox_events == 0


async def test_a_room_whose_init_fails_says_so_to_who_wanted_it() -> None:
    broker = Broker()

    @broker.room_type("r")
    class Stillborn(Room):
        def __init__(self) -> None:
            raise OSError(f"no {self.name}")

    async with broker, broker.test_client() as client:
        with trio.fail_after(5), pytest.raises(OSError, match="no r"):
            await broker.sockets[client.id].join("r")
        with trio.fail_after(5), pytest.raises(OSError, match="no r"):
            await broker.room("r").ask(Add(1))
        await wait_all_tasks_blocked()
        assert broker.statistics().rooms == 0


@pytest.mark.parametrize("on_error", ["keep", "close"])
async def test_an_on_join_that_fails_as_it_is_cancelled_is_an_error_of_its_own(
    on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    closed: list[str] = []

    class Clumsy(Room):
        async def on_join(self, socket: Socket) -> None:
            if socket.data:
                return
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                try:
                    await trio.sleep_forever()
                finally:
                    raise KeyError("clumsy")

        async def on_close(self) -> None:
            closed.append(self.name)

    Clumsy.on_error = on_error  # type: ignore[assignment]
    broker.room_type("r")(Clumsy)
    async with broker, broker.test_client() as member, broker.test_client() as client:
        broker.sockets[member.id].data["calm"] = True
        await broker.sockets[member.id].join("r")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.sockets[client.id].join, "r")
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        assert broker.room("r").size == (on_error == "keep")
        assert closed == ["r"] * (on_error == "close")
    assert "the on_join of socket" in caplog.text
    assert "lifespan" not in caplog.text
