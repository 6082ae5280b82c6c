"""The pytest plugin: marked tests, options, what a failure says, what is kept for the next time."""

from __future__ import annotations

import itertools
import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.sim import marked, saved, simulate
from actors.sim.tape import encode

from .planted import lost_update

pytest_plugins = ["pytester"]

HEAD = """
import pytest
import trio

pytestmark = pytest.mark.sim(runs=20)

async def lost_update(tasks=3):
    balance = 0

    async def deposit():
        nonlocal balance
        seen = balance
        await trio.lowlevel.checkpoint()
        balance = seen + 1

    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(deposit)
    assert balance == tasks
"""

BUG = """
async def test_bug(sim):
    await lost_update()
"""

MESSAGES = """
async def test_messages(sim):
    send, receive = trio.open_memory_channel(5)
    sim.name(send, "box")

    async def sender(number):
        await send.send(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(sender, number, name=f"sender {number}")
        assert await receive.receive() == 0
        await trio.sleep(1)
"""

Runner = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Runner:
    """Run pytest, in this process, on one file; it has the marked head of above."""

    def run_it(source: str, *args: str, head: str = HEAD, ini: str = "") -> pytest.RunResult:
        pytester.makepyfile(test_it=head + textwrap.dedent(source))
        pytester.makeini("[pytest]\n" + ini)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *args)

    return run_it


@pytest.fixture
def plugin_alone(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of a pytest in a process of its own that loads no other plugin."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return ["-p", "no:cacheprovider", "-p", "actors.pytest_sim"]


def output(result: pytest.RunResult) -> str:
    return "\n".join(result.outlines)


def kept(pytester: pytest.Pytester) -> list[str]:
    """The kinds of files that are kept."""
    return sorted(file.suffix for file in (pytester.path / ".sim").glob("test_*"))


def token_in(result: pytest.RunResult) -> str:
    found = re.search(r"--sim-replay=(\S+)", output(result))
    assert found is not None, output(result)
    return found[1]


# Tests that pass.


def test_a_marked_test_is_run_under_many_schedules(run: Runner) -> None:
    result = run(
        """
        runs = []

        async def test_counts(sim):
            runs.append(sim.seed)
            await trio.sleep(1000)

        @pytest.mark.sim(runs=7, seed=100)
        async def test_its_own_mark(sim):
            own.append(sim.seed)
        own = []

        @pytest.fixture(scope="session", autouse=True)
        def looks():
            yield
            assert runs == [0, 0, 1, 1, 2, 2, *range(3, 20)]
            assert sorted(set(own)) == list(range(100, 107))
        """
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["sim: 2 tests, 27 schedules, 2 distinct message orders"])


def test_without_a_number_there_are_two_hundred(run: Runner) -> None:
    result = run("async def test_it(sim): pass", head="import pytest\npytestmark=pytest.mark.sim\n")
    result.stdout.fnmatch_lines(["sim: 1 test, 200 schedules, 1 distinct message orders"])


def test_the_summary_counts_faults_and_tells_of_each_test_when_asked(run: Runner) -> None:
    source = """
        async def test_faults(sim):
            sim.happened("resets", "a", "reset")
            if sim.draw(2):
                sim.happened("torn sends", "a", "torn")

        async def test_messages(sim):
            send, receive = trio.open_memory_channel(5)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send.send, 1)
                nursery.start_soon(send.send, 2)
        """
    result = run(source, "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "sim: test_it.py::test_faults: 20 schedules, * distinct orders",
            "sim: test_it.py::test_messages: 20 schedules, * distinct orders",
            "sim: 2 tests, 40 schedules, * distinct message orders, 20 resets, * torn sends",
        ]
    )
    assert "test_faults: 20" not in output(run(source, "-q"))


def test_a_run_without_marked_tests_says_nothing(run: Runner) -> None:
    result = run("def test_it(): pass", head="")
    result.assert_outcomes(passed=1)
    assert "sim:" not in output(result)


