"""A schedule as bursts: which task ran, and for how many steps, until another one did.

Two bursts of one task that are brought together make one burst, and fewer decisions. That cannot be
said by changing numbers on a tape, whose meaning depends on all that come before them; so such a
schedule is followed, as far as it can be, and its tape is what was then written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from .strategies import Strategy, TaskView

Burst = tuple[int, int]
"""The number of a task, and how many steps it takes."""


class Follow(Strategy):
    """Runs tasks in the order of `bursts`; drawn numbers are those of `drawn`, in their order."""

    name = "follow"

    def __init__(self, bursts: Sequence[Burst], drawn: Sequence[int]) -> None:
        super().__init__(0)
        self._drawn = iter(drawn)
        self._wanted: list[Burst] = []  # with how many steps the task has taken at the end of it
        taken: dict[int, int] = {}
        for number, length in bursts:
            taken[number] = taken.get(number, 0) + length
            self._wanted.append((number, taken[number]))
        self._first = 0

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:  # noqa: ARG002
        """Return the task of the first burst that has not been run to its end, and can run."""
        index_of = {view.number: index for index, view in enumerate(ready)}
        for position in range(self._first, len(self._wanted)):
            number, until = self._wanted[position]
            index = index_of.get(number)
            if index is None:
                continue
            if ready[index].steps < until:
                return index
            if position == self._first:
                self._first += 1
        return 0

    def draw(self, n: int) -> int:
        """Return the next of the drawn numbers."""
        return min(next(self._drawn, 0), n - 1)

    def chance(self, p: float) -> bool:  # noqa: ARG002
        """Return the next of the drawn numbers."""
        return bool(next(self._drawn, 0))


def bursts(history: Sequence[int]) -> list[Burst]:
    """Return the bursts of a run."""
    return [(number, len(list(steps))) for number, steps in groupby(history)]


def merged(found: Sequence[Burst]) -> Iterator[list[Burst]]:
    """Yield the schedules in which one burst is moved to an earlier, or later, one of its task."""
    for later in range(len(found) - 1, 0, -1):
        number = found[later][0]
        earlier = next((i for i in range(later - 1, -1, -1) if found[i][0] == number), None)
        if earlier is None:
            continue
        between = list(found[earlier + 1 : later])
        both = (number, found[earlier][1] + found[later][1])
        yield [*found[:earlier], both, *between, *found[later + 1 :]]
        yield [*found[:earlier], *between, both, *found[later + 1 :]]
