"""Tasks of a room's lifespan that wait for the room itself: it ends nevertheless."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import attrs
import pytest
import trio
from trio.testing import MockClock

from actors import ActorCycle, Ask
from broker import Broker, Room, Socket


@attrs.frozen
class Tick(Ask[int]):
    pass


@attrs.frozen
class Fail(Ask[int]):
    pass


class Ticking(Room):
    """Has a task that asks the room, and ends when that raises; its lifespan does not cancel it."""

    log: list[Any]

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.tick)
            yield
        self.log.append("ended")

    async def tick(self) -> None:
        try:
            while True:
                await trio.sleep(1)
                await self.wait_for_itself()
        except ActorCycle as error:
            self.log.append(error.chain)

    async def wait_for_itself(self) -> None:
        assert await self.ask(Tick()) == 1

    async def receive(self, message: object) -> int:
        match message:
            case Fail():
                await trio.sleep(1.5)
                raise ValueError("boom")
            case _:
                return 1


async def lives_again(broker: Broker, socket: Socket) -> None:
    """Enter the room anew, which it could not if its last life hung."""
    with trio.fail_after(60):
        await socket.join("r")
        assert await broker.room("r").ask(Tick()) == 1
        await socket.leave("r")


async def test_an_ask_that_waits_while_its_room_closes_is_a_circle(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    log: list[Any] = []

    @broker.room_type("r")
    class Saving(Ticking):
        async def on_close(self) -> None:
            await trio.sleep(1.5)

    Saving.log = log
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r")
        await trio.sleep(3.3)
        await socket.leave("r")
        await trio.sleep(60)
        assert log == [("r", "r"), "ended"]
        await lives_again(broker, socket)


@pytest.mark.parametrize("waits_by", ["ask", "join"])
async def test_one_that_waits_behind_what_ends_the_room_is_a_circle(
    waits_by: Literal["ask", "join"],
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    log: list[Any] = []

    @broker.room_type("r")
    class Failing(Ticking):
        on_error = "close"

        async def wait_for_itself(self) -> None:
            if waits_by == "ask":
                await super().wait_for_itself()
            else:
                await other.join("r")
                await other.leave("r")

    Failing.log = log
    async with broker, broker.test_client() as client, broker.test_client() as second:
        socket, other = broker.sockets[client.id], broker.sockets[second.id]
        await socket.join("r")
        with pytest.raises(ValueError, match="boom"):
            await broker.room("r").ask(Fail())
        await trio.sleep(60)
        assert log[:2] == [("r", "r"), "ended"]
        await lives_again(broker, socket)
        client.failed(ValueError("boom"), handled=True)
    assert "boom" in caplog.text


@pytest.mark.parametrize(
    ("closing", "chain"),
    [(0, ("second", "r", "second")), (3, ("r", "second", "r"))],
    ids=["when it is asked", "when the lifespan ends"],
)
async def test_a_circle_through_another_room_is_found(
    closing: int, chain: tuple[str, ...], autojump_clock: MockClock
) -> None:
    broker = Broker()
    log: list[Any] = []

    @broker.room_type("r")
    class First(Ticking):
        async def wait_for_itself(self) -> None:
            await broker.room("second").ask(Tick())

        async def on_close(self) -> None:
            await trio.sleep(closing)

    First.log = log

    @broker.room_type("second")
    class Second(Room):
        async def receive(self, message: object) -> int:
            await trio.sleep(2)  # meanwhile the last member of the first leaves
            return await broker.room("r").ask(Tick())

    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r")
        await trio.sleep(2)
        await socket.leave("r")
        await trio.sleep(60)
        assert log[:2] == [chain, "ended"]  # and it may live again, for the other one asks it
        await lives_again(broker, socket)


async def test_a_task_whose_questions_are_answered_sees_no_circle(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    log: list[Any] = []

    @broker.room_type("r")
    class Fine(Ticking):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.tick)
                yield
                nursery.cancel_scope.cancel()
            self.log.append("ended")

    Fine.log = log
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r")
        await trio.sleep(10.5)
        await socket.leave("r")
        await trio.sleep(1)
        assert log == ["ended"]
