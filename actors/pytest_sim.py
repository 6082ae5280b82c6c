"""The pytest plugin of `actors.sim`: `@pytest.mark.sim` on `async def test_x(sim)`.

It is loaded in every run of pytest, so it imports the simulation only when a marked test runs.
"""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

import pytest

_MARK = (
    "sim(runs=200, strategy='portfolio', faults=CALM, timers=0.0, lag=None, max_steps=20_000, "
    "seed=0, sometimes=()): run `async def test(sim)` under many schedules, in a simulated world"
)
_EXAMPLE = "sim_example(token): a schedule that a test marked `sim` always runs first"

_PROPERTY = "actors.sim"  # what a test's report says of its schedules


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 up, saw {text}")
    return number


def _time(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"expected more than 0 seconds, saw {text}")
    return seconds


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("sim", "deterministic simulation of Trio programs (actors.sim)")
    group.addoption("--sim-runs", type=_count, metavar="N", help="schedules per test")
    group.addoption(
        "--sim-seconds", type=_time, metavar="S", help="as many schedules per test as S seconds let"
    )
    group.addoption("--sim-seed", type=int, metavar="S", help="run exactly this seed")
    group.addoption(
        "--sim-replay", metavar="TOKEN", help="run exactly the schedule of a failure report"
    )
    group.addoption(
        "--sim-timers",
        type=float,
        metavar="P",
        help="let timers fire early with this probability per step, whatever the marks say",
    )
    group.addoption("--sim-strategy", metavar="NAME", help="the strategy, whatever the marks say")
    group.addoption(
        "--sim-jobs", type=_count, metavar="N", help="processes for a long set (default: all cores)"
    )
    group.addoption("--sim-no-shrink", action="store_true", help="report failures as found")
    group.addoption(
        "--sim-trace",
        choices=("short", "full", "mermaid", "none"),
        default="short",
        help="what a failure report shows of the messages (default: short)",
    )
    group.addoption(
        "--sim-check-determinism",
        type=int,
        default=3,
        metavar="N",
        help="run the first N seeds twice, to see that nothing escapes control (default: 3)",
    )
    group.addoption(
        "--sim-pin-hashseed",
        action="store_true",
        help="start again with PYTHONHASHSEED=0, for programs that iterate over sets of strings",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    config.addinivalue_line("markers", _MARK)
    config.addinivalue_line("markers", _EXAMPLE)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Start again with a fixed hash seed, if that is wanted."""
    if config.getoption("--sim-pin-hashseed") and os.environ.get("PYTHONHASHSEED") != "0":
        capture = config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.stop_global_capturing()
        os.environ["PYTHONHASHSEED"] = "0"
        args = [sys.executable, "-m", "pytest", *config.invocation_params.args]
        os.execv(sys.executable, args)  # noqa: S606 - the very same command


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take marked tests from pytest-trio, whose `trio_mode` marks every async test as its own."""
    for item in items:
        if item.get_closest_marker("sim") is None:
            continue
        item.own_markers[:] = [mark for mark in item.own_markers if mark.name != "trio"]
        if item.get_closest_marker("trio") is not None:
            raise pytest.UsageError(
                f"{item.nodeid} is marked both `trio` and `sim`: it can only be one of them"
            )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse async fixtures for marked tests, before anybody tries to make them."""
    if item.get_closest_marker("sim") is None or not isinstance(item, pytest.Function):
        return
    for name, definitions in item._fixtureinfo.name2fixturedefs.items():
        function = definitions[-1].func
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            pytest.fail(
                f"the fixture {name!r} is async, and a test marked `sim` runs many times: make "
                "what it makes inside the test, anew for each schedule",
                pytrace=False,
            )


@pytest.fixture
def sim(request: pytest.FixtureRequest) -> object:
    """Return what stands for the `Sim` that each schedule of a marked test gets."""
    if request.node.get_closest_marker("sim") is None:
        pytest.fail("`sim` is for async tests marked with @pytest.mark.sim", pytrace=False)
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test under its schedules."""
    if pyfuncitem.get_closest_marker("sim") is None:
        return None
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        pytest.fail(
            "a test marked `sim` is an `async def`; to generate its input with Hypothesis, call "
            "`simulate(program, seed=seed).check()` in an ordinary test",
            pytrace=False,
        )
    from .sim.marked import MarkedTest  # noqa: PLC0415 - only marked tests need the simulation

    test = MarkedTest(pyfuncitem)
    try:
        test.run()
    finally:
        pyfuncitem.user_properties.append((_PROPERTY, test.summary()))
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was explored: where the distinct orders stop growing, more runs show little."""
    tests: list[tuple[str, Mapping[str, Any]]] = [
        (report.nodeid, cast("Mapping[str, Any]", dict(report.user_properties)[_PROPERTY]))
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
        and report.when == "call"
        and isinstance(dict(report.user_properties).get(_PROPERTY), Mapping)
    ]
    if not tests:
        return
    total: Counter[str] = Counter()
    for nodeid, summary in tests:
        total.update({"runs": summary["runs"], "distinct": summary["distinct"]})
        total.update(summary["counts"])
        if terminalreporter.verbosity > 0:
            terminalreporter.write_line(
                f"sim: {nodeid}: {summary['runs']} schedules, {summary['distinct']} distinct orders"
            )
        for line in summary["remarks"]:
            terminalreporter.write_line(f"sim: {nodeid}: {line}")
    runs, distinct = total.pop("runs"), total.pop("distinct")
    parts = [
        f"{len(tests)} test{'s' if len(tests) > 1 else ''}",
        f"{runs} schedules",
        f"{distinct} distinct message orders",
        *(f"{count} {kind}" for kind, count in sorted(total.items())),
    ]
    terminalreporter.write_line(f"sim: {', '.join(parts)}")
