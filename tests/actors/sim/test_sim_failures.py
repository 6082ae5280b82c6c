"""How a run fails: what is said, and that it ends, whatever its tasks do."""

# ruff: noqa: ARG005, ASYNC110 - strategies ignore what they are shown, and loops do not end

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sim import (
    BadStrategy,
    Deadlock,
    InvariantViolated,
    NotIdle,
    Run,
    Sim,
    SimError,
    Strategy,
    TaskView,
    TooManySteps,
    exhaust,
    explore,
    simulate,
)
from actors.sim.places import leaf

from .planted import First, checkpoints, lost_update

Program = Callable[[Sim], Awaitable[Any]]


class BrokenError(Exception):
    pass


# A deadlock.


async def two_locks(sim: Sim) -> None:
    one, other = trio.Lock(), trio.Lock()

    async def task(first: trio.Lock, second: trio.Lock) -> None:
        async with first:
            await trio.lowlevel.checkpoint()
            async with second:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task, one, other, name="left")
        nursery.start_soon(task, other, one, name="right")


def test_a_deadlock_says_who_is_blocked_where() -> None:
    run = explore(two_locks, runs=100).failure
    assert run is not None
    assert isinstance(run.error, Deadlock)
    assert run.error.tasks == {"main", "left", "right"}
    line = two_locks.__code__.co_firstlineno
    text = str(run.error)
    assert text.startswith("all tasks are blocked and no timer is pending:\n")
    assert f"left   at tests/actors/sim/test_sim_failures.py:{line + 6} in task" in text
    assert f"right  at tests/actors/sim/test_sim_failures.py:{line + 6} in task" in text
    assert "main   at" in text
    told = run.text()
    assert told.startswith("Deadlock: all tasks are blocked and no timer is pending\n")
    assert f"test_sim_failures.py:{line + 6} in task" in told


def test_a_deadlock_is_seen_at_once_and_not_when_others_have_timers() -> None:
    async def program(sim: Sim) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1000)
            await trio.sleep_forever()

    run = simulate(program)
    assert isinstance(run.error, Deadlock)
    assert run.record.seconds == 1000.0
    assert run.steps < 10


def test_a_deadlock_names_a_task_that_runs_only_trios_code() -> None:
    async def program(sim: Sim) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever, name="patient")

    assert "patient  at _timeouts.py:" in str(simulate(program).error)


def test_what_waits_is_cancelled_and_cleans_up_after_a_deadlock() -> None:
    log: list[str] = []

    async def program(sim: Sim) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            log.append("cancelled")
            raise
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)
            log.append("cleaned up")

    assert isinstance(simulate(program).error, Deadlock)
    assert log == ["cancelled", "cleaned up"]


def test_an_error_while_cleaning_up_does_not_hide_the_failure() -> None:
    async def program(sim: Sim) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise BrokenError

    error = simulate(program).error
    assert isinstance(error, Deadlock)
    assert isinstance(error.__cause__, BrokenError)


def test_a_program_that_catches_its_cancellation_has_failed_all_the_same() -> None:
    async def program(sim: Sim) -> str:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            return "fine"

    run = simulate(program)
    assert isinstance(run.error, Deadlock)
    assert run.value is None


def test_a_system_task_that_is_left_behind_and_does_not_end_is_a_deadlock() -> None:
    """Trio alone would wait for it for ever."""

    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    async def program(sim: Sim) -> None:
        trio.lowlevel.spawn_system_task(stubborn)

    error = simulate(program).error
    assert isinstance(error, Deadlock)
    assert "in stubborn" in str(error)


# Too many steps.


def test_a_program_that_spins_fails_with_its_tasks() -> None:
    async def spin() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    async def program(sim: Sim) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spin, name="spinner")

    run = simulate(program, max_steps=1000)
    assert isinstance(run.error, TooManySteps)
    assert "max_steps=1000" in str(run.error)
    assert "spinner  at tests/actors/sim/test_sim_failures.py:" in str(run.error)
    assert 1000 <= run.steps < 1020
    assert run.record.failed_at == 1000


