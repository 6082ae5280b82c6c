"""Hosts by name: who listens, who connects, and what cuts them off from each other."""

from __future__ import annotations

import math

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.sim import Faults
from actors.sim.link import LinkStatistics
from actors.sim.link_end import LinkEnd
from actors.sim.net import Net

from .net_script import Script, Tale, line, read_to_end


def net_with(**faults: object) -> tuple[Net, Script]:
    script = Script()
    return Net(script, Faults(**faults)), script  # type: ignore[arg-type]


# Connecting.


async def test_a_connection_has_two_ends_with_names() -> None:
    net, _ = net_with()
    listener = net.listen("broker")
    client = await net.connect("broker")
    server = await listener.accept()
    assert (client.name, server.name) == ("client", "broker←client")
    await client.send_all(b"hello")
    assert await server.receive_some() == b"hello"


async def test_the_connections_of_one_host_are_numbered() -> None:
    net, _ = net_with()
    listener = net.listen("broker")
    clients = [await net.connect("broker", who="phone") for _ in range(3)]
    other = await net.connect("broker", who="tablet")
    servers = [await listener.accept() for _ in range(4)]
    assert [end.name for end in clients] == ["phone", "phone#2", "phone#3"]
    assert [end.name for end in servers] == [
        "broker←phone",
        "broker←phone#2",
        "broker←phone#3",
        "broker←tablet",
    ]
    assert other.name == "tablet"
    assert [end.name for end in net.pair("phone", "broker")] == ["phone#4", "broker"]


@pytest.mark.parametrize("base", [0.0, 1.0])
async def test_nobody_can_connect_to_a_host_that_does_not_listen(
    base: float, autojump_clock: MockClock
) -> None:
    net, _ = net_with(latency=(base, 0.0))
    net.listen("broker")
    with pytest.raises(ConnectionRefusedError, match=r"nobody listens on 'borker'.*: broker") as e:
        await net.connect("borker")
    assert isinstance(e.value, OSError)
    assert (await net.connect("broker")).name == "client"  # a refused one has no number


async def test_a_connection_takes_a_round_trip(autojump_clock: MockClock) -> None:
    net, _ = net_with(latency=(0.5, 3.0))
    net.listen("broker")
    begin = trio.current_time()
    await net.connect("broker")
    assert trio.current_time() == begin + 1.0


async def test_one_connection_can_be_worse_than_the_others(autojump_clock: MockClock) -> None:
    net, _ = net_with()
    listener = net.listen("broker")
    slow = await net.connect("broker", faults=Faults(latency=(2.0, 0.0)))
    server = await listener.accept()
    begin = trio.current_time()
    await slow.send_all(b"x")
    await server.receive_some()
    assert trio.current_time() == begin + 2.0


async def test_who_connects_waits_while_the_backlog_is_full() -> None:
    net, _ = net_with()
    listener = net.listen("broker", backlog=2)
    connected: list[str] = []

    async def connect(who: str) -> None:
        await net.connect("broker", who=who)
        connected.append(who)

    async with trio.open_nursery() as nursery:
        for who in "abcd":
            nursery.start_soon(connect, who)
        await wait_all_tasks_blocked()
        assert len(connected) == 2
        await listener.accept()
        await wait_all_tasks_blocked()
        assert len(connected) == 3
        await listener.accept()
    assert sorted(connected) == ["a", "b", "c", "d"]


async def test_a_connect_that_is_cancelled_leaves_nothing_behind() -> None:
    net, _ = net_with()
    listener = net.listen("broker", backlog=1)
    await net.connect("broker")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(net.connect, "broker", "late")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await listener.accept()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.accept)
            await wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert len(net.statistics().links) == 2


# Listening.


async def test_a_listener_that_closes_wakes_all_who_wait_for_it() -> None:
    net, script = net_with()
    listener = net.listen("broker", backlog=1)
    waiting = await net.connect("broker")
    ends: list[str] = []

    async def accept(second: trio.abc.Listener[trio.abc.Stream]) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await second.accept()
        ends.append("accept")

    async def connect() -> None:
        with pytest.raises(ConnectionRefusedError):
            await net.connect("broker")
        ends.append("connect")

    async with trio.open_nursery() as nursery:
        other = net.listen("other")
        nursery.start_soon(connect)
        nursery.start_soon(accept, other)
        await wait_all_tasks_blocked()
        await listener.aclose()
        await other.aclose()
    assert sorted(ends) == ["accept", "connect"]
    with pytest.raises(trio.BrokenResourceError):
        await waiting.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
    await listener.aclose()
    assert script.kinds == ["resets"]