def test_a_run_without_marked_tests_does_not_even_load_the_simulation(
    pytester: pytest.Pytester, plugin_alone: list[str]
) -> None:
    pytester.makepyfile("def test_it(): pass")
    pytester.makeconftest(
        "def pytest_unconfigure():\n    import sys\n    print('loaded', "
        "sorted(name for name in sys.modules if name.startswith('actors.sim')))"
    )
    result = pytester.runpytest_subprocess(*plugin_alone)
    result.stdout.fnmatch_lines(["*1 passed*", "*loaded []"])


def test_parameters_and_fixtures_are_given_as_ever(run: Runner) -> None:
    result = run(
        """
        made = []

        @pytest.fixture
        def number(request):
            made.append(1)
            yield 5
            made.append(-1)

        @pytest.mark.parametrize("letter", ["a", "b"])
        async def test_it(letter, number, sim, tmp_path, monkeypatch):
            assert letter in "ab" and number == 5 and tmp_path.exists()
            assert sum(made) == 1

        async def test_without_a_sim(number):
            await trio.sleep(1)
            assert number == 5

        @pytest.mark.usefixtures("number")
        async def test_used(sim):
            assert sum(made) == 1

        def test_later():
            assert made == [1, -1] * 4
        test_later.pytestmark = []

        class TestClass:
            async def test_method(self, sim, number):
                assert number == 5
        """,
        "-k",
        "not later",
    )
    result.assert_outcomes(passed=5, deselected=1)


def test_marks_of_module_class_and_test_add_up_and_the_nearest_counts(run: Runner) -> None:
    result = run(
        """
        @pytest.mark.sim(max_steps=50, runs=11)
        class TestClass:
            @pytest.mark.sim(runs=12)
            async def test_own(self, sim):
                assert sim._world.options.max_steps == 50

            async def test_of_the_class(self, sim):
                assert sim._world.options.max_steps == 50

        async def test_of_the_module(sim):
            assert sim._world.options.max_steps == 20_000
        """,
        "-v",
    )
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "sim: *test_own: 12 schedules*",
            "sim: *test_of_the_class: 11 schedules*",
            "sim: *test_of_the_module: 20 schedules*",
        ]
    )


def test_the_marks_and_options_explain_themselves(run: Runner) -> None:
    text = output(run("", "--markers"))
    assert "@pytest.mark.sim(runs=200, strategy='portfolio'" in text
    assert "@pytest.mark.sim_example(token)" in text
    text = output(run("", "--help"))
    options = "runs seconds seed replay strategy jobs no-shrink trace check-determinism"
    for option in [*options.split(), "pin-hashseed"]:
        assert f"--sim-{option}" in text


# Tests that fail.


def test_a_failure_is_told_in_its_order(run: Runner, pytester: pytest.Pytester) -> None:
    result = run(MESSAGES)
    result.assert_outcomes(failed=1)
    line = "test_it.py:* in test_messages: assert await receive.receive() == 0*"
    result.stdout.fnmatch_lines(
        [
            "AssertionError: assert * == 0",
            f"  at {line}",
            "found by schedule * (seed *); shrunk: * scheduling decisions -> 1 (* replays)",
            "it happens with lag=8, too (seed *)",
            "the schedule: every task keeps its turn until it blocks, but for 1 decision:",
            "  step *: sender * runs before sender *, who waited longer",
            "what happened (step, virtual time, from ─channel→ to):",
            "*sender * ─box→ main  *",
            "*✗ AssertionError: assert * == 0",
            "replay:   pytest 'test_it.py::test_messages' --sim-replay=s1.*",
            "diagram:  .sim/test_messages-*.mmd (Mermaid)",
            "page:     .sim/test_messages-*.html (to step through)",
            "sim: 1 test, * schedules, * distinct message orders",
            "FAILED test_it.py::test_messages - *AssertionError: assert * == 0",
        ]
    )
    assert kept(pytester) == [".html", ".json", ".mmd"]
    for line in output(result).splitlines():
        if line.startswith(("diagram:", "page:")):
            assert (pytester.path / line.split()[1]).is_file()


def test_a_deadlock_says_where_all_are(run: Runner) -> None:
    result = run(
        """
        async def test_hangs(sim):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.Event().wait, name="patient")
        """
    )
    result.stdout.fnmatch_lines(
        [
            "Deadlock: all tasks are blocked and no timer is pending",
            "  main * at test_it.py:* in test_hangs",
            "  patient  at *",
        ]
    )


