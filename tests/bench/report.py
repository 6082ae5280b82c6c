"""Where results go: a folder with all of them, and the documents."""

from __future__ import annotations

from pathlib import Path

import msgspec

from .plot import plot
from .results import Results
from .table import tables

BEGIN = "<!-- Written by `python -m tests.bench --docs`: the tables -->\n"
END = "<!-- The end of the tables -->\n"


def write_report(results: Results, folder: Path) -> None:
    """Write the tables, the plot, and every single figure into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(tables(results))
    (folder / "plot.svg").write_text(plot(results))
    raw = msgspec.json.format(msgspec.json.encode(results), indent=1)
    (folder / "results.json").write_bytes(raw + b"\n")


def write_docs(results: Results, docs: Path) -> None:
    """Renew the tables in performance.md and the plot beside it; raises ValueError."""
    page = docs / "performance.md"
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: expected the tables between {BEGIN!r} and {END!r}")
    page.write_text(f"{before}{BEGIN}\n{tables(results)}\n{END}{after}")
    (docs / "performance.svg").write_text(plot(results))