def test_a_program_that_polls_with_a_timer_fails_too() -> None:
    async def program(sim: Sim) -> None:
        while True:
            await trio.sleep(0.001)

    assert isinstance(simulate(program, max_steps=1000).error, TooManySteps)


def test_the_limit_of_steps_is_exact() -> None:
    steps = simulate(checkpoints(5, 5), strategy="plain").check().steps
    simulate(checkpoints(5, 5), strategy="plain", max_steps=steps).check()
    run = simulate(checkpoints(5, 5), strategy="plain", max_steps=steps - 1)
    assert isinstance(run.error, TooManySteps)
    assert run.record.failed_at == steps - 1


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_steps_that_makes_no_sense_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="max_steps"):
        simulate(lost_update, max_steps=limit)


# Errors of the program's own.


async def raises_alone(sim: Sim) -> None:
    raise BrokenError("alone")


async def raises_in_a_task(sim: Sim) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises_alone, sim)
        nursery.start_soon(trio.sleep_forever)


async def raises_deep_down(sim: Sim) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises_in_a_task, sim)


async def raises_twice(sim: Sim) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises_alone, sim)
        nursery.start_soon(raises_alone, sim)


@pytest.mark.parametrize("program", [raises_alone, raises_in_a_task, raises_deep_down])
def test_an_error_that_is_alone_in_its_groups_is_raised_alone(program: Program) -> None:
    run = simulate(program)
    with pytest.raises(BrokenError, match="alone") as raised:
        run.check()
    assert raised.value is leaf(run.error)  # type: ignore[arg-type]
    where = f"test_sim_failures.py:{raises_alone.__code__.co_firstlineno + 1} in raises_alone"
    assert f'at tests/actors/sim/{where}: raise BrokenError("alone")' in run.text()


def test_several_errors_stay_a_group_and_the_report_says_how_many() -> None:
    run = simulate(raises_twice, strategy="plain")
    with pytest.raises(ExceptionGroup) as raised:
        run.check()
    assert len(raised.value.exceptions) == 2
    assert "BrokenError: alone (and 1 more error)" in run.text()


def test_a_group_with_a_cancellation_in_it_is_about_the_error() -> None:
    async def program(sim: Sim) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as cancelled:
                kept: BaseException = cancelled
        raise BaseExceptionGroup("both", [kept, BrokenError("real")])

    run = simulate(program)
    assert isinstance(leaf(run.error), BrokenError)  # type: ignore[arg-type]
    assert run.text().startswith("BrokenError: real\n")


@attrs.define(eq=False)
class Nasty(Exception):  # noqa: N818
    """An error that cannot be shown."""

    what: str = ""

    def __str__(self) -> str:
        raise BrokenError("no text")

    def __repr__(self) -> str:
        raise BrokenError("no repr")


def test_an_error_that_cannot_be_shown_is_told_by_its_type() -> None:
    async def program(sim: Sim) -> None:
        raise Nasty

    run = simulate(program)
    assert isinstance(run.error, Nasty)
    assert run.text().startswith("Nasty: its text cannot be shown, as that raised BrokenError\n")
    assert run.mermaid()
    assert run.page()


def test_a_program_may_be_any_callable_whatever_its_repr_does() -> None:
    class Program:
        def __repr__(self) -> str:
            raise BrokenError

        async def __call__(self, *_: object) -> None:
            await trio.sleep_forever()

    programs: list[tuple[Any, str]] = [
        (Program(), "Program"),
        (partial(Program(), print), "Program"),
        (partial(partial(raises_alone)), "raises_alone"),
    ]
    for program, name in programs:
        run = simulate(program)
        assert run.story.title == name
        assert run.text()


# Invariants.