def test_what_is_kept_is_not_for_a_repository(run: Runner, pytester: pytest.Pytester) -> None:
    run(BUG)
    assert (pytester.path / ".sim" / ".gitignore").read_text() == "*\n"


def test_the_schedule_that_failed_is_run_first_next_time_until_it_passes(
    run: Runner, pytester: pytest.Pytester
) -> None:
    first = run(BUG)
    first.assert_outcomes(failed=1)
    again = run(BUG)
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(
        ["found again: the schedule that failed last time", "sim: 1 test, 1 schedules, *"]
    )
    assert token_in(again) == token_in(first)
    mended = run(BUG.replace("lost_update()", "lost_update(1)"))
    mended.assert_outcomes(passed=1)
    mended.stdout.fnmatch_lines(["sim: 1 test, 21 schedules, *"])
    assert kept(pytester) == []
    run(BUG.replace("lost_update()", "lost_update(1)")).stdout.fnmatch_lines(
        ["sim: 1 test, 20 schedules, *"]
    )


def test_two_tests_of_one_name_keep_their_own(run: Runner, pytester: pytest.Pytester) -> None:
    run(BUG)
    (pytester.path / "other").mkdir()
    (pytester.path / "other" / "test_other.py").write_text(HEAD + BUG)
    run(BUG, ".", "other").assert_outcomes(failed=2)
    assert len(list((pytester.path / ".sim").glob("test_bug-*.json"))) == 2


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "5", "{}", '{"token": 5}', '{"token": "s1.bad"}', "\xff\xfe"]
)
def test_a_file_that_is_damaged_is_not_believed(content: str, tmp_path: Path) -> None:
    kept = saved.Saved(tmp_path, "test_it.py::test_it[a/b c]")
    assert kept.token() is None
    run = simulate(lost_update, seed=0)
    kept.save(run, run.story)
    assert kept.token() == run.token
    (file,) = (tmp_path / ".sim").glob("*.json")
    file.write_bytes(content.encode("latin-1"))
    assert kept.token() is None
    kept.save(run, run.story)
    assert kept.token() == run.token
    kept.forget()
    assert kept.token() is None
    kept.forget()


def test_a_name_that_is_too_long_for_a_file_is_no_trouble(tmp_path: Path) -> None:
    kept = saved.Saved(tmp_path, f"test_it.py::test_it[{'語' * 300}]")
    run = simulate(lost_update, seed=0)
    assert kept.token() is None
    kept.save(run, run.story)
    assert kept.token() in {run.token, None}
    kept.forget()


def test_where_nothing_can_be_written_the_failure_is_told_all_the_same(
    run: Runner, pytester: pytest.Pytester
) -> None:
    (pytester.path / ".sim").write_text("in the way")
    result = run(BUG)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["AssertionError: *", "replay:   pytest * --sim-replay=s1.*", "not saved: *"]
    )


def test_a_name_with_quotes_is_quoted_for_the_shell(run: Runner) -> None:
    result = run(
        """
        @pytest.mark.parametrize("word", ["it's"])
        async def test_it(sim, word):
            raise KeyError
        """
    )
    (line,) = {line for line in result.outlines if line.startswith("replay:")}  # CI: twice
    assert shlex.split(line)[1:3] == ["pytest", "test_it.py::test_it[it's]"]


def test_what_the_test_printed_is_shown(run: Runner) -> None:
    result = run("async def test_it(sim):\n    print('to be seen')\n    raise KeyError")
    result.stdout.fnmatch_lines(["*Captured stdout call*", "to be seen"])


def test_a_schedule_that_needs_an_unfair_scheduler_is_told_as_such(run: Runner) -> None:
    result = run(
        """
        @pytest.mark.sim(runs=60, strategy="sticky")
        async def test_starves(sim):
            steps = 0

            async def busy():
                nonlocal steps
                for _ in range(60):
                    await trio.lowlevel.checkpoint()
                    steps += 1

            async def victim():
                assert steps < 20

            async with trio.open_nursery() as nursery:
                nursery.start_soon(busy)
                nursery.start_soon(victim)
        """,
        "--sim-strategy=plain",
    )
    result.stdout.fnmatch_lines(["with lag=8 it did not happen in 100 schedules"])


