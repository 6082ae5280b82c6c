"""A room that asks itself, or one that asks it back: answered, or a circle; never stuck."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeAlias

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import ActorCycle
from broker import Broker, Room, Socket

from .diary import Add

Asks: TypeAlias = Callable[[], Awaitable[None]]


class Asking(Room):
    """Asks itself in its hook `where`, and notes what becomes of that."""

    where = ""
    notes: list[object]

    async def ask_itself(self, where: str) -> None:
        if where == self.where:
            try:
                self.notes.append(await self.ask(Add(1)))
            except ActorCycle as error:
                self.notes.append(error.chain)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        await self.ask_itself("enter")
        async with trio.open_nursery() as before:
            before.start_soon(self.ask_itself, "task before the yield")
            await wait_all_tasks_blocked()  # it asks before this waits for it
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ask_itself, "task")
            await wait_all_tasks_blocked()
            yield
            await self.ask_itself("exit")
            nursery.start_soon(self.ask_itself, "task at the exit")

    async def on_leave(self, socket: Socket) -> None:
        await self.ask_itself("leave")

    async def on_close(self) -> None:
        await self.ask_itself("close")

    async def receive(self, message: Add) -> int:
        return message.number


@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize(
    "where",
    ["enter", "task before the yield", "task", "exit", "task at the exit", "leave", "close"],
)
async def test_a_room_that_asks_itself_is_never_stuck(
    where: str, closing: bool, autojump_clock: MockClock, make_asking: Callable[[str], Broker]
) -> None:
    broker = make_asking(where)
    began = trio.current_time()
    with trio.fail_after(60):
        async with broker, broker.test_client() as client:
            await broker.sockets[client.id].join("r")
            if closing:
                await broker.close()
            else:
                await broker.sockets[client.id].leave("r")
                await wait_all_tasks_blocked()
    assert trio.current_time() == began
    assert Asking.notes == [1 if where == "task" else ("r", "r")]


@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize("there", ["on_leave", "on_close", "receive"])
@pytest.mark.parametrize("here", ["on_leave", "on_close"])
async def test_the_last_hooks_of_a_room_and_another_that_asks_back_are_never_stuck(
    here: str, there: str, closing: bool, autojump_clock: MockClock
) -> None:
    broker = Broker(disconnect_timeout=1e6)
    notes: list[object] = []

    def make(hook: str, other: str) -> type[Room]:
        async def ask(self: Room, _about: object = None) -> None:
            await wait_all_tasks_blocked()
            with suppress(ActorCycle):
                await broker.room(other).ask(Add(1))
                notes.append("answered")

        async def answer(self: Room, message: Add) -> int:
            return message.number

        return type("Asker", (Room,), {"receive": answer, hook: ask})

    broker.room_type("here")(make(here, "there"))
    broker.room_type("there")(make(there, "here"))
    began = trio.current_time()
    with trio.fail_after(60):
        async with broker, broker.test_client() as client:
            socket = broker.sockets[client.id]
            await socket.join("here", "there")
            if there == "receive":
                await broker.room("there").tell(Add(1))
            if closing:
                await broker.close()
            else:
                await socket.leave("here", "there")
                await wait_all_tasks_blocked()
    assert trio.current_time() == began
    assert notes


async def in_a_nursery(ask: Asks) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)


async def until_started(ask: Asks) -> None:
    async def start(*, task_status: trio.TaskStatus[None]) -> None:
        await ask()
        task_status.started()

    async with trio.open_nursery() as nursery:
        await nursery.start(start)


async def in_a_thread(ask: Asks) -> None:
    await trio.to_thread.run_sync(trio.from_thread.run, ask)


async def in_a_thread_of_a_task(ask: Asks) -> None:
    await in_a_nursery(partial(in_a_thread, ask))


@pytest.mark.parametrize("through", ["r", "other"])
@pytest.mark.parametrize(
    "wait_for", [in_a_nursery, until_started, in_a_thread, in_a_thread_of_a_task]
)
async def test_what_a_receive_waits_for_cannot_ask_its_room_wherever_it_runs(
    wait_for: Callable[[Asks], Awaitable[None]], through: str
) -> None:
    broker = Broker()
    chains: list[object] = []

    @broker.room_type("other")
    class Other(Room):
        async def receive(self, message: Add) -> None:
            await broker.room("r").ask(Add(message.number))

    @broker.room_type("r")
    class Waiting(Room):
        async def receive(self, message: Add) -> None:
            await wait_for(self.ask_it)

        async def ask_it(self) -> None:
            try:
                await broker.room(through).ask(Add(1))
            except ActorCycle as error:
                chains.append(error.chain)

    with trio.fail_after(10):
        async with broker:
            await broker.room("r").ask(Add(1))
    assert chains == [("r", "r") if through == "r" else ("other", "r", "other")]


async def test_a_thread_that_may_be_abandoned_keeps_its_room_waiting_until_handler_timeout() -> (
    None
):
    """Trio has what it calls run by a system task: nobody can know who waits for that."""
    broker = Broker(handler_timeout=0.2)
    answers: list[object] = []
    answered = trio.Event()

    @broker.room_type("r")
    class Waiting(Room):
        async def receive(self, message: Add) -> int:
            if not message.number:
                await trio.to_thread.run_sync(
                    trio.from_thread.run, self.ask_it, abandon_on_cancel=True
                )
            return message.number

        async def ask_it(self) -> None:
            answers.append(await self.ask(Add(1)))
            answered.set()

    with trio.fail_after(10):
        async with broker:
            with pytest.raises(trio.TooSlowError, match="handler_timeout"):
                await broker.room("r").ask(Add(0))
            await answered.wait()
    assert answers == [1]


@pytest.fixture
def make_asking() -> Callable[[str], Broker]:
    def make(where: str) -> Broker:
        broker = Broker()
        Asking.where, Asking.notes = where, []
        broker.room_type("r")(Asking)
        return broker

    return make
