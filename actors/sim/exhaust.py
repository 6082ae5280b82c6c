"""`exhaust`: every schedule that differs from the plain one in at most so many choices.

In the order of their number, so the first failure found is one of the simplest; and when all have
passed, that is a proof for this program and this bound. It is for small programs: the number of
schedules grows with the power of the bound. (Delay-bounded scheduling: Emmi, Qadeer, Rakamarić,
POPL 2011.)
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from typing import Any, TypeAlias

from .options import Options
from .record import Program, Record, record
from .run import Run
from .tally import Report, Tally
from .tape import Tape

_now = time.perf_counter  # taken here: during a run `time` shows virtual time

_MANY = 1 << 63  # no search gets that far

_Numbers: TypeAlias = "array[int]"
_Schedule = tuple[_Numbers, _Numbers, int]
"""A tape, from how many each choice was made, and the place of its last deviation."""


def exhaust(
    program: Program,
    *,
    bound: int = 2,
    max_runs: int = 100_000,
    seconds: float | None = None,
    **options: Any,
) -> Report:
    """Run all schedules with at most `bound` choices that are not plain, faults included.

    Ends at the first failure, after `max_runs` schedules, or after so many `seconds`. The report's
    `exhausted` says whether all schedules of that bound were run, and passed. `options` as for
    `simulate`; with `timers`, that one fires early is such a choice, too.
    """
    begun = _now()
    chosen = Options(**options)
    tally = Tally()

    def failed(made: Record) -> Report | None:
        tally.add(made)
        if made.error is None:
            return None
        found = f"found by schedule {tally.runs} of an exhaustive search"
        run = Run(program, chosen, made, found=found)
        return tally.report(run, seconds=_now() - begun)

    made = record(program, Tape(None), chosen)
    if report := failed(made):
        return report
    # The first choice of a tape is of random numbers, none of the schedule's.
    level: list[_Schedule] = [_schedule(made, 0)]
    for depth in range(1, bound + 1):
        deeper: list[_Schedule] = []
        for schedule in level:
            for tape in _neighbours(schedule):
                if tally.runs >= max_runs or (seconds is not None and _now() - begun > seconds):
                    return tally.report(seconds=_now() - begun)
                made = record(program, Tape(None, tape), chosen)
                if report := failed(made):
                    return report
                if depth < bound:
                    deeper.append(_schedule(made, len(tape) - 1))
        level = deeper
    return tally.report(exhausted=True, seconds=_now() - begun)


def _schedule(made: Record, last: int) -> _Schedule:
    limits = (min(limit, _MANY) for limit in made.limits)
    return array("Q", made.choices), array("Q", limits), last


def _neighbours(schedule: _Schedule) -> Iterator[_Numbers]:
    """Yield the tapes with one more deviation, behind the last one."""
    choices, limits, last = schedule
    for position in range(last + 1, len(choices)):
        for choice in range(1, limits[position]):
            tape = choices[:position]
            tape.append(choice)
            yield tape
