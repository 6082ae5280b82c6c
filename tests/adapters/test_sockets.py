"""What is done to the sockets of all nodes: fetched, let in, let out, disconnected."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from broker import BrokerNotRunning, RemoteSocket, Room, Socket


async def test_all_sockets_are_fetched_with_what_they_are(cluster: Any) -> None:
    one, two = cluster.broker(), cluster.broker()
    async with (
        one,
        two,
        cluster.end(one) as a,
        two.test_client(auth={"token": "t"}) as client,
    ):
        socket = two.sockets[client.id]
        await socket.join("red")
        socket.data.update(name="Ada", picture=b"\x01", secret=object())
        here, there = await one.fetch_sockets()
        assert here is one.sockets[a.id]
        assert isinstance(there, RemoteSocket)
        assert there.id == client.id
        assert there.rooms == {client.id, "red"}
        assert there.data == {"name": "Ada", "picture": b"\x01"}
        told = there.handshake
        assert told.auth == {"token": "t"}
        assert told.url == socket.handshake.url
        assert told.query == socket.handshake.query
        assert dict(told.headers) == dict(socket.handshake.headers)
        assert told.headers["HOST"] == "test.invalid"
        assert abs(told.time - socket.handshake.time) < 0.01
        assert (told.address, told.secure) == ("", False)


async def test_only_the_sockets_of_the_target_are_fetched(cluster: Any) -> None:
    async with cluster.two() as (a, b):
        one, two = a.broker, b.broker
        await one.sockets[a.id].join("red")
        await two.sockets[b.id].join("red", "blue")

        async def ids(target: Any) -> set[str]:
            return {each.id for each in await target.fetch_sockets()}

        for broker in (one, two):
            assert await ids(broker) == {a.id, b.id}
            assert await ids(broker.to("red")) == {a.id, b.id}
            assert await ids(broker.to("blue")) == {b.id}
            assert await ids(broker.to("red").except_("blue")) == {a.id}
            assert await ids(broker.to(b.id)) == {b.id}
            assert await ids(broker.to("none")) == set()
            assert await ids(broker.to()) == set()
            assert await ids(broker.room("red")) == {a.id, b.id}
        assert await ids(one.local) == {a.id}
        assert await ids(two.to("red").local) == {b.id}
        assert await ids(one.sockets[a.id].broadcast) == {b.id}


async def test_a_remote_socket_is_acted_on_where_it_is(cluster: Any) -> None:
    async with cluster.two() as (a, b):
        (remote,) = await a.broker.to(b.id).fetch_sockets()
        await remote.join("red", "blue")
        await remote.leave("blue")
        await remote.emit("event", b"1")
        await a.broker.to("blue").emit("blue")
        await a.broker.to("red").emit("end")
        assert await b.until("end") == [("event", b"1")]
        assert b.broker.sockets[b.id].joined_rooms == {"red"}
        with pytest.raises(TypeError):
            await remote.join(["red"])  # type: ignore[arg-type]
        socket = b.broker.sockets[b.id]
        await remote.disconnect()
        with trio.fail_after(5):
            while b.client.connected:
                await b.client.line.changes.park()
        assert not socket.connected
        assert a.client.connected
        await remote.emit("gone")  # is no error


@pytest.mark.parametrize("swapped", [False, True], ids=["forth", "back"])
async def test_sockets_are_let_in_and_out_on_all_nodes(cluster: Any, swapped: bool) -> None:
    async with cluster.two() as (first, second):
        a, b = (second, first) if swapped else (first, second)
        one = a.broker
        await one.sockets_join("red", "blue")
        await one.to("red").emit("both")
        await one.to("red").sockets_leave("blue")
        await one.to("blue").emit("nobody")
        await one.local.sockets_join("here")
        await one.to("here").emit("here")
        await one.except_("here").sockets_join("there")
        await one.to("there").emit("there")
        await one.emit("end")
        assert await a.until("end") == [("both",), ("here",)]
        assert await b.until("end") == [("both",), ("there",)]
        assert one.rooms == {"red": {a.id}, "here": {a.id}}
        assert b.broker.rooms == {"red": {b.id}, "there": {b.id}}


async def test_a_refused_join_elsewhere_harms_nobody(cluster: Any) -> None:
    async with cluster.two(max_rooms_per_socket=1) as (a, b):
        await b.broker.sockets[b.id].join("full")
        await a.broker.sockets_join("red")
        await a.broker.to("red").emit("red")
        await a.broker.emit("end")
        assert await a.until("end") == [("red",)]
        assert await b.until("end") == []


async def test_sockets_of_all_nodes_are_disconnected(cluster: Any) -> None:
    one, two = cluster.broker(), cluster.broker()
    async with (
        one,
        two,
        cluster.end(one) as a,
        cluster.end(two) as b,
        cluster.end(two) as stays,
    ):
        await two.sockets[stays.id].join("stays")
        await one.except_("stays").emit("before")
        await one.except_("stays").disconnect_sockets(close=True)
        assert await b.client.expect("before") == ()
        with trio.fail_after(5):
            while a.client.connected or b.client.connected:
                await trio.testing.wait_all_tasks_blocked()
        await one.emit("end")
        assert await stays.until("end") == []
        assert [each.id for each in await one.fetch_sockets()] == [stays.id]


async def test_who_has_gone_is_not_fetched(cluster: Any) -> None:
    async with cluster.two() as (a, b):
        await b.client.disconnect()
        assert [each.id for each in await a.broker.fetch_sockets()] == [a.id]


async def test_a_cancelled_fetch_leaves_nothing(cluster: Any) -> None:
    async with cluster.two() as (a, _):
        with trio.CancelScope() as scope:
            scope.cancel()
            await a.broker.fetch_sockets()
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.broker.fetch_sockets)
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert a.broker.statistics().pending_requests == 0


async def test_without_a_life_there_is_nobody_to_ask(cluster: Any) -> None:
    broker = cluster.broker()
    for call in (broker.fetch_sockets, broker.disconnect_sockets):
        with pytest.raises(BrokerNotRunning):
            await call()
    for call in (broker.sockets_join, broker.sockets_leave):
        with pytest.raises(BrokerNotRunning):
            await call("r")


async def test_a_slow_on_join_elsewhere_holds_up_nobody_else(cluster: Any) -> None:
    one, two = cluster.broker(), cluster.broker()
    go = trio.Event()

    @two.room_type("slow", per_node=True)
    class Slow(Room):
        async def on_join(self, socket: Socket) -> None:
            await go.wait()

    async with one, two, cluster.end(one), cluster.end(two) as b, cluster.end(two) as other:
        await one.to(b.id).sockets_join("slow")
        await one.to(other.id).emit("event")
        assert await other.client.expect("event") == ()
        await one.to("slow").emit("inside")
        go.set()
        assert await b.client.expect("inside") == ()
