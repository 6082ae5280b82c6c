"""What is counted over a set of schedules, and the report of the set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import attrs

from .record import Record
from .run import Run


@attrs.frozen(eq=False)
class Report:
    """What a set of schedules has shown."""

    failure: Run | None
    """The failing run of the lowest seed; None when all passed."""
    runs: int
    """How many schedules were run."""
    distinct: int
    """How many different orders of messages (of steps, without messages) they had.

    When this no longer grows with `runs`, more schedules of this kind show little that is new.
    """
    steps: int
    """How many scheduler steps they took together."""
    seconds: float = 0.0
    """How long it took, in real time."""
    exhausted: bool = False
    """Whether all schedules within the bound of `exhaust` were run: then this is a proof."""
    counts: Mapping[str, int] = attrs.field(factory=dict)
    """How often each kind of fault happened."""
    coverage: Mapping[str, bool] = attrs.field(factory=dict)
    """What `sim.sometimes` asked for, and whether any schedule reached it."""
    error: BaseException | None = None
    """The set's failure: that of `failure`, or `Unreached`, or `Nondeterminism`."""

    def check(self) -> Self:
        """Raise the error, if there is one; that of a schedule has the report for its note."""
        if self.failure is not None:
            if self.failure.error is not None:
                self.failure.error.add_note(self.failure.text())
            self.failure.check()
        if self.error is not None:
            raise self.error
        return self


@attrs.define
class Tally:
    """Counts that grow; those of several processes add up."""

    runs: int = 0
    steps: int = 0
    orders: set[int] = attrs.field(factory=set)
    counts: Counter[str] = attrs.field(factory=Counter)
    coverage: dict[str, bool] = attrs.field(factory=dict)

    def add(self, made: Record) -> None:
        """Count one run."""
        self.runs += 1
        self.steps += len(made.history)
        self.orders.add(hash(made.history) if made.order is None else made.order)
        self.counts.update(made.counts)
        self._cover(made.coverage)

    def merge(self, other: Tally) -> None:
        """Count what another process has counted."""
        self.runs += other.runs
        self.steps += other.steps
        self.orders |= other.orders
        self.counts.update(other.counts)
        self._cover(other.coverage)

    def _cover(self, coverage: Mapping[str, bool]) -> None:
        for name, reached in coverage.items():
            self.coverage[name] = self.coverage.get(name, False) or reached

    def report(self, failure: Run | None = None, **more: Any) -> Report:
        """Return the report of the set; `more` are the report's other attributes."""
        if failure is not None:
            more.setdefault("error", failure.error)
        return Report(
            failure=failure,
            runs=self.runs,
            distinct=len(self.orders),
            steps=self.steps,
            counts=dict(self.counts),
            coverage=dict(self.coverage),
            **more,
        )
