"""A room that asks itself in its lifespan or its last hooks: answered, or a circle; never stuck."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

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
@pytest.mark.parametrize("where", ["enter", "exit", "task at the exit", "leave", "close", "task"])
async def test_a_room_that_asks_itself_is_never_stuck(
    where: str, closing: bool, autojump_clock: MockClock, make_asking: Callable[[str], Broker]
) -> None:
    broker = make_asking(where)
    began = trio.current_time()
    async with broker, broker.test_client() as client:
        await broker.sockets[client.id].join("r")
        if closing:
            await broker.close()
        else:
            await broker.sockets[client.id].leave("r")
            await wait_all_tasks_blocked()
    assert trio.current_time() == began
    assert Asking.notes == [1 if where == "task" else ("r", "r")]


@pytest.fixture
def make_asking() -> Callable[[str], Broker]:
    def make(where: str) -> Broker:
        broker = Broker()
        Asking.where, Asking.notes = where, []
        broker.room_type("r")(Asking)
        return broker

    return make