# What is no failure.


def test_skips_and_expected_failures_are_heard(run: Runner) -> None:
    result = run(
        """
        import unittest

        async def test_skips(sim):
            await trio.sleep(1)
            pytest.skip("not here")

        async def test_skips_in_a_task(sim):
            async def task():
                pytest.skip("nor here")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(task)

        async def test_skips_as_unittest_does(sim):
            raise unittest.SkipTest("neither")

        async def test_is_expected_to_fail(sim):
            pytest.xfail("known")

        @pytest.mark.skip
        async def test_is_skipped(sim):
            raise AssertionError

        @pytest.mark.xfail(strict=True)
        async def test_is_marked(sim):
            raise KeyError

        @pytest.mark.xfail(strict=True)
        async def test_is_marked_but_passes(sim):
            pass
        """,
        "-rsx",
    )
    result.assert_outcomes(skipped=4, xfailed=2, failed=1)
    result.stdout.fnmatch_lines(["*not here", "XFAIL *test_is_expected_to_fail - known"])


@pytest.mark.xfail(strict=True, reason="a failure is raised as pytest's, whatever it was")
def test_an_expected_failure_may_name_its_type(run: Runner) -> None:
    result = run(
        """
        @pytest.mark.xfail(raises=KeyError, strict=True)
        async def test_it(sim):
            raise KeyError
        """
    )
    result.assert_outcomes(xfailed=1)


def test_a_test_that_ends_the_session_ends_it(run: Runner) -> None:
    result = run("async def test_it(sim):\n    pytest.exit('enough', returncode=7)")
    assert result.ret == 7
    with pytest.raises(KeyboardInterrupt):  # so `pytester` tells it
        run("async def test_it(sim):\n    raise KeyboardInterrupt")


# One schedule.


def test_a_schedule_is_replayed_alone(run: Runner, pytester: pytest.Pytester) -> None:
    token = token_in(run(BUG))
    result = run(BUG, f"--sim-replay={token}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the schedule of --sim-replay", "sim: 1 test, 1 schedules, *"])
    assert token_in(result) == token
    plain = run(BUG, "--sim-replay=s1.AAAA")
    plain.assert_outcomes(passed=1)
    plain.stdout.fnmatch_lines(["sim: 1 test, 1 schedules, *"])
    assert kept(pytester) != [], "what failed last time is not forgotten"


def test_a_token_that_is_damaged_is_told_without_a_traceback(run: Runner) -> None:
    result = run(BUG, "--sim-replay=s1.AAA")
    result.assert_outcomes(failed=1)
    assert "the replay token 's1.AAA' is damaged" in output(result)
    assert "Traceback" not in output(result)
    assert "During handling" not in output(result)


def test_a_schedule_that_no_longer_fits_says_so(run: Runner) -> None:
    result = run(
        """
        @pytest.mark.sim_example("TOKEN")
        async def test_it(sim):
            sim.draw(2)
        """.replace("TOKEN", encode([0, 9]))
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["sim: *::test_it: found again: a pinned schedule no longer fits the program: 1 choices *"]
    )


def test_pinned_schedules_are_run_before_the_others(run: Runner) -> None:
    source = """
        seen = []

        @pytest.mark.sim_example("TOKEN 1", "TOKEN 2")
        @pytest.mark.sim_example("TOKEN 3")
        async def test_it(sim):
            seen.append(sim.draw(10))
            assert len(seen) < 5 or seen[:3] == [3, 1, 2], seen
        """
    for number in (1, 2, 3):
        source = source.replace(f"TOKEN {number}", encode([0, number]))
    result = run(source, "--sim-check-determinism=0")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["sim: 1 test, 23 schedules, *"])


def test_a_pinned_schedule_that_fails_says_which_it_is(run: Runner) -> None:
    result = run(
        """
        @pytest.mark.sim_example("TOKEN")
        async def test_it(sim):
            assert sim.draw(10) != 7
        """.replace("TOKEN", encode([0, 7]))
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["found again: a pinned schedule", "  step 1: a choice is 7", "sim: 1 test, 1 schedules, *"]
    )
    assert token_in(result) == encode([0, 7])


