"""What was measured: samples, their medians, and how they compare."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import attrs

from .scenarios import FIGURES

# Above this share of its core the generator itself may be what is measured.
BUSY_GENERATOR = 0.8


@attrs.frozen
class Sample:
    """A figure of one server in one round; `load`: the generator's share of its core then."""

    round: int
    server: str
    figure: str
    value: float
    load: float | None = None


@attrs.frozen
class Results:
    """All samples of a run, and what a reader must know to repeat it.

    `missing`: servers that could not be run, and why.
    """

    machine: str
    command: str
    versions: dict[str, str] = attrs.field(factory=dict)
    missing: dict[str, str] = attrs.field(factory=dict)
    samples: list[Sample] = attrs.field(factory=list)

    def value(self, figure: str, server: str) -> float | None:
        """Return the median over the rounds; None when it was not measured."""
        values = [
            each.value for each in self.samples if (each.figure, each.server) == (figure, server)
        ]
        return median(values) if values else None

    def ratio(self, figure: str, server: str) -> float | None:
        """Return how many times as good atrio is as `server`, by their medians."""
        ours, theirs = self.value(figure, "atrio"), self.value(figure, server)
        if not ours or not theirs:
            return None
        return theirs / ours if FIGURES[figure].less else ours / theirs

    def load(self, figure: str, server: str | None = None) -> float | None:
        """Return the highest share of its core the generator needed, with one server or any."""
        loads = [
            each.load
            for each in self.samples
            if each.figure == figure and server in (None, each.server) and each.load is not None
        ]
        return max(loads, default=None)

    def servers(self, known: Iterable[str]) -> list[str]:
        """Return those of `known` that were measured, in their order."""
        measured = {each.server for each in self.samples}
        return [server for server in known if server in measured]


def this_machine() -> str:
    """Return what processor and system this is, and how busy it is already, in one line."""
    processor = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    busy = f"load average {os.getloadavg()[0]:.1f} before the run"
    return f"{processor}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, {busy}"
