"""Rooms of a user's type when the broker closes, or is cancelled: all hooks once, nothing left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import ActorGone, Ask
from broker import Broker, BrokerNotRunning, Room, Socket


class Notes(list[str]):
    """What rooms `r*` did, which hang in `receive` when told a number of seconds."""

    def __init__(self, broker: Broker, *, linger: float = 0.0, last: float = 0.0) -> None:
        super().__init__()
        notes = self

        @broker.room_type("r*")
        class Noting(Room):
            @asynccontextmanager
            async def lifespan(self) -> AsyncIterator[None]:
                try:
                    yield
                finally:
                    notes.append("shut")

            async def on_join(self, socket: Socket) -> None:
                notes.append("join")

            async def on_leave(self, socket: Socket) -> None:
                await trio.lowlevel.checkpoint()
                await self.emit("left", socket.id)
                notes.append("leave")

            async def on_close(self) -> None:
                await trio.sleep(last)
                notes.append("close")

            async def receive(self, message: object) -> object:
                if isinstance(message, float):
                    await trio.sleep(message)
                notes.append("received")
                return None

        Noting.linger = linger


@pytest.mark.parametrize("linger", [0.0, 100.0])
async def test_a_broker_that_closes_lets_rooms_finish(
    linger: float, autojump_clock: MockClock
) -> None:
    broker = Broker()
    notes = Notes(broker, linger=linger)
    start = trio.current_time()
    async with broker, broker.test_client() as one, broker.test_client() as two:
        for client in (one, two):
            await broker.sockets[client.id].join("r")
        for _ in range(3):
            await broker.room("r").tell(0.5)
    assert sorted(notes) == sorted(
        ["join"] * 2 + ["received"] * 3 + ["leave"] * 2 + ["close", "shut"]
    )
    assert notes[-2:] == ["close", "shut"]
    assert trio.current_time() - start < 2.0


async def test_rooms_have_no_longer_than_grace_to_finish(autojump_clock: MockClock) -> None:
    broker = Broker(grace=3.0)
    notes = Notes(broker)
    start = trio.current_time()
    async with broker, broker.test_client() as client:
        await broker.sockets[client.id].join("r")
        await broker.room("r").tell(60.0)
    assert notes == ["join", "leave", "close", "shut"]
    assert trio.current_time() - start == pytest.approx(3.0)


async def test_cancelling_the_broker_ends_rooms_at_once_but_not_without_their_last_hooks(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(disconnect_timeout=2.0)
    notes = Notes(broker, last=1.0)
    start = trio.current_time()
    with trio.CancelScope() as scope:
        async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
            await broker.sockets[client.id].join("r")
            await broker.room("r").tell(60.0)

            nursery.start_soon(broker.room("r").ask, Ask())
            await wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert notes == ["join", "leave", "close", "shut"]
    assert trio.current_time() - start == pytest.approx(1.0)


async def test_last_hooks_have_disconnect_timeout_and_the_lifespan_is_closed_all_the_same(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(disconnect_timeout=2.0, grace=1.0)
    notes = Notes(broker, last=60.0)
    start = trio.current_time()
    async with broker, broker.test_client() as client:
        await broker.sockets[client.id].join("r")
        await broker.room("r").ask(Ask())
    assert notes == ["join", "received", "leave", "shut"]
    assert trio.current_time() - start == pytest.approx(2.0)
    assert "on_close was cancelled after disconnect_timeout=2 s" in caplog.text


def hanging(broker: Broker) -> list[str]:
    """Register a room whose last hooks hang; return which were called."""
    notes: list[str] = []

    @broker.room_type("r*")
    class Hanging(Room):
        async def on_leave(self, socket: Socket) -> None:
            notes.append("leave")
            await trio.sleep_forever()

        async def on_close(self) -> None:
            notes.append("close")
            await trio.sleep_forever()

        async def receive(self, message: float) -> None:
            await trio.sleep(message)
            raise ZeroDivisionError

    Hanging.on_error = "close"
    return notes


async def test_last_hooks_that_hang_have_one_deadline_together(autojump_clock: MockClock) -> None:
    broker = Broker(disconnect_timeout=2.0)
    notes = hanging(broker)
    async with broker, AsyncExitStack() as stack:
        for _ in range(3):
            client = await stack.enter_async_context(broker.test_client())
            await broker.sockets[client.id].join("r")
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await broker.close()
    assert notes == ["leave"] * 3 + ["close"]
    assert trio.current_time() - start == pytest.approx(2.0)


async def test_each_closing_of_a_room_has_disconnect_timeout(autojump_clock: MockClock) -> None:
    broker = Broker(disconnect_timeout=2.0)
    notes = hanging(broker)
    async with broker, broker.test_client() as one, broker.test_client() as two:
        sockets = [broker.sockets[client.id] for client in (one, two)]
        for lives in range(2):
            start = trio.current_time()
            for socket in sockets:
                await socket.join("r")
            assert trio.current_time() - start == pytest.approx(2.0 * lives)
            await broker.room("r").tell(0.0)
            await wait_all_tasks_blocked()
    assert notes == ["leave", "leave", "close"] * 2


async def test_an_on_leave_that_runs_when_grace_is_over_has_its_time(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(grace=1.0, disconnect_timeout=3.0)
    notes: list[str] = []

    @broker.room_type("r")
    class Saving(Room):
        async def on_leave(self, socket: Socket) -> None:
            await trio.sleep(2)
            notes.append("saved")

    async with broker, broker.test_client() as client:
        await broker.sockets[client.id].join("r")
        await broker.close()
    assert notes == ["saved"]


async def test_a_socket_that_goes_leaves_its_rooms_and_its_hooks_need_not_wait(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    notes = Notes(broker)
    went: list[str] = []

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        went.append(reason)
        assert broker.room("r").size == 0

    async with broker:
        async with broker.test_client() as client:
            await broker.sockets[client.id].join("r")
            await broker.room("r").tell(5.0)  # the room is busy
            await wait_all_tasks_blocked()
        assert went == ["transport close"]
        assert notes == ["join"]
        await trio.sleep(5.1)
        assert notes == ["join", "received", "leave", "close", "shut"]


async def test_a_broker_that_lives_again_has_new_rooms() -> None:
    broker = Broker()
    notes = Notes(broker)
    for _ in range(2):
        async with broker, broker.test_client() as client:
            await broker.sockets[client.id].join("r")
        with pytest.raises(BrokerNotRunning):
            await broker.room("r").tell("x")
    assert notes == ["join", "leave", "close", "shut"] * 2


async def test_an_ask_that_waits_when_the_broker_ends_is_told() -> None:
    broker = Broker(grace=0.0)
    Notes(broker)
    errors: list[Exception] = []

    async def ask() -> None:
        try:
            await broker.room("r").ask(Ask())
        except (ActorGone, BrokerNotRunning) as error:
            errors.append(error)

    async with trio.open_nursery() as nursery, broker:
        await broker.room("r").tell(60.0)
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
    assert len(errors) == 1