def test_a_pinned_schedule_that_is_none_is_refused(run: Runner) -> None:
    result = run("@pytest.mark.sim_example('s1.bad')\nasync def test_it(sim): pass")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the replay token 's1.bad' is damaged*"])


def test_one_seed_is_run_alone(run: Runner) -> None:
    source = """
        async def test_seed(sim):
            sim.sometimes("never", False)
            assert sim.seed != 5
        """
    run(source, "--sim-seed=6").assert_outcomes(passed=1)
    result = run(source, "--sim-seed=5", "--sim-no-shrink")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["found by schedule 1 (seed 5)*", "sim: 1 test, 1 schedules, *"])
    run(source, "--sim-seed=6").assert_outcomes(passed=1)  # what failed last time is not run


# Options.


def test_options_go_before_marks(run: Runner) -> None:
    source = "async def test_it(sim): pass"
    run(source, "--sim-runs=3").stdout.fnmatch_lines(["sim: 1 test, 3 schedules, *"])
    run(source, "--sim-seconds=0.05", "--sim-jobs=1").stdout.fnmatch_lines(["sim: 1 test, *"])
    run(source, "--sim-seconds=100", "--sim-runs=4").stdout.fnmatch_lines(
        ["sim: 1 test, 4 schedules, *"]
    )
    run(BUG, "--sim-strategy=plain").assert_outcomes(passed=1)
    refused = run(BUG, "--sim-strategy=clever")
    refused.assert_outcomes(failed=1)
    refused.stdout.fnmatch_lines(["expected a strategy of *'portfolio'*, or a class; saw 'clever'"])


def test_timers_may_be_early_whatever_the_marks_say(run: Runner) -> None:
    source = """
        async def test_times_out(sim):
            with trio.move_on_after(10) as scope:
                for _ in range(30):
                    await trio.lowlevel.checkpoint()
            assert not scope.cancelled_caught
        """
    run(source).assert_outcomes(passed=1)
    result = run(source, "--sim-timers=0.1")
    result.assert_outcomes(failed=1)
    (line,) = {line for line in result.outlines if line.startswith("replay:")}  # CI: twice
    assert line.endswith(f"--sim-replay={token_in(result)} --sim-timers=0.1")
    again = run(source, f"--sim-replay={token_in(result)}", "--sim-timers=0.1")
    again.assert_outcomes(failed=1)
    refused = run(source, "--sim-timers=2", f"--sim-replay={token_in(result)}")
    refused.assert_outcomes(failed=1)
    refused.stdout.fnmatch_lines(["*'timers' must be <= 1.0: 2.0"])


@pytest.mark.parametrize(
    "option", ["--sim-runs=0", "--sim-runs=x", "--sim-seconds=0", "--sim-jobs=-1"]
)
def test_an_option_that_would_run_nothing_is_refused(option: str, run: Runner) -> None:
    result = run(BUG, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*argument {option.partition('=')[0]}: *"])


def test_a_failure_may_be_left_as_it_was_found(run: Runner) -> None:
    text = output(run(BUG, "--sim-no-shrink"))
    assert "found by schedule" in text
    assert "shrunk" not in text
    assert "lag=8" not in text


@pytest.mark.parametrize("kind", ["short", "full", "mermaid", "none"])
def test_the_trace_is_shown_as_wanted(kind: str, run: Runner) -> None:
    text = output(run(MESSAGES, f"--sim-trace={kind}"))
    assert ("what happened" in text) == (kind in {"short", "full"})
    assert ("· started" in text) == (kind == "full")
    assert ("```mermaid\nsequenceDiagram" in text) == (kind == "mermaid")
    assert "replay:" in text


def test_what_is_not_controlled_is_found_out(run: Runner) -> None:
    source = """
        import itertools
        runs = itertools.count()

        async def test_it(sim):
            async with trio.open_nursery() as nursery:
                for _ in range(1 + next(runs) % 2):
                    nursery.start_soon(trio.lowlevel.checkpoint)
        """
    result = run(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["Nondeterminism: seed 0 gave two different runs; first difference at step *"]
    )
    run(source, "--sim-check-determinism=0").assert_outcomes(passed=1)


def test_a_place_that_is_never_reached_fails_the_test(run: Runner) -> None:
    result = run(
        """
        async def test_it(sim):
            sim.sometimes("full", False)

        @pytest.mark.sim(sometimes=["far away"])
        async def test_named(sim):
            pass

        @pytest.mark.sim(sometimes="reached")
        async def test_reached(sim):
            sim.sometimes("reached")
        """
    )
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        [
            "Unreached: no schedule of 20 reached [[]'full'[]]",
            "Unreached: no schedule of 20 reached [[]'far away'[]]",
        ]
    )


