"""Searching: many schedules, all of them up to a bound, and the simplest that fails."""

from __future__ import annotations

import gc
import importlib
import itertools
import os
import random
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sim import (
    CHAOS,
    Deadlock,
    InvariantViolated,
    Nondeterminism,
    Report,
    Run,
    Sim,
    Unreached,
    exhaust,
    explore,
    shrink,
    simulate,
)
from actors.sim.tally import Tally

from .planted import checkpoints, ghost_join, lost_update, scripted

moderate = settings(deadline=None, max_examples=30)

Program = Callable[[Sim], Awaitable[Any]]


def counted(program: Program) -> tuple[Program, list[int]]:
    """The program, and a list that gets longer with each of its runs (in this process)."""
    runs: list[int] = []

    async def counting(sim: Sim) -> Any:
        runs.append(1)
        return await program(sim)

    return counting, runs


# Exploring.


def test_a_bug_that_depends_on_the_order_is_found_and_can_be_replayed() -> None:
    for program, error in [(lost_update, AssertionError), (ghost_join, Deadlock)]:
        report = explore(program, runs=300)
        failure = report.failure
        assert failure is not None
        assert isinstance(failure.error, error)
        assert failure.found == f"found by schedule {report.runs} (seed {failure.seed})"
        assert failure.seed == report.runs - 1, "the search stops at the first failure"
        assert simulate(program, seed=failure.seed or 0).diff(failure) == ""
        assert simulate(program, replay=failure.token).diff(failure) == ""


def test_a_set_that_passes_is_counted() -> None:
    program, runs = counted(checkpoints(2, 2))
    report = explore(program, runs=50).check()
    assert report.failure is None
    assert report.error is None
    assert report.runs == len(runs) == 50
    assert report.steps == sum(simulate(checkpoints(2, 2), seed=s).steps for s in range(50))
    assert report.seconds > 0
    assert not report.exhausted
    assert report.counts == {}
    assert report.coverage == {}


def test_a_set_begins_at_its_seed_and_numbers_from_there() -> None:
    seeds: list[int] = []

    async def program(sim: Sim) -> None:
        seeds.append(sim.seed)
        assert sim.seed < 103

    failure = explore(program, runs=10, seed=100).failure
    assert seeds == [100, 101, 102, 103]
    assert failure is not None
    assert failure.seed == 103
    assert failure.found == "found by schedule 4 (seed 103)"


def test_no_time_is_no_run_and_time_bounds_a_set() -> None:
    assert explore(lost_update, seconds=0.0).check().runs == 0
    begun = time.perf_counter()
    report = explore(checkpoints(2), runs=10**9, seconds=0.1).check()
    assert 0 < report.runs < 10**6
    assert time.perf_counter() - begun < 20
    assert explore(checkpoints(2), runs=3, seconds=100).check().runs == 3
    assert explore(lost_update, runs=0).check().runs == 0


def test_progress_is_told_and_counts_are_added_to_a_tally() -> None:
    told: list[int] = []
    tally = Tally()
    explore(checkpoints(2), runs=5, progress=lambda tally: told.append(tally.runs), tally=tally)
    assert told == [1, 2, 3, 4, 5]
    report = explore(checkpoints(2), runs=5, tally=tally)
    assert tally.runs == report.runs == 10


def test_faults_and_early_timers_are_counted() -> None:
    async def program(sim: Sim) -> None:
        sim.happened("resets", "a link", "reset")
        if sim.draw(2):
            sim.happened("torn sends", "a link", "torn")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            nursery.start_soon(checkpoints(5), sim)

    report = explore(program, runs=40, timers=0.3).check()
    assert report.counts["resets"] == 40
    assert 0 < report.counts["torn sends"] < 40
    assert report.counts["timers fired early"] > 0


def test_options_reach_every_run() -> None:
    async def program(sim: Sim) -> None:
        assert sim.net().faults is CHAOS

    explore(program, runs=3, faults=CHAOS).check()
    exhaust(program, faults=CHAOS).check()
    for call in (simulate, explore, exhaust):
        with pytest.raises(TypeError, match="speed"):
            call(program, speed=1)
        with pytest.raises(ValueError, match="max_steps"):
            call(program, max_steps=0)


# Distinct orders.


