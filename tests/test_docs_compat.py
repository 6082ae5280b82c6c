"""docs/compat.md: each row has a test of both profiles, and each trap a row."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from broker.values.profile import Traps

from .test_docs_features import names_in

ROOT = Path(__file__).parents[1]


@attrs.frozen
class Row:
    number: str
    node: str
    strict: str
    mirrored: str
    test: str

    def __str__(self) -> str:
        return f"{self.number} {self.node}"


def rows() -> list[Row]:
    lines = (ROOT / "docs" / "compat.md").read_text().splitlines()
    cells = [
        [cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("| ")
    ]
    return [Row(*row) for row in cells if row[0]]


ROWS = rows()


def test_every_row_is_there_in_order() -> None:
    numbers = list(dict.fromkeys(row.number for row in ROWS))
    assert numbers == [*map(str, range(1, 25)), "also"]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_row_has_a_test_unless_nothing_is_built(row: Row) -> None:
    if row.strict.startswith("not built: "):
        assert row.test == ""
        return
    named = re.fullmatch(r"`(tests/\S+\.py)::(test_\w+)`", row.test)
    assert named is not None, f"expected `tests/….py::test_…`, saw {row.test!r}"
    assert named[2] in names_in(ROOT / named[1])


def test_each_trap_has_a_row_and_each_row_says_why_or_which() -> None:
    named = [re.findall(r"as Node: `(\w+)`", row.mirrored) for row in ROWS]
    assert {flag for flags in named for flag in flags} == {
        field.name for field in attrs.fields(Traps)
    }
    for row, flags in zip(ROWS, named, strict=True):
        assert flags or re.match("as `strict`|not built: |as Node", row.mirrored), row
