"""A run's choices: what a seed means, what a tape and a token say, and strategies of one's own."""

from __future__ import annotations

import base64
import binascii
import os
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sim import (
    CHAOS,
    STRATEGIES,
    BadToken,
    Run,
    Sim,
    Strategy,
    TaskView,
    explore,
    maybe,
    shrink,
    simulate,
)
from actors.sim.strategies import Pct, RandomWalk, Sticky, portfolio
from actors.sim.tape import decode, encode, stripped

from .planted import First, checkpoints, ghost_join, lost_update, scripted

moderate = settings(deadline=None, max_examples=40)

tapes = st.lists(
    st.one_of(st.just(0), st.integers(0, 5), st.integers(0, 2**70)), max_size=60
) | st.lists(st.sampled_from([0, 0, 0, 0, 1, 2]), max_size=400)


# Tokens.


@given(tapes)
def test_a_token_holds_the_tape(tape: list[int]) -> None:
    token = encode(tape)
    assert token.startswith("s1.")
    assert decode(token) == stripped(tape)
    assert encode(decode(token)) == token
    assert set(token) <= set(
        "s1.-_" + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    )


@given(tapes)
def test_zeros_at_the_end_of_a_tape_say_nothing(tape: list[int]) -> None:
    assert encode(tape) == encode([*tape, 0, 0, 0])


def test_a_simple_tape_has_a_short_token() -> None:
    assert len(encode([0] * 5000 + [1])) <= 12
    assert len(encode([])) <= 8
    assert len(encode([1, 0, 2] * 500)) <= 60


@settings(derandomize=True, database=None)  # the sum has 16 bits, and so is right by chance
@given(tape=tapes.filter(any), data=st.data())
def test_a_token_that_is_cut_or_changed_is_told_from_a_whole_one(
    tape: list[int], data: st.DataObject
) -> None:
    token = encode(tape)
    cut = data.draw(st.integers(0, len(token) - 1))
    with pytest.raises(BadToken):
        decode(token[:cut])
    if cut > 2:
        other = data.draw(st.sampled_from("ABCXYZabc059-_"))
        changed = token[:cut] + other + token[cut + 1 :]
        try:
            found = decode(changed)
        except BadToken:
            pass
        else:  # the last letter has bits that mean nothing
            assert found == stripped(tape)


@given(st.text(max_size=40))
def test_any_text_is_a_token_or_a_bad_token(text: str) -> None:
    for token in (text, "s1." + text):
        with suppress(BadToken):
            assert isinstance(decode(token), list)


@given(st.binary(max_size=40))
def test_any_bytes_with_a_right_sum_are_a_token_or_a_bad_token(data: bytes) -> None:
    with suppress(BadToken):
        tape = decode(signed(data))
        assert not tape or (min(tape) >= 0 and encode(tape).startswith("s1."))


def signed(data: bytes) -> str:
    """The token that holds these bytes."""
    whole = data + binascii.crc_hqx(data, 0).to_bytes(2, "big")
    return "s1." + base64.urlsafe_b64encode(whole).decode().rstrip("=")


@pytest.mark.parametrize("number", [b"\xff" * 8 + b"\x01", b"\xff\xff\xff\xff\x0f"])
def test_a_token_cannot_ask_for_more_memory_than_there_is(number: bytes) -> None:
    with pytest.raises(BadToken, match="too long"):
        decode(signed(b"\x00" + number + b"\x01"))


@pytest.mark.parametrize(
    "token", ["", "s1", "s1.", "s2.AAAA", "S1.AAAA", "s1.AAA", "s1.=", "s1.ä", " s1.AAAA", "seed 3"]
)
def test_a_bad_token_is_a_value_error_that_shows_it(token: str) -> None:
    with pytest.raises(BadToken) as raised:
        simulate(lost_update, replay=token)
    assert isinstance(raised.value, ValueError)
    assert repr(token) in str(raised.value)


# Replays.


async def mixed(sim: Sim) -> list[object]:
    """A program that makes choices of all kinds."""
    log: list[object] = []
    send, receive = trio.open_memory_channel[int](20)

    async def producer(number: int) -> None:
        for _ in range(sim.draw(3, "how many") + 1):
            if sim.maybe("late", 0.3):
                await trio.sleep(1)
            await send.send(number)
            log.append(("sent", number))

    async def consumer() -> None:
        with trio.move_on_after(5):
            async for number in receive:
                log.append((number, trio.current_time()))  # noqa: PERF401

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consumer)
        for number in range(3):
            nursery.start_soon(producer, number)
    return log


