"""Time in a simulation: it passes only when nothing else can happen, and then at once.

Without a word to the contrary; early timers are such a word.
"""

# ruff: noqa: ASYNC110, ASYNC115, ASYNC116 - how long a sleep is, is what these tests are about

from __future__ import annotations

import math
import time

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sim import NeverHappened, Sim, explore, simulate
from actors.sim.sandbox import EPOCH

from .planted import scripted

moderate = settings(deadline=None, max_examples=40)

durations = st.one_of(
    st.floats(0, 1e-3), st.floats(0, 10), st.floats(0, 1e12), st.sampled_from([0.1, 0.2, 0.3])
)


def test_a_sleep_takes_one_step_and_no_time_of_ours() -> None:
    async def program(sim: Sim) -> tuple[float, float]:
        before = sim.steps
        await trio.sleep(1e9)
        return trio.current_time(), sim.steps - before

    begun = time.perf_counter()
    run = simulate(program).check()
    assert run.value == (1e9, 1)
    assert run.record.seconds == 1e9
    assert time.perf_counter() - begun < 10


def test_time_begins_at_zero_and_stands_still_while_tasks_can_run() -> None:
    async def program(sim: Sim) -> list[float]:
        times = [trio.current_time()]
        for _ in range(1000):
            await trio.lowlevel.checkpoint()
        return [*times, trio.current_time(), sim.clock.current_time()]

    assert simulate(program).check().value == [0.0, 0.0, 0.0]


@moderate
@given(sleeps=st.lists(st.lists(durations, max_size=4), min_size=1, max_size=4))
def test_sleepers_wake_at_their_time_in_the_order_of_time(sleeps: list[list[float]]) -> None:
    async def program(sim: Sim) -> list[float]:
        woken: list[float] = []

        async def sleeper(times: list[float]) -> None:
            for seconds in times:
                until = trio.current_time() + seconds
                await trio.sleep(seconds)
                assert trio.current_time() == pytest.approx(until)
                woken.append(until)

        async with trio.open_nursery() as nursery:
            for times in sleeps:
                nursery.start_soon(sleeper, times)
        return woken

    run = simulate(program, seed=3).check()
    assert run.value == sorted(run.value)
    assert run.record.seconds == max(run.value, default=0.0)


@moderate
@given(deadline=durations, work=durations, seed=st.integers(0, 20))
def test_a_timeout_cancels_what_lasts_longer_and_nothing_else(
    deadline: float, work: float, seed: int
) -> None:
    async def program(sim: Sim) -> tuple[bool, float]:
        with trio.move_on_after(deadline) as scope:
            await trio.sleep(work)
        return scope.cancelled_caught, trio.current_time()

    cancelled, now = simulate(program, seed=seed).check().value
    assert cancelled == (deadline <= work)
    assert now == min(deadline, work)


def test_a_task_that_can_run_is_never_late() -> None:
    """Without early timers: no timeout beats what takes no time, in any schedule."""

    async def program(sim: Sim) -> None:
        send, receive = trio.open_memory_channel[int](0)

        async def answer() -> None:
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            await send.send(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            with trio.fail_after(1e-9):
                await receive.receive()

    report = explore(program, runs=100).check()
    assert report.runs == 100
    assert "timers fired early" not in report.counts


@pytest.mark.parametrize("past", [0.0, -1.0, -math.inf])
def test_a_deadline_that_has_passed_cancels_at_once(past: float) -> None:
    async def program(sim: Sim) -> float:
        await trio.sleep(5)
        with trio.CancelScope(deadline=trio.current_time() + past) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught
        with trio.move_on_at(1) as scope:
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        await trio.sleep_until(2)
        await trio.sleep(0)
        return trio.current_time()

    assert simulate(program).check().value == 5.0


def test_a_deadline_can_be_moved_while_it_is_waited_for() -> None:
    async def program(sim: Sim) -> list[float]:
        times: list[float] = []

        async def wait(scope: trio.CancelScope) -> None:
            with scope:
                await trio.sleep_forever()
            times.append(trio.current_time())

        sooner, later = trio.CancelScope(deadline=100), trio.CancelScope(deadline=100)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, sooner)
            nursery.start_soon(wait, later)
            await trio.sleep(1)
            sooner.deadline = 2
            later.deadline = 1000
        return times

    assert simulate(program).check().value == [2.0, 1000.0]


