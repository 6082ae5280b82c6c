"""Which task runs when: one per step, of the schedule's choice, and nothing else is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sim import Deadlock, Run, Sim, Strategy, TaskView, simulate
from actors.sim.scheduler import LONGEST_STREAK

from .planted import First, Last, checkpoints, scripted

moderate = settings(deadline=None, max_examples=40)


def passed(run: Run) -> Run:
    return run.check()


# One task per step.


class Ticks(trio.abc.Instrument):
    """What Trio's loop does: which tasks take a step in each of its ticks."""

    def __init__(self) -> None:
        self.ticks: list[list[str]] = [[]]

    def before_io_wait(self, timeout: float) -> None:
        self.ticks.append([])

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.ticks[-1].append(task.name)


@moderate
@given(
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    picks=st.lists(st.integers(0, 4), max_size=20),
)
def test_no_tick_of_trios_loop_runs_two_tasks_and_the_history_is_what_ran(
    counts: list[int], picks: list[int]
) -> None:
    seen = Ticks()

    async def program(sim: Sim) -> object:
        trio.lowlevel.add_instrument(seen)
        return await checkpoints(*counts)(sim)

    run = passed(simulate(program, strategy=scripted(picks)))
    assert max(map(len, seen.ticks)) == 1
    ours = [name for tick in seen.ticks for name in tick if name.startswith("t")]
    names = [run.record.names[number] for number in run.record.history]
    assert [name for name in names if name.startswith("t")] == ours[: run.steps]
    assert [f"t{number}" for number in run.value] == ours[: len(run.value)]
    assert run.steps == len(run.record.history)
    assert Counter(run.value) == Counter(
        number for number, count in enumerate(counts) for _ in range(count)
    )


def test_every_order_of_steps_can_be_had() -> None:
    """Trio itself has two orders per tick: most of these it never shows."""
    orders = {
        tuple(passed(simulate(checkpoints(2, 2, 1), seed=seed, strategy="random")).value)
        for seed in range(300)
    }
    assert len(orders) == 30  # 5! / (2! * 2!)


def test_a_strategy_is_asked_only_where_there_is_a_choice() -> None:
    run = passed(simulate(checkpoints(10), strategy=Last))
    assert len(run.tape) == 1  # of the random numbers only
    assert run.steps > 10


# The plain order.


def test_in_the_plain_order_a_task_runs_until_it_blocks() -> None:
    run = passed(simulate(checkpoints(3, 2, 3), strategy="plain"))
    assert run.value == [0, 0, 0, 1, 1, 2, 2, 2]
    assert run.decisions == 0


@pytest.mark.parametrize("other", [First, scripted([])], ids=["class", "function"])
def test_choices_of_zero_are_the_plain_order(other: Callable[[int], Strategy]) -> None:
    plain = passed(simulate(checkpoints(3, 2, 3), strategy="plain"))
    mine = passed(simulate(checkpoints(3, 2, 3), strategy=other))
    replayed = passed(simulate(checkpoints(3, 2, 3), replay=[]))
    assert plain.record.history == mine.record.history == replayed.record.history


async def scripts(sim: Sim, tasks: Sequence[Sequence[tuple[str, int]]]) -> None:
    """Run tasks that do what their lists say; `sim.log` is which task did its next thing."""
    events = [trio.Event() for _ in range(3)]
    log: list[int] = sim.log  # type: ignore[attr-defined]

    async def task(number: int) -> None:
        log.append(number)
        for what, which in tasks[number]:
            if what == "set":
                events[which].set()
            elif what == "wait":
                await events[which].wait()
                log.append(number)
            else:
                await trio.lowlevel.checkpoint()
                log.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(len(tasks)):
            nursery.start_soon(task, number, name=f"t{number}")


def plain_order(tasks: Sequence[Sequence[tuple[str, int]]]) -> tuple[list[int], set[int]]:
    """The model: the order of steps, and which tasks never end."""
    waiting: list[set[int]] = [set(), set(), set()]
    happened = [False, False, False]
    at = [0] * len(tasks)
    ready = list(range(len(tasks)))
    log: list[int] = []
    while ready:
        number = ready.pop(0)
        log.append(number)
        woken: list[int] = []
        goes_on = False
        while at[number] < len(tasks[number]):
            what, which = tasks[number][at[number]]
            at[number] += 1
            if what == "set":
                happened[which] = True
                woken += waiting[which]
                waiting[which] = set()
            else:
                goes_on = what == "step" or happened[which]
                if not goes_on:
                    waiting[which].add(number)
                break
        ready += sorted(woken)
        if goes_on:
            ready.insert(0, number)
    return log, set().union(*waiting)


action = st.tuples(st.sampled_from(["step", "set", "wait"]), st.integers(0, 2))


