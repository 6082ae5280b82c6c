"""What is kept back for a joiner while an `on_join` runs: its order, its bounds, who waits for it.

The stage: `r` is a room of a user's type whose `on_join` begins when it is told to; `q` is a plain
room, of which the joiner is a member. What comes to `r` meanwhile is in doubt, and kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import Ask
from broker import Broker, Delivery, JoinRefused, Room, Socket, SocketDisconnected

Play = Callable[[Room, Socket], Awaitable[None]]


@attrs.define
class Stage:
    socket: Socket
    heard: list[Any]
    """What the client has heard, but for `end`: names, or first arguments if there are any."""
    begin: trio.Event
    joined: trio.Event

    async def play(self) -> None:
        """Let the `on_join` run, to its end."""
        self.begin.set()
        await self.joined.wait()


@asynccontextmanager
async def joining(broker: Broker, play: Play) -> AsyncIterator[Stage]:
    """Have a client whose join into `r` runs, with `play` in its `on_join`."""
    begin, joined = trio.Event(), trio.Event()

    @broker.room_type("r")
    class Held(Room):
        async def on_join(self, socket: Socket) -> None:
            await begin.wait()
            await play(self, socket)

    async def join(socket: Socket) -> None:
        await socket.join("r")
        joined.set()

    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        stage = Stage(broker.sockets[client.id], [], begin, joined)
        client.watch(lambda event, args: stage.heard.append(args[0] if args else event))
        await stage.socket.join("q")
        nursery.start_soon(join, stage.socket)
        await wait_all_tasks_blocked()
        with trio.fail_after(5):
            yield stage
            await joined.wait()
        await stage.socket.emit("end")
        await client.expect("end")
        stage.heard.remove("end")
        for event in ("event", *stage.heard):
            while client._events[event]:
                client._events[event].popleft()


# Order.


async def test_what_an_on_join_sends_never_passes_what_it_has_emitted_before() -> None:
    broker = Broker()

    async def play(_room: Room, socket: Socket) -> None:
        await socket.emit("first")
        await broker.to("q").emit("second")
        await socket.emit("third")
        await socket.emit("fourth")

    async with joining(broker, play) as stage:
        await broker.to("r").emit("change")
        await broker.to("q").emit("other")
        await stage.play()
    # With everybody else, `second` comes behind `other`, and that behind `change`.
    assert stage.heard == ["first", "change", "other", "second", "third", "fourth"]


async def test_what_a_room_tells_its_members_in_on_join_comes_behind_the_snapshot() -> None:
    async def play(room: Room, socket: Socket) -> None:
        await room.emit("newcomer")
        await socket.emit("snapshot")

    async with joining(Broker(), play) as stage:
        await stage.play()
    assert stage.heard == ["snapshot", "newcomer"]


async def test_to_the_joiners_id_is_as_direct_as_its_own_emit() -> None:
    broker = Broker()

    async def play(_room: Room, socket: Socket) -> None:
        assert await broker.to(socket.id).emit("snapshot") == Delivery(1)
        broker.to(socket.id).emit_nowait("more")

    async with joining(broker, play) as stage:
        await broker.to("r").emit("change")
        await stage.play()
    assert stage.heard == ["snapshot", "more", "change"]


@pytest.mark.parametrize("ending", ["disconnect", "disconnect and close", "the broker closes"])
async def test_who_is_ended_while_it_joins_gets_what_was_for_it_before(ending: str) -> None:
    broker = Broker()
    heard: list[str] = []

    @broker.room_type("r")
    class Slow(Room):
        async def on_join(self, _socket: Socket) -> None:
            await trio.sleep_forever()

    async def join(socket: Socket) -> None:
        with pytest.raises((SocketDisconnected, JoinRefused)):
            await socket.join("r")

    with trio.fail_after(10):
        async with broker, trio.open_nursery() as nursery, broker.test_client() as client:
            client.watch(lambda event, _args: heard.append(event))
            socket = broker.sockets[client.id]
            await socket.join("q")
            nursery.start_soon(join, socket)
            await wait_all_tasks_blocked()
            await broker.to("r").emit("change")
            await broker.to("q").emit("news")
            await socket.emit("bye")
            if ending == "the broker closes":
                nursery.start_soon(broker.close)
            else:
                await socket.disconnect(close=ending != "disconnect")
            await client.expect("news")
            await client.expect("bye")
            nursery.cancel_scope.cancel()
    assert heard == ["news", "bye"]


# Bounds.


async def test_who_emits_to_a_joiner_waits_when_half_of_its_limit_is_kept() -> None:
    broker = Broker(max_outbox_packets=20)

    async def play(_room: Room, socket: Socket) -> None:
        await socket.emit("event", "snapshot")

    async with joining(broker, play) as stage, trio.open_nursery() as nursery:
        await broker.to("r").emit("event", "change")

        async def flood() -> None:
            for number in range(100):
                await stage.socket.emit("event", number)

        nursery.start_soon(flood)
        await wait_all_tasks_blocked()
        statistics = stage.socket.statistics()
        assert 10 <= statistics.outbox_packets <= 12
        assert statistics.slow
        await stage.play()
    assert stage.heard == ["snapshot", "change", *range(100)]


@attrs.frozen
class Flood(Ask[None]):
    socket: Socket


async def test_a_room_that_an_on_join_waits_for_does_not_wait_for_it() -> None:
    broker = Broker(max_outbox_packets=20)

    @broker.room_type("flood")
    class Flooding(Room):
        async def receive(self, message: Flood) -> None:
            for number in range(5):
                await message.socket.emit("event", number)

    async def play(_room: Room, socket: Socket) -> None:
        await broker.room("flood").ask(Flood(socket))

    async with joining(broker, play) as stage:
        for _ in range(11):
            await broker.to("r").emit("event", "change")
        with trio.fail_after(5):
            await stage.play()
    assert sorted(map(str, stage.heard)) == sorted([*map(str, range(5)), *["change"] * 11])


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
async def test_a_policy_that_drops_ends_no_joiner_and_drops_nothing_that_is_kept_back(
    overflow: Literal["drop_oldest", "drop_newest"],
) -> None:
    broker = Broker(max_outbox_packets=20, overflow=overflow)

    async def play(_room: Room, _socket: Socket) -> None:
        pass

    async with joining(broker, play) as stage:
        for number in range(30):
            await broker.to("r").emit("event", number)
        assert stage.socket.statistics().dropped == 10
        await stage.play()
    assert stage.heard == list(range(20))


async def test_events_emitted_together_are_kept_one_by_one() -> None:
    broker = Broker(max_outbox_packets=20, overflow="drop_newest")

    async def play(_room: Room, _socket: Socket) -> None:
        pass

    async with joining(broker, play) as stage:
        await broker.to("r").emit("event", "change")
        for number in range(30):
            broker.to("q").emit_nowait("event", number)
        await wait_all_tasks_blocked()
        assert stage.socket.statistics().dropped == 11
        await stage.play()
    assert stage.heard == ["change", *range(19)]


async def test_what_a_refused_join_had_kept_counts_no_more() -> None:
    broker = Broker()
    begin = trio.Event()

    @broker.room_type("r")
    class Refusing(Room):
        async def on_join(self, _socket: Socket) -> None:
            await begin.wait()
            raise ValueError("no")

    async def join(socket: Socket) -> None:
        with pytest.raises(ValueError, match="no"):
            await socket.join("r")

    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        socket = broker.sockets[client.id]
        nursery.start_soon(join, socket)
        await wait_all_tasks_blocked()
        await broker.to("r").emit("change", "x" * 1000)
        assert socket.statistics().outbox_bytes > 1000
        begin.set()
        await wait_all_tasks_blocked()
        assert socket.statistics().outbox_bytes == socket.statistics().outbox_packets == 0
        client.failed(ValueError(), handled=True)
