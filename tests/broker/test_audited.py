"""This broker, audited, over each carrier: its clients report by themselves."""

from __future__ import annotations

import random

import pytest
import trio

from actors.sim import Sim, simulate
from actors.sim.faults import CHAOS
from broker import Broker, JoinRefused, Socket, SocketDisconnected
from broker.audit import AuditedClient, AuditFailed, RoomAudit, Words, audited
from broker.testing.carriers import Carrier

from .carried import SCHEDULES, over_each_carrier

ROOMS = ["a", "b", "c"]


def chat(audit: RoomAudit | None = None) -> Broker:
    """A chat of rooms, which tells an audit who is in them."""
    broker = Broker()

    @broker.on("join")
    async def join(socket: Socket, room: str) -> None:
        if room == "closed":
            raise JoinRefused("not today", room=room)
        await socket.join(room)
        if audit is not None:
            audit.server.joined(room, socket.id)

    @broker.on("leave")
    async def leave(socket: Socket, room: str) -> None:
        if audit is not None:
            audit.server.left(room, socket.id)
        await socket.leave(room)

    @broker.on("message")
    async def message(socket: Socket, room: str, text: str) -> None:
        await broker.to(room).emit("message", text)

    @broker.on("disconnecting")
    async def going(socket: Socket, reason: str) -> None:
        if audit is not None:
            for room in sorted(socket.joined_rooms):
                audit.server.left(room, socket.id)

    return broker


async def wander(client: AuditedClient, seed: int) -> None:
    """Join, leave and talk, as it comes."""
    choose = random.Random(seed)
    for _ in range(8):
        room = choose.choice(ROOMS)
        if room not in client.rooms:
            await client.join(room)
        elif choose.random() < 0.7:
            await client.say(room)
        else:
            await client.leave(room)


@over_each_carrier
async def test_this_broker_passes_its_audit(over: Carrier) -> None:
    audit = RoomAudit(across_rooms=True)
    broker = chat()

    async def visit(number: int) -> None:
        async with audited(broker.test_client(over=over), audit, f"c{number}") as client:
            await wander(client, number)

    async with broker:
        before = broker.statistics()
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(visit, number)
        audit.finish(broker, before=before)


@over_each_carrier
async def test_its_own_account_is_balanced(over: Carrier) -> None:
    audit = RoomAudit(across_rooms=True)
    broker = chat(audit)
    async with broker:
        async with audited(broker.test_client(over=over), audit, "ann") as ann:
            for number in (1, 2):
                assert await ann.join("a")
                assert await ann.say("a") == f"ann {number}"
                await ann.leave("a")
            assert not await ann.join("closed")
            assert await ann.join("b")
            (socket,) = broker.sockets.values()
            await socket.disconnect()
            audit.server.joined("c", "somebody else")
        with pytest.raises(AuditFailed, match="somebody else"):
            audit.finish(broker)
        assert [failed.who for failed in audit.failures] == ["somebody else"]


def test_it_keeps_its_promises_when_connections_break() -> None:
    async def program(sim: Sim) -> None:
        audit = RoomAudit(across_rooms=True)
        broker = chat(audit)
        net = sim.net(CHAOS)

        async def visit(number: int) -> None:
            name = f"c{number}"
            try:
                connecting = broker.test_client(over=net, name=name)
                async with audited(connecting, audit, name) as client:
                    await wander(client, number)
            except SocketDisconnected:
                sim.happened("lost clients", f"c{number}", "its connection broke")

        async with broker:
            async with trio.open_nursery() as nursery:
                for number in range(3):
                    nursery.start_soon(visit, number)
            await sim.quiesce()
            audit.finish(broker)

    for seed in range(4 * SCHEDULES):
        simulate(program, seed=seed, max_steps=100_000).check()


@over_each_carrier
async def test_broadcasts_in_two_halves_are_found(over: Carrier) -> None:
    """The second overtakes the first at one of two members."""
    audit = RoomAudit(across_rooms=True)
    broker = chat()
    half, overtaken = trio.Event(), trio.Event()

    @broker.on("spread")
    async def spread(socket: Socket, text: str) -> None:
        first, second = sorted(broker.rooms["a"])
        if text == "slow":
            await broker.to(first).emit("message", text)
            half.set()
            await overtaken.wait()
            await broker.to(second).emit("message", text)
        else:
            await half.wait()
            await broker.to(first, second).emit("message", text)
            overtaken.set()

    async def scenario() -> None:
        async with (
            audited(broker.test_client(over=over), audit, "ann") as ann,
            audited(broker.test_client(over=over), audit, "bob") as bob,
            trio.open_nursery() as nursery,
        ):
            await ann.join("a")
            await bob.join("a")
            nursery.start_soon(ann.client.call, "spread", "slow")
            await bob.client.call("spread", "quick")
            await trio.sleep_forever()

    with pytest.raises(AuditFailed) as failed:
        await scenario()
    assert failed.value.invariant == "one order"


def test_a_server_with_other_words_can_be_audited() -> None:
    words = Words(
        join="enter",
        leave="exit",
        say="say",
        heard="said",
        read=lambda room, seq, text: (room, text, (0, seq)),
        echo=False,
    )
    broker = Broker()
    seqs: dict[str, int] = {}

    @broker.on("enter")
    async def enter(socket: Socket, room: str) -> None:
        await socket.join(room)

    @broker.on("exit")
    async def leave(socket: Socket, room: str) -> None:
        await socket.leave(room)

    @broker.on("say")
    async def say(socket: Socket, room: str, text: str) -> None:
        seqs[room] = seqs.get(room, 0) + (2 if text == "ann 3" else 1)
        await socket.to(room).emit("said", room, seqs[room], text)

    async def scenario() -> None:
        audit = RoomAudit()
        async with (
            audited(broker.test_client(), audit, "ann", words) as ann,
            audited(broker.test_client(), audit, "bob", words) as bob,
        ):
            await ann.join("a")
            await bob.join("a")
            for _ in range(3):
                await ann.say("a")
            await trio.sleep_forever()

    with pytest.raises(AuditFailed) as failed:
        trio.run(scenario)
    assert failed.value.invariant == "no gap"
    assert failed.value.who == "bob"
