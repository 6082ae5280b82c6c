"""A room that asks itself, or one that asks it back: answered, or a circle; never stuck."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import ActorCycle
from broker import Broker, Room, Socket

from .diary import Add


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


@pytest.fixture
def make_asking() -> Callable[[str], Broker]:
    def make(where: str) -> Broker:
        broker = Broker()
        Asking.where, Asking.notes = where, []
        broker.room_type("r")(Asking)
        return broker

    return make
