"""A leave while an `on_join` runs: the join is one, and the socket is out again behind it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker import Broker, JoinRefused, Room, Socket


@pytest.mark.parametrize("who", ["the room", "another task"])
async def test_who_leaves_while_its_on_join_runs_is_out_behind_it(who: str) -> None:
    broker = Broker()
    log: list[str] = []
    go = trio.Event()

    @broker.room_type("r")
    class Fickle(Room):
        async def on_join(self, socket: Socket) -> None:
            log.append("join")
            await self.emit("kept")
            if who == "the room":
                await socket.leave("r")
            else:
                await go.wait()
            await socket.emit("by on_join")

        async def on_leave(self, socket: Socket) -> None:
            log.append("leave")

    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        socket = broker.sockets[client.id]
        nursery.start_soon(socket.join, "r")
        await wait_all_tasks_blocked()
        if who == "another task":
            await socket.leave("r")
            go.set()
            await wait_all_tasks_blocked()
        assert socket.joined_rooms == frozenset()
        assert dict(broker.rooms) == {}
        assert log == ["join", "leave"]
        await broker.to("r").emit("later")
        assert await client.expect("by on_join") == ()
        await client.expect_nothing()


async def test_a_joined_block_whose_room_lets_it_out_leaves_nothing_behind() -> None:
    broker = Broker()

    @broker.room_type("r")
    class Fickle(Room):
        async def on_join(self, socket: Socket) -> None:
            await broker.in_(socket.id).sockets_leave("r")

    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        async with socket.joined("a", "r"):
            assert socket.joined_rooms == {"a"}
        await broker.sockets_join("r", "b")
        assert socket.joined_rooms == {"b"}


async def test_who_has_left_and_is_refused_hears_of_the_refusal() -> None:
    broker = Broker()
    log: list[str] = []

    @broker.room_type("r")
    class Closed(Room):
        async def on_join(self, socket: Socket) -> None:
            await socket.leave("r")
            raise JoinRefused("no")

        async def on_leave(self, socket: Socket) -> None:
            log.append("leave")

    async with broker, broker.test_client() as client:
        with pytest.raises(JoinRefused):
            await broker.sockets[client.id].join("r")
        await wait_all_tasks_blocked()
        assert log == []