# The clocks of the module `time`.


def test_the_clocks_of_python_show_virtual_time() -> None:
    async def program(sim: Sim) -> None:
        for seconds in (0.0, 2.5):
            await trio.sleep_until(seconds)
            assert time.monotonic() == time.perf_counter() == trio.current_time() == seconds
            assert time.time() == EPOCH + seconds
            assert time.monotonic_ns() == time.perf_counter_ns() == seconds * 10**9
            assert time.time_ns() == EPOCH * 10**9 + seconds * 10**9

    simulate(program).check()


@pytest.mark.parametrize(
    "name", ["time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns"]
)
@pytest.mark.parametrize("fails", [False, True])
def test_the_clocks_are_given_back(name: str, fails: bool) -> None:
    before = getattr(time, name)

    async def program(sim: Sim) -> None:
        assert getattr(time, name) is not before
        assert not fails

    run = simulate(program)
    assert (run.error is None) == (not fails)
    assert getattr(time, name) is before


# Timers that fire early.


async def heartbeat(sim: Sim) -> None:
    """The peer answers at once, and yet a timer that fires early declares it dead."""
    ping, pinged = trio.open_memory_channel[int](1)
    pong, ponged = trio.open_memory_channel[int](1)

    async def peer() -> None:
        async for number in pinged:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            await pong.send(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer, name="peer")
        for number in range(5):
            await ping.send(number)
            with trio.move_on_after(10) as scope:
                await ponged.receive()
            assert not scope.cancelled_caught, "peer declared dead"
            await trio.sleep(1)
        nursery.cancel_scope.cancel()


def test_early_timers_find_what_depends_on_a_timeout_being_slow() -> None:
    assert explore(heartbeat, runs=100).check().failure is None
    report = explore(heartbeat, runs=200, timers=0.1)
    assert report.failure is not None
    assert report.counts["timers fired early"] >= 1
    again = simulate(heartbeat, replay=report.failure.token, timers=0.1)
    assert report.failure.diff(again) == ""
    assert "fires 10 s early" in report.failure.text()


@moderate
@given(chances=st.lists(st.booleans(), max_size=40), sleeps=st.lists(durations, max_size=3))
def test_an_early_timer_is_early_for_the_others_but_never_for_itself(
    chances: list[bool], sleeps: list[float]
) -> None:
    async def program(sim: Sim) -> None:
        async def sleeper(seconds: float) -> None:
            for _ in range(2):
                before = trio.current_time()
                await trio.sleep(seconds)
                assert trio.current_time() >= before + seconds
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for seconds in sleeps:
                nursery.start_soon(sleeper, seconds)

    run = simulate(program, strategy=scripted([], chances=chances), timers=0.5).check()
    again = simulate(program, replay=run.token, timers=0.5).check()
    assert run.diff(again) == ""
    assert again.record.seconds == run.record.seconds
    assert again.record.counts == run.record.counts


def test_all_timers_early_is_still_a_run_that_ends() -> None:
    async def program(sim: Sim) -> None:
        async def beat() -> None:
            for _ in range(20):
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(beat)
            for _ in range(50):
                await trio.lowlevel.checkpoint()

    simulate(program, timers=1.0).check()


@pytest.mark.parametrize("timers", [-0.1, 1.1, math.nan])
def test_a_probability_of_early_timers_is_from_0_to_1(timers: float) -> None:
    with pytest.raises(ValueError, match="timers"):
        simulate(heartbeat, timers=timers)


# Waiting for something to become true, or for nothing to happen any more.


