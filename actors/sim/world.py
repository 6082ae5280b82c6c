"""One simulated run, from the inside: its tasks, its time, its failure, and how it ends.

The rules: nothing raises into Trio's loop; a failure is noted once, the program is cancelled, and
from then on all choices are plain and none is written down. A run always ends: tasks that do not
end though they are cancelled are abandoned.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import outcome
import trio
import trio.testing

from . import seam
from .census import Census
from .errors import Abandoned, Deadlock, Escaped, TooManySteps
from .options import Options
from .orders import Orders
from .sandbox import refuse_sockets, sandbox
from .scheduler import RunQueue
from .strategies import TaskView
from .tape import Tape
from .taps import tapped, tapped_kernel
from .trace import Trace

ENTROPIES = 256
"""The first choice of every tape: which sequence of random numbers the program gets."""

_PATIENCE = 10
"""How often tasks are abandoned before Trio's loop itself is given up."""


class World:
    """The inside of one run. `failure` is what the simulation found, at step `failed_at`."""

    def __init__(self, tape: Tape, options: Options, trace: Trace | None = None) -> None:
        self.tape = tape
        self.options = options
        self.trace = trace
        self.census = Census()
        self.orders = Orders(self.census.views)
        self.failure: BaseException | None = None
        self.failed_at = 0
        self.counts: dict[str, int] = {}
        """How often each kind of fault happened."""
        self.over = False
        """Whether the program's main task has ended."""
        self._checks: list[Callable[[], None]] = []
        self.clock = trio.testing.MockClock()
        # Trio asks this only when no task can run: the public place to see that, and to pass time.
        self.clock.deadline_to_sleep_time = self._nothing_runs  # type: ignore[method-assign]
        self.queue = RunQueue(
            self, tape, self.census.views, budget=options.max_steps, lag=options.lag
        )
        self.queue.timed = options.timers > 0
        self.queue.told = trace is not None
        self._idlers: dict[trio.lowlevel.Task, float] = {}
        self._scope: trio.CancelScope | None = None
        self._steered = False
        self._abandoned = 0
        tape.failed = self.fail
        if trace is not None:
            trace.attach(self.orders, self.queue, self.clock, self.census.places)
        self._entropy = tape.draw(ENTROPIES)

    # Its life.

    def run(self, program: Callable[[], Awaitable[object]]) -> Any:
        """Run `program` to its end; returns what it returns, raises what it raises.

        What the simulation found is raised in its place, with that as its cause if it has none.
        """
        error: BaseException | None = None
        value = None
        watcher = _Watcher(self) if self.trace is None else _TracingWatcher(self, self.trace)
        with ExitStack() as stack:
            stack.enter_context(sandbox(self._entropy, self.clock.current_time))
            stack.enter_context(tapped(self.orders if self.trace is None else self.trace))
            if self.trace is not None:
                stack.enter_context(tapped_kernel(self.trace))
            try:
                value = trio.run(self._main, program, clock=self.clock, instruments=[watcher])
            except BaseException as raised:  # noqa: BLE001 - raised below
                error = raised
        if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt):
            raise KeyboardInterrupt from error
        if self.failure is not None and not isinstance(error, KeyboardInterrupt):
            raise self.failure from self.failure.__cause__ or error
        if error is not None:
            raise error
        return value

    async def _main(self, program: Callable[[], Awaitable[object]]) -> object:
        if not self._steered:
            raise RuntimeError("the simulation could not take over Trio's run queue")
        refuse_sockets()
        with trio.CancelScope() as self._scope:
            if self.failure is not None:  # the strategy's, at its first choice
                self._scope.cancel()
            try:
                value = await program()
                self.inspect()  # as after every step: this was the last one
                return value
            finally:
                self.over = True
                self.tape.plain = True
                self.thaw_all()
        return None

    def begin(self) -> None:
        """Take over the run queue; called before anything runs."""
        seam.install_queue(self.queue)
        self._steered = True

    def fail(self, error: BaseException) -> None:
        """Note the failure of this run and cancel the program; only the first one counts."""
        if self.failure is not None:
            return
        self.failure = error
        self.failed_at = self.queue.steps
        self.tape.plain = True
        if self.trace is not None:
            self.trace.failed()
        self.thaw_all()
        if self._scope is not None:
            self._scope.cancel()

    # Its tasks.

    def spawned(self, task: trio.lowlevel.Task) -> None:
        """Note a new task."""
        view = self.census.spawned(task)
        if self.trace is not None and not view.system:
            self.trace.spawned(view)

    def exited(self, task: trio.lowlevel.Task) -> None:
        """Note the end of a task."""
        view = self.census.exited(task)
        if self.trace is not None and not view.system:
            self.trace.exited(view)

    def thaw_all(self) -> None:
        """Let all frozen tasks go on."""
        self.queue.thaw(self.census.living.values())

    # Checks.

    def check(self, check: Callable[[], None]) -> None:
        """Call `check` after every step; what it raises is the run's failure."""
        self._checks.append(check)
        self.queue.inspected = True

    def uncheck(self, check: Callable[[], None]) -> None:
        """Call it no more."""
        self._checks.remove(check)
        self.queue.inspected = bool(self._checks)

    # What the run queue asks.

    def preferred(self, view: TaskView, ready: list[TaskView]) -> None:
        """Tell the trace of a choice that was not the plain one."""
        assert self.trace is not None
        self.trace.preferred(view, ready)

    def held_back(self, view: TaskView) -> None:
        """Tell the trace, likewise."""
        assert self.trace is not None
        self.trace.held_back(view)

    def inspect(self) -> None:
        """Make the checks of `always` and `eventually`."""
        if self.failure is None and not self.over:
            try:
                for check in tuple(self._checks):
                    check()
            except BaseException as error:  # noqa: BLE001 - nothing may escape into trio's loop
                self.fail(error)

    def fire_timer(self) -> bool:
        """Choose whether the next timer fires early, if one is pending."""
        wait = trio.lowlevel.current_statistics().seconds_to_next_deadline
        if not 0 < wait < math.inf or not self.tape.chance(self.options.timers):
            return False
        self.counts["timers fired early"] = self.counts.get("timers fired early", 0) + 1
        self.clock.jump(wait)
        if self.trace is not None:
            self.trace.fired_early(wait)
        return True

    def out_of_steps(self) -> None:
        """Fail as one that spins; abandon what does not stop even so."""
        if self.failure is None:
            self.fail(
                TooManySteps(
                    f"more than max_steps={self.options.max_steps} scheduler steps: does it spin?\n"
                    f"{self.census.listed()}"
                )
            )
        else:
            self._abandon()
        more = self.options.max_steps
        self.queue.budget = self.queue.steps + (more // _PATIENCE + 1 if self._abandoned else more)

    def _abandon(self) -> None:
        self._abandoned += 1
        if self._abandoned > _PATIENCE:
            raise RuntimeError("a simulated program does not end, whatever is thrown into it")
        for view in self.queue.ready:
            seam.throw_when_run(view.task, Abandoned())
        for task in tuple(self.census.living):
            seam.abort(task, Abandoned())

    # Time.

    def _nothing_runs(self, deadline: float) -> float:
        """Pass time, as no task can run: return how many real seconds Trio waits for the world."""
        self.queue.thaw_cancelled()
        if self.queue.inspected:
            self.inspect()  # as after every step, before the time passes or the run fails
        if self.queue:
            return 0.0
        if seam.someone_waits_for_idle():
            return math.inf  # trio wakes them first
        now = trio.lowlevel.current_statistics()
        if now.run_sync_soon_queue_size:
            return 0.0
        if self._waits_for_real_io(now):
            self.fail(
                Escaped(
                    "a simulated program waits for a real socket or file descriptor, which no "
                    f"seed decides:\n{self.census.listed()}"
                )
            )
            return 0.0
        until = min(self._idlers.values(), default=math.inf)
        if until <= deadline and self._idlers:
            self._wake_idlers(until, still=deadline == math.inf)
        elif deadline < math.inf:
            self.clock.jump(max(0.0, deadline - self.clock.current_time()))
        elif self.failure is None:
            message = f"all tasks are blocked and no timer is pending:\n{self.census.listed()}"
            self.fail(Deadlock(message, self.census.names))
        else:
            self._abandon()
        return 0.0

    @staticmethod
    def _waits_for_real_io(now: trio.lowlevel.RunStatistics) -> bool:
        io = now.io_statistics
        waiting = sum(
            getattr(io, name, 0)
            for name in ("tasks_waiting_read", "tasks_waiting_write", "tasks_waiting")
        )
        return waiting > 1  # trio's own `run_sync_soon` always waits

    async def idle(self, until: float) -> bool:
        """Wait until no task can run and no timer is pending before the time `until`.

        Returns whether none is pending at all.
        """
        task = trio.lowlevel.current_task()
        self._idlers[task] = until

        def withdraw(_raise_cancel: object) -> trio.lowlevel.Abort:
            del self._idlers[task]
            return trio.lowlevel.Abort.SUCCEEDED

        return bool(await trio.lowlevel.wait_task_rescheduled(withdraw))

    def _wake_idlers(self, until: float, *, still: bool) -> None:
        if not still:
            self.clock.jump(max(0.0, until - self.clock.current_time()))
        for task in [task for task, time in self._idlers.items() if time == until]:
            del self._idlers[task]
            trio.lowlevel.reschedule(task, outcome.Value(still))


class _Watcher(trio.abc.Instrument):
    """Tells the world of its tasks."""

    def __init__(self, world: World) -> None:
        self._world = world

    def before_run(self) -> None:
        self._world.begin()

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self._world.spawned(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self._world.exited(task)


class _TracingWatcher(_Watcher):
    """Tells the trace who makes whom runnable, too."""

    def __init__(self, world: World, trace: Trace) -> None:
        super().__init__(world)
        self._trace = trace

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        self._trace.woke(self._world.census.views[task])
