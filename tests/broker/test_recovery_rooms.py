"""Rooms of users' types and who comes back: out when it goes, asked again when it is back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, JoinRefused, Recovery, Room, Socket

from .returning import Returning


def make(window: float = 120.0) -> tuple[Broker, list[str], set[str]]:
    """Return a broker with tables, their diary, and the ids that they refuse."""
    broker = Broker(connection_state_recovery=Recovery(max_disconnection=window))
    diary: list[str] = []
    refused: set[str] = set()

    @broker.room_type("table:*")
    class Table(Room):
        async def on_create(self) -> None:
            diary.append("create")

        async def on_join(self, socket: Socket) -> None:
            if socket.id in refused:
                diary.append("refuse")
                raise JoinRefused("no")
            await socket.emit("snapshot")
            await broker.to(self.name).emit("during")
            await trio.sleep(1)
            diary.append("join")

        async def on_leave(self, socket: Socket) -> None:
            diary.append("leave")

        async def on_close(self) -> None:
            diary.append("close")

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        if not socket.recovered:
            await socket.join("table:1", "plain")

    return broker, diary, refused


async def test_it_joins_again_and_misses_nothing(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, diary, _ = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await trio.sleep(2)
        await wait_all_tasks_blocked()
        assert diary == ["create", "join", "leave"]
        assert broker.room("table:1").size == 0
        assert broker.statistics().rooms == 0
        await broker.to("table:1").emit("a")
        await broker.to("table:1", "plain").emit("b")
        async with client.connection():
            socket = broker.sockets[client.sid]
            assert socket.joined_rooms == {"plain"}
            await broker.to("table:1").emit("c")
            await trio.sleep(2)
            assert socket.joined_rooms == {"plain", "table:1"}
            await broker.to("table:1").emit("d")
    assert client.names == ["snapshot", "during", "a", "b", "snapshot", "during", "c", "d"]
    assert diary == ["create", "join", "leave", "join", "leave", "close"]


async def test_the_room_it_comes_back_to_lives_on_without_it(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(connection_state_recovery=Recovery(max_disconnection=10.0))
    diary: list[str] = []

    @broker.room_type("game")
    class Game(Room):
        linger = 5.0

        async def on_create(self) -> None:
            diary.append("create")
            self.changes = 0

        async def on_join(self, socket: Socket) -> None:
            diary.append("join")
            await socket.emit("snapshot", self.changes)

        async def receive(self, message: object) -> None:
            self.changes += 1
            await self.emit("change", self.changes)

        async def on_leave(self, socket: Socket) -> None:
            diary.append("leave")

        async def on_close(self) -> None:
            diary.append(f"close at {trio.current_time():g}")

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        if not socket.recovered:
            await socket.join("game")

    client = Returning(broker, wire)
    game = broker.room("game")
    async with broker:
        async with client.connection():
            await game.tell("change")
            await game.tell("change")
        await trio.sleep(8)  # longer than it lingers
        await game.tell("change")
        await game.tell("change")
        async with client.connection():
            assert client.recovered
            await game.tell("change")
        assert diary == ["create", "join", "leave", "join", "leave"]
        expires = trio.current_time() + 10
        await trio.sleep(20)
    numbers = [[name, *args] for name, *args in client.got]
    assert numbers == [
        ["snapshot", 0],
        *(["change", number] for number in (1, 2, 3, 4)),
        ["snapshot", 4],
        ["change", 5],
    ]
    assert diary[5:] == [f"close at {expires + 5:g}"]


async def test_refused_it_is_recovered_and_out(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, diary, refused = make()
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await trio.sleep(2)
        refused.add(client.sid)
        await broker.to("table:1").emit("a")
        async with client.connection():
            await trio.sleep(2)
            assert client.recovered
            assert broker.sockets[client.sid].joined_rooms == {"plain"}
            await broker.to("table:1").emit("never")
        await broker.to("table:1").emit("never")
        await broker.to("plain").emit("b")
        async with client.connection():
            await trio.sleep(2)
            assert broker.sockets[client.sid].joined_rooms == {"plain"}
    assert client.names == ["snapshot", "during", "a", "b"]
    assert diary == ["create", "join", "leave", "refuse", "close"]


async def test_gone_again_before_its_turn_it_still_has_its_seat(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, _, _ = make()
    first, second = Returning(broker, wire), Returning(broker, wire)
    async with broker:
        async with first.connection():
            await trio.sleep(2)
        async with second.connection():  # its `on_join` runs
            async with first.connection(deaf=True):
                assert broker.sockets[first.sid].joined_rooms == {"plain"}
            await broker.to("table:1").emit("a")
            async with first.connection():
                await trio.sleep(5)
                assert broker.sockets[first.sid].joined_rooms == {"plain", "table:1"}
    assert first.names == ["snapshot", "during", "during", "a", "snapshot", "during"]


async def test_rooms_end_when_the_window_has_passed(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, _, _ = make(window=10.0)
    client = Returning(broker, wire)
    async with broker:
        async with client.connection():
            await trio.sleep(2)
        actor = broker.of("/").running("test")
        assert set(actor.rooms) == {"table:1", "plain"}
        await trio.sleep(9)
        assert set(actor.rooms) == {"table:1", "plain"}
        await trio.sleep(2)
        await wait_all_tasks_blocked()
        assert actor.rooms == {}
        assert actor.away == {}


async def test_it_leaves_by_itself_before_its_turn(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker, _, _ = make()
    first, second = Returning(broker, wire), Returning(broker, wire)
    async with broker:
        async with first.connection():
            await trio.sleep(2)
        async with second.connection(), first.connection() as line:
            await line.send("41")
            await trio.sleep(5)
        await wait_all_tasks_blocked()
        assert set(broker.of("/").running("test").away) == {second.sid}
        assert all(len(room.away) == 1 for room in broker.of("/").running("test").rooms.values())
