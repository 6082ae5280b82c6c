"""A test marked `sim`: which schedules it runs, and what its failure says.

In this order: only the one of `--sim-replay`; else the one that failed last time, until it passes;
then pinned ones; then as many seeds as the mark, or the options, say.
"""

from __future__ import annotations

import inspect
import shlex
import time
import unittest
from collections.abc import Awaitable, Iterable, Mapping
from functools import partial
from typing import Any, NoReturn

import attrs
import pytest

from .errors import BadToken, Unreached
from .explore import explore
from .options import Options
from .places import leaf
from .record import Program
from .run import Run, simulate
from .saved import Saved
from .shrink import shrink
from .sim import Sim
from .story import Story
from .strategies import StrategyLike
from .tally import Tally
from .text import text
from .workers import cores

# What a test says by raising, and pytest is to hear.
_NO_FAILURES = (
    pytest.skip.Exception,
    pytest.xfail.Exception,
    pytest.exit.Exception,
    unittest.SkipTest,
)

_now = time.perf_counter  # taken here: during a run `time` shows virtual time

_SHRINK_SECONDS = 30.0
# Whether a failure needs a scheduler that is very unfair is asked of so many seeds.
_FAIR_LAG, _FAIR_RUNS = 8, 100
_SILENCE = 5.0  # seconds between two lines of progress


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


@attrs.frozen
class _Mark:
    """What `@pytest.mark.sim(…)` says."""

    runs: int = attrs.field(default=200, validator=attrs.validators.ge(1))
    strategy: StrategyLike = "portfolio"
    seed: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))
    sometimes: tuple[str, ...] = attrs.field(default=(), converter=_names)
    options: Mapping[str, Any] = attrs.field(factory=dict)


def _read_mark(item: pytest.Function) -> _Mark:
    """Return the mark of a test; marks nearer to it override those of its class and module."""
    given: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("sim"))):
        if mark.args:
            _refuse(f"a mark `sim` takes its options by name, saw {mark.args!r}")
        given |= mark.kwargs
    own = {field.name for field in attrs.fields(_Mark)} - {"options"}
    known = {field.name for field in attrs.fields(Options)}
    if unknown := given.keys() - own - known:
        _refuse(f"a mark `sim` has the options {sorted(own | known)}, saw {sorted(unknown)}")
    try:
        options = {name: value for name, value in given.items() if name in known}
        Options(**options)
        return _Mark(
            **{name: value for name, value in given.items() if name in own}, options=options
        )
    except (TypeError, ValueError) as error:
        _refuse(f"a mark `sim` has an option that makes no sense: {error.args[0]}")


def _refuse(why: str) -> NoReturn:
    raise pytest.fail.Exception(why, pytrace=False) from None