def test_eventually_waits_until_it_is_true_and_no_longer() -> None:
    async def program(sim: Sim) -> float:
        done: list[int] = []

        async def work() -> None:
            await trio.sleep(7)
            done.append(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await sim.eventually(lambda: done)
            return trio.current_time()

    for seed in range(20):
        assert simulate(program, seed=seed).check().value == 7.0


def test_eventually_sees_what_is_true_for_one_step_only() -> None:
    async def program(sim: Sim) -> None:
        state = "before"

        async def work() -> None:
            nonlocal state
            await trio.lowlevel.checkpoint()
            state = "now"
            await trio.lowlevel.checkpoint()
            state = "over"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await sim.eventually(lambda: state == "now")

    for seed in range(20):
        simulate(program, seed=seed).check()


def test_eventually_ends_with_an_error_after_its_time() -> None:
    async def program(sim: Sim) -> None:
        try:
            await sim.eventually(lambda: False, within=3)
        finally:
            assert trio.current_time() == 3.0

    with pytest.raises(NeverHappened, match="3 virtual seconds"):
        simulate(program).check()


def test_a_condition_that_never_came_is_named_whatever_its_repr_does() -> None:
    class Condition:
        def __repr__(self) -> str:
            raise KeyError

        def __call__(self) -> bool:
            return False

    async def program(sim: Sim) -> None:
        await sim.eventually(Condition(), within=3)

    with pytest.raises(NeverHappened, match="Condition"):
        simulate(program).check()


def test_eventually_is_at_once_when_it_is_true_already() -> None:
    async def program(sim: Sim) -> float:
        await sim.eventually(lambda: True, within=1)
        return trio.current_time()

    assert simulate(program).check().value == 0.0


def test_quiesce_waits_until_nothing_can_happen_any_more() -> None:
    async def program(sim: Sim) -> tuple[bool, float, bool]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 5)
            nursery.start_soon(trio.sleep_forever)
            still = await sim.quiesce()
            ended = len(nursery.child_tasks) == 1
            now = trio.current_time()
            nursery.cancel_scope.cancel()
        return still, now, ended

    for seed in range(10):
        assert simulate(program, seed=seed).check().value == (True, 5.0, True)


@pytest.mark.parametrize("within", [0.0, 1.0, 10.0, 60.0])
def test_quiesce_gives_up_on_a_heartbeat_when_its_time_has_passed(within: float) -> None:
    async def program(sim: Sim) -> tuple[bool, float]:
        async def beat() -> None:
            while True:
                await trio.sleep(3)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(beat)
            still = await sim.quiesce(within)
            now = trio.current_time()
            nursery.cancel_scope.cancel()
        return still, now

    assert simulate(program).check().value == (False, within)


def test_quiesce_can_be_cancelled_and_called_by_several() -> None:
    async def program(sim: Sim) -> list[object]:
        log: list[object] = []

        async def quiet(within: float) -> None:
            log.append((await sim.quiesce(within), trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 50)
            for within in (10, 20, 10, 100):
                nursery.start_soon(quiet, within)
            with trio.move_on_after(5) as scope:
                await sim.quiesce()
            assert scope.cancelled_caught
        return log

    expected = [(False, 10.0), (False, 10.0), (False, 20.0), (True, 50.0)]
    assert simulate(program).check().value == expected


def test_after_quiesce_there_are_no_faults_and_no_early_timers() -> None:
    async def program(sim: Sim) -> list[bool]:
        await sim.quiesce()
        with trio.move_on_after(1):
            for _ in range(50):
                await trio.lowlevel.checkpoint()
        assert trio.current_time() == 0.0
        return [sim.maybe("a fault", p=1.0) for _ in range(20)]

    for seed in range(10):
        run = simulate(program, seed=seed, timers=1.0).check()
        assert not any(run.value)
        assert "timers fired early" not in run.record.counts


def test_a_program_may_move_its_clock() -> None:
    async def program(sim: Sim) -> float:
        with trio.move_on_after(5) as scope:
            sim.clock.jump(10)
            await trio.sleep_forever()
        assert scope.cancelled_caught
        return trio.current_time()

    assert simulate(program).check().value == 10.0
