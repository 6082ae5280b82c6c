"""Rooms whose code hangs, is too slow, or is raced by those who come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import Ask
from broker import Broker, Room, Socket

from .diary import diary, words


@pytest.mark.parametrize("end", ["close", "cancel"])
async def test_a_receive_that_never_returns_does_not_keep_the_broker(
    end: str, autojump_clock: MockClock
) -> None:
    broker = Broker(grace=1.0, handler_grace=0.5, disconnect_timeout=0.5)
    log: list[object] = []

    @broker.room_type("r")
    class Stuck(Room):
        async def receive(self, message: object) -> None:
            await trio.sleep_forever()

        async def on_leave(self, socket: Socket) -> None:
            log.append("leave")

        async def on_close(self) -> None:
            log.append("close")

    @broker.on("go")
    async def go(socket: Socket) -> None:
        await socket.join("r")
        await broker.room("r").ask(Ask[None]())

    began = trio.current_time()
    with trio.CancelScope() as scope:
        async with broker, broker.test_client() as client:
            await client.emit("go")
            await wait_all_tasks_blocked()
            if end == "cancel":
                scope.cancel()
            await broker.close()
    assert log == ["leave", "close"]
    assert trio.current_time() - began <= 2.5


async def test_an_ask_in_the_brokers_own_block_ends_when_that_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    began = trio.current_time()

    @broker.room_type("r")
    class Stuck(Room):
        async def receive(self, message: object) -> None:
            await trio.sleep_forever()

    with trio.fail_after(60), trio.move_on_after(5) as scope:
        async with broker:
            await broker.room("r").ask(Ask[None]())
    assert scope.cancelled_caught
    assert trio.current_time() - began == pytest.approx(5.0)


async def test_a_receive_that_never_returns_does_not_keep_a_client_that_leaves(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(handler_grace=1.0, disconnect_timeout=2.0, grace=1.0)
    log: list[object] = []

    @broker.room_type("r")
    class Stuck(Room):
        async def receive(self, message: Ask[int]) -> int:
            try:
                await trio.sleep(20)
            finally:
                log.append("room")
            return 1

    @broker.on("go")
    async def go(socket: Socket) -> None:
        try:
            await broker.room("r").ask(Ask[int]())
        finally:
            log.append("handler")

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        log.append("disconnect")

    async with broker:
        began = trio.current_time()
        async with broker.test_client() as client:
            await client.emit("go")
            await wait_all_tasks_blocked()
        assert trio.current_time() - began == pytest.approx(3.0)
        assert sorted(map(str, log)) == ["disconnect", "handler"]
        await trio.sleep(20)  # the receive has not been touched
        assert log[-1] == "room"


async def test_an_ask_whose_receive_runs_is_answered_before_its_cancellation_is_noticed(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(disconnect_timeout=2.0)
    answers: list[int] = []

    @broker.room_type("r")
    class Slow(Room):
        async def receive(self, message: Ask[int]) -> int:
            await trio.sleep(2.5)
            return 1

    async with broker:
        for limit in (1.0, 0.1):  # the answer comes 1.5 s and 2.4 s after the cancellation
            with trio.move_on_after(limit) as scope:
                answers.append(await broker.room("r").ask(Ask[int]()))
                await trio.lowlevel.checkpoint()
            assert scope.cancelled_caught
    assert answers == [1]


async def test_a_leave_that_overtakes_a_join_takes_nobody_out_of_it() -> None:
    broker = Broker()
    log: list[str] = []
    go = trio.Event()

    @broker.room_type("r")
    class Slow(Room):
        async def on_join(self, socket: Socket) -> None:
            log.append("join")

        async def on_leave(self, socket: Socket) -> None:
            log.append("leave")

        async def receive(self, message: object) -> None:
            await go.wait()

    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r")
        await broker.room("r").tell("slow")
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.join, "r")
            await wait_all_tasks_blocked()
            await socket.leave("r")
            go.set()
        await wait_all_tasks_blocked()
        assert socket.joined_rooms == {"r"}
        assert log == ["join", "leave", "join"]


@pytest.mark.parametrize("policy", ["close", "crash"])
async def test_a_join_behind_an_error_that_ends_the_room_is_one_into_its_next_life(
    policy: str,
) -> None:
    broker = Broker()
    go = trio.Event()
    log: list[str] = []

    class Fragile(Room):
        async def on_join(self, socket: Socket) -> None:
            log.append("join")

        async def on_leave(self, socket: Socket) -> None:
            log.append("leave")

        async def receive(self, message: object) -> None:
            await go.wait()
            raise KeyError("boom")

    Fragile.on_error = policy  # type: ignore[assignment]
    broker.room_type("r")(Fragile)
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r")
        await broker.room("r").tell("boom")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.join, "r")
            await wait_all_tasks_blocked()
            go.set()
        await wait_all_tasks_blocked()
        assert socket.joined_rooms == {"r"}
        assert log == (["join", "leave", "join"] if policy == "close" else ["join", "join"])


async def test_a_lifespan_that_swallows_an_error_leaves_nobody_behind() -> None:
    broker = Broker()

    class Swallowing(Room):
        on_error = "crash"

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            with suppress(KeyError):
                yield

        async def on_create(self) -> None:
            if self.name == "stillborn":
                raise KeyError("create")

        async def receive(self, message: object) -> None:
            raise KeyError("boom")

    broker.room_type("*")(Swallowing)
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r")
        await broker.room("r").tell("boom")
        await wait_all_tasks_blocked()
        assert socket.joined_rooms == frozenset()
        assert broker.room("r").members == ()
        with trio.fail_after(5), pytest.raises(RuntimeError, match="ended before on_create"):
            await socket.join("stillborn")


async def test_every_on_leave_is_called_though_those_before_have_used_up_the_time(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(disconnect_timeout=1.0)
    log: list[str] = []

    @broker.room_type("r")
    class Slow(Room):
        on_error = "close"

        async def on_create(self) -> None:
            log.append("create")

        async def on_leave(self, socket: Socket) -> None:
            log.append("leave")
            await trio.sleep(10)

        async def on_close(self) -> None:
            log.append("close")

        async def receive(self, message: object) -> None:
            if message == "boom":
                raise KeyError(message)

    async with broker, broker.test_client() as one, broker.test_client() as two:
        for client in (one, two):
            await broker.sockets[client.id].join("r")
        await broker.room("r").tell("boom")
        await broker.room("r").tell("hi")
        await trio.sleep(5)
        assert log == ["create", "leave", "leave", "close", "create", "close"]


async def test_close_returns_when_the_rooms_have_closed(autojump_clock: MockClock) -> None:
    broker = Broker()
    notes = diary(broker)

    async with broker, broker.test_client() as client:
        await broker.sockets[client.id].join("r")
        await broker.close()
        assert words(notes) == ["open", "create", "join", "leave", "close", "shut"]


async def test_messages_of_a_busy_room_are_counted() -> None:
    broker = Broker()
    go = trio.Event()

    @broker.room_type("r")
    class Busy(Room):
        async def receive(self, message: object) -> None:
            await go.wait()

    async with broker:
        for number in range(11):
            await broker.room("r").tell(number)
        await wait_all_tasks_blocked()
        assert broker.statistics().mailbox_messages == 10
        go.set()