def test_a_long_set_says_how_far_it_is(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marked, "_SILENCE", 0.0)
    result = run("async def test_it(sim): print('hidden')", "--sim-runs=3")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [f"sim: test_it: {number} schedules, 1 distinct orders so far" for number in (1, 2, 3)]
    )
    assert "hidden" not in output(result)
    run("async def test_it(sim): pass", "--sim-runs=3", "-s").assert_outcomes(passed=1)
    for plugin in ("terminal", "capture"):
        run("async def test_it(sim): pass", "--sim-runs=3", "-p", f"no:{plugin}")


def test_the_hash_seed_can_be_pinned(pytester: pytest.Pytester, plugin_alone: list[str]) -> None:
    pytester.makepyfile(
        """
        import os
        import sys

        def test_it():
            assert os.environ["PYTHONHASHSEED"] == "0"
            assert not sys.flags.hash_randomization
        """
    )
    result = pytester.runpytest_subprocess("--sim-pin-hashseed", *plugin_alone)
    result.assert_outcomes(passed=1)
    assert output(result).count("test session starts") == 1


# What is refused.


BAD_MARKS = {
    "(runz=3)": "a mark `sim` has the options [[]'faults'*], saw [[]'runz']",
    "(3)": "a mark `sim` takes its options by name, saw (3,)",
    "(runs='x')": "a mark `sim` has an option that makes no sense: *",
    "(runs=0)": "a mark `sim` has an option that makes no sense: 'runs' must be >= 1: 0",
    "(seed='x')": "a mark `sim` has an option that makes no sense: 'seed' must be *",
    "(faults=3)": "a mark `sim` has an option that makes no sense: 'faults' must be *",
    "(timers=2)": "a mark `sim` has an option that makes no sense: 'timers' must be *",
    "(max_steps=0)": "a mark `sim` has an option that makes no sense: 'max_steps' must be *",
    "(strategy='x')": "expected a strategy of [[]*], or a class; saw 'x'",
}


def test_a_mark_that_makes_no_sense_says_why(run: Runner) -> None:
    source = "".join(
        f"@pytest.mark.sim{mark}\nasync def test_{number}(sim): pass\n"
        for number, mark in enumerate(BAD_MARKS)
    )
    result = run(source)
    result.assert_outcomes(failed=len(BAD_MARKS))
    result.stdout.fnmatch_lines(list(BAD_MARKS.values()))
    assert "During handling" not in output(result)


def test_a_test_that_is_not_async_is_told_what_to_do(run: Runner) -> None:
    result = run(
        """
        from hypothesis import given, strategies

        def test_sync(sim): pass

        @given(strategies.integers())
        async def test_given(sim, number): pass
        """
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["a test marked `sim` is an `async def`; * Hypothesis, call *"])


def test_the_fixture_is_for_marked_tests(run: Runner) -> None:
    result = run("def test_it(sim): pass", head="")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*`sim` is for async tests marked with @pytest.mark.sim*"])


ASYNC_FIXTURES = """
    @pytest.fixture
    async def one():
        return 1

    @pytest.fixture
    async def two():
        yield 2

    async def test_one(sim, one):
        raise AssertionError("never run")

    async def test_two(sim, two):
        raise AssertionError("never run")
    """


def test_async_fixtures_are_refused_with_what_to_do(run: Runner) -> None:
    result = run(ASYNC_FIXTURES, ini="trio_mode = true")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "the fixture 'one' is async, and a test marked `sim` runs many times: make *",
            "the fixture 'two' is async, and *",
        ]
    )
    assert "never run" not in [line.strip() for line in result.outlines]