class MarkedTest:
    """One marked test, in one run of pytest."""

    def __init__(self, item: pytest.Function) -> None:
        self._item = item
        self._option = item.config.getoption
        self._mark = _read_mark(item)
        timers = self._option("--sim-timers")
        if timers is not None:
            options = {**self._mark.options, "timers": timers}
            self._mark = attrs.evolve(self._mark, options=options)
        self._program = _program(item)
        self._saved = Saved(item.config.rootpath, item.nodeid)
        self._tally = Tally()
        self._remarks: list[str] = []
        self._told = _now()

    def summary(self) -> dict[str, Any]:
        """Return what was explored: `runs`, `distinct`, `counts` of faults, `remarks`."""
        return {
            "runs": self._tally.runs,
            "distinct": len(self._tally.orders),
            "counts": dict(self._tally.counts),
            "remarks": self._remarks,
        }

    def run(self) -> None:
        """Run all its schedules; raises what pytest takes for a failure."""
        token = self._option("--sim-replay")
        if token:
            self._replay(token, "the schedule of --sim-replay")
            return
        if self._option("--sim-seed") is None:
            saved = self._saved.token()
            if saved is not None:
                self._replay(saved, "found again: the schedule that failed last time")
                self._saved.forget()
            for mark in self._item.iter_markers("sim_example"):
                for pinned in mark.args:
                    self._replay(pinned, "found again: a pinned schedule")
        self._explore()

    def _replay(self, token: str, found: str) -> None:
        try:
            run = simulate(self._program, replay=token, **self._mark.options)
        except BadToken as error:
            _refuse(str(error))
        self._tally.add(run.record)
        if run.misaligned:
            self._remarks.append(
                f"{found} no longer fits the program: {run.misaligned} choices were not to be had"
            )
        if run.error is not None:
            self._fail(attrs.evolve(run, found=found))

    def _explore(self) -> None:
        seed = self._option("--sim-seed")
        seconds = self._option("--sim-seconds")
        jobs = self._option("--sim-jobs")
        runs = self._option("--sim-runs") or (10**9 if seconds else self._mark.runs)
        try:
            report = explore(
                self._program,
                runs=1 if seed is not None else runs,
                seconds=seconds,
                jobs=cores() if jobs is None else jobs,
                seed=self._mark.seed if seed is None else seed,
                strategy=self._option("--sim-strategy") or self._mark.strategy,
                sometimes=() if seed is not None else self._mark.sometimes,
                check_determinism=self._option("--sim-check-determinism"),
                progress=self._progress,
                tally=self._tally,
                **self._mark.options,
            )
        except ValueError as error:
            _refuse(str(error))
        if report.failure is not None:
            self._fail(report.failure, simplify=not self._option("--sim-no-shrink"))
        elif isinstance(report.error, Unreached) and seed is not None:
            pass  # one schedule need not reach all
        elif report.error is not None:
            _refuse(f"{type(report.error).__name__}: {report.error}")

    def _progress(self, tally: Tally) -> None:
        """Say how far it is, now and then."""
        now = _now()
        if now - self._told < _SILENCE:
            return
        self._told = now
        manager = self._item.config.pluginmanager
        terminal = manager.getplugin("terminalreporter")
        capture = manager.getplugin("capturemanager")
        if terminal is None or capture is None:
            return
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(
                f"sim: {self._item.name}: {tally.runs} schedules, {len(tally.orders)} distinct "
                f"orders so far"
            )

    # A failure.

    def _fail(self, run: Run, *, simplify: bool = False) -> NoReturn:
        """Report a failing run: shrink it perhaps, save it, write its pictures, tell it."""
        assert run.error is not None
        first = leaf(run.error)
        if isinstance(first, _NO_FAILURES):
            raise first
        if simplify:
            run = shrink(self._program, run, seconds=_SHRINK_SECONDS)
            run = attrs.evolve(run, found=f"{run.found}\n{self._fairness(run)}")
        nodeid = self._item.nodeid
        quoted = shlex.quote(nodeid) if "'" in nodeid else f"'{nodeid}'"
        timers = self._option("--sim-timers")
        again = "" if timers is None else f" --sim-timers={timers:g}"
        replay = f"pytest {quoted} --sim-replay={run.token}{again}"
        story = attrs.evolve(run.story, title=nodeid, replay=replay)
        files = self._saved.save(run, story)
        pytest.fail("\n".join([*self._told_story(story), *files]), pytrace=False)

    def _told_story(self, story: Story) -> Iterable[str]:
        match self._option("--sim-trace"):
            case "none":
                yield text(attrs.evolve(story, events=()))
            case "mermaid":
                from .mermaid import mermaid  # noqa: PLC0415

                yield text(attrs.evolve(story, events=()))
                yield f"\n```mermaid\n{mermaid(story)}\n```\n"
            case kind:
                yield text(story, full=kind == "full")

    def _fairness(self, run: Run) -> str:
        """Say whether the failure needs a scheduler that passes a task over again and again."""
        options = {**self._mark.options, "lag": _FAIR_LAG}
        until = _now() + _SHRINK_SECONDS
        for seed in range(_FAIR_RUNS):
            if _now() > until:
                return f"with lag={_FAIR_LAG} it did not happen in {seed} schedules"
            other = simulate(self._program, seed=seed, **options)
            if other.record.signature == run.record.signature:
                return f"it happens with lag={_FAIR_LAG}, too (seed {seed})"
        return f"with lag={_FAIR_LAG} it did not happen in {_FAIR_RUNS} schedules"


def _program(item: pytest.Function) -> Program:
    """Return the test as a program; its fixtures are made once, for all schedules."""
    names = item._fixtureinfo.argnames
    given = {name: item.funcargs[name] for name in names if name != "sim"}
    for name, value in given.items():
        kind = type(value).__name__
        if inspect.iscoroutine(value) or inspect.isasyncgen(value) or kind == "TrioFixture":
            _refuse(
                f"the fixture {name!r} is async, and a test marked `sim` runs many times: make "
                "what it makes inside the test, anew for each schedule"
            )
    function = partial(item.obj, **given)

    def program(sim: Sim) -> Awaitable[object]:
        result: Awaitable[object] = function(sim=sim) if "sim" in names else function()
        return result

    program.__name__ = item.name
    return program
