"""`broker.testing.client` means the same over memory, a loopback socket and a simulated network."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.sim import Sim, simulate
from broker import Broker, BrokerNotRunning, ConnectError, Socket, SocketDisconnected
from broker.testing.carriers import Carrier

from .carried import SCHEDULES, over_each_carrier

# What a client does.


@over_each_carrier
async def test_events_acks_and_bytes_go_both_ways(over: Carrier) -> None:
    broker = Broker()

    @broker.on("echo")
    async def echo(socket: Socket, *values: object) -> tuple[object, ...]:
        await socket.emit("echoed", *values)
        return values

    async with broker.test_client(over=over) as client:
        assert await client.call("echo", "a", b"\0\xff", {"n": [1, None]}) == (
            "a",
            b"\0\xff",
            {"n": [1, None]},
        )
        assert await client.expect("echoed") == ("a", b"\0\xff", {"n": [1, None]})
        assert client.id in broker.sockets
        await client.expect_nothing()


@over_each_carrier
async def test_many_large_events_arrive_whole_and_in_order(over: Carrier) -> None:
    broker = Broker()
    sizes = [1, 70_000, 3, 200_000, 0, 5]

    @broker.on("send")
    async def send(socket: Socket) -> None:
        for number, size in enumerate(sizes):
            await socket.emit("block", number, b"x" * size)

    async with broker.test_client(over=over) as client:
        await client.emit("send")
        for number, size in enumerate(sizes):
            assert await client.expect("block") == (number, b"x" * size)
        await client.expect_nothing()


@over_each_carrier
async def test_a_refusal_raises_and_leaves_nothing(over: Carrier) -> None:
    broker = Broker()

    @broker.use
    async def refuse(socket: Socket) -> None:
        raise ConnectError("not you", data={"retry": False})

    async with broker:
        with pytest.raises(ConnectError, match="not you") as refused:
            async with broker.test_client(over=over):
                pass
        assert refused.value.data == {"retry": False}
        assert refused.value.__cause__ is None
        assert broker.statistics().connections == 0


# Leaving.


@over_each_carrier
async def test_disconnect_returns_when_the_hooks_have_run(over: Carrier) -> None:
    broker = Broker()
    hooks: list[str] = []

    @broker.on("disconnecting")
    async def going(socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        hooks.append(f"disconnecting: {reason}")

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        hooks.append(f"disconnect: {reason}")

    async with broker.test_client(over=over) as client:
        await client.disconnect()
        assert hooks == [
            "disconnecting: client namespace disconnect",
            "disconnect: client namespace disconnect",
        ]
        assert not client.connected
        assert dict(broker.sockets) == {}
        await client.disconnect()


@over_each_carrier
async def test_the_events_before_a_disconnect_are_handled_first(over: Carrier) -> None:
    broker = Broker()
    handled: list[object] = []

    @broker.on("add")
    async def add(socket: Socket, number: int) -> None:
        await trio.lowlevel.checkpoint()
        handled.append(number)

    async with broker.test_client(over=over) as client:
        for number in range(5):
            await client.emit("add", number)
        await client.disconnect()
        assert handled == [0, 1, 2, 3, 4]


@over_each_carrier
async def test_leaving_the_block_means_that_the_hooks_have_run(over: Carrier) -> None:
    broker = Broker()
    hooks: list[str] = []

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        for _ in range(20):
            await trio.lowlevel.checkpoint()
        hooks.append(reason)

    async with broker:
        async with broker.test_client(over=over):
            pass
        assert hooks == ["transport close"]
        statistics = broker.statistics()
        assert (statistics.connections, statistics.sockets, statistics.rooms) == (0, 0, 0)


@over_each_carrier
async def test_what_is_raised_in_the_block_comes_out_alone_and_hooks_run(over: Carrier) -> None:
    broker = Broker()
    hooks: list[str] = []
    handling = trio.Event()

    @broker.on("hang")
    async def hang(socket: Socket) -> None:
        handling.set()
        await trio.sleep_forever()

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        hooks.append(reason)

    async def scenario() -> None:
        async with broker.test_client(over=over) as client:
            await client.emit("hang")
            await handling.wait()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await scenario()
    assert len(hooks) == 1


@over_each_carrier
async def test_a_block_that_is_cancelled_ends_at_once_and_hooks_run(over: Carrier) -> None:
    broker = Broker()
    hooks: list[str] = []
    handling = trio.Event()

    @broker.on("hang")
    async def hang(socket: Socket) -> None:
        handling.set()
        await trio.sleep_forever()

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        hooks.append(reason)

    async with broker:
        with trio.CancelScope() as scope:
            async with broker.test_client(over=over) as client:
                await client.emit("hang")
                await handling.wait()
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert len(hooks) == 1
        assert broker.statistics().connections == 0


@over_each_carrier
async def test_one_life_carries_many_clients_one_after_the_other(over: Carrier) -> None:
    broker = Broker()
    for _ in range(2):
        async with broker:
            for _ in range(2):
                async with broker.test_client(over=over) as client:
                    await client.expect_nothing()


# Watching.


@over_each_carrier
async def test_a_watcher_sees_each_event_as_it_arrives(over: Carrier) -> None:
    broker = Broker()
    seen: list[object] = []

    @broker.on("count")
    async def count(socket: Socket) -> None:
        for number in range(3):
            await socket.emit("even" if number % 2 == 0 else "odd", number)

    async with broker.test_client(over=over) as client:
        client.watch(lambda event, args: seen.append((event, args)))
        await client.emit("count")
        assert await client.expect("odd") == (1,)
        with pytest.raises(AssertionError, match="even"):
            await client.expect_nothing()
        assert await client.expect("even") == (0,)
        assert await client.expect("even") == (2,)
        await client.expect_nothing()
    assert seen == [("even", (0,)), ("odd", (1,)), ("even", (2,))]


@over_each_carrier
async def test_what_a_watcher_raises_ends_the_block_and_comes_out_alone(over: Carrier) -> None:
    broker = Broker()

    def object_to(event: str, args: tuple[object, ...]) -> None:
        raise LookupError(event)

    async def scenario() -> None:
        async with broker.test_client(over=over) as client:
            client.watch(object_to)
            await broker.emit("news")
            await trio.sleep_forever()

    with pytest.raises(LookupError, match="news"):
        await scenario()


@over_each_carrier
async def test_several_tasks_may_expect_at_once(over: Carrier) -> None:
    broker = Broker()
    got: list[object] = []

    async def expect(event: str) -> None:
        got.append((event, await client.expect(event)))

    async with broker.test_client(over=over) as client, trio.open_nursery() as nursery:
        nursery.start_soon(expect, "a")
        nursery.start_soon(expect, "b")
        await wait_all_tasks_blocked()
        await broker.emit("b", 2)
        await broker.emit("a", 1)
    assert sorted(got) == [("a", (1,)), ("b", (2,))]


# Carriers.


async def test_any_stream_to_the_broker_will_do() -> None:
    broker = Broker()
    async with broker, trio.open_nursery() as nursery:
        address = await nursery.start(broker.serve, "127.0.0.1", 0)
        dial = partial(trio.open_tcp_stream, address.host, address.port)
        async with broker.test_client(over=dial) as client:
            assert broker.sockets[client.id].handshake.address == "127.0.0.1"
            await client.expect_nothing()
        nursery.cancel_scope.cancel()


def test_what_is_no_carrier_is_refused() -> None:
    async def main() -> None:
        async with Broker().test_client(over="pigeon"):  # type: ignore[arg-type]
            pass

    with pytest.raises(ValueError, match="'memory', 'socket' or a network, saw 'pigeon'"):
        trio.run(main)


async def test_a_connection_that_ends_in_its_handshake_raises() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.aclose()

    async def dial() -> trio.abc.Stream:
        return ours

    with trio.fail_after(5), pytest.raises(SocketDisconnected):
        async with Broker().test_client(over=dial):
            pass


async def test_a_server_that_never_answers_is_given_up(autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def dial() -> trio.abc.Stream:
        return ours

    broker = Broker(connect_timeout=7)
    start = trio.current_time()
    with pytest.raises(SocketDisconnected):
        async with broker.test_client(over=dial):
            pass
    assert trio.current_time() - start == pytest.approx(7)
    await theirs.aclose()


def test_a_client_gives_up_a_server_that_has_ceased_to_ping() -> None:
    async def program(sim: Sim) -> None:
        broker = Broker()
        reasons: list[str] = []
        net = sim.net()

        @broker.on("disconnect")
        async def gone(socket: Socket, reason: str) -> None:
            reasons.append(reason)

        async with broker, broker.test_client(over=net, name="phone") as client:
            net.partition("phone", "broker")
            start = trio.current_time()
            with pytest.raises(SocketDisconnected):
                await client.expect("anything")
            assert trio.current_time() - start == pytest.approx(45.0)  # as socket.io-client does
            await client.expect_nothing()
            assert reasons == ["ping timeout"]

    for seed in range(SCHEDULES):
        simulate(program, seed=seed).check()


def test_the_broker_knows_nothing_of_the_simulation() -> None:
    code = "import broker, sys; print([name for name in sys.modules if 'actors.sim' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@over_each_carrier
async def test_one_that_connects_while_the_broker_closes_hears_one_plain_error(
    over: Carrier,
) -> None:
    errors: list[Exception] = []

    async def connect(broker: Broker, failed: trio.Event) -> None:
        try:
            async with broker.test_client(over=over, name="late"):
                pass
        except Exception as error:  # noqa: BLE001 - judged below
            errors.append(error)
        failed.set()

    for steps in [0, 0, 1, 2, 3, 5, 8, 13]:  # that it is ahead; the scheduler shuffles
        broker, failed = Broker(), trio.Event()

        @broker.on("work")
        async def work(_socket: Socket, *, until: trio.Event = failed) -> None:
            await until.wait()  # so that it does not close at once

        async with broker, broker.test_client() as client:
            await client.emit("work")
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connect, broker, failed)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.start_soon(broker.close)
    assert {type(error) for error in errors} == {BrokerNotRunning}


async def test_one_that_connects_when_the_broker_closes_already_hears_it(
    autojump_clock: MockClock,
) -> None:
    async with Broker() as broker, broker.test_client() as client:

        @broker.on("work")
        async def work(_socket: Socket) -> None:
            await trio.sleep(1)

        await client.emit("work")
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.close)
            await wait_all_tasks_blocked()
            with pytest.raises(BrokerNotRunning, match="is being closed"):
                async with broker.test_client():
                    pass


async def test_a_network_that_a_closing_broker_serves_no_more_is_no_error_of_the_brokers(
    autojump_clock: MockClock,
) -> None:
    class Slow:
        """Nobody listens there before the broker has begun to close."""

        def listen(self, _name: str) -> trio.abc.Listener[trio.abc.Stream]:
            nursery.start_soon(broker.close)
            return Deaf()

        async def connect(self, _name: str, *, who: str) -> trio.abc.Stream:
            await trio.sleep(1)
            raise OSError(f"{who}: refused")

    class Deaf(trio.abc.Listener[trio.abc.Stream]):
        async def accept(self) -> trio.abc.Stream:
            await trio.sleep_forever()
            raise AssertionError

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    for _ in range(8):  # the scheduler shuffles
        async with Broker() as broker, broker.test_client(), trio.open_nursery() as nursery:
            with pytest.raises(BrokerNotRunning):
                async with broker.test_client(over=Slow()):
                    pass
