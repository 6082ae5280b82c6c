"""What is done to all sockets of a target: to each that was in it, or, cancelled, to none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker import Broker, EventError, JoinRefused, Room, Socket


@asynccontextmanager
async def three(broker: Broker) -> AsyncIterator[list[Socket]]:
    async with broker, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(broker.test_client()) for _ in range(3)]
        sockets = [broker.sockets[client.id] for client in clients]
        await broker.sockets_join("all")
        yield sockets


def doorkeeper(broker: Broker) -> tuple[trio.Event, list[str]]:
    """Register a room `r` that lets nobody in after the first until the event; return who came."""
    go, came = trio.Event(), list[str]()

    @broker.room_type("r")
    class Slow(Room):
        async def on_join(self, socket: Socket) -> None:
            came.append(socket.id)
            if len(came) > 1:
                await go.wait()

    return go, came


async def test_sockets_join_is_about_who_was_there_when_it_was_called() -> None:
    broker = Broker()
    go, came = doorkeeper(broker)
    async with three(broker) as sockets, trio.open_nursery() as nursery:
        nursery.start_soon(broker.to("all").sockets_join, "r")
        await wait_all_tasks_blocked()
        async with broker.test_client() as late:
            await broker.sockets[late.id].join("all")
            await sockets[2].leave("all")
            go.set()
            await wait_all_tasks_blocked()
            assert came == [socket.id for socket in sockets]


async def test_a_cancelled_sockets_join_has_let_nobody_in_who_was_not_in_before() -> None:
    broker = Broker()
    _, came = doorkeeper(broker)
    async with three(broker) as sockets:
        await sockets[0].join("p")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.sockets_join, "p", "r")
            await wait_all_tasks_blocked()
            assert len(came) == 2
            assert broker.room("p").size == 2
            nursery.cancel_scope.cancel()
        assert dict(broker.rooms) == {
            "all": {socket.id for socket in sockets},
            "p": {sockets[0].id},
        }


@pytest.mark.parametrize("refusal", [JoinRefused("no"), EventError("no", "never")])
async def test_a_refusal_keeps_one_outside_and_no_other(refusal: Exception) -> None:
    broker = Broker()

    @broker.room_type("r")
    class Picky(Room):
        async def on_join(self, socket: Socket) -> None:
            if socket.id == unwanted:
                raise refusal

    async with three(broker) as sockets:
        unwanted = sockets[1].id
        await broker.sockets_join("p", "r", "q")
        assert [len(socket.joined_rooms) for socket in sockets] == [4, 2, 4]
        assert sockets[1].joined_rooms == {"all", "p"}


async def test_leaving_and_disconnecting_happen_whole_though_they_are_cancelled() -> None:
    broker = Broker()
    async with three(broker) as sockets:
        with trio.CancelScope() as scope:
            scope.cancel()
            await broker.sockets_leave("all", "absent")
        assert scope.cancelled_caught
        assert dict(broker.rooms) == {}
        with trio.CancelScope() as scope:
            scope.cancel()
            await broker.disconnect_sockets()
        assert scope.cancelled_caught
        assert all(socket.gone for socket in sockets)


@pytest.mark.parametrize("method", ["sockets_join", "sockets_leave"])
async def test_an_empty_name_is_refused_though_nobody_is_there(method: str) -> None:
    broker = Broker()
    async with broker:
        with pytest.raises(ValueError, match="name of a room"):
            await getattr(broker, method)("")