def test_an_invariant_is_checked_after_every_step() -> None:
    """Also after the last one, and before time passes or all is found to be blocked."""

    async def goes_on() -> None:
        await trio.lowlevel.checkpoint()

    async def ends() -> None:
        pass

    async def sleeps() -> None:
        await trio.sleep(5)

    async def blocks() -> None:
        await trio.sleep_forever()

    for then in (goes_on, ends, sleeps, blocks):

        async def program(sim: Sim, then: Callable[[], Awaitable[None]] = then) -> None:
            balance = 0
            sim.always("balance", lambda: balance >= 0)
            await trio.lowlevel.checkpoint()
            balance = -1
            await then()
            balance = 0

        run = simulate(program, strategy="plain")
        if then is ends:
            assert run.error is None, "what no step leaves behind is not seen"
        else:
            assert isinstance(run.error, InvariantViolated), then
            assert run.error.invariant == "balance"
            assert run.record.seconds == 0.0
            assert run.record.failed_at == 2

    async def last(sim: Sim) -> None:
        balance = 0
        sim.always("balance", lambda: balance >= 0)
        await trio.lowlevel.checkpoint()
        balance = -1

    assert isinstance(simulate(last).error, InvariantViolated)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 100), st.integers(1, 5))
def test_a_check_is_called_once_for_each_step(seed: int, tasks: int) -> None:
    seen: list[int] = []

    async def program(sim: Sim) -> None:
        sim.always("counted", lambda: seen.append(sim.steps))  # None is no violation
        await checkpoints(*[3] * tasks)(sim)

    run = simulate(program, seed=seed).check()
    assert seen == list(range(1, run.steps + 1))


def test_an_invariant_that_raises_does_not_hold_and_says_why() -> None:
    def check() -> None:
        raise BrokenError("out of bounds")

    async def program(sim: Sim) -> None:
        sim.always("bounds", check)
        await trio.lowlevel.checkpoint()

    run = simulate(program)
    assert str(run.error) == "'bounds' does not hold: BrokenError: out of bounds"
    assert isinstance(run.error, InvariantViolated)
    assert isinstance(run.error.__cause__, BrokenError)
    assert run.text().startswith("InvariantViolated: 'bounds' does not hold: BrokenError: out of")


def test_the_first_invariant_that_does_not_hold_is_the_failure() -> None:
    async def program(sim: Sim) -> None:
        sim.always("one", lambda: True)
        sim.always("two", lambda: False)
        sim.always("three", lambda: False)
        await trio.lowlevel.checkpoint()

    error = simulate(program).error
    assert isinstance(error, InvariantViolated)
    assert error.invariant == "two"


@pytest.mark.parametrize("held", [None, True, 1, 0, "", []])
def test_only_false_means_that_it_does_not_hold(held: object) -> None:
    async def program(sim: Sim) -> None:
        sim.always("held", lambda: held)
        await trio.lowlevel.checkpoint()

    simulate(program).check()


def test_a_check_that_cannot_even_be_told_of_fails_the_run_and_nothing_else() -> None:
    async def program(sim: Sim) -> None:
        def check() -> None:
            raise Nasty

        sim.always("nasty", check)
        await trio.sleep_forever()

    run = simulate(program)
    assert isinstance(run.error, InvariantViolated)
    assert run.error.invariant == "nasty"
    assert run.text()


def test_eventually_raises_in_the_run_what_its_check_raises() -> None:
    async def program(sim: Sim) -> None:
        def check() -> bool:
            raise BrokenError

        await sim.eventually(check)

    assert isinstance(simulate(program).error, BrokenError)


def test_a_check_of_pytest_fails_the_run() -> None:
    async def program(sim: Sim) -> None:
        sim.always("told", lambda: pytest.fail("not so"))
        await trio.sleep_forever()

    with pytest.raises(pytest.fail.Exception, match="not so"):
        simulate(program).check()


# Nothing left.


def test_expect_idle_names_what_is_left() -> None:
    async def program(sim: Sim) -> None:
        send, _receive = trio.open_memory_channel[str](5)
        unnamed, _unread = trio.open_memory_channel[str](5)
        sim.name(send, "jobs")
        sim.expect_idle()
        send.send_nowait("one")
        unnamed.send_nowait("other")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever, name="worker")
            nursery.start_soon(send.clone().send, "two", name="sender")
            await trio.testing.wait_all_tasks_blocked()
            try:
                sim.expect_idle()
            finally:
                nursery.cancel_scope.cancel()

    error = simulate(program, strategy="plain").error
    assert error is not None
    text = str(leaf(error))
    assert "task worker, at _timeouts.py" in text
    assert "2 unread in jobs" in text
    assert "1 unread in a channel" in text
    assert "main" not in text
    assert "sender" not in text


