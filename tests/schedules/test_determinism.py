"""A seed means one run: the same choices, steps, results and reports, wherever it is made.

A thousand seeds over four programs, each run twice, in two processes with different hash seeds; one
run of ten is told, too. With ATRIO_LONG=1 (`.ci/long`) it is ten thousand.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from actors.sim import explore, simulate

from .again import PROGRAMS, by_seed, in_another_process

_TIMES = 10 if os.environ.get("ATRIO_LONG") else 1
_SEEDS = {"everything": 600, "ghost_join": 240, "resets": 80, "websockets": 80}


@pytest.mark.parametrize("name", _SEEDS)
def test_a_seed_is_the_same_run_in_two_processes(name: str) -> None:
    ask = partial(in_another_process, "by_seed", {name: _SEEDS[name] * _TIMES})
    with ThreadPoolExecutor() as pool:
        one, other = pool.map(lambda hash_seed: ask(hash_seed=hash_seed)[name], (1, 2))
    assert [
        seed for seed, pair in enumerate(zip(one, other, strict=True)) if len(set(pair)) > 1
    ] == []
    assert len(set(one)) > 0.9 * len(one)  # and two seeds are two runs


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_seed_is_the_same_run_twice_in_one_process(name: str) -> None:
    assert by_seed({name: 12}) == by_seed({name: 12})


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_replay_is_the_run_it_replays(name: str) -> None:
    for seed in range(8):
        run = simulate(PROGRAMS[name], seed=seed)
        again = simulate(PROGRAMS[name], replay=run.token)
        assert again.diff(run) == ""
        assert again.misaligned == 0


def test_a_program_that_fails_in_some_runs_only_is_checked_in_both() -> None:
    errors = [simulate(PROGRAMS["everything"], seed=seed).error for seed in range(40)]
    assert 0 < sum(error is None for error in errors) < len(errors)


def test_the_double_run_check_finds_nothing() -> None:
    report = explore(PROGRAMS["resets"], runs=30, check_determinism=30)
    assert report.error is None
