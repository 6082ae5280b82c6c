"""What a task of a room's lifespan waits for when the room ends: nobody hangs in a circle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import copy_context
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import ActorCycle, MailboxFull
from broker import Broker, Room, Socket

from .diary import Add


class Lives(list[object]):
    """Notes of rooms `r`, in whose first life `task` runs in a task of the lifespan's nursery.

    It closes for `closing` s. A receive takes so many seconds as it is asked for; of less than
    none, it fails after as many.
    """

    def __init__(
        self,
        broker: Broker,
        task: Callable[[Room], Awaitable[object]],
        *,
        cancels: bool = False,
        closing: float = 0.0,
    ) -> None:
        super().__init__()
        notes = self
        self.lives = 0

        @broker.room_type("r")
        class Living(Room):
            on_error = "close"

            @asynccontextmanager
            async def lifespan(self) -> AsyncIterator[None]:
                notes.lives += 1
                async with trio.open_nursery() as nursery:
                    if notes.lives == 1:
                        nursery.start_soon(notes.note, task, self)
                    yield
                    if cancels:
                        nursery.cancel_scope.cancel()

            async def on_close(self) -> None:
                await trio.sleep(closing)

            async def receive(self, message: Add) -> int:
                await trio.sleep(abs(message.number))
                if message.number < 0:
                    raise ZeroDivisionError
                return message.number

    async def note(self, function: Callable[[Room], Awaitable[object]], room: Room) -> None:
        try:
            self.append(await function(room))
        except ActorCycle as error:
            self.append(error.chain)


async def ask(room: Room, after: float = 0.0) -> int:
    await trio.sleep(after)
    return await room.ask(Add(0))


async def ask_each_second(room: Room) -> None:
    while True:
        await ask(room, 1.0)


@contextmanager
def takes(seconds: float) -> Iterator[None]:
    """Check that the block takes so long, to the millisecond."""
    start = trio.current_time()
    with trio.fail_after(600):
        yield
    assert trio.current_time() - start == pytest.approx(seconds, abs=1e-3)


async def test_a_ticker_that_waits_while_its_room_closes_is_told_that_this_is_a_circle(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    notes = Lives(broker, ask_each_second, closing=1.5)
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r")
        await trio.sleep(3.2)
        await socket.leave("r")
        with takes(1.5):
            await socket.join("r")
        assert notes == [("r", "r")]


async def test_a_lifespan_that_cancels_its_nursery_behind_the_yield_cancels_what_waits(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    notes = Lives(broker, ask_each_second, closing=1.5, cancels=True)
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r")
        await trio.sleep(3.2)
        await socket.leave("r")
        with takes(1.5):
            await socket.join("r")
        assert notes == []
        assert notes.lives == 2


async def test_an_ask_behind_the_message_that_ends_the_room_is_a_circle(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    notes = Lives(broker, lambda room: ask(room, 0.5))
    async with broker:
        with takes(1.0), pytest.raises(ZeroDivisionError):
            await broker.room("r").ask(Add(-1))
        with takes(0.0):
            assert await broker.room("r").ask(Add(0)) == 0
        assert notes == [("r", "r")]
        assert notes.lives == 2


async def test_a_join_behind_the_message_that_ends_the_room_is_a_circle(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]

        async def join(room: Room) -> None:
            await trio.sleep(0.5)
            await socket.join(room.name)

        notes = Lives(broker, join)
        with takes(1.0), pytest.raises(ZeroDivisionError):
            await broker.room("r").ask(Add(-1))
        with takes(0.0):
            await socket.join("r")
        assert notes == [("r", "r")]
        assert notes.lives == 2


@pytest.mark.parametrize("cancels", [False, True])
@pytest.mark.parametrize("late", [False, True])
async def test_a_circle_through_another_room_ends_when_the_first_ends(
    *, late: bool, cancels: bool, autojump_clock: MockClock
) -> None:
    """`late`: the other asks when the first has ended, else when it is about to."""
    broker = Broker(disconnect_timeout=60.0)
    other = broker.room("other")

    @broker.room_type("other")
    class Other(Room):
        async def receive(self, message: Add) -> Any:
            await trio.sleep(2.0 if late else 0.5)
            return await broker.room("r").ask(Add(0))

    async def ask_other(_room: Room) -> object:
        return await other.ask(Add(0))

    notes = Lives(broker, ask_other, cancels=cancels)
    async with broker:
        with takes(1.0), pytest.raises(ZeroDivisionError):
            await broker.room("r").ask(Add(-1))
        with takes(1.0 if late else 0.0):
            assert await broker.room("r").ask(Add(0)) == 0
        with takes(2.0 if late else 0.5):
            assert await other.ask(Add(0)) == 0
    assert notes == [("other", "r", "other")]


@pytest.mark.parametrize("through", ["r", "other"])
async def test_what_a_task_waits_for_before_the_room_comes_to_wait_for_it_to_begin_is_a_circle(
    through: str, autojump_clock: MockClock
) -> None:
    broker = Broker()
    notes: list[object] = []
    chain = ("r", "r") if through == "r" else ("other", "r", "other")

    @broker.room_type("other")
    class Other(Room):
        async def receive(self, message: Add) -> Any:
            return await broker.room("r").ask(Add(message.number))

    @broker.room_type("r")
    class Opening(Room):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.ask, "stays open")
                async with trio.open_nursery() as opening:
                    opening.start_soon(self.ask, through)
                    await trio.sleep(1)
                    assert notes == []  # as far as anybody knows, nobody waits for it
                yield

        async def ask(self, name: str) -> None:  # type: ignore[override]
            try:
                room = broker.room("r" if name == "stays open" else name)
                notes.append((name, await room.ask(Add(1))))
            except ActorCycle as error:
                notes.append(error.chain)

        async def receive(self, message: Add) -> int:
            return message.number

    async with broker:
        with takes(1.0):
            assert await broker.room("r").ask(Add(2)) == 2
        await wait_all_tasks_blocked()
    assert notes == [chain, ("stays open", 1)]


async def test_a_circle_is_broken_behind_all_that_has_begun_in_it(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(disconnect_timeout=60.0)
    joined: list[str] = []

    @broker.room_type("other")
    class Other(Room):
        async def on_join(self, socket: Socket) -> None:
            await broker.room("third").ask(Add(0))

    @broker.room_type("third")
    class Third(Room):
        async def receive(self, message: Add) -> None:
            await broker.sockets[client.id].join("r")

    async def join_other(_room: Room) -> None:
        try:
            await broker.sockets[client.id].join("other")
        finally:
            joined.extend(broker.sockets[client.id].rooms - {client.id})

    notes = Lives(broker, join_other)
    async with broker, broker.test_client() as client:
        with takes(1.0), pytest.raises(ZeroDivisionError):
            await broker.room("r").ask(Add(-1))
        with takes(0.0):
            assert await broker.room("r").ask(Add(0)) == 0
    assert notes == [("third", "r", "other", "third")]
    assert joined == []


async def test_who_has_its_answer_and_has_not_run_yet_is_part_of_no_circle(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    other = broker.room("other")
    answers: list[int] = []

    @broker.room_type("other")
    class Other(Room):
        async def receive(self, message: Add) -> int:
            if message.number:
                with suppress(ZeroDivisionError):
                    await broker.room("r").ask(Add(0))
            return message.number

    @broker.room_type("r")
    class Crashing(Room):
        on_error = "crash"

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            async with trio.open_nursery() as nursery:
                with suppress(ZeroDivisionError):
                    nursery.start_soon(self.ask_other)
                    yield

        async def ask_other(self) -> None:
            answers.append(await other.ask(Add(0)))

        async def receive(self, message: Add) -> None:
            await wait_all_tasks_blocked()  # the other has been asked
            raise ZeroDivisionError

    async with broker:
        with takes(0.0):
            assert await other.ask(Add(1)) == 1
        await wait_all_tasks_blocked()
    assert answers == [0]


async def test_an_ask_that_waits_for_its_turn_in_another_room_is_withdrawn_at_once(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    other = broker.room("other")
    asked: list[int] = []

    @broker.room_type("other")
    class Other(Room):
        async def receive(self, message: Add) -> Any:
            asked.append(message.number)
            await trio.sleep(0.5)
            return await broker.room("r").ask(Add(0))

    async def ask_other(_room: Room) -> object:
        await trio.sleep(0.2)
        return await other.ask(Add(2))

    notes = Lives(broker, ask_other)
    async with broker, trio.open_nursery() as nursery:
        nursery.start_soon(other.ask, Add(1))
        with takes(1.0), pytest.raises(ZeroDivisionError):
            await broker.room("r").ask(Add(-1))
        with takes(0.0):
            assert await broker.room("r").ask(Add(0)) == 0
    assert notes == [("r", "other", "r")]
    assert asked == [1]


async def test_a_tell_that_waits_for_a_place_when_the_room_ends_is_told_all_the_same(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    told: list[object] = []

    async def tell(room: Room) -> None:
        await trio.sleep(0.5)
        await room.tell(Add(7))
        told.append("done")

    notes = Lives(broker, tell)
    async with broker:
        room = broker.room("r")
        await room.tell(Add(-1))
        await trio.sleep(0.1)
        with suppress(MailboxFull):
            while True:
                room.tell_nowait(Add(0))
        with takes(0.9 + 7.0):
            await trio.sleep(0.9)
            assert await room.ask(Add(0)) == 0
    assert told == ["done"]
    assert notes == [None]
    assert notes.lives == 2


async def test_a_task_of_a_lifespan_may_ask_its_room_as_long_as_that_lives(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()

    async def ask_thrice(room: Room) -> list[int]:
        return [await ask(room, 0.5) for _ in range(3)]

    notes = Lives(broker, ask_thrice)
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r")
        assert await broker.room("r").ask(Add(1)) == 1  # the first ask waits behind it
        await trio.sleep(2)
        await socket.leave("r")
        with takes(0.0):
            await socket.join("r")
    assert notes == [[0, 0, 0]]


async def test_a_system_task_that_a_lifespan_starts_may_wait_for_the_next_life(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()

    async def start(room: Room) -> None:
        async def ask_later(room: Room) -> int:
            return await ask(room, 0.5)

        trio.lowlevel.spawn_system_task(notes.note, ask_later, room, context=copy_context())

    notes = Lives(broker, start)
    async with broker:
        with takes(1.0), pytest.raises(ZeroDivisionError):
            await broker.room("r").ask(Add(-1))
        await trio.sleep(1)
    assert notes == [None, 0]
    assert notes.lives == 2