def test_expect_idle_does_not_count_those_who_wait_for_the_caller() -> None:
    async def program(sim: Sim) -> None:
        async def checker() -> None:
            async with trio.open_nursery():
                sim.expect_idle()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(checker)

    simulate(program).check()


def test_expect_idle_does_not_count_what_nobody_can_read_any_more() -> None:
    async def program(sim: Sim) -> None:
        send, receive = trio.open_memory_channel[str](5)
        send.send_nowait("lost")
        receive.close()
        sim.expect_idle()

    simulate(program).check()


def test_not_idle_is_a_failure_of_the_test() -> None:
    assert issubclass(NotIdle, AssertionError)
    assert issubclass(SimError, AssertionError)


# A run always ends.


async def swallows_cancelled_and_waits(sim: Sim) -> None:
    while True:
        with suppress(trio.Cancelled):
            await trio.sleep_forever()


async def swallows_cancelled_and_spins(sim: Sim) -> None:
    while True:
        with suppress(trio.Cancelled):
            await trio.lowlevel.checkpoint()


async def is_shielded_for_ever(sim: Sim) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


async def spins_in_a_shield(sim: Sim) -> None:
    with trio.CancelScope(shield=True):
        while True:
            await trio.lowlevel.checkpoint()


async def sleeps_in_a_shield(sim: Sim) -> None:
    with trio.CancelScope(shield=True):
        while True:
            await trio.sleep(1)


async def has_children_that_are_shielded(sim: Sim) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(is_shielded_for_ever, sim)
        nursery.start_soon(spins_in_a_shield, sim)


async def starts_ever_new_tasks(sim: Sim) -> None:
    async with trio.open_nursery() as nursery:

        async def task() -> None:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            nursery.start_soon(task)

        nursery.start_soon(task)


async def waits_in_finally(sim: Sim) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.Event().wait()


async def waits_in_every_finally(sim: Sim) -> None:
    async def nested(depth: int) -> None:
        try:
            with trio.CancelScope(shield=True):
                if depth:
                    await nested(depth - 1)
                await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.Event().wait()

    await nested(3)


async def raises_while_others_are_shielded(sim: Sim) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(is_shielded_for_ever, sim)
        await trio.lowlevel.checkpoint()
        raise BrokenError


async def is_frozen_for_ever(sim: Sim) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spins_in_a_shield, sim)
        sim.freeze(nursery)


async def calls_itself_by_run_sync_soon(sim: Sim) -> None:
    token = trio.lowlevel.current_trio_token()

    def again() -> None:
        if len(calls) < 10_000:
            calls.append(1)
            token.run_sync_soon(again)

    calls: list[int] = []
    again()
    await trio.sleep(1)


ENDING = [
    (swallows_cancelled_and_waits, Deadlock),
    (swallows_cancelled_and_spins, TooManySteps),
    (is_shielded_for_ever, Deadlock),
    (spins_in_a_shield, TooManySteps),
    (sleeps_in_a_shield, TooManySteps),
    (has_children_that_are_shielded, TooManySteps),
    (starts_ever_new_tasks, TooManySteps),
    (waits_in_finally, Deadlock),
    (waits_in_every_finally, Deadlock),
    (raises_while_others_are_shielded, Deadlock),
    (is_frozen_for_ever, Deadlock),
    (calls_itself_by_run_sync_soon, TooManySteps),
]


