"""`shrink`: the simplest schedule with the same failure.

A schedule is simpler the fewer of its choices are not plain, then the shorter its tape, then the
smaller its numbers. "The same failure" is one of the same signature: type and user's line, or the
name of the invariant. Every candidate is run, and what counts is the tape it really left: a choice
that is taken away moves all that come after it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import attrs

from .bursts import Follow, bursts, merged
from .record import Program, record
from .run import Run
from .tape import Tape, stripped

_FEW = 4  # so few decisions are told as they are
_EARLY = 16  # choices at the beginning of a run, where its tasks are seen for the first time

_now = time.perf_counter  # taken here: during a run `time` shows virtual time


def shrink(program: Program, run: Run, budget: int = 2000, seconds: float = 30.0) -> Run:
    """Return the simplest run found with the failure of `run`; at least as simple as `run` is.

    `budget`: so many replays at the most, in so many `seconds`. Raises ValueError when the run has
    not failed. `found` of the result says what was saved.
    """
    if run.error is None:
        raise ValueError("expected a run that has failed, saw one that passed")
    shrinker = _Shrinker(attrs.evolve(run, program=program), budget, seconds)
    shrinker.shrink()
    count = shrinker.run.decisions
    saved = f"shrunk: {run.decisions} scheduling decisions -> {count} ({shrinker.replays} replays)"
    return attrs.evolve(shrinker.run, found=f"{run.found}; {saved}".lstrip("; "))


def _size(choices: Sequence[int]) -> tuple[int, int, int]:
    return sum(map(bool, choices)), len(stripped(choices)), sum(choices)


class _Shrinker:
    def __init__(self, run: Run, budget: int, seconds: float) -> None:
        self.run = run
        self.replays = 0
        self._best = stripped(run.tape)
        self._wanted = run.record.signature
        self._budget = budget
        self._until = _now() + seconds
        self._tried: set[tuple[int, ...]] = set()

    def shrink(self) -> None:
        """Make all passes, until none of them finds anything simpler."""
        size = None
        while size != _size(self._best):
            size = _size(self._best)
            self._plain_blocks()
            self._hold_back()
            self._merge_bursts()
            self._lower()
            self._sooner()

    def _attempt(self, choices: Sequence[int]) -> bool:
        """Run these choices; take them if they fail alike and are simpler."""
        candidate = tuple(stripped(choices))
        if candidate in self._tried or _size(candidate) >= _size(self._best):
            return False
        self._tried.add(candidate)
        return self._judge(Tape(None, candidate))

    def _judge(self, tape: Tape) -> bool:
        if self.replays >= self._budget or _now() > self._until:
            return False
        self.replays += 1
        made = record(self.run.program, tape, self.run.options)
        if made.signature != self._wanted or _size(made.choices) >= _size(self._best):
            return False
        self._best = stripped(made.choices)
        self.run = attrs.evolve(self.run, record=made)
        return True

    def _deviations(self) -> list[int]:
        return [index for index, choice in enumerate(self._best) if choice]

    def _plain_blocks(self) -> None:
        """Make choices plain: half of them, a quarter, and so on, down to each alone."""
        size = len(self._deviations())
        while size:
            first = len(self._deviations()) - size  # from the end: what comes last matters least
            while first > -size:
                positions = self._deviations()[max(first, 0) : first + size]
                candidate = list(self._best)
                for position in positions:
                    candidate[position] = 0
                self._attempt(candidate)
                first -= size
            size //= 2

    def _hold_back(self) -> None:
        """Hold one task back from some point on, instead of passing it over again and again."""
        deviations = self._deviations()
        if len(deviations) <= _FEW:
            return
        limits = self.run.record.limits
        early = range(1, min(_EARLY, len(self._best)))
        for position in sorted({*early, *deviations}):
            for index in range(limits[position]):
                if self._attempt([*self._best[:position], limits[position] + index]):
                    return

    def _merge_bursts(self) -> None:
        """Bring bursts of one task together, as long as that helps."""
        found = True
        while found and len(self._deviations()) > _FEW:
            made = self.run.record
            found = any(
                self._judge(Tape(Follow(candidate, made.drawn)))
                for candidate in merged(bursts(made.history))
            )

    def _lower(self) -> None:
        """Make numbers smaller."""
        for position in self._deviations():
            if position < len(self._best):
                value = self._best[position]
                for lower in sorted({1, value // 2, value - 1} - {0, value}):
                    if self._attempt([*self._best[:position], lower, *self._best[position + 1 :]]):
                        break

    def _sooner(self) -> None:
        """Drop plain choices before a deviation, so that it comes sooner."""
        for size in (16, 4, 1):
            index = 0
            while index < len(self._deviations()):
                position = self._deviations()[index]
                if position >= size and not any(self._best[position - size : position]):
                    shorter = self._best[: position - size] + self._best[position:]
                    if self._attempt(shorter):
                        continue
                index += 1