@moderate
@given(
    seed=st.integers(0, 2**64),
    strategy=st.sampled_from(sorted(STRATEGIES)),
    timers=st.sampled_from([0.0, 0.2]),
    lag=st.none() | st.integers(1, 5),
)
def test_a_replay_is_the_same_run(seed: int, strategy: str, timers: float, lag: int | None) -> None:
    options: dict[str, Any] = {"timers": timers, "lag": lag}
    run = simulate(mixed, seed=seed, strategy=strategy, **options).check()
    for replay in (run.token, run.tape, stripped(run.tape)):
        again = simulate(mixed, replay=replay, **options).check()
        assert run.diff(again) == again.diff(run) == ""
        assert again.tape == run.tape
        assert again.token == run.token
        assert again.value == run.value
        assert again.record.history == run.record.history
        assert again.record.order == run.record.order
        assert again.record.seconds == run.record.seconds
        assert again.misaligned == 0
        assert again.seed is None
    assert run.replayed().diff(run) == ""


@moderate
@given(tape=st.lists(st.integers(0, 12), max_size=40))
def test_any_tape_can_be_replayed_and_what_is_not_to_be_had_is_counted(tape: list[int]) -> None:
    run = simulate(mixed, replay=tape).check()
    assert run.misaligned <= sum(map(bool, tape))
    again = simulate(mixed, replay=run.token).check()
    assert again.misaligned == 0
    assert again.diff(run) == ""


def test_a_tape_that_no_longer_fits_says_so() -> None:
    async def shorter(sim: Sim) -> None:
        await checkpoints(2, 2)(sim)

    run = simulate(checkpoints(3, 3, 3), strategy=scripted([2, 2, 1, 1, 2])).check()
    assert simulate(checkpoints(3, 3, 3), replay=run.token).misaligned == 0
    assert simulate(shorter, replay=[0, *[5] * 20]).misaligned > 0


def test_what_is_behind_the_end_of_a_tape_is_plain() -> None:
    plain = simulate(mixed, strategy="plain").check()
    assert simulate(mixed, replay=[]).diff(plain) == ""
    assert plain.decisions == 0
    assert plain.token == encode([])