@contextmanager
def collected() -> Iterator[None]:
    """What a loop that was given up leaves behind is collected here, and told to nobody."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(
    ("program", "expected"), ENDING, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_run_ends_whatever_its_tasks_do(program: Program, expected: type[BaseException]) -> None:
    begun = time.perf_counter()
    with collected():
        for seed in range(4):
            run = simulate(program, seed=seed, max_steps=300)
            assert isinstance(run.error, expected), repr(run.error)
            assert run.steps <= 1000
            assert simulate(program, replay=run.token, max_steps=300).diff(run) == ""
        assert run.text()
    assert time.perf_counter() - begun < 20


async def swallows_everything(sim: Sim) -> None:
    while True:
        with suppress(BaseException):
            await trio.sleep_forever()


async def cannot_be_woken(sim: Sim) -> None:
    await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("program", [swallows_everything, cannot_be_woken])
def test_what_cannot_be_stopped_at_all_is_given_up_and_the_next_run_is_as_ever(
    program: Program,
) -> None:
    with collected():
        run = simulate(program, max_steps=300)
        assert isinstance(run.error, Deadlock)
        assert run.text()
        del run
        simulate(checkpoints(3, 3)).check()
    simulate(checkpoints(3, 3)).check()


# What is raised where Trio's loop would be the one to meet it.


def of(**methods: Callable[..., Any]) -> type[Strategy]:
    return type("Mine", (First,), methods)


def _raise(error: BaseException) -> Any:
    raise error


BAD_PICKS: list[Callable[..., Any]] = [
    lambda self, ready, current: len(ready),
    lambda self, ready, current: -1,
    lambda self, ready, current: 10**30,
    lambda self, ready, current: 1.0,
    lambda self, ready, current: "1",
    lambda self, ready, current: None,
    lambda self, ready, current: ready,
    lambda self, ready, current: _raise(BrokenError("in pick")),
    lambda self, ready, current: _raise(Nasty()),
    lambda self, ready, current: _raise(StopIteration()),
    lambda self, ready, current: ready.pop(),
    lambda self, ready: 0,
]


@pytest.mark.parametrize("pick", BAD_PICKS)
def test_a_strategy_that_picks_nonsense_fails_the_run(pick: Callable[..., Any]) -> None:
    run = simulate(checkpoints(3, 3), strategy=of(pick=pick))
    assert isinstance(run.error, BadStrategy), repr(run.error)
    assert "Mine" in str(run.error)
    for error in (run.error.__cause__, run.error.__context__):
        assert not isinstance(error, trio.TrioInternalError)
    assert run.text().startswith("BadStrategy: Mine ")
    with pytest.raises(BadStrategy):
        run.check()


@pytest.mark.parametrize("method", ["draw", "chance"])
@pytest.mark.parametrize("fails", [BrokenError("oh"), Nasty(), KeyError()])
def test_a_strategy_whose_other_choices_raise_fails_the_run(
    method: str, fails: BaseException
) -> None:
    async def program(sim: Sim) -> None:
        sim.draw(3)
        sim.maybe("?")
        await trio.sleep_forever()

    run = simulate(program, strategy=of(**{method: lambda self, n: _raise(fails)}))
    assert isinstance(run.error, BadStrategy), repr(run.error)
    assert run.error.__cause__ is fails


@pytest.mark.parametrize("number", [-1, 3, 1.5, None])
def test_a_strategy_that_draws_nonsense_fails_the_run(number: object) -> None:
    async def program(sim: Sim) -> int:
        drawn = sim.draw(3)
        assert drawn == 0, "the plain choice is made instead"
        return drawn

    def draw(self: Strategy, n: int) -> object:
        return 0 if n == 256 else number

    run = simulate(program, strategy=of(draw=draw))
    assert isinstance(run.error, BadStrategy), repr(run.error)


def test_a_strategy_that_fails_is_asked_no_more_and_the_program_is_cancelled() -> None:
    asked: list[int] = []
    log: list[str] = []

    def pick(self: Strategy, ready: Sequence[TaskView], current: TaskView | None) -> int:
        asked.append(1)
        raise BrokenError

    async def program(sim: Sim) -> None:
        try:
            await checkpoints(3, 3)(sim)
            await trio.sleep_forever()
        except BaseExceptionGroup:
            log.append("cancelled")
            raise

    assert isinstance(simulate(program, strategy=of(pick=pick)).error, BadStrategy)
    assert asked == [1]
    assert log == ["cancelled"]


def test_what_is_no_error_but_an_order_passes_through_a_strategy() -> None:
    """As the control flow of Hypothesis, and Ctrl-C."""

    class Order(BaseException):
        pass

    order = Order()
    strategy = of(pick=lambda self, ready, current: _raise(order))
    assert simulate(checkpoints(2, 2), strategy=strategy).error is order
    interrupt = of(pick=lambda self, ready, current: _raise(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        simulate(checkpoints(2, 2), strategy=interrupt)


def test_a_strategy_that_cannot_be_made_is_an_error_of_the_caller() -> None:
    class Unmade(First):
        def __init__(self, seed: int) -> None:
            raise BrokenError

    with pytest.raises(BrokenError):
        simulate(checkpoints(1), strategy=Unmade)


def test_a_strategy_may_not_change_what_it_is_shown() -> None:
    def pick(self: Strategy, ready: Sequence[TaskView], current: TaskView | None) -> int:
        assert not isinstance(ready, list)
        return 0

    simulate(checkpoints(3, 3), strategy=of(pick=pick)).check()


@pytest.mark.parametrize("text", ["\x00", "\ud800", "…" * 500, "a\nb\tc", "<script>"])
def test_messages_and_names_of_any_kind_can_be_told(text: str) -> None:
    class Message:
        def __repr__(self) -> str:
            return text

    class NastyMessage:
        def __repr__(self) -> str:
            raise BrokenError

    async def program(sim: Sim) -> None:
        send, receive = trio.open_memory_channel[object](5)
        sim.name(send, text)
        sim.note(text)
        sim.draw(1, text)
        for message in (text, Message(), NastyMessage()):
            await send.send(message)
        await receive.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever, name=text)

    run = simulate(program)
    assert isinstance(run.error, Deadlock), repr(run.error)
    told = run.text(full=True)
    assert "<NastyMessage, whose repr raised BrokenError>" in told
    assert run.mermaid().encode("utf-8", "replace")
    assert run.page().encode()


# Freezing.


def test_a_frozen_task_gets_no_step_and_no_finally_until_it_is_thawed() -> None:
    async def program(sim: Sim) -> list[tuple[object, str]]:
        log: list[tuple[object, str]] = []

        async def beat(name: str) -> None:
            try:
                while True:
                    log.append((trio.current_time(), name))
                    await trio.sleep(1)
            finally:
                log.append(("ended", name))

        async with trio.open_nursery() as others:
            others.start_soon(beat, "other")
            async with trio.open_nursery() as machine:
                machine.start_soon(beat, "frozen", name="process")
                await trio.sleep(0.5)
                frozen = sim.freeze(machine)
                assert frozen.names == ("process",)
                await trio.sleep(2)
                log.append(("thawed", "frozen"))
                sim.thaw(frozen)
                await trio.sleep(1)
                machine.cancel_scope.cancel()
            others.cancel_scope.cancel()
        return log

    log = simulate(program, strategy="plain").check().value
    assert [when for when, name in log if name == "frozen"] == [0.0, "thawed", 2.5, "ended"]
    assert [when for when, name in log if name == "other"] == [0.0, 1.0, 2.0, 3.0, "ended"]


def test_all_below_a_nursery_is_frozen_and_nothing_else() -> None:
    async def program(sim: Sim) -> tuple[tuple[str, ...], float]:
        async def outer() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 1, name="inner")
                nursery.start_soon(trio.sleep, 1, name="inner")

        async with trio.open_nursery() as beside, trio.open_nursery() as nursery:
            nursery.start_soon(outer)
            beside.start_soon(trio.sleep, 1, name="beside")
            await trio.sleep(0.5)
            frozen = sim.freeze(nursery)
            await trio.sleep(5)
            assert not beside.child_tasks
            sim.thaw(frozen)
        return frozen.names, trio.current_time()

    for seed in range(10):
        names = ("outer", "inner", "inner#2")
        assert simulate(program, seed=seed).check().value == (names, 5.5)


def test_a_task_that_was_just_woken_can_be_frozen_and_thawed_twice() -> None:
    async def program(sim: Sim) -> list[str]:
        event, log = trio.Event(), ["begun"]

        async def waiter() -> None:
            await event.wait()
            log.append("woken")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter)
            nursery.start_soon(waiter)
            await trio.testing.wait_all_tasks_blocked()
            event.set()
            once, twice = sim.freeze(nursery), sim.freeze(nursery)
            await trio.sleep(1)
            log.append("thawed")
            for frozen in (once, once, twice):
                sim.thaw(frozen)
        return log

    for seed in range(10):
        assert simulate(program, seed=seed).check().value == ["begun", "thawed", "woken", "woken"]


@pytest.mark.parametrize("seed", range(8))
def test_an_error_beside_a_frozen_task_is_the_failure_even_if_it_has_to_wait_for_it(
    seed: int,
) -> None:
    """The block of a nursery ends when its tasks do: frozen ones would keep the error in it."""

    async def beat() -> None:
        while True:
            await trio.sleep(1)

    async def program(sim: Sim) -> None:
        async with trio.open_nursery() as others:
            others.start_soon(beat)
            async with trio.open_nursery() as machine:
                machine.start_soon(beat)
                machine.start_soon(trio.sleep_forever)
                machine.start_soon(checkpoints(3), sim)
                await trio.lowlevel.checkpoint()
                sim.freeze(machine)
                await trio.sleep(10)
                raise BrokenError

    error = simulate(program, seed=seed).error
    assert error is not None
    assert isinstance(leaf(error), BrokenError), repr(error)


def test_a_frozen_task_is_marked_where_it_is_told_of() -> None:
    async def program(sim: Sim) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1, name="process")
            await trio.lowlevel.checkpoint()
            sim.freeze(nursery)

    error = simulate(program).error
    assert isinstance(error, Deadlock)
    assert "process (frozen)  at" in str(error)
    assert error.tasks == {"main", "process"}


def test_a_task_cannot_freeze_itself() -> None:
    async def program(sim: Sim) -> None:
        async with trio.open_nursery() as nursery:

            async def task() -> None:
                async with trio.open_nursery() as inner:
                    inner.start_soon(own)

            async def own() -> None:
                sim.freeze(nursery)

            nursery.start_soon(task)

    with pytest.raises(ValueError, match="cannot freeze"):
        simulate(program).check()


@settings(deadline=None, max_examples=40)
@given(
    tape=st.lists(st.integers(0, 7), max_size=30),
    plan=st.lists(st.sampled_from(["freeze", "thaw", "step", "sleep"]), max_size=12),
)
def test_freezing_and_thawing_at_any_time_loses_no_step(tape: list[int], plan: list[str]) -> None:
    """Whatever the schedule is, in which tasks may be held back, too."""

    async def program(sim: Sim) -> list[int]:
        done = [0, 0, 0]

        async def worker(number: int) -> None:
            for step in range(6):
                if step % 2:
                    await trio.sleep(1)
                else:
                    await trio.lowlevel.checkpoint()
                done[number] += 1

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(worker, number)
            frozen = None
            for what in plan:
                if what == "freeze":
                    frozen = sim.freeze(nursery)
                    before = list(done)
                elif what == "thaw" and frozen is not None:
                    sim.thaw(frozen)
                    frozen = None
                elif what == "step":
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.sleep(1.5)
                assert frozen is None or done == before
            if frozen is not None:
                sim.thaw(frozen)
        return done

    run = simulate(program, replay=tape).check()
    assert run.value == [6, 6, 6]
    assert simulate(program, replay=run.token).diff(run) == ""


# The sets of schedules report the same failures.


def test_searches_report_failures_and_raise_nothing() -> None:
    for program in (two_locks, raises_deep_down, lost_update):
        for report in (explore(program, runs=200), exhaust(program)):
            assert report.failure is not None
            assert report.error is report.failure.error
            with pytest.raises((AssertionError, BrokenError)):
                report.check()


def test_a_run_that_passed_has_nothing_to_raise() -> None:
    run = simulate(checkpoints(1))
    assert run.error is None
    assert run.check() is run
    assert isinstance(run, Run)
    assert run.text().startswith("passed\n")
