"""`expect_nothing`: what was emitted before it must be seen, wherever it is on its way."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.sim import Sim, simulate
from broker import Broker, Socket, SocketDisconnected
from broker.testing.carriers import Carrier

from .carried import SCHEDULES, SLOW, over_each_carrier

# `expect_nothing`: whatever was emitted before it must be seen.


@over_each_carrier
async def test_what_the_clients_own_emit_leads_to_is_seen(over: Carrier) -> None:
    broker = Broker()

    @broker.on("provoke")
    async def provoke(socket: Socket) -> None:
        await trio.lowlevel.checkpoint()
        await socket.emit("late")

    async with broker.test_client(over=over) as client:
        await client.emit("provoke")
        with pytest.raises(AssertionError, match="late"):
            await client.expect_nothing()


@over_each_carrier
async def test_what_another_clients_emit_leads_to_is_seen(over: Carrier) -> None:
    broker = Broker()

    @broker.on("say")
    async def say(socket: Socket, text: str) -> None:
        await socket.broadcast.emit("said", text)

    async with broker.test_client(over=over) as ann, broker.test_client(over=over) as bob:
        await ann.emit("say", "hi")
        with pytest.raises(AssertionError, match=r"said.*hi"):
            await bob.expect_nothing()
        await ann.expect_nothing()


@over_each_carrier
async def test_what_a_background_task_emits_before_is_seen(over: Carrier) -> None:
    broker = Broker()

    async def tick() -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        await broker.emit("tick")

    async with broker.test_client(over=over) as client, trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        with pytest.raises(AssertionError, match="tick"):
            await client.expect_nothing()


@over_each_carrier
async def test_what_was_posted_without_waiting_is_seen(over: Carrier) -> None:
    broker = Broker()
    async with broker.test_client(over=over) as client:
        broker.emit_nowait("tick")
        with pytest.raises(AssertionError, match="tick"):
            await client.expect_nothing()


@over_each_carrier
async def test_what_comes_of_a_conversation_is_seen(over: Carrier) -> None:
    """Four times there and back, between three clients, before the last event is sent."""
    broker = Broker()
    other = broker.of("/other")

    @broker.on("pass")
    async def passed(socket: Socket, ball: int) -> None:
        await socket.broadcast.emit("ball", ball)

    @broker.on("last")
    async def last(socket: Socket) -> None:
        await other.emit("over")

    async with (
        broker.test_client(over=over) as ann,
        broker.test_client(over=over) as bob,
        broker.test_client("/other", over=over) as watcher,
        trio.open_nursery() as nursery,
    ):

        async def play() -> None:
            for _ in range(4):
                (ball,) = await bob.expect("ball")
                await bob.emit("pass", ball + 1)
            await bob.emit("last")

        async def return_balls() -> None:
            for _ in range(3):
                (ball,) = await ann.expect("ball")
                await ann.emit("pass", ball + 1)

        nursery.start_soon(play)
        nursery.start_soon(return_balls)
        await ann.emit("pass", 0)
        with pytest.raises(AssertionError, match="over"):
            await watcher.expect_nothing()


@over_each_carrier
async def test_what_a_client_causes_that_is_just_connecting_is_seen(over: Carrier) -> None:
    broker = Broker()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.broadcast.emit("came")

    async def visit(left: trio.Event) -> None:
        async with broker.test_client(over=over):
            await left.wait()

    async with broker.test_client(over=over) as client, trio.open_nursery() as nursery:
        left = trio.Event()
        nursery.start_soon(visit, left)
        with pytest.raises(AssertionError, match="came"):
            await client.expect_nothing()
        left.set()


@over_each_carrier
async def test_what_a_leaving_client_causes_is_seen(over: Carrier) -> None:
    broker = Broker()

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        await broker.emit("went")

    async with broker.test_client(over=over) as stays:
        async with broker.test_client(over=over) as goes:
            await goes.disconnect()
            with pytest.raises(AssertionError, match="went"):
                await stays.expect_nothing()
        assert await stays.expect("went") == ()
        await stays.expect_nothing()


@over_each_carrier
async def test_a_quiet_program_passes(over: Carrier) -> None:
    broker = Broker()

    @broker.on("listen")
    async def listen(socket: Socket) -> None:
        await socket.join("room")

    async with (
        broker.test_client(over=over) as ann,
        broker.test_client(over=over) as bob,
        broker.test_client(over="memory") as carol,
    ):
        await ann.expect_nothing()
        await ann.call("listen")
        await ann.emit("listen")
        await broker.to("room").emit("news")
        assert await ann.expect("news") == ()
        for client in (ann, bob, carol):
            await client.expect_nothing()


@over_each_carrier
async def test_a_handler_that_waits_is_not_waited_for(over: Carrier) -> None:
    broker = Broker()
    go = trio.Event()

    @broker.on("wait")
    async def wait(socket: Socket) -> None:
        await go.wait()
        await socket.emit("waited")

    async with broker.test_client(over=over) as client:
        await client.emit("wait")
        await client.expect_nothing()
        go.set()
        assert await client.expect("waited") == ()


@over_each_carrier
async def test_a_client_that_the_server_does_not_read_is_not_waited_for(over: Carrier) -> None:
    """Its inbox is full, and its handler waits for what the test does next."""
    broker = Broker(max_inbox_packets=4)
    go = trio.Event()

    @broker.on("wait")
    async def wait(socket: Socket, number: int) -> None:
        await go.wait()
        await socket.emit("waited", number)

    async with broker.test_client(over=over) as client, broker.test_client(over=over) as other:
        for number in range(12):
            await client.emit("wait", number)
        await client.expect_nothing()
        await other.expect_nothing()
        go.set()
        with pytest.raises(AssertionError, match="waited"):
            await client.expect_nothing()
        assert [await client.expect("waited") for _ in range(12)] == [(n,) for n in range(12)]
        await client.expect_nothing()


@over_each_carrier
async def test_nothing_comes_from_a_connection_that_has_ended(over: Carrier) -> None:
    broker = Broker()

    @broker.on("end")
    async def end(socket: Socket) -> None:
        await socket.emit("last words")
        await socket.disconnect(close=True)

    async with broker.test_client(over=over) as client, broker.test_client(over=over) as other:
        await client.emit("end")
        await other.expect_nothing()
        with pytest.raises(AssertionError, match="last words"):
            await client.expect_nothing()
        assert await client.expect("last words") == ()
        await client.expect_nothing()
        with pytest.raises(SocketDisconnected):
            await client.expect("more")


# Far away.


class FarAway:
    """Streams to a broker on which everything takes ten seconds, in which nothing runs."""

    def __init__(self, broker: Broker, nursery: trio.Nursery) -> None:
        self.streams: list[trio.abc.Stream] = []
        self._broker = broker
        self._nursery = nursery

    async def dial(self) -> trio.abc.Stream:
        ours, near = trio.testing.memory_stream_pair()
        far, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._carry, near, far)
        self._nursery.start_soon(self._carry, far, near)
        self._nursery.start_soon(self._broker.serve_stream, theirs)
        self.streams.append(ours)
        return ours

    async def _carry(self, source: trio.abc.Stream, target: trio.abc.Stream) -> None:
        with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            async for data in source:
                await trio.sleep(10)
                await target.send_all(data)
        await trio.sleep(10)
        await target.aclose()


async def test_bytes_that_are_on_their_way_are_waited_for(autojump_clock: MockClock) -> None:
    broker = Broker(ping_interval=1000)

    @broker.on("provoke")
    async def provoke(socket: Socket) -> None:
        await socket.emit("late")

    async with (
        broker,
        trio.open_nursery() as nursery,
        broker.test_client(over=FarAway(broker, nursery).dial) as client,
    ):
        await client.expect_nothing()
        await client.emit("provoke")
        with pytest.raises(AssertionError, match="late"):
            await client.expect_nothing()


async def test_a_broken_connection_that_the_server_has_not_noticed_is_on_its_way(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(ping_interval=1000)

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        await broker.emit("went", reason)

    async with broker, broker.test_client() as stays, trio.open_nursery() as nursery:
        far = FarAway(broker, nursery)
        async with broker.test_client(over=far.dial):
            await trio.aclose_forcefully(far.streams[0])
            with pytest.raises(AssertionError, match=r"went.*transport close"):
                await stays.expect_nothing()


def test_a_connection_that_is_reset_ends_and_what_follows_is_seen() -> None:
    async def program(sim: Sim) -> None:
        broker = Broker()
        net = sim.net(SLOW)
        streams: list[trio.abc.Stream] = []

        @broker.on("disconnect")
        async def gone(socket: Socket, reason: str) -> None:
            await broker.emit("went", reason)

        async def dial() -> trio.abc.Stream:
            streams.append(await net.connect("broker", "phone"))
            return streams[0]

        async with broker.test_client(over=net) as stays, broker.test_client(over=dial) as phone:
            net.reset(streams[0])
            with pytest.raises(AssertionError, match=r"went.*transport close"):
                await stays.expect_nothing()
            with pytest.raises(SocketDisconnected):
                await phone.expect("anything")

    for seed in range(SCHEDULES):
        simulate(program, seed=seed).check()


def test_the_marker_to_a_client_comes_behind_what_was_pushed() -> None:
    async def program(sim: Sim) -> None:
        broker = Broker()
        seen: list[object] = []
        async with broker.test_client(over=sim.net(SLOW)) as client:
            client.watch(lambda event, _args: seen.append(event))
            broker.emit_nowait("small")
            broker.emit_nowait("large", b"x" * 100_000)
            await wait_all_tasks_blocked()
            await client.line.reach_client()
            assert seen == ["small", "large"]

    for seed in range(SCHEDULES):
        simulate(program, seed=seed).check()
