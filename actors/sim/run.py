"""`simulate`: one run of a program under one schedule, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import Any, Self

import attrs

from .mermaid import mermaid
from .options import Options
from .page import page
from .places import leaves
from .record import Program, Record, record
from .report import tell
from .story import Story
from .strategies import Plain, StrategyLike, strategy_for
from .tape import Tape, checked, decode, encode
from .text import text


@attrs.define(eq=False, slots=False)
class Run:
    """One finished run.

    `seed` and `strategy` are what made it (None: it is a replay); `token` replays it.
    """

    program: Program = attrs.field(repr=False)
    options: Options = attrs.field(repr=False)
    record: Record = attrs.field(repr=False)
    seed: int | None = None
    strategy: StrategyLike | None = None
    found: str = ""
    """How it was found, for the report."""

    @property
    def error(self) -> BaseException | None:
        """What it raised, or what the simulation found; None when it passed."""
        return self.record.error

    @property
    def value(self) -> Any:
        """What the program returned."""
        return self.record.value

    @property
    def steps(self) -> int:
        """How many scheduler steps it took."""
        return len(self.record.history)

    @property
    def tape(self) -> tuple[int, ...]:
        """All its choices; 0 is the plain one."""
        return self.record.choices

    @property
    def decisions(self) -> int:
        """How many of its choices are not the plain one."""
        return sum(map(bool, self.record.choices))

    @property
    def misaligned(self) -> int:
        """Of a replay: how many choices were not to be had, as the program has changed since."""
        return self.record.misaligned

    @cached_property
    def token(self) -> str:
        """The text that replays it, as long as the program makes the same choices."""
        return encode(self.record.choices)

    def check(self) -> Self:
        """Raise its error, if it has one; one that is alone in a group is raised alone."""
        error = self.record.error
        if error is not None:
            found = list(leaves(error))
            raise found[0] if len(found) == 1 else error
        return self

    def replayed(self) -> Run:
        """Run it again."""
        again = record(self.program, Tape(None, self.tape), self.options, seed=self.seed or 0)
        return attrs.evolve(self, record=again)

    @cached_property
    def story(self) -> Story:
        """What its report is made of; it is replayed, with a trace, for that."""
        replay = f"simulate(program, replay={self.token!r})"
        return tell(self.program, self.record, self.options, found=self.found, replay=replay)

    def text(self, *, full: bool = False) -> str:
        """Return its report as text; `full`: with every line of its trace."""
        return text(self.story, full=full)

    def mermaid(self) -> str:
        """Return its messages as a Mermaid sequence diagram."""
        return mermaid(self.story)

    def page(self) -> str:
        """Return it as one self-contained HTML page, to step through."""
        return page(self.story)

    def diff(self, other: Run) -> str:
        """Return in words where another run first differs from this one; empty: nowhere."""
        steps = zip_longest(_steps(self.record), _steps(other.record))
        for step, (mine, theirs) in enumerate(steps, 1):
            if mine != theirs:
                return (
                    f"first difference at step {step}: {mine or 'the end'} here, "
                    f"{theirs or 'the end'} there"
                )
        if self.record.choices != other.record.choices:
            return "the same steps, but other choices of the program or the network"
        if self.record.signature != other.record.signature:
            return f"the same steps, but {self.error!r} here and {other.error!r} there"
        return ""


def _steps(told: Record) -> Sequence[str]:
    return [told.names[number] for number in told.history]


def simulate(
    program: Program,
    *,
    seed: int = 0,
    strategy: StrategyLike = "portfolio",
    replay: str | Sequence[int] | None = None,
    trace: bool = False,
    **options: Any,
) -> Run:
    """Run `async def program(sim)` once under the schedule of `seed`, or of a token.

    `strategy`: a name of `STRATEGIES`, or a `Strategy` of your own (its class, or what makes one
    of a seed). `replay`: a token, or a tape; the strategy counts for nothing then. `trace`: make
    the run's `story` now, not when it is asked for. `options` are those of `Options`:
    `max_steps`, `timers`, `lag`, `faults`.

    The program's error is in the run; nothing is raised but KeyboardInterrupt, `BadToken`,
    TypeError or ValueError for arguments that make no sense, and RuntimeError inside of a run of
    Trio, or of another simulation.
    """
    chosen = Options(**options)
    if replay is None:
        tape = Tape(strategy_for(strategy, seed, lambda: probed(program, chosen)))
        run = Run(program, chosen, record(program, tape, chosen, seed=seed), seed, strategy)
    else:
        tape = Tape(None, decode(replay) if isinstance(replay, str) else checked(replay))
        run = Run(program, chosen, record(program, tape, chosen, seed=seed))
    if trace:
        _ = run.story
    return run


def probed(program: Program, options: Options) -> Mapping[int, int]:
    """Return how many steps each task takes in the plain run, by its key."""
    return record(program, Tape(Plain(0)), options).weights