async def two_messages(sim: Sim) -> None:
    send, receive = trio.open_memory_channel[str](0)

    async def sender(message: str) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        await send.send(message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender, "a", name="a")
        nursery.start_soon(sender, "b", name="b")
        for _ in range(2):
            await receive.receive()


def test_schedules_that_differ_in_no_message_count_as_one() -> None:
    report = explore(two_messages, runs=200).check()
    assert report.distinct == 2
    assert exhaust(two_messages, bound=1).check().distinct == 2


def test_without_messages_orders_of_steps_are_counted() -> None:
    assert explore(checkpoints(2, 1), runs=100, strategy="random").check().distinct == 3
    assert explore(checkpoints(5), runs=20).check().distinct == 1


def test_senders_receivers_and_channels_are_told_apart() -> None:
    """Two tasks of one name are two; so are two channels."""

    async def program(sim: Sim) -> None:
        one, one_out = trio.open_memory_channel[int](5)
        other, other_out = trio.open_memory_channel[int](5)

        async def sender(first: Any, second: Any) -> None:
            await first.send(1)
            await second.send(2)

        async def receiver() -> None:
            async with trio.open_nursery() as inner:
                inner.start_soon(one_out.receive)
                inner.start_soon(one_out.receive)
            await other_out.receive()
            await other_out.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender, one, other)
            nursery.start_soon(sender, other, one)
            nursery.start_soon(receiver)

    assert 4 < explore(program, runs=300).check().distinct < 300


# Several processes.


