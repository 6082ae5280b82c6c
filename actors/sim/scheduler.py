"""The run queue of a simulated run: one task, of our choice, per tick of Trio's loop.

Trio runs every runnable task once per tick, so of itself it permutes only within a tick, and most
races need more than that. Here each tick runs one task only; the others stay in the queue. That is
all that is changed: the program runs on Trio's own loop.

The plain order, which the number 0 on a tape means: the current task goes on until it blocks, then
who waits longest. (Tasks that became runnable in one tick are sorted by the order of spawning, as
Trio wakes them in the order of sets.)

One choice is no preference of the moment: a task can be held back, so that from then on it runs
only when no other task can. Strategies do not choose that; `shrink` does, to say in one decision
what takes many when one task is always passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Protocol

import trio

from .strategies import TaskView
from .tape import Tape

# A task that never blocks, but only passes checkpoints, must not keep all others out; nor must
# what trio does for `run_sync_soon`.
LONGEST_STREAK = 200

_NOBODY: tuple[trio.lowlevel.Task, ...] = ()
_by_number = attrgetter("number")


class Owner(Protocol):
    """Who hears of what the queue finds."""

    def out_of_steps(self) -> None:
        """As many steps as `budget` says were taken; it may raise the budget."""

    def fire_timer(self) -> bool:
        """Ask whether the next timer fires early; return whether it did."""

    def inspect(self) -> None:
        """Check what is to be checked after every step."""

    def preferred(self, view: TaskView, ready: list[TaskView]) -> None:
        """`view` runs now, before those in `ready` who had the better right."""

    def held_back(self, view: TaskView) -> None:
        """From now on `view` runs only when no other task can."""


class RunQueue(deque[trio.lowlevel.Task]):
    """What Trio appends runnable tasks to, and takes the one that runs now from."""

    def __init__(
        self,
        owner: Owner,
        tape: Tape,
        views: dict[trio.lowlevel.Task, TaskView],
        *,
        budget: int,
        lag: int | None,
    ) -> None:
        """`views` has all tasks: whoever sees them spawned keeps it.

        `budget`: so many steps are taken before `owner` is told. `lag`: nobody is passed over more
        often than that.
        """
        super().__init__()
        self._owner = owner
        self._tape = tape
        self._views = views
        self._lag = lag
        self._system: deque[trio.lowlevel.Task] = deque()
        self._held: deque[TaskView] = deque()  # those who run when no other task can
        self._cold: list[TaskView] = []  # frozen tasks that could run
        self._frozen_in: dict[int, trio.Nursery] = {}  # by the number of a frozen task
        self._streak = 0
        self._unsteered = 0  # steps of trio's own tasks since the last one of the program's
        self.budget = budget
        self.ready: list[TaskView] = []
        """Who can run, in the plain order."""
        self.current: TaskView | None = None
        """Who ran last."""
        self.history: list[int] = []
        """The numbers of the tasks, step by step."""
        self.inspected = False
        """Whether the owner wants to inspect every step."""
        self.timed = False
        """Whether timers may fire early."""
        self.told = False
        """Whether the owner wants to hear who was preferred."""

    @property
    def steps(self) -> int:
        """How many steps have been taken."""
        return len(self.history)

    # Its length is the number of runnable tasks, which Trio reads at every tick: so each of them
    # stays in the deque until it runs. Those at the right end that no list knows yet have become
    # runnable since the last tick; which of the others is where means nothing.

    def clear(self) -> None:
        """Keep what has not run yet: Trio means to drop what it has just taken."""

    def __iter__(self) -> Iterator[trio.lowlevel.Task]:
        ready = self.ready
        fresh = len(self) - len(ready) - len(self._system) - len(self._held)
        if fresh:
            self._sort_in(fresh)
        if self._cold:
            self.thaw_cancelled()
        if self._system and self._unsteered % LONGEST_STREAK != LONGEST_STREAK - 1:
            return self._run_system()
        if self.inspected:
            self._owner.inspect()
            self._sort_in(len(self) - len(ready) - len(self._system) - len(self._held))
        if not ready:
            if self._system:
                return self._run_system()
            if not self._held:
                return iter(_NOBODY)
            ready.append(self._held.popleft())
        history = self.history
        if len(history) >= self.budget:
            self._owner.out_of_steps()
        if self.timed and self._owner.fire_timer():
            return iter(_NOBODY)
        view = ready.pop() if len(ready) == 1 else self._choose(ready)
        self.popleft()
        history.append(view.number)
        view.steps += 1
        view.passed_over = 0
        self._unsteered = 0
        if view is self.current:
            self._streak += 1
        else:
            self.current = view
            self._streak = 0
        return iter((view.task,))

    def _run_system(self) -> Iterator[trio.lowlevel.Task]:
        """Run one of trio's own tasks: that is no choice, and no step."""
        self._unsteered += 1
        if self._unsteered >= self.budget:
            self._owner.out_of_steps()
            self._unsteered = 0
        self.popleft()
        return iter((self._system.popleft(),))

    def _sort_in(self, count: int) -> None:
        """Put the last `count` tasks where the plain order has them."""
        views = self._views
        if count == 1:
            fresh = [views[self[-1]]]
        else:
            fresh = sorted([views[self[-index]] for index in range(1, count + 1)], key=_by_number)
        for view in fresh:
            if view.apart:
                self._set_apart(view)
            elif view is self.current and self._streak < LONGEST_STREAK:
                self.ready.insert(0, view)
            else:
                self.ready.append(view)

    def _set_apart(self, view: TaskView) -> None:
        if view.system:
            self._system.append(view.task)
        elif view.frozen:
            self._cold.append(view)
            self.popleft()
        else:
            self._held.append(view)

    def _choose(self, ready: list[TaskView]) -> TaskView:
        """Take who runs now out of `ready`."""
        index = None if self._lag is None else self._overdue(ready, self._lag)
        if index is None:
            index = self._tape.pick(ready, self.current)
            if index >= len(ready):
                self._hold_back(ready.pop(index - len(ready)))
                index = 0
        if index and self.told:
            self._owner.preferred(ready[index], ready[:index])
        view = ready.pop(index)
        if index and ready[0] is self.current:
            ready.append(ready.pop(0))  # it has waited least
        if self._lag is not None:
            for other in ready:
                other.passed_over += 1
        return view

    def _hold_back(self, view: TaskView) -> None:
        view.held = view.apart = True
        self._held.append(view)
        if self.told:
            self._owner.held_back(view)

    def _overdue(self, ready: list[TaskView], lag: int) -> int | None:
        for index, view in enumerate(ready):
            if view.passed_over >= lag:
                return index
        return None

    # Frozen tasks.

    def freeze(self, views: Iterable[TaskView], nursery: trio.Nursery) -> None:
        """Give these tasks of a nursery no step any more, until it is cancelled."""
        for view in views:
            view.frozen = view.apart = True
            self._frozen_in[view.number] = nursery
        for waiting in (self.ready, self._held):
            for view in [view for view in waiting if view.frozen]:
                self._cold.append(view)
                waiting.remove(view)
                self.popleft()

    def thaw(self, views: Iterable[TaskView]) -> None:
        """Let these tasks go on; those who could run wait behind all others."""
        for view in views:
            view.frozen = False
            view.apart = view.held
        for view in [view for view in self._cold if not view.frozen]:
            self._cold.remove(view)
            (self._held if view.held else self.ready).append(view)
            self.appendleft(view.task)

    def thaw_cancelled(self) -> None:
        """Let tasks go on whose nursery is cancelled: what waits for its end must not hang."""
        self.thaw(
            [view for view in self._cold if self._frozen_in[view.number].cancel_scope.cancel_called]
        )
