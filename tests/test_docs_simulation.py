"""docs/simulation.md is one session: what it shows is run, in order, in a folder of its own.

    <!-- shown: chat_1.py as chat.py -->
                    The python block is a part of docs/examples/simulation/chat_1.py, and from here
                    on chat.py is that file.
    ```text         A command, after `$ `, and all that it prints; without a command, some lines of
                    what the last one has printed.
    ```mermaid      The diagram that the last command has left in .sim/.

How long something took is not compared. With ATRIO_REWRITE=1 what commands print, and the diagram,
are written into the page; what is said of them, and lines shown again, are mended by hand.
"""

from __future__ import annotations

import ast
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from actors import pytest_sim, sim
from actors.sim.marked import _Mark
from actors.sim.options import Options

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "simulation.md"
REFERENCE = DOCS / "simulation-reference.md"
PROGRAMS = DOCS / "examples" / "simulation"

_BLOCK = re.compile(
    r"(?:^<!-- shown: (?P<file>\S+) as (?P<name>\S+) -->\n)?"
    r"^```(?P<language>python|text|mermaid)\n(?P<text>(?s:.*?))^```$",
    re.MULTILINE,
)
BLOCKS = list(_BLOCK.finditer(PAGE.read_text()))


@attrs.define
class Session:
    """A folder, what the blocks played so far must be, and what the last command printed."""

    folder: Path
    played: list[str] = attrs.field(factory=list)
    output: str = ""

    def play(self, index: int) -> str:
        """Do what a block says, and those before it; return the text that it must have."""
        while len(self.played) <= index:
            self.played.append(self._show(BLOCKS[len(self.played)]))
        return self.played[index]

    def rewrite(self) -> None:
        """Write into the page what commands have printed, and the diagram."""
        page = PAGE.read_text()
        for block, text in reversed(list(zip(BLOCKS, self.played, strict=False))):
            whole = block["language"] == "mermaid" or text.startswith("$ ")
            if whole and untimed(block["text"]) != untimed(text):
                page = page[: block.start("text")] + text + page[block.end("text") :]
        PAGE.write_text(page)

    def _show(self, block: re.Match[str]) -> str:
        text = block["text"]
        match block["language"]:
            case "python":
                return self._write(block["file"], block["name"], text)
            case "mermaid":
                (diagram,) = self.folder.glob(".sim/*.mmd")
                return diagram.read_text() + "\n"
        if not text.startswith("$ "):
            return text if f"\n{text}" in f"\n{self.output}" else self.output
        command = text.partition("\n")[0]
        self.output = self._run(shlex.split(command.removeprefix("$ ")))
        return f"{command}\n{self.output}"

    def _write(self, file: str, name: str, text: str) -> str:
        source = (PROGRAMS / file).read_text()
        shutil.copy(PROGRAMS / file, self.folder / name)
        return text if f"\n{text}" in f"\n{source}" else source

    def _run(self, command: list[str]) -> str:
        program = {"pytest": ["-m", "pytest"], "python": []}[command[0]]
        # In CI, pytest does not shorten its summary.
        environment = {name: value for name, value in os.environ.items() if name != "CI"} | {
            "COLUMNS": "80",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # they have nothing to do, and take time
            # Of a set that is shared by processes, it depends on the time how many were run.
            "PYTEST_ADDOPTS": "-p actors.pytest_sim -p no:cacheprovider --sim-jobs=1",
        }
        done = subprocess.run(
            [sys.executable, *program, *command[1:]],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return re.sub(r"^sim: .* so far\n", "", done.stdout, flags=re.MULTILINE)


def untimed(text: str) -> str:
    return re.sub(r"\bin \d+\.\d\ds( \([\d:]+\))?$", "in 0.00s", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    session = Session(tmp_path_factory.mktemp("session"))
    yield session
    if os.environ.get("ATRIO_REWRITE"):
        session.rewrite()


@pytest.mark.parametrize("index", range(len(BLOCKS)), ids=lambda index: f"block {index + 1}")
def test_the_session_is_what_really_happens(index: int, session: Session) -> None:
    assert untimed(BLOCKS[index]["text"]) == untimed(session.play(index))


def test_every_program_of_the_session_is_shown() -> None:
    shown = {block["file"] for block in BLOCKS} - {None}
    assert shown == {path.name for path in PROGRAMS.glob("*.py")}


def test_the_tokens_are_those_of_the_reports() -> None:
    page = PAGE.read_text()
    reported = set(re.findall(r"^replay: .*--sim-replay=(\S+)$", page, re.MULTILINE))
    assert set(re.findall(r"\bs1\.[\w-]+", page)) == reported


@pytest.mark.parametrize("version", ["chat_1.py", "chat_2.py"])
def test_before_the_right_fix_the_very_first_handover_fails(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(PROGRAMS / version, tmp_path / "chat.py")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "chat", raising=False)
    names = runpy.run_path(str(PROGRAMS / "test_handover.py"))
    monkeypatch.delitem(sys.modules, "chat")
    report = sim.exhaust(names["handover"])
    assert (report.runs, type(report.error)) == (1, sim.Deadlock)


# What the reference says of the code.


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading of the reference."""
    section = REFERENCE.read_text().partition(f"\n{heading}\n")[2]
    lines = section[section.index("\n|") + 1 :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


def test_the_options_of_the_mark_are_documented_with_their_defaults() -> None:
    fields = [
        *(field for field in attrs.fields(_Mark) if field.name != "options"),
        *attrs.fields(Options),
    ]
    defaults = {field.name: field.default for field in fields}
    assert defaults.pop("faults") == sim.CALM
    documented = {name.strip("`"): default.strip("`") for name, default, _ in rows("## The mark")}
    assert documented.pop("faults") == "CALM"
    assert {name: ast.literal_eval(text) for name, text in documented.items()} == defaults


@attrs.define
class Recorder:
    """Stands for pytest's parser: writes down the options that the plugin adds."""

    added: dict[str, dict[str, Any]] = attrs.field(factory=dict)

    def getgroup(self, _name: str, _description: str) -> Recorder:
        return self

    def addoption(self, name: str, **how: Any) -> None:
        self.added[name] = how


def test_the_command_line_is_documented() -> None:
    recorder = Recorder()
    pytest_sim.pytest_addoption(cast("pytest.Parser", recorder))
    documented = {
        written.strip("`").partition(" "): (default.strip("`"), meaning)
        for written, default, meaning in rows("## The command line")
    }
    assert {name for name, _, _ in documented} == recorder.added.keys()
    for (name, _, argument), (default, meaning) in documented.items():
        option = recorder.added[name]
        assert bool(argument) == (option.get("action") != "store_true"), name
        assert default == str(option.get("default", default)), name
        assert set(option.get("choices", ())) <= set(re.findall(r"`(\w+)`", meaning)), name


def test_the_faults_are_documented_with_the_presets() -> None:
    presets = (sim.CALM, sim.LAN, sim.MOBILE, sim.CHAOS)
    documented = {
        name.strip("`"): tuple(map(ast.literal_eval, values))
        for name, *values, _ in rows("### The network")
    }
    assert documented == {
        field.name: tuple(getattr(preset, field.name) for preset in presets)
        for field in attrs.fields(sim.Faults)
    }


def test_the_errors_and_the_strategies_are_documented() -> None:
    errors = {
        name
        for name, value in vars(sim).items()
        if name in sim.__all__ and isinstance(value, type) and issubclass(value, Exception)
    }
    documented = {name.strip("`") for name, _ in rows("## What a failure can be")}
    assert documented == errors - {"SimError"}
    numbered = {name for name in sim.STRATEGIES if name[-1].isdigit()}
    assert numbered == {f"pct{depth}" for depth in range(1, 6)}
    strategies = {name.strip("`") for name, *_ in rows("## Strategies")}
    assert strategies == sim.STRATEGIES.keys() - numbered


def test_what_functions_return_is_documented_truly() -> None:
    returned: dict[str, Any] = {"simulate": sim.Run, "explore": sim.Report}
    for call, text in rows("## In code"):
        name = call.strip("`").partition("(")[0]
        assert callable(getattr(sim, name))
        members = re.findall(r"`(\w+)(?:\(.*?\))?`", text)
        for member in [each for each in members if each[0].islower()]:
            owner = returned.get(name, sim.Report)
            fields = {field.name for field in attrs.fields(owner)}
            assert member in fields or hasattr(owner, member), (name, member)


def test_the_line_of_the_summary_is_the_one_of_the_session() -> None:
    (line,) = re.findall(r"^sim: .*$", REFERENCE.read_text(), re.MULTILINE)
    assert f"\n{line}\n" in PAGE.read_text()