async def test_two_tasks_can_accept_and_each_connection_goes_to_one() -> None:
    net, _ = net_with()
    listener = net.listen("broker")
    accepted: list[str] = []

    async def accept() -> None:
        accepted.append((await listener.accept()).name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        nursery.start_soon(accept)
        await wait_all_tasks_blocked()
        await net.connect("broker", "a")
        await net.connect("broker", "b")
    assert sorted(accepted) == ["broker←a", "broker←b"]


async def test_one_host_is_listened_on_once_at_a_time() -> None:
    net, _ = net_with()
    first = net.listen("broker")
    with pytest.raises(OSError, match="somebody listens on 'broker' already"):
        net.listen("broker")
    with pytest.raises(ValueError, match="backlog"):
        net.listen("other", backlog=0)
    await first.aclose()
    second = net.listen("broker")
    await net.connect("broker")
    assert (await second.accept()).name == "broker←client"


async def test_the_trace_sees_a_connection_go_to_who_accepts_it() -> None:
    tale = Tale()
    net = Net(Script(trace=tale))
    listener = net.listen("broker")
    await net.connect("broker")
    assert tale.received_texts == []
    await listener.accept()
    assert tale.received_texts == ["connection broker←client"]
    assert tale.channels == ["listener broker"]


# Partitions and stalls by hand.


async def test_a_partition_holds_back_both_ways_until_it_is_healed(
    autojump_clock: MockClock,
) -> None:
    two = line(latency=(1.0, 0.0))
    await two.alice.send_all(b"arrived ")
    await trio.sleep(1.0)
    await two.alice.send_all(b"in flight ")
    two.net.partition("alice", "bob")
    await two.alice.send_all(b"held")
    await two.bob.send_all(b"held, too")
    await two.bob.send_eof()
    await trio.sleep(1000.0)
    assert await two.bob.receive_some() == b"arrived "
    for end in (two.alice, two.bob):
        with trio.move_on_after(1000.0) as scope:
            await end.receive_some()
        assert scope.cancelled_caught
    two.net.heal()
    begin = trio.current_time()
    assert await two.bob.receive_some() == b"in flight held"
    assert await read_to_end(two.alice) == b"held, too"
    assert trio.current_time() == begin + 1.0
    assert two.script.kinds == ["partitions"]
    assert two.script.notes == ["alice and bob reach each other again"]


async def test_healing_wakes_a_reader_that_waits() -> None:
    two = line()
    two.net.partition("bob", "alice")
    await two.alice.send_all(b"held")
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            assert await two.bob.receive_some() == b"held"

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        two.net.heal()


async def test_no_connection_is_made_during_a_partition() -> None:
    net, _ = net_with()
    listener = net.listen("broker")
    net.partition("broker", "phone")
    connected: list[str] = []

    async def connect(who: str) -> None:
        connected.append((await net.connect("broker", who)).name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connect, "phone")
        nursery.start_soon(connect, "tablet")
        await wait_all_tasks_blocked()
        assert connected == ["tablet"]
        assert (await listener.accept()).name == "broker←tablet"
        net.heal()
    assert connected == ["tablet", "phone"]


async def test_a_pair_that_is_made_during_a_partition_is_cut_off_too(
    autojump_clock: MockClock,
) -> None:
    net, _ = net_with()
    net.partition("alice", "bob")
    alice, bob = net.pair("alice", "bob")
    await alice.send_all(b"held")
    await bob.send_all(b"held")
    for end in (alice, bob):
        with trio.move_on_after(1000.0) as scope:
            await end.receive_some()
        assert scope.cancelled_caught
    net.heal()
    assert await alice.receive_some() == await bob.receive_some() == b"held"


async def test_others_do_not_notice_a_partition() -> None:
    net, _ = net_with()
    net.partition("alice", "bob")
    alice, carol = net.pair("alice", "carol")
    await alice.send_all(b"hello")
    assert await carol.receive_some() == b"hello"


async def test_a_partition_that_is_there_is_no_second_one() -> None:
    net, script = net_with()
    net.partition("alice", "bob")
    net.partition("bob", "alice")
    assert script.kinds == ["partitions"]
    with pytest.raises(ValueError, match="cut off from itself"):
        net.partition("bob", "bob")


async def test_a_reset_of_a_close_is_held_back_by_a_partition() -> None:
    two = line()
    await two.bob.send_all(b"unread")
    two.net.partition("alice", "bob")
    await two.alice.aclose()
    await two.bob.send_all(b"nothing is known yet")
    two.net.heal()
    with pytest.raises(trio.BrokenResourceError):
        await two.bob.send_all(b"now it is")


async def until_broken(end: LinkEnd, size: int) -> None:
    with pytest.raises(trio.BrokenResourceError):
        await end.send_all(bytes(size))


async def test_healing_wakes_a_sender_whose_peer_closed_meanwhile() -> None:
    two = line(window=10)
    two.net.partition("alice", "bob")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_broken, two.bob, 100)
        await wait_all_tasks_blocked()
        await two.alice.aclose()
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        two.net.heal()


