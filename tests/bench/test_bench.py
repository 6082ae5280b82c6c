"""The benchmark works: it compiles, every scenario runs and gives figures, and they are shown.

Nothing here is a measurement. Clients are few and times short, so figures mean nothing.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
import trio

from . import generator
from .generator import (
    NEEDS_CC,
    Generator,
    LoadError,
    MissingError,
    compiled,
    read_accepted,
    read_measured,
)
from .inside.__main__ import MEASURED
from .inside.setting import Setting
from .peers import PEERS, ROOT, running
from .plot import plot
from .report import BEGIN, END, write_docs, write_report
from .results import Results, Sample
from .run import Bench, cores
from .scenarios import COMPARED, FIGURES, INSIDE, NAMES, SCENARIOS, Scenario
from .table import number, tables


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiled generator."""
    if shutil.which("cc") is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run everything: {NEEDS_CC}")
        pytest.skip(NEEDS_CC)
    folder = tmp_path_factory.mktemp("bench")
    compiled(folder)
    return folder


def bench(cache: Path, results: Results) -> Bench:
    return Bench(cache, results, cores(), seconds=0.1, small=True)


def nothing() -> Results:
    return Results(machine="a machine", command="python -m tests.bench")


def test_every_scenario_gives_its_figures(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = nothing()
    bench(cache, results).run(1, ["atrio"], list(SCENARIOS))
    assert results.missing == {}
    assert "failed" not in capsys.readouterr().err
    assert {sample.figure for sample in results.samples} == set(COMPARED)
    assert all(sample.value > 0 for sample in results.samples if sample.figure != "memory")
    loads = [sample.load for sample in results.samples if sample.figure in SCENARIOS]
    assert all(load is None or 0 < load <= 1.1 for load in loads)
    assert results.versions["atrio"].startswith("Python ")


@pytest.mark.parametrize("name", MEASURED)
async def test_every_measurement_from_inside_gives_its_figures(name: str, cache: Path) -> None:
    setting = Setting(str(compiled(cache)), cores()[1], small=True)
    with trio.fail_after(30):
        figures = await MEASURED[name](setting)
    assert set(figures) == set(INSIDE[name])


def test_measurements_from_inside_run_in_processes_of_their_own(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = nothing()
    bench(cache, results).run(1, ["atrio"], ["slope-rooms", "start"])
    assert "failed" not in capsys.readouterr().err
    assert {sample.figure for sample in results.samples} == {
        *INSIDE["slope-rooms"],
        *INSIDE["start"],
    }
    assert {*MEASURED, "start"} == set(INSIDE)


def test_a_server_that_answers_something_else_is_no_peer(cache: Path, tmp_path: Path) -> None:
    wrong = (ROOT / "tests" / "bench" / "servers" / "atrio.py").read_text()
    (tmp_path / "wrong.py").write_text(wrong.replace("return text", 'return text + "!"'))
    server_core, load_core = cores()
    command = [*PEERS["atrio"].command(cache)[:1], str(tmp_path / "wrong.py")]
    with running(command, server_core) as server:
        load = Generator(compiled(cache), load_core)
        with pytest.raises(LoadError, match="expected the ack 0 with what was sent"):
            load.run(server.port, Scenario("echo", 2), seconds=0.1, warm_up=0)


def test_a_peer_that_cannot_be_installed_is_left_out_and_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = nothing()
    measuring = bench(cache, results)
    monkeypatch.setenv("PATH", str(cache))
    measuring.run(1, ["node"], ["echo1"])
    assert results.samples == []
    assert results.missing == {"node": "needs node: apt-get install -y nodejs npm"}
    assert "node is left out: needs node" in capsys.readouterr().err
    assert "- Not run: Node, needs node: apt-get install -y nodejs npm." in tables(results)


def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator.shutil, "which", lambda _: None)
    with pytest.raises(MissingError, match="needs a C compiler: apt-get install -y gcc"):
        compiled(tmp_path)


def test_what_the_generator_says_is_read() -> None:
    accepted = read_accepted('{"clients": 10, "per_second": 12.5, "load": 0.25}')
    assert (accepted.clients, accepted.per_second, accepted.load) == (10, 12.5, 0.25)
    measured = read_measured(
        '{"per_second": 3.5, "p50_ms": 0.5, "p99_ms": 1.5, "load": 0.9, "missing": 2}'
    )
    assert (measured.p50_ms, measured.p99_ms, measured.missing) == (0.5, 1.5, 2)
    with pytest.raises(msgspec.ValidationError, match="missing"):
        read_measured('{"per_second": 3.5, "p50_ms": 0.5, "p99_ms": 1.5, "load": 0.9}')


# How it is shown.


def some_results() -> Results:
    results = nothing()
    results.versions["atrio"] = "Python 3"
    for round_, (ours, theirs) in enumerate([(50.0, 9.0), (60.0, 10.0), (1_000.0, 11.0)]):
        results.samples.extend(
            [
                Sample(round_, "atrio", "fanout1000x4", ours, load=0.5),
                Sample(round_, "node", "fanout1000x4", theirs, load=0.125),
                Sample(round_, "atrio", "memory", 40_000),
                Sample(round_, "node", "memory", 20_000),
                Sample(round_, "atrio", "start", 0.25),
                Sample(round_, "atrio", "plain-rooms", 7_000),
            ]
        )
    return results


def test_ratios_are_of_medians_and_above_one_is_better() -> None:
    results = some_results()
    assert results.value("fanout1000x4", "atrio") == 60
    assert results.ratio("fanout1000x4", "node") == 6
    assert results.ratio("memory", "node") == 0.5
    assert results.ratio("memory", "bun") is None
    assert results.load("fanout1000x4") == 0.5


def test_the_tables_show_figures_ratios_goals_and_the_generator() -> None:
    shown = tables(some_results()).splitlines()
    times = "\N{MULTIPLICATION SIGN}"
    assert shown[0] == "| Scenario | atrio | Node | Goal | Load |"
    assert (
        f"| fan-out, 1,000 members, 4 outstanding, events/s | 60.0 | 10.0 (6.00 {times}) "
        f"| 5 {times} Node: reached | 50% |"
    ) in shown
    assert (
        f"| memory of an idle websocket client, bytes | 40.0k | 20.0k (0.500 {times}) "
        f"| 1 {times} Node: missed | - |"
    ) in shown
    assert "| import and start of `atrio serve` | 0.250 s | ≤ 0.5: reached |" in shown
    assert "| an idle room, of 10,000 | 7,000 bytes | ≤ 6,000: missed |" in shown
    assert "- Machine: a machine." in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0, "0.00"),
        (0.0123, "0.012"),
        (9.996, "10.00"),
        (123.4, "123"),
        (9_999, "9,999"),
        (12_345, "12.3k"),
        (1_234_567, "1.23M"),
    ],
)
def test_numbers_have_about_three_digits(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_the_plot_has_a_bar_for_each_ratio_and_reads_in_light_and_dark() -> None:
    picture = plot(some_results())
    root = ET.fromstring(picture)  # noqa: S314 - it is our own
    rows = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert COMPARED["fanout1000x4"].title in rows
    assert {"6", "0.5"} <= set(rows)
    assert COMPARED["echo1"].title not in rows
    assert "prefers-color-scheme: dark" in picture


def test_results_are_written_whole_and_the_documents_renewed(tmp_path: Path) -> None:
    results = some_results()
    write_report(results, tmp_path)
    raw = (tmp_path / "results.json").read_bytes()
    assert msgspec.json.decode(raw, type=Results) == results
    assert (tmp_path / "table.md").read_text() == tables(results)
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")
    write_docs(results, tmp_path)
    assert page.read_text() == f"before\n{BEGIN}\n{tables(results)}\n{END}after\n"
    assert (tmp_path / "performance.svg").read_text() == plot(results)
    page.write_text("no tables")
    with pytest.raises(ValueError, match="expected the tables between"):
        write_docs(results, tmp_path)


def test_the_page_on_performance_shows_every_figure() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    shown = re.findall(r"^\| (.+?) \|", page.partition(BEGIN)[2].partition(END)[0], re.MULTILINE)
    for name, figure in FIGURES.items():
        title = f"{figure.title}, {figure.unit}" if name in COMPARED else figure.title
        assert title in shown, name
    assert len(NAMES) == len(set(NAMES))
