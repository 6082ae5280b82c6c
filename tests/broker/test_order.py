"""The four promises of order, with many tasks, and trio's scheduler rolling its dice."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker import Broker, Room, Socket


async def dawdle(dice: random.Random) -> None:
    for _ in range(dice.randrange(4)):
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("seed", range(25))
async def test_any_two_sockets_agree_on_the_order_of_the_events_they_share(seed: int) -> None:
    dice = random.Random(seed)
    broker = Broker()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(broker)
        clients = [await stack.enter_async_context(broker.test_client()) for _ in range(5)]
        for client in clients:
            for room in "abc":
                if dice.random() < 0.6:
                    await broker.sockets[client.id].join(room)

        async def publish(number: int) -> None:
            own = random.Random(seed * 100 + number)
            for count in range(8):
                await dawdle(own)
                rooms = own.sample("abc", own.randrange(1, 4))
                sender = broker.sockets[own.choice(clients).id]
                target = own.choice(
                    [
                        broker.to(*rooms),
                        broker.to(rooms[0]),
                        broker.except_(rooms[0]),
                        broker.to(*rooms).except_(own.choice(clients).id),
                        sender.to(rooms[0]),
                        sender.broadcast,
                        broker.local,
                    ]
                )
                if own.random() < 0.3:
                    target.emit_nowait("e", number, count)
                else:
                    await target.emit("e", number, count)

        async def wander() -> None:
            own = random.Random(-seed)
            for _ in range(10):
                socket = broker.sockets[own.choice(clients).id]
                await (socket.join if own.random() < 0.5 else socket.leave)(own.choice("abc"))
                await dawdle(own)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wander)
            for number in range(6):
                nursery.start_soon(publish, number)
        await wait_all_tasks_blocked()
        seen = [list(client._events["e"]) for client in clients]
    assert sum(map(len, seen)) > 20
    for mine in seen:
        assert len(mine) == len(set(mine))
        for theirs in seen:
            shared = set(mine) & set(theirs)
            assert [e for e in mine if e in shared] == [e for e in theirs if e in shared]


@pytest.mark.parametrize("seed", range(25))
async def test_what_one_task_emits_arrives_in_that_order_whatever_the_targets(seed: int) -> None:
    dice = random.Random(seed)
    broker = Broker()

    @broker.on("go")
    async def go(socket: Socket) -> str:
        await socket.join("a", "b")
        for number in range(30):
            target: Any = dice.choice(
                [
                    broker.to("a"),
                    broker.to("b"),
                    broker.to("a", "b"),
                    broker.to(socket.id),
                    broker,
                    broker.except_("nowhere"),
                    socket,
                ]
            )
            await target.emit("e", number)
        return "done"

    async def noise() -> None:
        while True:
            await broker.to("a").emit("noise")

    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(noise)
        with trio.fail_after(20):
            assert await client.call("go") == "done"
        # The ack came behind all of them, so they are here already.
        assert [args[0] for args in client._events["e"]] == list(range(30))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(25))
async def test_a_join_and_a_leave_are_exact_boundaries(seed: int) -> None:
    """Every broadcast that begins behind a join arrives, none that had ended before it did."""
    dice = random.Random(seed)
    broker = Broker()
    clock = 0
    emitted: dict[int, tuple[int, int]] = {}  # number to when it began and ended
    member: list[tuple[int, int, int, int]] = []  # join began, ended, leave began, ended

    def tick() -> int:
        nonlocal clock
        clock += 1
        return clock

    async def publish(offset: int) -> None:
        for count in range(25):
            number = offset + count
            began = tick()
            target = dice.choice([broker.to("r"), broker.to("r", "s"), broker.to("r").except_("s")])
            await target.emit("e", number)
            emitted[number] = (began, tick())
            await dawdle(dice)

    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]

        async def wander() -> None:
            for _ in range(6):
                times = [tick()]
                await socket.join("r")
                times.append(tick())
                for _ in range(dice.randrange(8)):
                    await trio.lowlevel.checkpoint()
                times.append(tick())
                await socket.leave("r")
                times.append(tick())
                member.append((times[0], times[1], times[2], times[3]))
                await dawdle(dice)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wander)
            nursery.start_soon(publish, 0)
            nursery.start_soon(publish, 1000)
        await wait_all_tasks_blocked()
        got = {args[0] for args in client._events["e"]}
    for number, (began, ended) in emitted.items():
        if any(joined < began and ended < leaves for _, joined, leaves, _ in member):
            assert number in got
        if not any(began < left and joins < ended for joins, _, _, left in member):
            assert number not in got


@pytest.mark.parametrize("seed", range(15))
async def test_connect_is_the_first_packet_of_a_namespace(
    seed: int, wire: Callable[..., Any]
) -> None:
    dice = random.Random(seed)
    broker = Broker()

    @broker.use
    async def early(socket: Socket) -> None:
        await socket.join("r")
        await dawdle(dice)

    async def noise() -> None:
        while True:
            await broker.to("r").emit("e")
            await broker.emit("e")

    async with broker, trio.open_nursery() as nursery:
        nursery.start_soon(noise)
        async with wire(broker) as client:
            await client.send("40")
            assert str(await client.get()).startswith('40{"sid"')
        nursery.cancel_scope.cancel()


# What waits in a namespace's mailbox.


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have actors take one message a turn, as if there were many more."""
    monkeypatch.setattr("actors.actor.TURN_LIMIT", 1)


@pytest.mark.usefixtures("short_turns")
async def test_messages_for_a_room_that_is_being_opened_are_not_overtaken() -> None:
    broker = Broker()
    told: list[int] = []

    @broker.room_type("r")
    class Listening(Room):
        linger = 1.0

        async def receive(self, message: int) -> None:
            told.append(message)

    async with broker:
        room = broker.room("r")
        room.tell_nowait(0)
        for _ in range(100):
            broker.to("a", "b").emit_nowait("x")
        room.tell_nowait(1)
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        room.tell_nowait(2)
        await room.tell(3)
        await wait_all_tasks_blocked()
    assert told == [0, 1, 2, 3]


@pytest.mark.usefixtures("short_turns")
async def test_emit_nowait_to_a_room_that_comes_to_be_is_not_overtaken() -> None:
    broker = Broker()
    heard: list[object] = []
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        client.watch(lambda _event, args: heard.append(args[0]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.join, "r")
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()  # it has posted its join
            for _ in range(100):
                broker.to("a", "b").emit_nowait("x")
            broker.to("r").emit_nowait("event", 1)
        broker.to("r").emit_nowait("event", 2)
        await broker.to("r").emit("event", 3)
        for _ in range(3):
            await client.expect("event")
    assert heard == [1, 2, 3]
