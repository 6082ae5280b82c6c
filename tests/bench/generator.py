"""The load generator: compiled on the spot, called, and what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import msgspec

from .scenarios import Scenario

SOURCE = Path(__file__).parent / "load.c"
NEEDS_CC = "needs a C compiler: apt-get install -y gcc libc6-dev"
# A server that takes longer than this to let all clients in, or to answer, hangs.
_LONGEST = 120.0


class MissingError(Exception):
    """Something is not installed and could not be; says what to do."""


class LoadError(Exception):
    """The load generator gave up: what the server did wrong, in its words."""


@attrs.frozen
class Accepted:
    """So many `clients` got in, so many a second, with this share of a core on the client side."""

    clients: int
    per_second: float
    load: float


@attrs.frozen
class Measured:
    """What happened `per_second`, how long one took, and the generator's share of a core.

    `missing`: events that never arrived, though their senders were still there.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    load: float
    missing: int


def compiled(folder: Path) -> Path:
    """Return the generator, compiled into `folder`; raises MissingError without a compiler."""
    program = folder / "load"
    if not program.exists() or program.stat().st_mtime < SOURCE.stat().st_mtime:
        compiler = shutil.which("cc")
        if compiler is None:
            raise MissingError(NEEDS_CC)
        folder.mkdir(parents=True, exist_ok=True)
        flags = ["-O2", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([compiler, *flags, "-o", program, SOURCE], check=True)
    return program


def arguments(port: int, scenario: Scenario, *, seconds: float, warm_up: float) -> list[str]:
    """Return what the generator is called with."""
    values = {
        "mode": scenario.mode,
        "port": port,
        "clients": scenario.clients,
        "payload": scenario.payload,
        "outstanding": scenario.outstanding,
        "publishers": scenario.publishers,
        "seconds": seconds,
        "warm-up": warm_up,
    }
    return [f"--{name}={value}" for name, value in values.items()]


def read_accepted(line: str) -> Accepted:
    """Return what the first line says."""
    return msgspec.json.decode(line, type=Accepted)


def read_measured(line: str) -> Measured:
    """Return what the second line says."""
    return msgspec.json.decode(line, type=Measured)


@attrs.frozen
class Generator:
    """The compiled program, and the core it runs on."""

    program: Path
    core: int

    def run(self, port: int, scenario: Scenario, *, seconds: float, warm_up: float) -> Measured:
        """Put load on a server; raises LoadError."""
        call = arguments(port, scenario, seconds=seconds, warm_up=warm_up)
        with self._started(call) as process:
            try:
                said, complaint = process.communicate(timeout=_LONGEST)
            except subprocess.TimeoutExpired:
                raise LoadError(f"not done after {_LONGEST:.0f} s") from None
            if process.returncode != 0:
                raise LoadError(complaint.strip())
            return read_measured(said.splitlines()[1])

    @contextmanager
    def idle(self, port: int, scenario: Scenario) -> Iterator[Accepted]:
        """Have clients that do nothing, until the end of the block; raises LoadError."""
        with self._started(arguments(port, scenario, seconds=0, warm_up=0)) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise LoadError(process.communicate()[1].strip())
            yield read_accepted(line)
            _, complaint = process.communicate()  # closes its input, which ends it
            if process.returncode != 0:
                raise LoadError(complaint.strip())

    @contextmanager
    def _started(self, call: list[str]) -> Iterator[subprocess.Popen[str]]:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [self.program, *call], stdin=pipe, stdout=pipe, stderr=pipe, text=True
        ) as process:
            try:
                os.sched_setaffinity(process.pid, {self.core})
                yield process
            finally:
                process.kill()