@pytest.mark.parametrize("tape", [[-1], [0, 1, -5], [1.5], ["1"], [None], 5])
def test_what_cannot_be_a_tape_is_refused(tape: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        simulate(mixed, replay=tape)


def test_a_task_can_be_held_back_by_a_number_past_the_offered_ones() -> None:
    """So shrinking says in one decision: this one runs only when no other task can."""
    run = simulate(checkpoints(3, 3, 3), replay=[0, 3]).check()
    assert run.value == [1, 1, 1, 2, 2, 2, 0, 0, 0]
    assert run.decisions == 1
    assert simulate(checkpoints(3, 3, 3), replay=run.token).diff(run) == ""
    assert "t0 runs only when no other task can" in run.text()


# A seed.


def test_a_seed_means_the_same_run_in_every_process() -> None:
    """Whatever the hash seed is, and whatever was run before."""
    script = textwrap.dedent(
        """
        import sys, zlib
        sys.path.insert(0, {folder!r})
        import sim.planted as planted
        from sim.test_sim_tape import mixed
        from actors.sim import CHAOS, simulate
        sum = 0
        for program in (mixed, planted.ghost_join, planted.lost_update):
            for seed in range(int(sys.argv[1]), 10):
                run = simulate(program, seed=seed, timers=0.05, faults=CHAOS)
                if seed >= 2:
                    told = (run.token, run.record.history, repr(run.error), run.record.order)
                    sum = zlib.crc32(repr(told).encode(), sum)
        print(sum)
        """
    ).format(folder=str(Path(__file__).parents[1]))
    sums = {
        subprocess.run(
            [sys.executable, "-c", script, first],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed, first in [("0", "0"), ("1", "2")]
    }
    assert len(sums) == 1


def test_neighbouring_seeds_are_unrelated_and_large_ones_are_welcome() -> None:
    runs = [simulate(checkpoints(4, 4, 4), seed=seed, strategy="random") for seed in range(20)]
    assert len({run.record.history for run in runs}) >= 19
    for seed in (2**64, 10**50, -1):
        run = simulate(mixed, seed=seed).check()
        assert simulate(mixed, seed=seed).diff(run) == ""


def test_the_program_is_told_its_seed_and_a_replay_has_none() -> None:
    async def program(sim: Sim) -> int:
        return sim.seed

    assert simulate(program, seed=5).check().value == 5
    assert simulate(program, replay=simulate(program, seed=5).token).check().value == 0


# Numbers drawn by the program.


@given(n=st.integers(1, 2**80), seed=st.integers(0, 50))
@moderate
def test_a_drawn_number_is_within_its_bounds(n: int, seed: int) -> None:
    async def program(sim: Sim) -> int:
        return sim.draw(n)

    run = simulate(program, seed=seed).check()
    assert 0 <= run.value < n
    assert simulate(program, replay=run.token).check().value == run.value
    assert simulate(program, strategy="plain").check().value == 0


def test_all_numbers_can_be_drawn_about_alike() -> None:
    async def program(sim: Sim) -> list[int]:
        return [sim.draw(4) for _ in range(10)]

    counts = Counter(n for seed in range(100) for n in simulate(program, seed=seed).value)
    assert set(counts) == {0, 1, 2, 3}
    assert min(counts.values()) > 200


@pytest.mark.parametrize("n", [0, -1])
def test_a_number_of_nothing_cannot_be_drawn(n: int) -> None:
    async def program(sim: Sim) -> None:
        sim.draw(n)

    with pytest.raises(ValueError, match=f"saw {n}"):
        simulate(program).check()


def test_a_draw_without_a_choice_is_none() -> None:
    async def program(sim: Sim) -> int:
        return sim.draw(1)

    run = simulate(program, seed=3).check()
    assert run.value == 0
    assert len(run.tape) == 1


def test_maybe_is_yes_with_its_probability_and_no_in_the_plain_run() -> None:
    async def program(sim: Sim) -> int:
        return sum(sim.maybe("fault", 0.2) for _ in range(100))

    total = sum(simulate(program, seed=seed).check().value for seed in range(50))
    assert 700 <= total <= 1300
    assert simulate(program, strategy="plain").check().value == 0


@pytest.mark.parametrize(("p", "expected"), [(0.0, False), (1.0, True)])
def test_maybe_of_a_certain_thing(p: float, expected: bool) -> None:
    async def program(sim: Sim) -> bool:
        return sim.maybe("?", p)

    for seed in range(8):
        run = simulate(program, seed=seed).check()
        assert run.value is expected
        assert len(run.tape) == 1 + expected


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_probability_is_from_0_to_1(p: float) -> None:
    async def program(sim: Sim) -> None:
        sim.maybe("?", p)

    with pytest.raises(ValueError, match="probability"):
        simulate(program).check()


def test_maybe_without_a_sim_asks_that_of_the_running_simulation() -> None:
    async def deep_down() -> bool:
        return maybe("deep down", 1.0)

    async def program(sim: Sim) -> list[bool]:
        results: list[bool] = []

        async def task() -> None:
            results.append(await deep_down())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            results.append(maybe("here", 1.0))
        await sim.quiesce()
        results.append(maybe("calm", 1.0))
        return results

    assert simulate(program, seed=1).check().value == [True, True, False]
    assert trio.run(deep_down) is False
    assert maybe("outside", 1.0) is False


# Strategies.


def test_all_named_strategies_run_and_all_but_one_deviate() -> None:
    for name in STRATEGIES:
        decisions = [
            simulate(checkpoints(3, 3, 3), seed=seed, strategy=name).check().decisions
            for seed in range(8)
        ]
        assert any(decisions) == (name != "plain"), name


def test_a_name_that_is_no_strategys_is_refused_with_those_there_are() -> None:
    for call in (simulate, explore):
        with pytest.raises(ValueError, match=r"'portfolio'.*'sticky'.*saw 'clever'"):
            call(lost_update, strategy="clever")


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_strategy_is_of_its_seed_alone(name: str) -> None:
    """Whatever ran before: a horizon that is learnt would make it another one."""
    alone = simulate(ghost_join, seed=6, strategy=name)
    for seed in range(6):
        simulate(ghost_join, seed=seed, strategy=name)
    explore(ghost_join, runs=5, strategy=name)
    assert simulate(ghost_join, seed=6, strategy=name).diff(alone) == ""
    searched = explore(ghost_join, runs=1, seed=6, strategy=name)
    if searched.failure is not None:
        assert searched.failure.diff(alone) == ""


def test_the_portfolio_is_a_mix_by_seed() -> None:
    kinds = Counter(type(portfolio(seed)) for seed in range(400))
    assert kinds == {RandomWalk: 200, Pct: 100, Sticky: 100}


def test_a_strategy_of_ones_own_sees_the_tasks_and_decides() -> None:
    seen: list[TaskView] = []

    class Backwards(Strategy):
        name = "backwards"

        def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
            seen.extend(ready)
            numbers = [view.number for view in ready]
            return numbers.index(max(numbers))

    run = simulate(checkpoints(2, 2, 2), seed=4, strategy=Backwards).check()
    assert run.value == [2, 2, 1, 1, 0, 0]
    assert run.strategy is Backwards
    assert run.seed == 4
    assert {view.name for view in seen} == {"t0", "t1", "t2"}
    assert simulate(checkpoints(2, 2, 2), replay=run.token).diff(run) == ""
    found = explore(lost_update, strategy=Backwards, runs=5)
    assert found.runs == 5 or found.failure is not None


def test_the_random_numbers_of_a_strategy_of_ones_own_are_of_the_seed() -> None:
    class Mine(Strategy):
        name = "mine"

        def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
            return self.rng.randrange(len(ready))

    tapes = {simulate(checkpoints(3, 3, 3), seed=seed, strategy=Mine).tape for seed in range(10)}
    assert len(tapes) == 10
    again = {simulate(checkpoints(3, 3, 3), seed=seed, strategy=Mine).tape for seed in range(10)}
    assert tapes == again


def test_a_strategy_without_pick_says_so() -> None:
    run = simulate(checkpoints(2, 2), strategy=Strategy)
    assert "NotImplementedError" in str(run.error)


def test_sticky_keeps_the_turn_more_often_than_not() -> None:
    def count(strategy: str) -> int:
        total = 0
        for seed in range(20):
            value = simulate(checkpoints(*[10] * 4), seed=seed, strategy=strategy).value
            total += sum(a != b for a, b in pairwise(value))
        return total

    assert count("plain") < count("sticky") < count("random")


def test_uniform_gives_long_tasks_more_of_the_steps() -> None:
    """All interleavings about alike: a short task is not over long before the long one."""
    counts = {"uniform": 0.0, "random": 0.0}
    for strategy in counts:
        for seed in range(80):
            value = simulate(checkpoints(20, 2), seed=seed, strategy=strategy).check().value
            counts[strategy] += len(value) - 1 - value[::-1].index(1)
    # Of the 231 interleavings the last of the two steps is on average at 2/3 of the way.
    assert counts["uniform"] / 80 == pytest.approx(15, abs=3)
    assert counts["random"] / 80 < 8


def test_uniform_estimates_from_one_plain_run_only() -> None:
    runs: list[str] = []

    async def program(sim: Sim) -> None:
        runs.append("run")
        await checkpoints(3, 3)(sim)

    explore(program, runs=5, strategy="uniform").check()
    assert len(runs) == 6


def test_uniform_copes_with_a_plain_run_that_fails() -> None:
    async def program(sim: Sim) -> None:
        await checkpoints(2, 2)(sim)
        raise KeyError

    assert isinstance(simulate(program, strategy="uniform").error, KeyError)


# What hypothesis does best, with what the kit does best.


@settings(deadline=None, max_examples=30)
@given(accounts=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_hypothesis_makes_the_workload_and_the_seed_the_schedule(accounts: int, seed: int) -> None:
    async def program(sim: Sim) -> int:
        total = 0
        lock = trio.Lock()

        async def deposit() -> None:
            nonlocal total
            async with lock:
                seen = total
                await trio.lowlevel.checkpoint()
                total = seen + 1

        async with trio.open_nursery() as nursery:
            for _ in range(accounts):
                nursery.start_soon(deposit)
        return total

    assert simulate(program, seed=seed).check().value == accounts


def test_hypothesis_may_even_make_the_choices() -> None:
    """Its own control flow passes through the run, and it finds and shrinks."""

    @settings(max_examples=100, database=None, derandomize=True)
    @given(st.data())
    def search(data: st.DataObject) -> None:
        class Drawn(First):
            def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
                return data.draw(st.integers(0, len(ready) - 1))

        simulate(lost_update, strategy=Drawn).check()

    with pytest.raises(AssertionError):
        search()


# A run's attributes.


def test_a_run_says_how_it_was_made_and_what_it_cost() -> None:
    run = simulate(mixed, seed=9, strategy="random", timers=0.1, max_steps=500, faults=CHAOS)
    assert run.seed == 9
    assert run.strategy == "random"
    assert run.options.timers == 0.1
    assert run.options.max_steps == 500
    assert run.options.faults is CHAOS
    assert run.decisions == sum(choice != 0 for choice in run.tape)
    assert run.steps == len(run.record.history)
    assert "seed=9" in repr(run)
    assert run.found == ""


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="speed"):
        simulate(mixed, speed=3)


@pytest.mark.parametrize("kind", [Run, TaskView])
def test_the_values_of_the_kit_are_attrs_classes(kind: type) -> None:
    assert attrs.has(kind)


def test_a_shrunk_run_has_a_token_that_fails_alike() -> None:
    found = explore(ghost_join, runs=300).failure
    assert found is not None
    small = shrink(ghost_join, found)
    assert 0 < small.decisions <= found.decisions
    again = simulate(ghost_join, replay=small.token)
    assert again.record.signature == found.record.signature
    assert again.diff(small) == ""