@pytest.fixture
def shared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set is shared among processes from its first schedule on, however short it is."""
    monkeypatch.setattr(importlib.import_module("actors.sim.explore"), "_ALONE", 0.0)


@pytest.mark.usefixtures("shared_at_once")
def test_processes_count_what_one_counts() -> None:
    async def program(sim: Sim) -> int:
        sim.sometimes("drew 7", sim.draw(8) == 7)
        sim.happened("rounds", "main", "one")
        await two_messages(sim)
        return os.getpid()

    alone = explore(program, runs=120).check()
    shared = explore(program, runs=120, jobs=3).check()
    for name in ("runs", "distinct", "steps", "counts", "coverage"):
        assert getattr(alone, name) == getattr(shared, name), name


@pytest.mark.usefixtures("shared_at_once")
@pytest.mark.parametrize("jobs", [2, 3])
def test_processes_find_what_one_finds(jobs: int) -> None:
    async def program(sim: Sim) -> None:
        await checkpoints(2, 2)(sim)
        assert sim.seed not in {31, 32, 33, 64}, f"seed {sim.seed}"

    alone = explore(program, runs=200).failure
    shared = explore(program, runs=200, jobs=jobs).failure
    assert alone is not None
    assert shared is not None
    assert shared.seed == alone.seed == 31
    assert shared.token == alone.token
    assert shared.found == alone.found
    assert shared.diff(alone) == ""
    assert "seed 31" in str(shared.error)


@pytest.mark.usefixtures("shared_at_once")
def test_processes_that_have_not_found_anything_yet_are_waited_for() -> None:
    """The one that gets to its failure first is not the one of the lowest seed."""

    async def program(sim: Sim) -> None:
        if sim.seed % 2:
            assert sim.seed < 3
        else:
            await checkpoints(*[20] * 3)(sim)
            assert sim.seed < 2

    for _ in range(3):
        failure = explore(program, runs=100, jobs=2).failure
        assert failure is not None
        assert failure.seed == 2


@pytest.mark.usefixtures("shared_at_once")
def test_processes_end_with_the_time() -> None:
    report = explore(checkpoints(2), runs=10**9, seconds=0.3, jobs=2).check()
    assert 0 < report.runs < 10**6


@pytest.mark.usefixtures("shared_at_once")
def test_a_process_that_dies_is_told_of() -> None:
    async def program(sim: Sim) -> None:
        if sim.seed == 5:
            os._exit(7)

    with pytest.raises(RuntimeError, match="code 7"):
        explore(program, runs=100, jobs=2)


@pytest.mark.usefixtures("shared_at_once")
def test_a_failure_that_only_another_process_has_is_nondeterminism() -> None:
    here = os.getpid()

    async def program(sim: Sim) -> None:
        assert os.getpid() == here

    report = explore(program, runs=100, jobs=2)
    assert isinstance(report.error, Nondeterminism)
    assert "in one process and not in another" in str(report.error)
    assert report.failure is None


@pytest.mark.usefixtures("shared_at_once")
def test_what_is_checked_twice_is_checked_in_processes_too() -> None:
    calls = itertools.count()

    async def program(sim: Sim) -> None:
        if sim.seed >= 2:
            await checkpoints(*[2] * (1 + next(calls) % 2))(sim)

    report = explore(program, runs=20, jobs=2, check_determinism=20)
    assert isinstance(report.error, Nondeterminism)


# Determinism.


class Thing:
    pass


async def iterates_over_a_set(sim: Sim) -> None:
    events = {trio.Event(): number for number in range(8)}

    async def waiter(event: trio.Event) -> None:
        await event.wait()
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for event, number in events.items():
            nursery.start_soon(waiter, event, name=f"waiter {number}")
        things = [Thing() for _ in range(next(_sizes))]
        for event in set(events):
            event.set()
            await trio.lowlevel.checkpoint()
        del things


_sizes = itertools.count(1)


def test_a_program_that_uses_what_is_not_controlled_is_found_out() -> None:
    report = explore(iterates_over_a_set, runs=40, check_determinism=40)
    assert isinstance(report.error, Nondeterminism)
    text = str(report.error)
    assert text.startswith("seed ")
    assert "gave two different runs; first difference at step " in text
    assert "waiter " in text
    assert report.failure is None
    with pytest.raises(Nondeterminism):
        report.check()


def test_a_global_that_is_kept_between_runs_is_found_out() -> None:
    runs = itertools.count()

    async def program(sim: Sim) -> None:
        await checkpoints(*[2] * (1 + next(runs) % 2))(sim)

    assert isinstance(explore(program, runs=3, check_determinism=3).error, Nondeterminism)
    assert explore(program, runs=3).error is None, "it is only looked for when that is wanted"


def test_a_program_that_fails_only_the_first_time_is_found_out() -> None:
    fails = iter([True])

    async def program(sim: Sim) -> None:
        assert not next(fails, False)

    report = explore(program, runs=3, check_determinism=1)
    assert isinstance(report.error, Nondeterminism)
    assert "the same steps" in str(report.error)


def test_the_check_of_determinism_runs_the_first_seeds_twice() -> None:
    program, runs = counted(checkpoints(2, 2))
    report = explore(program, runs=10, check_determinism=3).check()
    assert len(runs) == 13
    assert report.runs == 10


def test_ordinary_programs_pass_the_check() -> None:
    for program in (lost_update, ghost_join, two_messages):
        report = explore(program, runs=20, check_determinism=20)
        assert not isinstance(report.error, Nondeterminism)


# What must be reached.


async def reaches(sim: Sim) -> None:
    sim.sometimes("drew 5", sim.draw(6) == 5)
    if sim.draw(6) == 4:
        sim.sometimes("drew 4")
    sim.sometimes("impossible", False)


def test_what_is_never_reached_fails_the_set() -> None:
    report = explore(reaches, runs=100)
    assert isinstance(report.error, Unreached)
    assert "'impossible'" in str(report.error)
    assert "100" in str(report.error)
    assert report.coverage == {"drew 5": True, "drew 4": True, "impossible": False}
    assert report.failure is None
    with pytest.raises(Unreached):
        report.check()


def test_what_is_not_even_asked_for_can_be_named_by_the_caller() -> None:
    async def program(sim: Sim) -> None:
        if sim.draw(100) > 100:
            sim.sometimes("never")

    explore(program, runs=5).check()
    report = explore(program, runs=5, sometimes=["never"])
    assert isinstance(report.error, Unreached)
    assert report.coverage == {"never": False}


def test_reached_once_is_reached() -> None:
    async def program(sim: Sim) -> None:
        sim.sometimes("both", True)
        sim.sometimes("both", False)

    assert explore(program, runs=1).check().coverage == {"both": True}


def test_a_failure_goes_before_what_was_not_reached() -> None:
    async def program(sim: Sim) -> None:
        sim.sometimes("impossible", False)
        raise KeyError

    with pytest.raises(KeyError):
        explore(program, runs=5).check()


# Exhausting.


def draws(tree: Sequence[Any]) -> Program:
    """A program that draws a number, and goes on in the branch of that number."""

    async def program(sim: Sim) -> tuple[int, ...]:
        path: list[int] = []
        branch: Sequence[Any] = tree
        while branch:
            number = sim.draw(len(branch))
            path.append(number)
            branch = branch[number]
        return tuple(path)

    return program


def paths(tree: Sequence[Any]) -> list[tuple[int, ...]]:
    if not tree:
        return [()]
    return [(number, *path) for number, branch in enumerate(tree) for path in paths(branch)]


trees: st.SearchStrategy[Any] = st.recursive(
    st.just([]), lambda branch: st.lists(branch, max_size=4), max_leaves=25
)


@moderate
@given(tree=trees, bound=st.integers(0, 3))
def test_all_schedules_within_the_bound_are_run_once_each(tree: list[Any], bound: int) -> None:
    seen: list[tuple[int, ...]] = []
    program = draws(tree)

    async def noting(sim: Sim) -> None:
        path: tuple[int, ...] = await program(sim)
        seen.append(path)

    report = exhaust(noting, bound=bound).check()
    expected = [path for path in paths(tree) if sum(map(bool, path)) <= bound]
    assert sorted(seen) == sorted(expected)
    assert report.runs == len(expected)
    assert report.exhausted
    assert [sum(map(bool, path)) for path in seen] == sorted(
        sum(map(bool, path)) for path in expected
    ), "the simple ones come first"


def test_all_orders_of_a_small_program_are_found_with_a_bound_that_allows_them() -> None:
    values = set()

    async def program(sim: Sim) -> None:
        values.add(tuple(await checkpoints(2, 2)(sim)))

    report = exhaust(program, bound=4).check()
    assert len(values) == 6
    assert report.distinct == 6
    assert report.exhausted


def test_a_failure_ends_the_search_and_is_one_of_the_simplest() -> None:
    report = exhaust(lost_update, bound=3)
    assert report.failure is not None
    assert not report.exhausted
    assert report.failure.decisions == 1
    assert report.failure.found == f"found by schedule {report.runs} of an exhaustive search"
    assert report.failure.seed is None
    assert simulate(lost_update, replay=report.failure.token).diff(report.failure) == ""
    with pytest.raises(AssertionError):
        report.check()


def test_a_program_without_the_bug_is_proved_up_to_the_bound() -> None:
    async def locked(sim: Sim) -> None:
        balance = 0
        lock = trio.Lock()

        async def deposit() -> None:
            nonlocal balance
            async with lock:
                seen = balance
                await trio.lowlevel.checkpoint()
                balance = seen + 1

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(deposit)
        assert balance == 3

    report = exhaust(locked, bound=2).check()
    assert report.exhausted
    assert report.runs > 20


def test_what_is_not_finished_is_no_proof() -> None:
    program, runs = counted(checkpoints(3, 3, 3))
    report = exhaust(program, bound=2, max_runs=10).check()
    assert len(runs) == report.runs == 10
    assert not report.exhausted
    assert not exhaust(program, bound=2, seconds=0.0).check().exhausted
    assert exhaust(program, bound=0).check().exhausted


def test_exhausting_tries_early_timers_and_faults() -> None:
    async def program(sim: Sim) -> None:
        with trio.move_on_after(1) as scope:
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
        assert not (scope.cancelled_caught and sim.maybe("a fault"))

    assert exhaust(program, bound=1, timers=0.1).check().exhausted
    assert exhaust(program, bound=2).check().exhausted, "without early timers it cannot fail"
    failure = exhaust(program, bound=2, timers=0.1).failure
    assert failure is not None
    assert failure.decisions == 2


def test_exhausting_does_not_vary_the_random_numbers_of_the_program() -> None:
    numbers = set()

    async def program(sim: Sim) -> None:
        await checkpoints(2, 2)(sim)
        numbers.add(random.random())

    exhaust(program, bound=2).check()
    assert len(numbers) == 1


def test_exhausting_keeps_no_more_than_it_needs() -> None:
    """Not the runs, nor what the programs return: there may be a hundred thousand of them."""
    living: weakref.WeakSet[Thing] = weakref.WeakSet()
    most = 0

    async def program(sim: Sim) -> Thing:
        nonlocal most
        gc.collect()
        thing = Thing()
        living.add(thing)
        most = max(most, len(living))
        await checkpoints(2, 2, 2)(sim)
        return thing

    assert exhaust(program, bound=2).check().runs > 20
    assert most <= 3


def test_exhausting_copes_with_choices_that_are_too_many_to_try() -> None:
    async def program(sim: Sim) -> None:
        sim.draw(2**100)

    assert exhaust(program, bound=1, max_runs=5).check().runs == 5


# Shrinking.


@pytest.fixture(scope="module")
def ghost() -> Run:
    """A failure that takes several decisions, as it was found."""
    found = explore(ghost_join, runs=300, strategy="random").failure
    assert found is not None
    assert found.decisions > 10
    return found


def test_a_failure_is_shrunk_to_the_decisions_it_needs(ghost: Run) -> None:
    for program, found, needed in [
        (lost_update, explore(lost_update).failure, 1),
        (ghost_join, ghost, 8),
    ]:
        assert found is not None
        small = shrink(program, found)
        assert small.decisions <= needed
        assert small.record.signature == found.record.signature
        assert small.seed == found.seed
        assert f"shrunk: {found.decisions} scheduling decisions -> {small.decisions}" in small.found
        assert small.found.startswith(found.found)
        assert simulate(program, replay=small.token).diff(small) == ""
        assert small.misaligned == 0


def test_a_shrunk_run_is_never_less_simple_and_shrinking_it_again_changes_nothing() -> None:
    for seed in range(30):
        run = simulate(lost_update, seed=seed)
        if run.error is None:
            continue
        small = shrink(lost_update, run)
        again = shrink(lost_update, small)
        assert small.decisions <= run.decisions
        assert again.decisions == small.decisions
        assert again.tape == small.tape


def test_a_plain_failure_stays_what_it_is() -> None:
    async def program(sim: Sim) -> None:
        await checkpoints(2, 2)(sim)
        raise KeyError

    found = explore(program, runs=5).failure
    assert found is not None
    assert shrink(program, found).decisions == 0


def test_numbers_are_made_smaller_and_choices_come_sooner() -> None:
    async def program(sim: Sim) -> None:
        numbers = [sim.draw(1000) for _ in range(20)]
        assert not any(number >= 300 for number in numbers)

    found = explore(program, runs=5).failure
    assert found is not None
    small = shrink(program, found)
    assert small.decisions == 1
    assert max(small.tape) <= 600
    assert small.tape[1] == max(small.tape)


def test_a_failure_of_many_choices_that_are_all_needed_stays() -> None:
    async def program(sim: Sim) -> None:
        assert not all(sim.draw(3) for _ in range(6))

    found = explore(program, runs=500).failure
    assert found is not None
    small = shrink(program, found)
    assert small.tape[1:] == (1,) * 6
    assert small.tape[0] == 0


def test_a_failure_is_not_shrunk_to_another_one() -> None:
    async def program(sim: Sim) -> None:
        one, other = sim.draw(10), sim.draw(10)
        if one and other:
            raise KeyError
        if one or other:
            raise ValueError

    run = simulate(program, strategy=scripted([], [3, 4]))
    assert isinstance(run.error, KeyError)
    small = shrink(program, run)
    assert isinstance(small.error, KeyError)
    assert small.tape[1:] == (1, 1)


def test_failures_of_one_type_are_told_apart_by_their_line_or_name() -> None:
    async def lines(sim: Sim) -> None:
        if sim.draw(10) > 5:
            assert not sim.draw(10)
        assert not sim.draw(10)

    async def names(sim: Sim) -> None:
        number = sim.draw(10)
        if number > 5:
            sim.always("big", lambda: False)
        sim.always("small", lambda: number == 0)
        await trio.lowlevel.checkpoint()

    run = simulate(lines, strategy=scripted([], [9, 9]))
    assert shrink(lines, run).tape[1:] == (6, 1)
    run = simulate(names, strategy=scripted([], [9]))
    small = shrink(names, run)
    assert isinstance(small.error, InvariantViolated)
    assert small.error.invariant == "big"


@pytest.mark.parametrize("budget", [0, 1, 7, 50])
def test_no_more_replays_are_made_than_the_budget_allows(budget: int, ghost: Run) -> None:
    found = ghost
    program, runs = counted(ghost_join)
    small = shrink(program, found, budget=budget)
    assert len(runs) <= budget
    assert f"({len(runs)} replays)" in small.found
    assert small.decisions <= found.decisions
    if not budget:
        assert small.tape == found.tape


def test_shrinking_ends_with_its_time(ghost: Run) -> None:
    program, runs = counted(ghost_join)
    assert shrink(program, ghost, seconds=0.0).tape == ghost.tape
    assert not runs


def test_a_run_that_passed_cannot_be_shrunk() -> None:
    with pytest.raises(ValueError, match="passed"):
        shrink(lost_update, simulate(lost_update, strategy="plain"))


def test_a_failure_that_does_not_come_again_is_left_as_it_is() -> None:
    fails = iter([True])

    async def program(sim: Sim) -> None:
        await checkpoints(2, 2)(sim)
        assert not next(fails, False)

    run = simulate(program, strategy=scripted([1, 1]))
    small = shrink(program, run)
    assert small.tape == run.tape
    assert small.error is run.error
    text = small.text()
    assert "the program is not deterministic" in text
    assert text.startswith("AssertionError"), "what failed is told all the same"


def test_the_options_of_the_run_hold_while_it_is_shrunk() -> None:
    async def program(sim: Sim) -> None:
        with trio.move_on_after(1) as scope:
            await checkpoints(3, 3)(sim)
        assert not scope.cancelled_caught

    found = explore(program, runs=200, timers=0.2, lag=3).failure
    assert found is not None
    small = shrink(program, found)
    assert small.options == found.options
    assert small.decisions == 1


# Differences.


def test_two_runs_of_one_schedule_do_not_differ() -> None:
    runs = [simulate(ghost_join, seed=3) for _ in range(2)]
    assert runs[0].diff(runs[1]) == ""
    assert runs[0].diff(runs[0]) == ""


def test_a_difference_names_the_step_and_both_tasks() -> None:
    plain = simulate(checkpoints(2, 2), strategy="plain")
    other = simulate(checkpoints(2, 2), strategy=scripted([0, 1]))
    assert plain.diff(other) == "first difference at step 3: t0 here, t1 there"
    assert other.diff(plain) == "first difference at step 3: t1 here, t0 there"
    shorter = simulate(checkpoints(2), strategy="plain")
    assert "here" in plain.diff(shorter)
    assert plain.diff(shorter) != ""


def test_a_difference_may_be_in_the_length_the_choices_or_the_end_only() -> None:
    def program(number: int, error: bool = False, sleeps: int = 1) -> Run:
        async def run(sim: Sim) -> None:
            sim.draw(5)
            for _ in range(sleeps):
                await trio.lowlevel.checkpoint()
            if error:
                raise KeyError

        return simulate(run, replay=[0, number])

    assert program(1).diff(program(1)) == ""
    assert "other choices" in program(1).diff(program(2))
    assert "KeyError" in program(1).diff(program(1, error=True))
    assert "the end there" in program(1, sleeps=2).diff(program(1))
    assert "the end here" in program(1).diff(program(1, sleeps=2))


# Reports.


def test_the_pictures_of_a_run_tell_its_story(ghost: Run) -> None:
    run = shrink(ghost_join, ghost, budget=100)
    text = run.text()
    assert text.startswith("Deadlock: ")
    assert run.found in text
    assert f"replay:   simulate(program, replay={run.token!r})" in text
    assert len(run.text(full=True).splitlines()) >= len(text.splitlines())
    assert run.mermaid().startswith("sequenceDiagram\n")
    page = run.page()
    assert page.lower().startswith("<!doctype html>")
    assert "ghost_join" in page
    assert run.story is run.story
    assert run.story.title == "ghost_join"
    assert run.story.failed_at == run.record.failed_at


def test_a_run_that_passed_has_a_story_too() -> None:
    run = simulate(two_messages, seed=4, trace=True).check()
    assert run.text(full=True).startswith("passed\n")
    assert run.story.outcome == "passed"
    assert run.story.failed_at == 0
    assert run.mermaid()
    assert run.page()


def test_a_report_is_a_value() -> None:
    report = explore(checkpoints(1), runs=1)
    assert isinstance(report, Report)
    with pytest.raises(AttributeError):
        report.runs = 5  # type: ignore[misc]
