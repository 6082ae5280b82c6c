"""docs/features.md: what it says is there has a test, and the test is there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "features.md"

# The sections, and the numbers of the features that each has to say something about.
_NUMBERED = {
    "Engine.IO": ("A", 36),
    "Serving and the whole server": ("C", 15),
    "Namespaces": ("D", 11),
    "Rooms": ("E", 12),
    "Sockets": ("F", 10),
    "Broadcasts": ("G", 7),
    "Acks": ("H", 6),
    "Middleware": ("I", 6),
    "Connection state recovery": ("J", 5),
    "Adapters": ("K", 12),
    "Parsers": ("L", 3),
    "Limits": ("O", 10),
    "Types": ("P", 2),
}
SECTIONS = {
    section: [f"{letter}{number}" for number in range(1, last + 1)]
    for section, (letter, last) in _NUMBERED.items()
}


@attrs.frozen
class Row:
    """A line of a table."""

    section: str
    number: str
    feature: str
    here: str
    test: str

    def __str__(self) -> str:
        return f"{self.number} {self.feature}"


def rows_of(page: Path) -> list[Row]:
    rows = []
    section = ""
    for line in page.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| |"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            rows.append(Row(section, *cells))
    return rows


ROWS = rows_of(PAGE)


def names_in(file: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


@pytest.mark.parametrize("row", [row for row in ROWS if row.test], ids=str)
def test_the_test_that_shows_a_feature_exists(row: Row) -> None:
    named = re.fullmatch(r"`(tests/\S+\.py)(?:::(test_\w+))?`", row.test)
    assert named is not None, f"{row}: expected `tests/….py::test_…`, saw {row.test}"
    file = ROOT / named[1]
    assert file.is_file(), f"{row}: there is no {named[1]}"
    assert named[2] is None or named[2] in names_in(file), f"{row}: no {named[2]} in {named[1]}"


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_feature_is_there_or_says_why_not(row: Row) -> None:
    assert re.match(r"yes\b|in part: \S|no: \S", row.here), f"{row}: {row.here!r}"
    assert row.test or row.here.startswith("no: "), f"{row}: what is there has a test"


def test_each_section_has_all_its_features() -> None:
    sections = list(dict.fromkeys(row.section for row in ROWS))
    assert sections == list(SECTIONS)
    for section, numbers in SECTIONS.items():
        here = [row.number for row in ROWS if row.section == section]
        assert list(dict.fromkeys(here)) == numbers


def test_no_feature_is_named_twice() -> None:
    twice = [name for name, count in Counter(map(str, ROWS)).items() if count > 1]
    assert twice == []