@moderate
@given(tasks=st.lists(st.lists(action, max_size=6), min_size=1, max_size=5))
def test_the_plain_order_is_who_goes_on_then_who_waits_longest(
    tasks: list[list[tuple[str, int]]],
) -> None:
    log: list[int] = []

    async def program(sim: Sim) -> None:
        sim.log = log  # type: ignore[attr-defined]
        await scripts(sim, tasks)

    run = simulate(program, strategy="plain")
    expected, blocked = plain_order(tasks)
    assert log == expected
    if blocked:
        assert isinstance(run.error, Deadlock)
        assert run.error.tasks == {"main", *(f"t{number}" for number in blocked)}
    else:
        assert run.error is None


@moderate
@given(
    tasks=st.lists(st.lists(action, max_size=6), min_size=1, max_size=5),
    seed=st.integers(0, 2**64),
    timers=st.sampled_from([0.0, 0.5]),
    lag=st.none() | st.integers(1, 4),
)
def test_a_seed_means_one_run_whatever_the_program(
    tasks: list[list[tuple[str, int]]], seed: int, timers: float, lag: int | None
) -> None:
    async def program(sim: Sim) -> None:
        sim.log = []  # type: ignore[attr-defined]
        await scripts(sim, tasks)

    once = simulate(program, seed=seed, timers=timers, lag=lag)
    twice = simulate(program, seed=seed, timers=timers, lag=lag)
    again = simulate(program, replay=once.token, timers=timers, lag=lag)
    for other in (twice, again):
        assert once.diff(other) == ""
        assert once.record.history == other.record.history
    assert again.misaligned == 0


def test_a_task_that_only_passes_checkpoints_does_not_keep_the_others_out() -> None:
    async def program(sim: Sim) -> int:
        done = trio.Event()
        spins = 0

        async def other() -> None:
            await trio.lowlevel.checkpoint()
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            while not done.is_set():
                spins += 1
                await trio.lowlevel.checkpoint()
        return spins

    spins = passed(simulate(program, strategy="plain")).value
    assert LONGEST_STREAK < spins <= LONGEST_STREAK + 2


def test_two_tasks_that_spin_share_the_steps_in_long_turns() -> None:
    total = 3 * LONGEST_STREAK
    run = passed(simulate(checkpoints(total, total), strategy="plain"))
    changes = sum(a != b for a, b in pairwise(run.value))
    assert 3 <= changes <= 6
    assert Counter(run.value) == {0: total, 1: total}


# What a strategy sees.


class Checking(Strategy):
    """Picks at random, and checks that what it is shown is what the documentation says."""

    name = "checking"

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
        assert len(ready) >= 2
        assert len({view.number for view in ready}) == len(ready)
        assert len({view.name for view in ready}) == len(ready)
        assert len({view.key for view in ready}) == len(ready)
        assert not any(view.system or view.frozen or view.ended or view.apart for view in ready)
        if current in ready:
            assert ready.index(current) in {0, len(ready) - 1}
        return self.rng.randrange(len(ready))


async def busy(sim: Sim) -> None:
    """A program with a bit of everything that Trio has."""
    send, receive = trio.open_memory_channel[int](1)
    lock, limiter = trio.Lock(), trio.CapacityLimiter(2)
    semaphore = trio.Semaphore(1)

    async def producer(number: int) -> None:
        async with limiter, lock:
            await trio.sleep(number / 10)
        async with semaphore:
            await send.send(number)

    async def consumer() -> None:
        for _ in range(3):
            await receive.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consumer)
        async with trio.open_nursery() as inner:
            for number in range(3):
                inner.start_soon(producer, number, name="producer")
        trio.lowlevel.current_trio_token().run_sync_soon(lambda: None)
        await trio.to_thread.run_sync(lambda: None)
        with trio.move_on_after(1):
            await trio.sleep_forever()


@pytest.mark.parametrize("options", [{}, {"lag": 2}, {"timers": 0.3}], ids=str)
def test_a_strategy_is_shown_tasks_that_can_run_and_no_other(options: dict[str, Any]) -> None:
    for seed in range(40):
        run = simulate(busy, seed=seed, strategy=Checking, **options)
        assert run.error is None, run.error


def test_tasks_are_called_what_the_user_calls_them() -> None:
    names: list[str] = []

    class Names(First):
        def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
            names.extend(view.name for view in ready)
            return 0

    async def program(sim: Sim) -> None:
        async def room() -> None:
            await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(room)
            nursery.start_soon(room, name="lobby")
            nursery.start_soon(room, name="lobby")
            await trio.lowlevel.checkpoint()

    passed(simulate(program, strategy=Names))
    assert set(names) == {"main", "room", "lobby", "lobby#2"}