async def test_healing_a_stall_of_one_way_wakes_a_sender_of_the_other_way(
    autojump_clock: MockClock,
) -> None:
    two = line(0, 1, window=10, stall=(0.1, 500.0))
    await two.bob.send_all(b"unread")
    await two.alice.send_all(b"stalled")
    begin = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_broken, two.bob, 100)
        await wait_all_tasks_blocked()
        await two.alice.aclose()  # its reset is behind the stalled bytes
        await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        two.net.heal()
    assert trio.current_time() == begin


async def test_a_stall_by_hand_holds_back_all_connections_of_two_hosts(
    autojump_clock: MockClock,
) -> None:
    two = line()
    more = two.net.pair("alice", "bob")
    begin = trio.current_time()
    two.net.stall("bob", "alice", 5.0)
    await two.alice.send_all(b"x")
    await more[1].send_all(b"x")
    await two.bob.receive_some()
    assert trio.current_time() == begin + 5.0
    await more[0].receive_some()
    assert trio.current_time() == begin + 5.0
    assert two.script.kinds == ["stalls"]


async def test_healing_ends_a_stall(autojump_clock: MockClock) -> None:
    two = line()
    begin = trio.current_time()
    two.net.stall("alice", "bob", 500.0)
    await two.alice.send_all(b"x")
    two.net.heal()
    await two.bob.receive_some()
    assert trio.current_time() == begin


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
async def test_a_stall_lasts_longer_than_nothing_and_has_an_end(seconds: float) -> None:
    two = line()
    with pytest.raises(ValueError, match="seconds: expected more than 0, and an end"):
        two.net.stall("alice", "bob", seconds)


async def test_healing_a_net_without_trouble_wakes_nobody() -> None:
    two = line()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(two.bob.receive_some)
        await wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_runnable
        two.net.heal()
        assert trio.lowlevel.current_statistics().tasks_runnable == before
        nursery.cancel_scope.cancel()
    assert two.script.notes == []


# Statistics.


async def test_statistics_are_a_value_of_what_went_over_each_link() -> None:
    net, _ = net_with()
    listener = net.listen("broker")
    client = await net.connect("broker")
    server = await listener.accept()
    await client.send_all(b"12345")
    await client.send_all(b"678")
    await server.receive_some(6)
    await server.send_all(b"9")
    statistics = net.statistics()
    assert statistics.links == (
        LinkStatistics("client→broker", bytes=8, segments=2, waiting=2),
        LinkStatistics("broker→client", bytes=1, segments=1, waiting=1),
    )
    assert (statistics.listening, statistics.bytes, statistics.segments) == (("broker",), 9, 3)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        statistics.bytes = 0  # type: ignore[misc]
    assert repr(listener) == "<NetListener broker, 0 waiting>"
    assert repr(net) == "<Net, broker listening, 1 connections made>"
