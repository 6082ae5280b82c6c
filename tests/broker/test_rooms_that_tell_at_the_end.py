"""What rooms tell each other, and themselves, while the broker closes: handled, or dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, BrokerNotRunning, Room, Socket


class Talkers(list[str]):
    """What rooms note, whose hooks tell others: `told` maps a hook to the names of those."""

    def __init__(self, broker: Broker, glob: str = "*", **told: str) -> None:
        super().__init__()
        notes = self

        class Talking(Room):
            linger = 100.0  # it lives when the broker closes
            on_error = "crash"

            async def note(self, word: str) -> None:
                notes.append(f"{self.name} {word}")
                for name in told.get(word, "").split():
                    await broker.room(name).tell(f"{word} of {self.name}")
                    broker.room(name).tell_nowait(f"{word} of {self.name}")

            async def on_leave(self, socket: Socket) -> None:
                await self.note("leave")

            async def on_close(self) -> None:
                await self.note("close")

            async def receive(self, message: object) -> None:
                await trio.sleep(message if isinstance(message, float) else 0)
                await self.note("receive")

        broker.room_type(glob)(Talking)


async def test_what_can_not_be_handled_any_more_is_dropped_and_no_hook_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    notes = Talkers(broker, close="a unborn")
    async with broker, broker.test_client() as client:
        await broker.sockets[client.id].join("a")
    assert notes == ["a leave", "a close"]
    for name in ("a", "unborn"):
        line = f"room {name!r}: what room 'a' tells it is dropped"
        assert caplog.text.count(line) == 2
    assert "Traceback" not in caplog.text


async def test_what_is_told_to_a_room_that_has_still_to_do_is_handled(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    notes = Talkers(broker, "[ab]", receive="other", close="b")
    other = Talkers(broker, "other")
    async with broker:
        await broker.room("a").tell(0.5)
        await broker.room("b").tell(1.0)
        await broker.room("other").tell(2.0)
        await wait_all_tasks_blocked()
    assert notes == ["a receive", "a close", *["b receive"] * 3, "b close"]
    assert other == [*["other receive"] * (1 + 2 * 4), "other close"]
    assert caplog.text.count("what room 'b' tells it is dropped") == 2  # by its own on_close


async def test_what_a_room_tells_itself_before_its_last_hooks_is_handled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    notes = Talkers(broker, leave="a")
    async with broker, broker.test_client() as client:
        await broker.sockets[client.id].join("a")
    assert notes == ["a leave", "a receive", "a receive", "a close"]
    assert not caplog.records


async def test_a_task_of_a_lifespan_that_tells_does_not_fail_either(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    told: list[object] = []

    @broker.room_type("r")
    class Ticking(Room):
        linger = 100.0

        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.tick)
                yield
                nursery.cancel_scope.cancel()

        async def tick(self) -> None:
            while True:
                await trio.sleep(1)
                await self.tell("tick")

        async def on_close(self) -> None:
            await trio.sleep(1.5)
            told.append("closed")

        async def receive(self, message: object) -> None:
            told.append(message)

    async with broker, broker.test_client() as client:
        await broker.sockets[client.id].join("r")
        await trio.sleep(1.5)
    assert told == ["tick", "closed"]
    assert "what room 'r' tells it is dropped" in caplog.text
    assert "failed" not in caplog.text


async def test_what_was_told_and_is_not_handled_within_grace_is_counted(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(grace=1.0)
    notes = Talkers(broker)
    async with broker:
        for _ in range(3):
            await broker.room("r").tell(60.0)
    assert notes == ["r close"]
    assert "room 'r': 2 messages that it was told are dropped" in caplog.text


async def test_others_than_rooms_hear_that_the_broker_does_not_run() -> None:
    broker = Broker()
    Talkers(broker)
    async with broker:
        await broker.close()
        with pytest.raises(BrokerNotRunning):
            await broker.room("r").tell("x")
        with pytest.raises(BrokerNotRunning):
            broker.room("r").tell_nowait("x")
