"""Targets: who gets an event, and what else is done with those it reaches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from actors import MailboxFull
from broker import Broker, BrokerNotRunning, Delivery, Socket
from protocol import socketio


@asynccontextmanager
async def crowd(broker: Broker, **rooms: str) -> AsyncIterator[dict[str, Any]]:
    """Clients by name, each in the rooms named by the letters it is given."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(broker)
        clients = {}
        for name, letters in rooms.items():
            client = clients[name] = await stack.enter_async_context(broker.test_client())
            await wait_all_tasks_blocked()
            await broker.sockets[client.id].join(*letters)
        yield clients


async def heard(clients: dict[str, Any], event: str = "e") -> dict[str, int]:
    """Count the events each has got."""
    await wait_all_tasks_blocked()
    counts = {}
    for name, client in clients.items():
        counts[name] = len(client._events[event])
        client._events[event].clear()
    return {name: count for name, count in counts.items() if count}


async def test_a_union_reaches_each_socket_once() -> None:
    broker = Broker()
    async with crowd(broker, ann="xy", bob="y", cid="z", dan="") as clients:
        assert await broker.to("x").to("y").emit("e") == Delivery(2)
        assert await heard(clients) == {"ann": 1, "bob": 1}
        assert await broker.in_("x", "y").to("z", "z").emit("e") == Delivery(3)
        assert await heard(clients) == {"ann": 1, "bob": 1, "cid": 1}
        assert await broker.emit("e") == Delivery(4)
        assert await heard(clients) == {"ann": 1, "bob": 1, "cid": 1, "dan": 1}
        assert await broker.to("x", clients["dan"].id, clients["ann"].id).emit("e") == Delivery(2)
        assert await heard(clients) == {"ann": 1, "dan": 1}


async def test_exceptions_are_left_out() -> None:
    broker = Broker()
    async with crowd(broker, ann="xy", bob="y", cid="z", dan="") as clients:
        await broker.to("y").except_("x").emit("e")
        assert await heard(clients) == {"bob": 1}
        await broker.except_("x", clients["cid"].id, "nobody's").emit("e")
        assert await heard(clients) == {"bob": 1, "dan": 1}
        await broker.except_("y").to("y", "z").emit("e")
        assert await heard(clients) == {"cid": 1}


async def test_the_sender_is_left_out() -> None:
    broker = Broker()
    async with crowd(broker, ann="x", bob="x", cid="") as clients:
        ann: Socket = broker.sockets[clients["ann"].id]
        await ann.to("x").emit("e")
        assert await heard(clients) == {"bob": 1}
        await ann.broadcast.emit("e")
        assert await heard(clients) == {"bob": 1, "cid": 1}
        await ann.except_("x").emit("e")
        assert await heard(clients) == {"cid": 1}
        assert await ann.to(ann.id).emit("e") == Delivery(0)
        await broker.to("x").emit("e")
        assert await heard(clients) == {"ann": 1, "bob": 1}


async def test_a_socket_with_a_flag_is_still_that_socket() -> None:
    """As in Node: what goes to one must not reach everybody else because of `compress`."""
    broker = Broker()
    async with crowd(broker, ann="x", bob="x") as clients:
        ann: Socket = broker.sockets[clients["ann"].id]
        await ann.volatile.emit("e")
        assert await heard(clients) == {"ann": 1}
        await ann.volatile.compress(compress=False).emit("e")
        assert await heard(clients) == {"ann": 1}
        await ann.compress(compress=False).emit("e")
        assert await heard(clients) == {"ann": 1}
        await ann.compress(compress=False).volatile.emit("e")
        assert await heard(clients) == {"ann": 1}


async def test_to_nobody_stays_nobody() -> None:
    broker = Broker()
    async with crowd(broker, ann="x", bob="") as clients:
        ann: Socket = broker.sockets[clients["ann"].id]
        for target in (
            broker.to(),
            broker.to().to("x"),
            broker.in_().except_("y"),
            broker.except_("y").to(),
            broker.volatile.to().local,
            ann.to(),
            ann.broadcast.to().in_("x"),
        ):
            assert await target.emit("e") == Delivery(0)
            target.emit_nowait("e")
            assert await target.fetch_sockets() == []
            await target.sockets_join("z")
            await target.disconnect_sockets()
        assert await heard(clients) == {}
        assert "z" not in broker.rooms
        assert len(broker.sockets) == 2


async def test_targets_are_immutable() -> None:
    broker = Broker()
    async with crowd(broker, ann="x", bob="y") as clients:
        x = broker.to("x")
        x.to("y")
        x.except_("x")
        _ = x.volatile.local
        await x.emit("e")
        assert await heard(clients) == {"ann": 1}


@pytest.mark.parametrize("bad", [None, 1, ["x"], b"x", {"x"}])
def test_what_is_no_room_raises_at_the_call(bad: Any) -> None:
    broker = Broker()
    for method in (broker.to, broker.in_, broker.except_, broker.to("x").to, broker.local.except_):
        with pytest.raises(TypeError):
            method("x", bad)


async def test_an_absent_room_is_no_error_and_is_not_created() -> None:
    broker = Broker()
    async with broker:
        before = broker.statistics()
        assert await broker.to("nowhere").emit("e") == Delivery(0, 0)
        assert await broker.to("nowhere", "else").except_("x").emit("e") == Delivery(0, 0)
        broker.to("nowhere").emit_nowait("e")
        await wait_all_tasks_blocked()
        assert dict(broker.rooms) == {}
        assert broker.statistics() == before