def test_async_fixtures_are_refused_without_pytest_trio_too(run: Runner) -> None:
    result = run(ASYNC_FIXTURES, "-p", "no:trio")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["the fixture 'one' is async, and *"])


# Beside pytest-trio.


@pytest.mark.parametrize("mode", ["trio_mode = true", ""])
def test_tests_of_pytest_trio_run_beside_them(mode: str, run: Runner) -> None:
    result = run(
        """
        import pytest, trio

        @pytest.mark.trio
        async def test_of_trio():
            await trio.lowlevel.checkpoint()

        @pytest.mark.sim(runs=5)
        async def test_of_sim(sim):
            await trio.sleep(1000)

        class TestClass:
            @pytest.mark.sim(runs=5)
            async def test_of_sim(self, sim):
                await trio.sleep(1000)
        """,
        ini=mode,
        head="",
    )
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["sim: 2 tests, 10 schedules, *"])


def test_tests_run_without_pytest_trio(run: Runner) -> None:
    run("async def test_it(sim): await trio.sleep(1)", "-p", "no:trio").assert_outcomes(passed=1)


def test_a_test_that_is_marked_as_both_is_a_mistake(run: Runner) -> None:
    result = run(
        "@pytest.mark.sim\nasync def test_it(sim): pass",
        head=("import pytest\npytestmark = pytest.mark.trio\n"),
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_it is marked both `trio` and `sim`*"])


def test_warnings_as_errors_are_no_trouble(run: Runner) -> None:
    result = run(MESSAGES + BUG, "-W", "error", "--strict-markers", "--strict-config")
    result.assert_outcomes(failed=2)


# What others make of the reports.


def test_the_numbers_are_in_the_junit_file_and_in_what_workers_send(
    run: Runner, pytester: pytest.Pytester
) -> None:
    source = MESSAGES + "async def test_other(sim):\n    sim.happened('resets', 'a', 'b')\n"
    pytester.makeconftest(
        "import json\ndef pytest_runtest_logreport(report):\n"
        "    json.dumps(report._to_json()['user_properties'])"
    )
    result = run(source, "--junitxml=out.xml")
    result.assert_outcomes(failed=1, passed=1)
    assert "INTERNALERROR" not in output(result)
    xml = (pytester.path / "out.xml").read_text("utf-8")
    assert 'name="actors.sim"' in xml
    assert "resets" in xml


def test_a_test_may_have_properties_of_its_own(run: Runner) -> None:
    result = run(
        """
        @pytest.mark.parametrize("name", ["sim", "actors.sim"])
        def test_it(record_property, name):
            record_property(name, 3)
        """,
        head="import pytest\n",
    )
    result.assert_outcomes(passed=2)
    assert result.ret == 0


def test_failures_are_the_same_whoever_runs_them(run: Runner) -> None:
    """No address or time gets into a report, but for the time of the whole."""

    def told(*args: str) -> list[str]:
        lines = run(MESSAGES + BUG, *args).outlines
        return list(
            itertools.takewhile(
                lambda line: "short test summary" not in line,
                itertools.dropwhile(lambda line: "FAILURES" not in line, lines),
            )
        )

    first = told()
    for file in Path(".sim").glob("*.json"):
        file.unlink()
    assert told() == first


def test_the_example_of_the_docstring_is_a_test(pytester: pytest.Pytester) -> None:
    """As somebody would begin who has never seen the kit: nothing but a mark and a nursery."""
    pytester.makepyfile(
        """
        import pytest
        import trio

        @pytest.mark.sim
        async def test_two_clients(sim):
            rooms = []

            async def client(name):
                if "lobby" not in rooms:
                    await trio.lowlevel.checkpoint()
                    rooms.append("lobby")

            async with sim.nursery() as nursery:
                nursery.start_soon(client, "alice", name="alice")
                nursery.start_soon(client, "bob", name="bob")
            assert rooms == ["lobby"]
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*assert*'lobby', 'lobby'*", "  step 3: bob runs, though alice could go on"]
    )
