"""Events from one node to the clients of all: whom each target reaches, and in which order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import trio

from broker import Broker, BrokerNotRunning, Delivery, Socket
from broker.rooms.target import Target

# A client on each node: `here` is in `red` and `blue`, `near` on the same node in `red`, `there` on
# the other node in `blue`, `far` on that in `red` and `blue`.
TARGETS: dict[str, tuple[Callable[[Broker, dict[str, Any]], Target | Broker], str]] = {
    "all": (lambda broker, _: broker, "here near there far"),
    "one room": (lambda broker, _: broker.to("blue"), "here there far"),
    "a union": (lambda broker, _: broker.to("red").to("blue"), "here near there far"),
    "in": (lambda broker, _: broker.in_("red"), "here near far"),
    "except a room": (lambda broker, _: broker.except_("red"), "there"),
    "a room except a room": (lambda broker, _: broker.to("blue").except_("red"), "there"),
    "except an id here": (lambda broker, it: broker.except_(it["here"].id), "near there far"),
    "except an id there": (lambda broker, it: broker.except_(it["far"].id), "here near there"),
    "an id here": (lambda broker, it: broker.to(it["near"].id), "near"),
    "an id there": (lambda broker, it: broker.to(it["far"].id), "far"),
    "an id and a room": (
        lambda broker, it: broker.to(it["there"].id, "red"),
        "here near there far",
    ),
    "nobody": (lambda broker, _: broker.to(), ""),
    "nobody, chained": (lambda broker, _: broker.to().to("red"), ""),
    "no such room": (lambda broker, _: broker.to("none"), ""),
    "local": (lambda broker, _: broker.local, "here near"),
    "a local room": (lambda broker, _: broker.local.to("blue"), "here"),
    "a room, locally": (lambda broker, _: broker.to("blue").local, "here"),
    "an id there, locally": (lambda broker, it: broker.to(it["far"].id).local, ""),
    "others": (lambda _, it: it["socket"].broadcast, "near there far"),
    "others of a room": (lambda _, it: it["socket"].to("blue"), "there far"),
    "others except a room": (lambda _, it: it["socket"].except_("blue"), "near"),
    "others, locally": (lambda _, it: it["socket"].broadcast.local, "near"),
    "volatile": (lambda broker, _: broker.to("blue").volatile, "here there far"),
    "uncompressed": (lambda broker, _: broker.to("blue").compress(False), "here there far"),
}


@pytest.mark.parametrize("nowait", [False, True], ids=["emit", "emit_nowait"])
@pytest.mark.parametrize("swapped", [False, True], ids=["forth", "back"])
@pytest.mark.parametrize("name", TARGETS)
async def test_a_target_reaches_its_sockets_on_all_nodes_once(
    cluster: Any, name: str, swapped: bool, nowait: bool
) -> None:
    one, two = cluster.broker(), cluster.broker()
    if swapped:
        one, two = two, one
    async with (
        two if swapped else one,
        one if swapped else two,
        cluster.end(one) as here,
        cluster.end(one) as near,
        cluster.end(two) as there,
        cluster.end(two) as far,
    ):
        await one.sockets[here.id].join("red", "blue")
        await one.sockets[near.id].join("red")
        await two.sockets[there.id].join("blue")
        await two.sockets[far.id].join("red", "blue")
        ends = {"here": here, "near": near, "there": there, "far": far}
        choose, expected = TARGETS[name]
        target = choose(one, ends | {"socket": one.sockets[here.id]})
        if nowait:
            target.emit_nowait("event", 1)
            await trio.testing.wait_all_tasks_blocked()
        else:
            delivery = await target.emit("event", 1)
            on_one = {"here", "near"} & set(expected.split())
            assert delivery == Delivery(len(on_one))
        await one.emit("end")
        for each, end in ends.items():
            assert await end.until("end") == [("event", 1)] * (each in expected.split()), each


async def test_what_arrives_there_is_what_arrives_here(cluster: Any) -> None:
    when = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    values = (b"\x00\xff", {"deep": [b"1", None, True, 1.5, -3]}, bytearray(b"2"), when, "é", [])
    async with cluster.two() as (a, b):
        await a.broker.emit("values", *values)
        await a.broker.emit("end")
        here, there = await a.until("end"), await b.until("end")
        assert here == there
        assert there[0][1:3] == (b"\x00\xff", {"deep": [b"1", None, True, 1.5, -3]})


async def test_what_cannot_be_sent_is_sent_to_nobody(cluster: Any) -> None:
    async with cluster.two() as (a, b):
        with pytest.raises(TypeError, match=r"args\[1\]"):
            await a.broker.emit("event", 1, object())
        with pytest.raises(ValueError, match="reserved"):
            await a.broker.emit("connect")
        await a.broker.emit("end")
        assert await a.until("end") == await b.until("end") == []


async def test_what_one_task_emits_arrives_in_order_whatever_the_targets(cluster: Any) -> None:
    async with cluster.two() as (a, b):
        await b.broker.sockets[b.id].join("red", "blue")
        targets = [
            a.broker,
            a.broker.to("red"),
            a.broker.to(b.id),
            a.broker.to("red", "blue"),
            a.broker.except_("green"),
        ]
        for number in range(100):
            await targets[number % len(targets)].emit("event", number)
        await a.broker.emit("end")
        assert await b.until("end") == [("event", number) for number in range(100)]


async def test_the_events_of_one_node_come_in_one_order_on_all(cluster: Any) -> None:
    async with cluster.two() as (a, b):
        for end in (a, b):
            await end.broker.sockets[end.id].join("red", "blue")

        async def publish(task: int) -> None:
            rooms = [["red"], ["blue"], ["red", "blue"]]
            for number in range(20):
                await a.broker.to(*rooms[(task + number) % 3]).emit("event", task, number)
                if number % 5 == 0:
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for task in range(5):
                nursery.start_soon(publish, task)
        await a.broker.emit("end")
        here, there = await a.until("end"), await b.until("end")
        assert len(here) == 100
        assert here == there


async def test_an_emit_that_was_withdrawn_has_happened_nowhere(cluster: Any) -> None:
    async with cluster.two() as (a, b):
        with trio.CancelScope() as scope:
            scope.cancel()
            await a.broker.emit("withdrawn")
        assert scope.cancelled_caught
        await a.broker.to("nowhere").emit("none")
        await a.broker.emit("end")
        assert await a.until("end") == await b.until("end") == []


async def test_a_handler_answers_the_clients_of_all_nodes(cluster: Any) -> None:
    one, two = cluster.broker(), cluster.broker()

    @one.on("say")
    async def say(socket: Socket, text: str) -> None:
        await socket.broadcast.emit("said", text)

    async with one, two, cluster.end(one) as a, cluster.end(two) as b:
        await a.client.emit("say", "hello")
        assert await b.client.expect("said") == ("hello",)


async def test_namespaces_are_apart(cluster: Any) -> None:
    one, two = cluster.broker(), cluster.broker()
    for broker in (one, two):
        broker.of("/chat")
    async with (
        one,
        two,
        cluster.end(one, "/chat") as a,
        cluster.end(two, "/chat") as b,
        cluster.end(two) as other,
    ):
        await one.of("/chat").to(b.id, other.id).emit("event")
        await one.of("/chat").emit("end")
        await one.emit("end")
        assert await a.until("end") == []
        assert await b.until("end") == [("event",)]
        assert await other.until("end") == []


async def test_a_namespace_of_one_node_alone_works_there(cluster: Any) -> None:
    one, two = cluster.broker(), cluster.broker()
    async with one, two, cluster.end(two) as other:
        chat = one.of("/chat")
        async with cluster.end(one, "/chat") as a:
            await chat.emit("event")
            assert await a.client.expect("event") == ()
            assert [each.id for each in await chat.fetch_sockets()] == [a.id]
            assert len(await one.fetch_sockets()) == 1
        await one.emit("end")
        assert await other.until("end") == []


async def test_children_that_come_to_be_hear_each_other(cluster: Any) -> None:
    async def check(name: str, _auth: object) -> bool:
        return name.startswith("/org-")

    one, two = cluster.broker(), cluster.broker()
    parent = one.of(check)
    two.of(check)
    async with (
        one,
        two,
        cluster.end(one, "/org-a") as a,
        cluster.end(two, "/org-a") as b,
        cluster.end(two, "/org-b") as other,
    ):
        await one.of("/org-a").emit("event", 1)
        await parent.emit("event", 2)
        await one.of("/org-a").emit("end")
        await two.of("/org-b").emit("end")
        for end in (a, b):
            assert await end.until("end") == [("event", 1), ("event", 2)]
        assert await other.until("end") == []  # that child is not on the first node
        assert {each.id for each in await parent.fetch_sockets()} == {a.id, b.id}
        await parent.local.emit("here")
        await parent.to(b.id).sockets_join("r")
        await parent.to("r").emit("end")
        assert await b.until("end") == []


async def test_outside_of_its_life_a_broker_emits_nothing(cluster: Any) -> None:
    broker = cluster.broker()
    with pytest.raises(BrokerNotRunning):
        await broker.emit("event")
    async with broker:
        await broker.emit("event")
    with pytest.raises(BrokerNotRunning):
        broker.emit_nowait("event")


async def test_a_broker_lives_again_as_another_node(cluster: Any) -> None:
    one, two = cluster.broker(), cluster.broker()
    async with two, cluster.end(two) as b:
        for life in range(2):
            async with one:
                await one.emit("event", life)
                assert await b.client.expect("event") == (life,)


async def test_what_the_last_hooks_say_is_heard(cluster: Any) -> None:
    one, two = cluster.broker(), cluster.broker()

    @one.on("disconnect")
    async def gone(socket: Socket, _reason: object) -> None:
        await one.emit("gone", socket.id)

    async with two, cluster.end(two) as b:
        async with one, one.test_client() as client:
            await one.close()
        assert await b.client.expect("gone") == (client.id,)
