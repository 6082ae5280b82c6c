"""An end of a link is a trio stream, by trio's own checks, whatever kind of network it is on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, check_half_closeable_stream

from actors.sim import CALM, CHAOS, LAN, MOBILE, Faults, Sim, simulate
from actors.sim.link_end import LinkEnd
from actors.sim.net import Net

from .net_script import Script, line

NETWORKS = {
    "calm": CALM,
    "lan": LAN,
    "mobile": MOBILE,
    "chaos": CHAOS,
    "small window": Faults(window=777),
    "small window, late": Faults(window=999, latency=(1.0, 1.0)),
}
networks = pytest.mark.parametrize("faults", NETWORKS.values(), ids=NETWORKS)


async def check(net: Net) -> None:
    async def pair() -> tuple[LinkEnd, LinkEnd]:
        return net.pair("alice", "bob")

    async def clogged() -> tuple[LinkEnd, LinkEnd]:
        alice, bob = net.pair("alice", "bob")
        await alice.send_all(bytes(net.faults.window))
        await bob.send_all(bytes(net.faults.window))
        return alice, bob

    await check_half_closeable_stream(pair, clogged)


@networks
async def test_it_passes_the_checks_of_trio(faults: Faults, autojump_clock: MockClock) -> None:
    await check(Net(Script(), faults))


@networks
def test_it_passes_them_in_a_simulation_whatever_is_torn_and_late(faults: Faults) -> None:
    # A reset is what these checks do not expect.
    gentle = Faults(latency=faults.latency, chunk=faults.chunk, window=faults.window)

    async def program(sim: Sim) -> None:
        await check(sim.net(gentle))

    simulate(program, seed=1, max_steps=1_000_000).check()


# What trio's checks leave open.


Call = Callable[[LinkEnd], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "send_all": lambda end: end.send_all(b"x"),
    "send_all of nothing": lambda end: end.send_all(b""),
    "wait_send_all_might_not_block": lambda end: end.wait_send_all_might_not_block(),
    "receive_some": lambda end: end.receive_some(),
    "send_eof": lambda end: end.send_eof(),
    "aclose": lambda end: end.aclose(),
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


class Steps(trio.abc.Instrument):
    """Counts the scheduler steps of one task."""

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.count = 0
        self._task = task

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is self._task


async def steps_of(call: Call, end: LinkEnd) -> int:
    """How often the caller was suspended in a call."""
    steps = Steps(trio.lowlevel.current_task())
    trio.lowlevel.add_instrument(steps)
    with suppress(trio.ClosedResourceError, trio.BrokenResourceError), assert_checkpoints():
        await call(end)
    trio.lowlevel.remove_instrument(steps)
    return steps.count


@calls
async def test_a_call_that_need_not_wait_is_one_step(call: Call) -> None:
    two = line()
    await two.bob.send_all(b"there already")
    assert await steps_of(call, two.alice) == 1


@calls
async def test_a_call_that_fails_is_one_step(call: Call) -> None:
    two = line()
    two.net.reset(two.alice)
    assert await steps_of(call, two.alice) == 1
    await two.alice.aclose()
    assert await steps_of(call, two.alice) == 1


@calls
async def test_a_call_that_is_cancelled_before_it_had_to_wait_has_done_nothing(call: Call) -> None:
    two = line()
    await two.bob.send_all(b"there already")
    with trio.CancelScope() as scope:
        scope.cancel()
        await call(two.alice)
    assert scope.cancelled_caught
    assert two.net.statistics().links[0].bytes == 0
    if call is not CALLS["aclose"]:
        await two.alice.send_all(b"still open")
        assert await two.bob.receive_some() == b"still open"
        assert await two.alice.receive_some() == b"there already"
    else:
        with pytest.raises(trio.ClosedResourceError):
            await two.alice.send_all(b"closed all the same")


class Sent(trio.abc.Instrument):
    """Notes how much had been sent after each step of any task but this one."""

    def __init__(self, net: Net) -> None:
        self.after: list[int] = []
        self._net = net
        self._task = trio.lowlevel.current_task()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is not self._task:
            self.after.append(self._net.statistics().bytes)


async def test_a_send_is_done_before_others_run() -> None:
    two = line()
    sent = Sent(two.net)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(two.alice.send_all, b"first")
        trio.lowlevel.add_instrument(sent)
    trio.lowlevel.remove_instrument(sent)
    assert sent.after == [5, 5]  # the second step only returns


@pytest.mark.parametrize("wrong", ["text", 5, None, [1, 2]])
async def test_only_bytes_can_be_sent(wrong: Any) -> None:
    two = line()
    with pytest.raises(TypeError):
        await two.alice.send_all(wrong)
    await two.alice.send_all(b"unharmed")
    assert await two.bob.receive_some() == b"unharmed"


async def test_what_was_sent_does_not_change_with_the_senders_buffer() -> None:
    two = line()
    buffer = bytearray(b"before")
    await two.alice.send_all(buffer)
    await two.alice.send_all(memoryview(buffer)[:2])
    buffer[:] = b"after!"
    assert await two.bob.receive_some() == b"beforebe"


@pytest.mark.parametrize(("wrong", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
async def test_a_read_wants_a_whole_number_of_bytes(wrong: Any, error: type[Exception]) -> None:
    two = line()
    await two.bob.send_all(b"kept")
    with pytest.raises(error):
        await two.alice.receive_some(wrong)
    assert await two.alice.receive_some(99) == b"kept"


async def test_a_second_reader_is_told_which_end_is_busy() -> None:
    two = line()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(two.alice.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="receiving from alice"):
            await two.alice.receive_some()
        await two.bob.send_all(b"for the first")