def test_no_two_tasks_have_one_name_whatever_they_are_called() -> None:
    async def program(sim: Sim) -> None:
        async with trio.open_nursery() as nursery:
            for name in ["a", "a", "a#2", "a#2", "main", "a#3", "", "\ud800", "a\nb"]:
                nursery.start_soon(trio.lowlevel.checkpoint, name=name)

    run = passed(simulate(program, strategy=Checking))
    names = list(run.record.names.values())
    assert len(names) == len(set(names))
    assert run.text()


# Who is passed over.


@moderate
@given(
    lag=st.integers(1, 6), tasks=st.integers(2, 5), picks=st.lists(st.integers(0, 4), max_size=200)
)
def test_with_a_lag_nobody_is_passed_over_more_often(
    lag: int, tasks: int, picks: list[int]
) -> None:
    run = passed(simulate(checkpoints(*[40] * tasks), strategy=scripted(picks), lag=lag))
    waits = [0] * tasks
    left = Counter(run.value)
    for number in run.value:
        left[number] -= 1
        for other in range(tasks):
            waits[other] = 0 if other == number or not left[other] else waits[other] + 1
        # Several who are due at once wait for each other.
        assert max(waits) <= lag + tasks


def test_without_a_lag_a_task_can_be_passed_over_for_ever() -> None:
    class Starving(Strategy):
        def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
            return next(i for i, view in enumerate(ready) if view.name != "t0")

    assert passed(simulate(checkpoints(1, 50), strategy=Starving)).value == [1] * 50 + [0]
    fair = passed(simulate(checkpoints(1, 50), strategy=Starving, lag=5)).value
    assert fair.index(0) <= 7


def test_who_ran_because_no_other_could_has_been_passed_over_by_nobody() -> None:
    seen: list[int] = []

    class Watching(Strategy):
        def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
            seen.extend(view.passed_over for view in ready if view.name == "late" and view.steps)
            return next(i for i, view in enumerate(ready) if view.name != "late")

    async def program(sim: Sim) -> None:
        async def early() -> None:
            for _ in range(4):
                await trio.lowlevel.checkpoint()
            await trio.sleep(1)

        async def late() -> None:
            await trio.sleep(1)
            await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(early)
            nursery.start_soon(late)

    passed(simulate(program, strategy=Watching, lag=5))
    assert seen
    assert seen[0] == 0


@pytest.mark.parametrize("lag", [0, -1])
def test_a_lag_that_makes_no_sense_is_refused(lag: int) -> None:
    with pytest.raises(ValueError, match="lag"):
        simulate(busy, lag=lag)


# What Trio offers, inside a simulation.


def test_trios_own_tasks_cost_no_choice_and_no_step() -> None:
    async def program(sim: Sim) -> list[str]:
        token = trio.lowlevel.current_trio_token()
        log: list[str] = []
        came = trio.Event()
        token.run_sync_soon(log.append, "one")
        token.run_sync_soon(log.append, "two")
        token.run_sync_soon(log.append, "once", idempotent=True)
        token.run_sync_soon(log.append, "once", idempotent=True)
        token.run_sync_soon(came.set)
        await came.wait()
        return log

    for seed in range(10):
        run = passed(simulate(program, seed=seed, strategy="random"))
        assert run.value == ["one", "two", "once"]
        assert len(run.tape) == 1
        assert run.steps == 2
        assert run.record.seconds == 0.0


def test_run_sync_soon_that_calls_itself_keeps_no_task_out() -> None:
    async def program(sim: Sim) -> None:
        token = trio.lowlevel.current_trio_token()
        stopped = False

        def again() -> None:
            if not stopped:
                token.run_sync_soon(again)

        again()
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        stopped = True

    passed(simulate(program, strategy="plain"))


def test_the_program_can_start_system_tasks_and_leave_them_behind() -> None:
    async def program(sim: Sim) -> str:
        trio.lowlevel.spawn_system_task(trio.sleep_forever, name="background")
        await trio.sleep(1)
        return "ended"

    for seed in range(10):
        assert passed(simulate(program, seed=seed)).value == "ended"


def test_wait_all_tasks_blocked_waits_for_the_others_in_every_schedule() -> None:
    async def program(sim: Sim) -> list[object]:
        log: list[object] = []

        async def worker(number: int) -> None:
            for _ in range(number):
                await trio.lowlevel.checkpoint()
            log.append(number)
            await trio.sleep(5)

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(worker, number)
            await trio.testing.wait_all_tasks_blocked()
            log += ["blocked", trio.current_time()]
        return log

    for seed in range(30):
        run = passed(simulate(program, seed=seed))
        assert sorted(run.value[:4]) == [0, 1, 2, 3]
        assert run.value[4:] == ["blocked", 0.0]


