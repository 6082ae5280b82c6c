"""One run, from the outside: a program and a tape go in, what happened comes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from .errors import Deadlock, InvariantViolated, SimError
from .options import Options
from .places import leaf, line_of_error
from .sandbox import alone
from .sim import Sim, current_sim
from .tape import Tape
from .trace import Trace
from .world import World

Program = Callable[[Sim], Awaitable[object]]
"""What is simulated: `async def program(sim): …`."""


@attrs.frozen(eq=False)
class Record:
    """What one run was."""

    error: BaseException | None
    value: Any
    """What the program returned."""
    choices: tuple[int, ...]
    """The tape."""
    limits: tuple[int, ...]
    """From how many each choice was made."""
    drawn: tuple[int, ...]
    """Those of the choices that are not of who runs."""
    misaligned: int
    """How many choices of a replayed tape were not to be had."""
    history: tuple[int, ...]
    """The numbers of the tasks, step by step."""
    names: Mapping[int, str]
    """The labels of the tasks, by number."""
    weights: Mapping[int, int]
    """How many steps the tasks took, by key."""
    order: int | None
    """The order of its messages, as a number; None if there were none."""
    seconds: float
    """Virtual."""
    failed_at: int
    """At which step the simulation found the failure; 0 if it found none."""
    counts: Mapping[str, int]
    coverage: Mapping[str, bool]

    @property
    def signature(self) -> tuple[object, ...]:
        """What a failure has in common with the same failure in another schedule."""
        return signature(self.error)


def record(
    program: Program, tape: Tape, options: Options, *, seed: int = 0, trace: Trace | None = None
) -> Record:
    """Run `program` once; raises nothing of its own, but KeyboardInterrupt.

    RuntimeError: inside of a run of Trio, or of another simulation, there can be none.
    """
    with alone():
        return _record(program, tape, options, seed, trace)


def _record(
    program: Program, tape: Tape, options: Options, seed: int, trace: Trace | None
) -> Record:
    world = World(tape, options, trace)
    sim = Sim(world, seed)
    error: BaseException | None = None
    value: Any = None

    async def simulated() -> object:
        with current_sim(sim):
            return await program(sim)

    try:
        value = world.run(simulated)
    except KeyboardInterrupt:
        raise
    except BaseException as raised:  # noqa: BLE001 - whatever it is, it is what the run has shown
        error = raised
    views = world.census.views.values()
    return Record(
        error=error,
        value=value,
        choices=tuple(tape.choices),
        limits=tuple(tape.limits),
        drawn=tuple(tape.drawn),
        misaligned=tape.misaligned,
        history=tuple(world.queue.history),
        names={view.number: view.name for view in views},
        weights={view.key: view.steps for view in views},
        order=world.orders.digest(),
        seconds=world.clock.current_time(),
        failed_at=world.failed_at,
        counts=world.counts,
        coverage=sim.coverage,
    )


def signature(error: BaseException | None) -> tuple[object, ...]:
    """Return what two failures must share to be taken for one."""
    match error:
        case None:
            return ()
        case InvariantViolated(invariant=name):
            return ("invariant", name)
        case Deadlock(tasks=tasks):
            return ("deadlock", tasks)
        case SimError():
            return (type(error).__name__,)
        case _:
            first = leaf(error)
            return (type(first).__name__, *line_of_error(first))
