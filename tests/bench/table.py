"""Results as tables in markdown."""

from __future__ import annotations

import math

from .peers import PEERS
from .results import BUSY_GENERATOR, Results
from .scenarios import COMPARED, INSIDE, Figure

TIMES = "\N{MULTIPLICATION SIGN}"


def tables(results: Results) -> str:
    """Return all there is to say of the results."""
    parts = [_compared(results), _inside(results), _circumstances(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def number(value: float | None) -> str:
    """Return a figure with three digits that count: 1234567 is 1.23M."""
    if value is None:
        return "-"
    for size, letter in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return _digits(value / (1e6 if letter == "M" else 1e3)) + letter
    return _digits(value)


def _digits(value: float) -> str:
    before = 1 if value == 0 else math.floor(math.log10(abs(value))) + 1
    return f"{value:,.{max(0, min(3, 3 - before))}f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _compared(results: Results) -> str:
    servers = results.servers(PEERS)
    rows = []
    for name, figure in COMPARED.items():
        if all(results.value(name, server) is None for server in servers):
            continue
        load = results.load(name)
        rows.append(
            _row(
                f"{figure.title}, {figure.unit}",
                *(_cell(results, name, server) for server in servers),
                _goals(results, name, figure),
                "-" if load is None else f"{load:.0%}",
            )
        )
    if not rows:
        return ""
    head = _row("Scenario", *(PEERS[server].title for server in servers), "Goal", "Load")
    return "\n".join([head, "|---" * (len(servers) + 3) + "|", *rows])


def _cell(results: Results, name: str, server: str) -> str:
    ratio = None if server == "atrio" else results.ratio(name, server)
    said = number(results.value(name, server))
    if (results.load(name, server) or 0) > BUSY_GENERATOR:
        said = f"at least {said}"  # it might do more with another client
    return said if ratio is None else f"{said} ({_digits(ratio)} {TIMES})"


def _goals(results: Results, name: str, figure: Figure) -> str:
    said = []
    for server, goal in figure.goals.items():
        ratio = results.ratio(name, server)
        if ratio is not None:
            reached = "reached" if ratio >= goal else "missed"
            said.append(f"{goal:g} {TIMES} {PEERS[server].title}: {reached}")
    return "; ".join(said)


def _inside(results: Results) -> str:
    rows = []
    for figures in INSIDE.values():
        for name, figure in figures.items():
            value = results.value(name, "atrio")
            if value is None:
                continue
            goal = ""
            if figure.limit < math.inf:
                reached = "reached" if value <= figure.limit else "missed"
                goal = f"≤ {figure.limit:,g}: {reached}"
            rows.append(_row(figure.title, f"{number(value)} {figure.unit}", goal))
    if not rows:
        return ""
    return "\n".join([_row("Of atrio alone", "Measured", "Goal"), "|---|---|---|", *rows])


def _circumstances(results: Results) -> str:
    lines = [f"- Machine: {results.machine}."]
    lines += [
        f"- {PEERS[server].title}: {version}." for server, version in results.versions.items()
    ]
    lines += [
        f"- Not run: {PEERS[server].title}, {why}." for server, why in results.missing.items()
    ]
    lines.append(f"- Command: `{results.command}`.")
    return "\n".join(lines)
