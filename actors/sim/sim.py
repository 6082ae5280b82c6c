"""What a program under simulation is given: choices, time, names, checks, the network."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import attrs
import trio
import trio.testing

from . import seam
from .errors import InvariantViolated, NeverHappened, NotIdle, words
from .faults import Faults
from .net import Net
from .places import place_of_function
from .strategies import TaskView
from .trace import Trace
from .world import World

_CERTAIN = 1.0


@attrs.frozen(eq=False)
class Frozen:
    """Tasks that `Sim.freeze` has stopped."""

    _views: tuple[TaskView, ...] = attrs.field(alias="views")

    @property
    def names(self) -> tuple[str, ...]:
        """Their labels."""
        return tuple(view.name for view in self._views)


class Sim:
    """One simulated run, from inside the program: `async def program(sim): …`.

    `seed` is what the run was made from (0 in a replay), `clock` its virtual clock.
    """

    def __init__(self, world: World, seed: int) -> None:
        """Programs are given one."""
        self._world = world
        self._nets: list[Net] = []
        self._calm = False
        self.seed = seed
        self.clock: trio.testing.MockClock = world.clock
        self.coverage: dict[str, bool] = {}
        """What `sometimes` was asked for, and whether it was reached."""

    @property
    def steps(self) -> int:
        """How many scheduler steps have been taken."""
        return self._world.queue.steps

    @property
    def trace(self) -> Trace | None:
        """The trace, if this run is traced."""
        return self._world.trace

    # Choices.

    def draw(self, n: int, what: str = "") -> int:
        """Choose a number from 0 to n - 1; 0 is to be the plain case. `what` is for the report."""
        if n < 1:
            raise ValueError(f"expected to draw from 1 or more, saw {n}")
        choice = self._world.tape.draw(n)
        if choice and self.trace is not None:
            self.trace.drew(what, str(choice))
        return choice

    def maybe(self, what: str, p: float = 0.05) -> bool:
        """Choose, with probability p, whether something bad happens here; False is plain.

        For code that is to be tried harder than the real world does. False after `quiesce`.
        """
        if not 0.0 <= p <= _CERTAIN:
            raise ValueError(f"expected a probability from 0 to 1, saw {p}")
        if self._calm or not p or not self._world.tape.chance(p):
            return False
        if self.trace is not None:
            self.trace.drew(what, "yes")
        return True

    # For the report.

    def note(self, text: str) -> None:
        """Write a line into the trace, in the lane of the running task."""
        if self.trace is not None:
            self.trace.noted(text)

    def name(
        self, channel: trio.MemorySendChannel[Any] | trio.MemoryReceiveChannel[Any], name: str
    ) -> None:
        """Give a memory channel the name it has in reports; an actor's mailbox has its own."""
        self._world.orders.log_of(seam.channel_of(channel)).name = name

    def happened(self, kind: str, who: str, text: str) -> None:
        """Count a fault of this kind, as `resets`, and write it into the lane `who`."""
        counts = self._world.counts
        counts[kind] = counts.get(kind, 0) + 1
        if self.trace is not None:
            self.trace.fault(who, text)

    # Checks.

    def always(self, name: str, check: Callable[[], object]) -> None:
        """Check after every step, from now on: False, or an exception, fails the run."""

        def verify() -> None:
            try:
                held = check()
            except Exception as error:
                raise InvariantViolated(name, words(error)) from error
            if held is False:
                raise InvariantViolated(name)

        self._world.check(verify)

    def sometimes(self, name: str, reached: object = True) -> None:
        """Say that a rare place is reached; a set of schedules fails when none ever does.

        `sim.sometimes("room was full", len(room) == 8)` asks for it in every run;
        a call without a condition must be told to the set (`sometimes=["…"]`), else a
        place that is never reached asks for nothing.
        """
        self.coverage[name] = self.coverage.get(name, False) or bool(reached)

    async def eventually(self, check: Callable[[], object], within: float = 30.0) -> None:
        """Wait until `check()` is true; raises `NeverHappened` after so many virtual seconds.

        It is looked at after every step.
        """
        came = trio.Event()

        def look() -> None:
            if check():
                came.set()

        self._world.check(look)
        try:
            with trio.move_on_after(within):
                await came.wait()
            if not came.is_set():
                raise NeverHappened(
                    f"{place_of_function(check)} was not true within {within:g} virtual seconds"
                )
        finally:
            self._world.uncheck(look)

    async def quiesce(self, within: float = 60.0) -> bool:
        """Heal all links, have no more faults, and wait until nothing happens any more.

        Returns whether that came within so many virtual seconds: no task can run, and no timer is
        pending. (A heartbeat never ends: then it is False, and the time has passed.)
        """
        self._calm = True
        self._world.queue.timed = False
        for net in self._nets:
            net.heal()
        return await self._world.idle(trio.current_time() + within)

    def expect_idle(self) -> None:
        """Check that no task is left but this one and those above it, and no unread message.

        Raises `NotIdle`, with all there are.
        """
        world = self._world
        mine = set()
        task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        while task is not None:
            mine.add(task)
            task = task.parent_nursery.parent_task if task.parent_nursery is not None else None
        left = [
            f"task {blocked.lane}, at {blocked.where}"
            for blocked, other in zip(world.census.places(), world.census.living, strict=True)
            if other not in mine
        ]
        for log in world.orders.channels.values():
            statistics = log.channel.statistics()
            unread = statistics.current_buffer_used + statistics.tasks_waiting_send
            if unread and statistics.open_receive_channels:
                left.append(f"{unread} unread in {log.name or 'a channel'}")
        if left:
            raise NotIdle("not idle:\n" + "\n".join(f"  {line}" for line in left))

    # The world.

    def nursery(self) -> AbstractAsyncContextManager[trio.Nursery]:
        """Open a nursery: trio's own, nothing special is needed."""
        return trio.open_nursery()

    def net(self, faults: Faults | None = None) -> Net:
        """Make a network; without `faults`, with those the run was given (none by default)."""
        net = Net(self, self._world.options.faults if faults is None else faults)
        self._nets.append(net)
        return net

    def freeze(self, nursery: trio.Nursery) -> Frozen:
        """Give the tasks of a nursery, and all below, no step any more.

        As when the power is cut, or a process paused: no `finally` runs, no goodbye is sent. They
        go on when they are thawed; or when the nursery is cancelled, as by an error in its block,
        which would wait for them without an end.
        """
        tasks: list[trio.lowlevel.Task] = []
        nurseries = [nursery]
        while nurseries:
            for task in nurseries.pop().child_tasks:
                tasks.append(task)
                nurseries += task.child_nurseries
        if trio.lowlevel.current_task() in tasks:
            raise ValueError("a task cannot freeze the nursery it runs in")
        views = sorted(
            (self._world.census.views[task] for task in tasks), key=lambda view: view.number
        )
        self._world.queue.freeze(views, nursery)
        frozen = Frozen(tuple(views))
        self.note(f"frozen: {', '.join(frozen.names)}")
        return frozen

    def thaw(self, frozen: Frozen) -> None:
        """Let them go on, as when the process is resumed."""
        self._world.queue.thaw(frozen._views)
        self.note(f"thawed: {', '.join(frozen.names)}")


_current: contextvars.ContextVar[Sim] = contextvars.ContextVar("sim")


@contextmanager
def current_sim(sim: Sim) -> Iterator[None]:
    """Make `sim` the one that `maybe` asks, in this task and those it starts."""
    token = _current.set(sim)
    try:
        yield
    finally:
        _current.reset(token)


def note(text: str) -> None:
    """Write a line into the trace, in the lane of the running task; else do nothing.

    As `Sim.note`, for code that is not given a `sim`.
    """
    sim = _current.get(None)
    if sim is not None:
        sim.note(text)


def maybe(what: str, p: float = 0.05) -> bool:
    """Choose whether something bad happens here; always False outside of a simulation.

    As `Sim.maybe`, for code that is not given a `sim`.
    """
    sim = _current.get(None)
    return sim is not None and sim.maybe(what, p)
