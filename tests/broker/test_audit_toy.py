"""A right room server passes its audit under any interleaving; each planted fault is found."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.audit import AuditFailed

from .toy_room import FAULTS, OUTBOX, Toy

TRIES = 400

Script = list[tuple[str, str]]


def scripts_of(choose: random.Random) -> list[Script]:
    """Three clients, who go through rooms, talk, stall and vanish."""
    scripts = []
    for _ in range(3):
        script: Script = []
        for _ in range(choose.randint(1, 3)):
            rooms = choose.sample(["a", "b"], choose.randint(1, 2))
            script += [("join", room) for room in rooms]
            script += [("say", choose.choice(rooms)) for _ in range(choose.randint(0, OUTBOX))]
            if choose.random() < 0.2:
                script.append(("stall", ""))
            if choose.random() < 0.2:
                script.append(("go", ""))
                break
            script += [("leave", room) for room in rooms]
        scripts.append(script)
    return scripts


@given(
    seed=st.integers(0, 2**32),
    choices=st.lists(st.integers(0, 2**16), max_size=300),
    at=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_the_right_server_passes(seed: int, choices: list[int], *, at: bool) -> None:
    toy = Toy(scripts_of(random.Random(seed)), "", at=at)
    queue = iter(choices)
    toy.play(lambda n: next(queue, 0) % n)
    assert toy.audit.failures == []


# Without positions these are no faults: nobody sees anything of them.
NEEDS_POSITIONS = {"the same seq twice", "no epoch", "a seq too many"}


@pytest.mark.parametrize(
    ("fault", "at"),
    [(fault, at) for fault in FAULTS for at in (True, False) if at or fault not in NEEDS_POSITIONS],
)
def test_each_fault_is_found(fault: str, *, at: bool) -> None:
    found = []
    for seed in range(TRIES):
        choose = random.Random(seed)
        toy = Toy(scripts_of(choose), fault, at=at)
        try:
            toy.play(choose.randrange)
        except AuditFailed as failed:
            found.append(failed.invariant)
            if len(found) == 10:
                break
    assert found
    assert set(found) <= FAULTS[fault]
