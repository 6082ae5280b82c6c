"""Schedules as bursts: what `shrink` brings together."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.sim import Sim, simulate
from actors.sim.bursts import Burst, Follow, bursts, merged

HISTORIES = st.lists(st.integers(0, 4), max_size=40)


async def _pipeline(sim: Sim) -> list[int]:
    seen: list[int] = []
    sender, receiver = trio.open_memory_channel[int](sim.draw(4, "the size of the buffer"))

    async def produce(first: int) -> None:
        for number in range(first, first + 3):
            await sender.send(number)
            await trio.sleep(sim.draw(3, "a pause"))

    async def consume() -> None:
        seen.extend([number async for number in receiver])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        async with sender, trio.open_nursery() as producers:
            for first in (0, 10, 20):
                producers.start_soon(produce, first)
    return seen


def _length(found: list[Burst]) -> Counter[int]:
    total: Counter[int] = Counter()
    for number, length in found:
        total[number] += length
    return total


@given(HISTORIES)
def test_bursts_say_all_of_a_history(history: list[int]) -> None:
    found = bursts(history)
    assert [number for number, length in found for _ in range(length)] == history
    assert all(one[0] != other[0] for one, other in pairwise(found))


@given(HISTORIES)
def test_merging_makes_one_burst_less_and_takes_no_step_away(history: list[int]) -> None:
    found = bursts(history)
    for candidate in merged(found):
        assert len(candidate) == len(found) - 1
        assert _length(candidate) == _length(found)


@pytest.mark.parametrize("seed", range(40))
def test_following_the_bursts_of_a_run_gives_that_run(seed: int) -> None:
    run = simulate(_pipeline, seed=seed)
    followed = simulate(
        _pipeline,
        strategy=lambda _seed: Follow(bursts(run.record.history), run.record.drawn),
    )
    assert run.diff(followed) == ""
    assert followed.tape == run.tape
    assert followed.value == run.value


def test_bursts_that_cannot_be_followed_are_passed_over() -> None:
    run = simulate(_pipeline, seed=3)
    backwards = bursts(run.record.history)[::-1]
    followed = simulate(_pipeline, strategy=lambda _seed: Follow(backwards, ()))
    assert followed.error is None
    assert sorted(followed.value) == sorted(run.value)
