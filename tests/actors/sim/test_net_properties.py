"""Whatever a script of faults does, what can be read is what was sent, in its order."""

from __future__ import annotations

from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.sim import Faults, Sim, simulate
from actors.sim.link_end import LinkEnd
from actors.sim.net import Net

from .net_script import Dice

moderate = settings(deadline=None, max_examples=150)

gentle = st.builds(
    Faults,
    latency=st.tuples(st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from([0.0, 0.5, 4.0])),
    chunk=st.integers(1, 6),
    window=st.sampled_from([1, 2, 7, 30, 1000]),
    stall=st.sampled_from([(0.0, 0.0), (0.3, 2.0), (1.0, 0.1)]),
)
harsh = st.builds(
    lambda faults, reset, blackhole: Faults(
        latency=faults.latency,
        chunk=faults.chunk,
        window=faults.window,
        stall=faults.stall,
        reset=reset,
        blackhole=blackhole,
    ),
    gentle,
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.0, 0.1]),
)
# Of each direction: the sizes of its sends, and of its reads (None: all there is).
sends = st.lists(st.integers(0, 40), max_size=12)
reads = st.lists(st.none() | st.integers(1, 50), min_size=1, max_size=5)
# When what is done to the net by hand.
troubles = st.lists(
    st.tuples(st.sampled_from([0.0, 0.3, 2.0]), st.sampled_from(["partition", "stall", "heal"])),
    max_size=6,
)


def numbered(sizes: list[int]) -> list[bytes]:
    """Sends of these sizes, in which each byte tells its place."""
    total = 0
    pieces = []
    for size in sizes:
        pieces.append(bytes((total + i) % 251 for i in range(size)))
        total += size
    return pieces


async def make_trouble(net: Net, plan: list[tuple[float, str]]) -> None:
    for pause, what in plan:
        await trio.sleep(pause)
        match what:
            case "partition":
                net.partition("alice", "bob")
            case "stall":
                net.stall("alice", "bob", 1.5)
            case _:
                net.heal()
    await trio.sleep(1.0)
    net.heal()


async def send(end: LinkEnd, sizes: list[int]) -> None:
    for piece in numbered(sizes):
        await end.send_all(piece)
    await end.send_eof()


async def receive(end: LinkEnd, limits: list[int | None]) -> bytes:
    """Read to the end, with these limits again and again."""
    data = b""
    turn = 0
    while piece := await end.receive_some(limits[turn % len(limits)]):
        data += piece
        turn += 1
    return data


@moderate
@given(
    seed=st.integers(0, 2**16),
    faults=gentle,
    ways=st.tuples(sends, sends),
    limits=reads,
    plan=troubles,
)
def test_without_resets_and_black_holes_all_that_is_sent_is_read_in_order(
    seed: int,
    faults: Faults,
    ways: tuple[list[int], list[int]],
    limits: list[int | None],
    plan: list[tuple[float, str]],
) -> None:
    got: dict[str, bytes] = {}

    async def main() -> None:
        net = Net(Dice(seed), faults)
        ends = net.pair("alice", "bob")

        async def read(end: LinkEnd) -> None:
            got[end.name] = await receive(end, limits)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(make_trouble, net, plan)
            for end, sizes in zip(ends, ways, strict=True):
                nursery.start_soon(send, end, sizes)
                nursery.start_soon(read, end)
        statistics = net.statistics()
        assert [link.waiting for link in statistics.links] == [0, 0]
        assert statistics.bytes == sum(map(sum, ways))

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert got == {"bob": b"".join(numbered(ways[0])), "alice": b"".join(numbered(ways[1]))}


@moderate
@given(
    seed=st.integers(0, 2**16),
    faults=harsh,
    sizes=sends,
    limits=reads,
    ending=st.sampled_from(["close", "close at once", "reset", "hang up", "none"]),
)
def test_with_them_a_beginning_of_it_is_read_and_nobody_waits_but_for_a_black_hole(
    seed: int, faults: Faults, sizes: list[int], limits: list[int | None], ending: str
) -> None:
    whole = b"".join(numbered(sizes))

    async def main() -> None:
        dice = Dice(seed)
        net = Net(dice, faults)
        alice, bob = net.pair("alice", "bob")
        got = bytearray()

        async def write() -> None:
            try:
                await send(alice, sizes)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                assert "resets" in dice.kinds or ending != "none"

        async def read() -> None:
            turn = 0
            try:
                while piece := await bob.receive_some(limits[turn % len(limits)]):
                    got.extend(piece)
                    turn += 1
            except trio.BrokenResourceError:
                assert "resets" in dice.kinds

        async def end() -> None:
            await trio.sleep(0.0 if ending == "close at once" else 1.0)
            match ending:
                case "reset":
                    net.reset(bob)
                case "hang up":
                    net.hang_up(bob)
                case "close" | "close at once":
                    await alice.aclose()

        with trio.move_on_after(10_000.0) as scope:
            async with trio.open_nursery() as nursery:
                for task in (write, read, end):
                    nursery.start_soon(task)
        assert whole.startswith(bytes(got))
        if scope.cancelled_caught:
            assert "black holes" in dice.kinds
        elif not dice.kinds or set(dice.kinds) <= {"torn sends", "stalls"}:
            assert ending.startswith("close") or bytes(got) == whole

    trio.run(main, clock=MockClock(autojump_threshold=0))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    faults=gentle,
    sizes=sends,
    limits=reads,
    timers=st.sampled_from([0.0, 0.1]),
)
def test_it_is_the_same_in_a_simulation_with_timers_that_fire_early(
    seed: int, faults: Faults, sizes: list[int], limits: list[int | None], timers: float
) -> None:
    async def program(sim: Sim) -> bytes:
        alice, bob = sim.net(faults).pair("alice", "bob")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, alice, sizes)
            got: Any = await receive(bob, limits)
        assert got == b"".join(numbered(sizes))
        return b""

    simulate(program, seed=seed, timers=timers, max_steps=100_000).check()