async def test_volatile_misses_who_cannot_be_written_to(wire: Callable[..., Any]) -> None:
    broker = Broker()
    lockstep = trio.testing.lockstep_stream_pair
    async with (
        broker,
        broker.test_client() as ready,
        wire(broker, streams=lockstep) as stalled,
    ):
        await stalled.enter()
        for _ in range(5):  # it reads no further than its queue holds
            await broker.emit("fill", "x" * 100)
            await wait_all_tasks_blocked()
        assert await broker.volatile.emit("e") == Delivery(1, 1)
        assert await ready.expect("e") == ()
        assert [await stalled.get() for _ in range(5)] == ['42["fill","' + "x" * 100 + '"]'] * 5
        await wait_all_tasks_blocked()
        assert await broker.volatile.emit("e") == Delivery(2, 0)
        assert await stalled.get() == '42["e"]'


async def test_fetched_sockets_can_be_used() -> None:
    broker = Broker()
    async with crowd(broker, ann="x", bob="x", cid="y") as clients:
        found = await broker.in_("x").fetch_sockets()
        assert {socket.id for socket in found} == {clients["ann"].id, clients["bob"].id}
        assert {socket.id for socket in await broker.except_("x").fetch_sockets()} == {
            clients["cid"].id
        }
        for socket in found:
            assert socket.rooms == {"x", socket.id}
            await socket.join("new")
            await socket.leave("x")
            await socket.emit("e", 1)
        assert await heard(clients) == {"ann": 1, "bob": 1}
        assert dict(broker.rooms).keys() == {"new", "y"}
        await found[0].disconnect()
        await wait_all_tasks_blocked()
        assert len(await broker.fetch_sockets()) == 2


async def test_a_socket_that_has_gone_is_not_fetched_while_its_handler_still_runs() -> None:
    broker = Broker()
    release = trio.Event()

    @broker.on("hang")
    async def hang(socket: Socket) -> None:
        await release.wait()

    async with broker, broker.test_client() as client:
        await client.emit("hang")
        await wait_all_tasks_blocked()
        await client.disconnect()
        assert await broker.fetch_sockets() == []
        release.set()


async def test_all_sockets_of_a_target_join_leave_and_go() -> None:
    broker = Broker()
    async with crowd(broker, ann="x", bob="x", cid="y") as clients:
        await broker.in_("x").sockets_join("p", "q")
        assert broker.rooms["p"] == broker.rooms["q"] == broker.rooms["x"]
        await broker.except_(clients["ann"].id).sockets_leave("p", "y")
        assert dict(broker.rooms).keys() == {"x", "p", "q"}
        assert broker.rooms["p"] == {clients["ann"].id}
        await broker.in_("q").disconnect_sockets()
        await wait_all_tasks_blocked()
        assert set(broker.sockets) == {clients["cid"].id}
        assert dict(broker.rooms) == {}


async def test_outside_a_life_nothing_is_emitted() -> None:
    broker = Broker()
    calls = [
        lambda: broker.emit("e"),
        lambda: broker.to("x").emit("e"),
        lambda: broker.of("/a").emit("e"),
        broker.fetch_sockets,
        lambda: broker.sockets_join("x"),
        lambda: broker.in_("x").disconnect_sockets(),
    ]
    for _ in range(2):
        for call in calls:
            with pytest.raises(BrokerNotRunning, match="async with broker"):
                await call()
        with pytest.raises(BrokerNotRunning):
            broker.emit_nowait("e")
        async with broker:
            assert await broker.emit("e") == Delivery(0)


async def test_emit_nowait_raises_when_the_mailbox_is_full_and_loses_nothing() -> None:
    broker = Broker()
    async with crowd(broker, ann="x") as clients:
        posted = 0

        def flood() -> None:
            nonlocal posted
            while True:
                broker.to("x").emit_nowait("e", posted)
                posted += 1

        with pytest.raises(MailboxFull):
            flood()
        assert posted > 1
        await wait_all_tasks_blocked()
        assert [await clients["ann"].expect("e") for _ in range(posted)] == [
            (number,) for number in range(posted)
        ]
        broker.to("x").emit_nowait("e")
        assert await heard(clients) == {"ann": 1}


ROOMS = st.frozensets(st.sampled_from("abc"))


@settings(deadline=None, max_examples=40)
@given(members=st.lists(ROOMS, max_size=4), to=st.none() | ROOMS, but=ROOMS)
def test_a_target_is_the_union_less_the_exceptions(
    members: list[frozenset[str]], to: frozenset[str] | None, but: frozenset[str]
) -> None:
    async def check() -> None:
        broker = Broker()
        async with crowd(broker, **{f"c{n}": "".join(each) for n, each in enumerate(members)}) as c:
            target = (broker.local if to is None else broker.to(*to)).except_(*but)
            expected = {
                f"c{number}": 1
                for number, rooms in enumerate(members)
                if (to is None or rooms & to) and not rooms & but
            }
            assert (await target.emit("e")).recipients == len(expected)
            assert await heard(c) == expected

    trio.run(check)


async def test_a_broadcast_is_encoded_once() -> None:
    encoded: list[socketio.Packet] = []

    class Counting:
        decoder = socketio.JSON.decoder

        def encode(self, packet: socketio.Packet) -> socketio.Encoded:
            if packet.type is socketio.PacketType.EVENT:
                encoded.append(packet)
            return socketio.JSON.encode(packet)

    broker = Broker(parser=Counting())
    async with broker.test_client() as one, broker.test_client() as two:
        await broker.emit("e", {"a": 1})
        for client in (one, two):
            assert await client.expect("e") == ({"a": 1},)
    assert len(encoded) == 1