def test_several_wait_for_all_to_be_blocked_in_the_order_of_their_cushions() -> None:
    async def program(sim: Sim) -> list[float]:
        log: list[float] = []

        async def wait(cushion: float) -> None:
            await trio.testing.wait_all_tasks_blocked(cushion)
            log.append(cushion)

        async with trio.open_nursery() as nursery:
            for cushion in (0.002, 0.0, 0.001):
                nursery.start_soon(wait, cushion)
        return log

    for seed in range(5):
        assert passed(simulate(program, seed=seed)).value == [0.0, 0.001, 0.002]


def test_a_sequencer_puts_tasks_in_its_order_in_every_schedule() -> None:
    async def program(sim: Sim) -> list[int]:
        sequencer = trio.testing.Sequencer()
        log: list[int] = []

        async def worker(number: int) -> None:
            async with sequencer(number):
                log.append(number)

        async with trio.open_nursery() as nursery:
            for number in (3, 1, 0, 2):
                nursery.start_soon(worker, number)
        return log

    for seed in range(30):
        assert passed(simulate(program, seed=seed)).value == [0, 1, 2, 3]


@pytest.mark.parametrize("make", [trio.Lock, trio.StrictFIFOLock, lambda: trio.Semaphore(1)])
def test_locks_exclude_in_every_schedule(make: Callable[[], trio.Lock | trio.Semaphore]) -> None:
    async def program(sim: Sim) -> int:
        lock = make()
        inside = total = 0

        async def worker() -> None:
            nonlocal inside, total
            async with lock:
                inside += 1
                assert inside == 1
                await trio.lowlevel.checkpoint()
                inside -= 1
                total += 1

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(worker)
        return total

    for seed in range(30):
        assert passed(simulate(program, seed=seed)).value == 5


def test_conditions_limiters_and_nursery_start_work() -> None:
    async def program(sim: Sim) -> list[int]:
        condition, limiter = trio.Condition(), trio.CapacityLimiter(2)
        log: list[int] = []

        async def worker(
            number: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
        ) -> None:
            task_status.started(number)
            async with limiter, condition:
                while len(log) != number:
                    await condition.wait()
                log.append(number)
                condition.notify_all()

        async with trio.open_nursery() as nursery:
            for number in range(2):
                assert await nursery.start(worker, number) == number
        return log

    for seed in range(30):
        assert passed(simulate(program, seed=seed)).value == [0, 1]


def test_a_wake_of_many_tasks_is_put_in_order_by_who_was_started_first() -> None:
    """Trio wakes the waiters of an event in the order of a set, which is that of addresses."""

    async def program(sim: Sim) -> list[int]:
        event = trio.Event()
        log: list[int] = []

        async def waiter(number: int) -> None:
            await event.wait()
            log.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(waiter, number)
            await trio.testing.wait_all_tasks_blocked()
            event.set()
        return log

    assert passed(simulate(program, strategy="plain")).value == list(range(12))


def test_what_libraries_use_of_trio_works() -> None:
    variable: trio.lowlevel.RunVar[int] = trio.lowlevel.RunVar("variable")
    lots: list[str] = []

    async def get(sim: Sim) -> int:
        return variable.get()

    async def program(sim: Sim) -> list[object]:
        variable.set(1)
        lot = trio.lowlevel.ParkingLot()

        async def parked(name: str) -> None:
            await lot.park()
            lots.append(name)

        async with trio.open_nursery() as nursery:
            for name in ("a", "b"):
                nursery.start_soon(parked, name)
            await trio.testing.wait_all_tasks_blocked()
            lot.unpark(count=1)
            await trio.testing.wait_all_tasks_blocked()
            assert len(lots) == 1
            lot.unpark_all()
        assert trio.lowlevel.current_clock() is sim.clock
        assert trio.lowlevel.current_statistics().tasks_living >= 1
        assert trio.lowlevel.current_task().name
        root = trio.lowlevel.current_root_task()
        assert root is not None
        return [variable.get()]

    assert passed(simulate(program, seed=5)).value == [1]
    with pytest.raises(LookupError):  # a run's variable does not outlive it
        simulate(get).check()


def test_a_guest_run_inside_a_simulation_is_refused() -> None:
    async def program(sim: Sim) -> None:
        trio.lowlevel.start_guest_run(
            trio.sleep, 0, run_sync_soon_threadsafe=lambda _: None, done_callback=lambda _: None
        )

    with pytest.raises(RuntimeError, match="inside"):
        simulate(program).check()


def test_an_instrument_of_the_programs_may_come_and_go() -> None:
    async def program(sim: Sim) -> None:
        seen = Ticks()
        trio.lowlevel.add_instrument(seen)
        await trio.lowlevel.checkpoint()
        trio.lowlevel.remove_instrument(seen)
        await trio.lowlevel.checkpoint()
        assert seen.ticks

    assert simulate(program).error is None
