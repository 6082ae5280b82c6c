"""`explore`: many schedules of one program, one after the other or on all cores.

Seed n means the same run in whichever process it is made; so the result does not depend on how the
work was shared, and of several failures the one of the lowest seed is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import attrs

from .errors import Nondeterminism, Unreached
from .options import Options
from .record import Program, Record, record
from .run import Run, probed
from .strategies import StrategyLike, strategy_for
from .tally import Report, Tally
from .tape import Tape
from .workers import search

_now = time.perf_counter  # taken here: during a run `time` shows virtual time

# A set that takes longer than this is shared among processes: to start one costs some ms.
_ALONE = 1.0


def explore(
    program: Program,
    *,
    runs: int = 1000,
    seconds: float | None = None,
    jobs: int = 1,
    seed: int = 0,
    strategy: StrategyLike = "portfolio",
    sometimes: str | Iterable[str] = (),
    check_determinism: int = 0,
    progress: Callable[[Tally], None] | None = None,
    tally: Tally | None = None,
    **options: Any,
) -> Report:
    """Run `program` under the schedules of `runs` seeds, from `seed` on; stop at a failure.

    `seconds`: a bound in real time; with `runs` as the other bound. `jobs`: how many processes
    share the work of a set that takes more than a second. `sometimes`: names that `sim.sometimes`
    must reach in one schedule at least. `check_determinism`: so many of the first seeds run twice,
    to see that both runs are the same. `progress` is called now and then with what was counted so
    far; that is added to `tally`, if one is given. `strategy` and `options` as for `simulate`.

    Raises nothing for a failure: see the report's `failure`, `error`, `check`.
    """
    begun = _now()
    seeds = range(seed, seed + runs)
    explorer = _Explorer(program, Options(**options), strategy, seeds, check_determinism)
    tally = tally or Tally()
    names = [sometimes] if isinstance(sometimes, str) else sometimes
    tally.coverage |= dict.fromkeys(names, False)
    failed = explorer.explore(tally, jobs, None if seconds is None else begun + seconds, progress)
    if isinstance(failed, Nondeterminism):
        return tally.report(error=failed, seconds=_now() - begun)
    if failed is not None:
        return tally.report(failed, seconds=_now() - begun)
    missed = [name for name, reached in tally.coverage.items() if not reached]
    error = Unreached(f"no schedule of {tally.runs} reached {missed}") if missed else None
    return tally.report(error=error, seconds=_now() - begun)


@attrs.define(slots=False)
class _Explorer:
    program: Program
    options: Options
    strategy: StrategyLike
    seeds: range
    check_determinism: int

    @cached_property
    def _weights(self) -> Mapping[int, int]:
        return probed(self.program, self.options)

    def run(self, seed: int) -> Record:
        tape = Tape(strategy_for(self.strategy, seed, lambda: self._weights))
        return record(self.program, tape, self.options, seed=seed)

    def judge(self, seed: int, tally: Tally) -> bool:
        """Run one seed; return whether it failed, or went another way the second time."""
        made = self.run(seed)
        tally.add(made)
        return made.error is not None or self._other_way(seed, made) is not None

    def explore(
        self,
        tally: Tally,
        jobs: int,
        until: float | None,
        progress: Callable[[Tally], None] | None,
    ) -> Run | Nondeterminism | None:
        """Judge all seeds; return what the lowest one that failed has shown."""
        begun = _now()
        for seed in self.seeds:
            if until is not None and _now() > until:
                return None
            if jobs > 1 and _now() - begun > _ALONE:
                rest = range(seed, self.seeds.stop)
                failed = search(self.judge, rest, jobs, until=until, tally=tally, progress=progress)
                if failed is None:
                    return None
                made = self.run(failed)
                return self._finding(failed, made, self._other_way(failed, made))
            made = self.run(seed)
            tally.add(made)
            if progress is not None:
                progress(tally)
            other_way = self._other_way(seed, made)
            if made.error is not None or other_way is not None:
                return self._finding(seed, made, other_way)
        return None

    def _finding(
        self, seed: int, made: Record, other_way: Nondeterminism | None
    ) -> Run | Nondeterminism:
        if other_way is not None:
            return other_way
        if made.error is None:
            return Nondeterminism(
                f"seed {seed} failed in one process and not in another: {_UNCONTROLLED}"
            )
        number = seed - self.seeds.start + 1
        return Run(
            self.program,
            self.options,
            made,
            seed,
            self.strategy,
            found=f"found by schedule {number} (seed {seed})",
        )

    def _other_way(self, seed: int, made: Record) -> Nondeterminism | None:
        """Run one of the first seeds again, to see that it goes the same way."""
        if seed - self.seeds.start >= self.check_determinism:
            return None
        first = Run(self.program, self.options, made, seed)
        difference = first.diff(Run(self.program, self.options, self.run(seed), seed))
        if not difference:
            return None
        return Nondeterminism(f"seed {seed} gave two different runs; {difference}: {_UNCONTROLLED}")


_UNCONTROLLED = (
    "the program uses something that the simulation does not control, as a set of objects, id(), "
    "datetime.now(), or what an earlier run has left in a global"
)
