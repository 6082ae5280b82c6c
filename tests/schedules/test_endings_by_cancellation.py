"""The connection is cancelled at every step of a session: hooks once, nothing left."""

from __future__ import annotations

import pytest

from actors.sim import simulate

from .faults import of_endings
from .faults.planting import Fault
from .storm.cut import Script, What, cut, over_a_websocket, over_polling

scripts = pytest.mark.parametrize(
    ("script", "what"),
    [
        (over_a_websocket, "connections"),
        (over_polling, "connections"),
        (over_polling, "sessions"),
    ],
)


def first_failure(
    script: Script, what: What, strategy: str = "plain", seed: int = 0
) -> BaseException | None:
    """Cut at the first step, the second, and so on, until the script is over before that."""
    at = 0
    was_cut = True
    while was_cut:
        at += 1
        run = simulate(cut(script, what, at), strategy=strategy, seed=seed)
        if run.error is not None:
            run.error.add_note(f"cut at step {at}: {run.token}")
            return run.error
        was_cut = run.value
    assert at > 100, "the script ended too soon"
    return None


@scripts
@pytest.mark.parametrize(("strategy", "seed"), [("plain", 0), ("random", 1)])
def test_a_connection_cancelled_at_any_step_leaves_nothing(
    script: Script, what: What, strategy: str, seed: int
) -> None:
    failure = first_failure(script, what, strategy, seed)
    if failure is not None:
        raise failure


@pytest.mark.parametrize(
    "fault",
    [
        of_endings.rooms_are_not_left,
        of_endings.last_hooks_can_be_cancelled,
        of_endings.an_ending_can_be_cancelled_before_it_begins,
    ],
    ids=lambda fault: fault.__name__,
)
@pytest.mark.parametrize(
    ("script", "what"), [(over_a_websocket, "connections"), (over_polling, "sessions")]
)
def test_a_fault_of_endings_is_found_by_cancelling(
    fault: Fault, script: Script, what: What
) -> None:
    with fault():
        assert first_failure(script, what) is not None
