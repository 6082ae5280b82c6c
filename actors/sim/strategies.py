"""Who decides which task runs next, and what happens to it.

A strategy is asked only where there is a choice. It decides from its seed alone, never from what
earlier runs have shown: so a seed means the same run on every machine, in every process.

No strategy is best for all programs (measured on the planted bugs of the tests): the default is a
portfolio of them, by seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import attrs
import trio


@attrs.define(eq=False)
class TaskView:
    """What a strategy sees of a task that can run."""

    task: trio.lowlevel.Task = attrs.field(repr=False)
    number: int
    """In the order of spawning; 0 is the program's main task."""
    name: str
    """Its label in reports, as `room` or `client#2`: no two tasks have the same."""
    key: int = 0
    """The same in all schedules: made of the names and places of its ancestors."""
    system: bool = False
    """Whether it is trio's own: those run at once and are no choice."""
    frozen: bool = False
    """Whether it gets no step, as a process without power."""
    held: bool = False
    """Whether it runs only when no other task can."""
    apart: bool = False
    """Whether it is any of these, and so not among the ready ones."""
    steps: int = 0
    """How many steps it has taken."""
    passed_over: int = 0
    """How often another task was preferred since it could run."""
    spawned: int = 0
    """How many tasks it has started."""
    channels: int = 0
    """How many channels it was the first to use."""

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.task.coro.cr_frame is None


class Strategy:
    """Base of all strategies, and your own: override `pick`, perhaps `draw` and `chance`.

    One is made for each run, from the run's seed; `rng` is seeded with it.
    """

    name = "strategy"

    def __init__(self, seed: int) -> None:
        self.seed = seed
        # A text seeds by its digest: neighbouring integers give unrelated sequences.
        self.rng = random.Random(f"{self.name}/{seed}")

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
        """Return the index of the task in `ready` that runs now; there are two at least.

        `ready[0]` is the plain choice: the current task if it can go on, else who waits longest.
        `current` ran last.
        """
        raise NotImplementedError

    def draw(self, n: int) -> int:
        """Return a number from 0 to n - 1, for `sim.draw`; 0 is the plain choice."""
        return self.rng.randrange(n)

    def chance(self, p: float) -> bool:
        """Return True with probability p, for faults; False is the plain choice."""
        return self.rng.random() < p


class Plain(Strategy):
    """Every task keeps its turn until it blocks; no faults."""

    name = "plain"

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:  # noqa: ARG002
        """Return the plain choice."""
        return 0

    def draw(self, n: int) -> int:  # noqa: ARG002
        """Return the plain choice."""
        return 0

    def chance(self, p: float) -> bool:  # noqa: ARG002
        """Return the plain choice."""
        return False


class RandomWalk(Strategy):
    """Any task that can run, all alike."""

    name = "random"

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:  # noqa: ARG002
        """Return any index."""
        return int(self.rng.random() * len(ready))


class Sticky(Strategy):
    """The current task goes on, but for one time in `2 ** k`: long bursts, few changes."""

    name = "sticky"

    def __init__(self, seed: int, k: int = 3) -> None:
        super().__init__(seed)
        self._stay = 1.0 - 2.0**-k

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
        """Return 0 as long as that is the current task and it is to go on, else any index."""
        if ready[0] is current and self.rng.random() < self._stay:
            return 0
        return int(self.rng.random() * len(ready))


class Pct(Strategy):
    """Probabilistic concurrency testing: priorities, which change at a few random steps.

    Finds a bug of depth d, in n tasks and k steps, with a probability of at least
    1 / (n * k ** (d - 1)). Burckhardt et al., "A Randomized Scheduler with Probabilistic
    Guarantees of Finding Bugs", ASPLOS 2010. k is drawn from the seed, from 32 to 2,048.
    """

    name = "pct"

    def __init__(self, seed: int, depth: int = 3) -> None:
        super().__init__(seed)
        horizon = 2 ** self.rng.randint(5, 11)
        self._changes = set(self.rng.sample(range(1, horizon), depth - 1))
        self._priority: dict[int, float] = {}
        self._lowest = 0.0
        self._asked = 0

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:
        """Return the task of highest priority; at a point of change, the current one loses its."""
        priority = self._priority
        for view in ready:
            if view.number not in priority:
                priority[view.number] = 1.0 + self.rng.random()
        self._asked += 1
        if self._asked in self._changes and current is not None:
            self._lowest -= 1.0
            priority[current.number] = self._lowest
        best = 0
        highest = priority[ready[0].number]
        for index in range(1, len(ready)):
            mine = priority[ready[index].number]
            if mine > highest:
                best, highest = index, mine
        return best


class Uniform(Strategy):
    """Tasks in proportion to the steps they still have to go: all interleavings about alike.

    How many steps a task has is not known; what it took in one plain run is the estimate, by the
    task's key. (Shuttle's "uniform random walk".)
    """

    name = "uniform"

    def __init__(self, seed: int, steps: Mapping[int, int]) -> None:
        super().__init__(seed)
        self._steps = steps

    def pick(self, ready: Sequence[TaskView], current: TaskView | None) -> int:  # noqa: ARG002
        """Return an index, weighted."""
        weights = [max(1, self._steps.get(view.key, 3) - view.steps) for view in ready]
        return self.rng.choices(range(len(ready)), weights)[0]


def portfolio(seed: int) -> Strategy:
    """Return the strategy of the default set for this seed."""
    turn, kind = divmod(seed, 4)
    if kind == 1:
        return Pct(seed, 1 + turn % 4)
    if kind == 3:
        return Sticky(seed, 1 + turn % 4)
    return RandomWalk(seed)


Probe = Callable[[], Mapping[int, int]]
"""Makes one plain run; returns how many steps each task took, by its key."""

StrategyLike = str | Callable[[int], Strategy]
"""A name of `STRATEGIES`, or what makes a strategy of a seed: a class of your own, say."""

STRATEGIES: Mapping[str, Callable[[int, Probe], Strategy]] = {
    "portfolio": lambda seed, _probe: portfolio(seed),
    "random": lambda seed, _probe: RandomWalk(seed),
    "sticky": lambda seed, _probe: Sticky(seed, 1 + seed % 4),
    "pct": lambda seed, _probe: Pct(seed, 1 + seed % 5),
    **{
        f"pct{depth}": lambda seed, _probe, depth=depth: Pct(seed, depth)  # type: ignore[misc]
        for depth in range(1, 6)
    },
    "uniform": lambda seed, probe: Uniform(seed, probe()),
    "plain": lambda seed, _probe: Plain(seed),
}


def strategy_for(like: StrategyLike, seed: int, probe: Probe) -> Strategy:
    """Make the strategy of one run; raises ValueError for a name that there is not."""
    if callable(like):
        return like(seed)
    make = STRATEGIES.get(like)
    if make is None:
        raise ValueError(f"expected a strategy of {sorted(STRATEGIES)}, or a class; saw {like!r}")
    return make(seed, probe)
