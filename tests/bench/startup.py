"""How long `atrio serve` takes until it listens."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

from .peers import ROOT

_STARTS = 5
_SERVE = "from broker.cli import main; main()"
_IMPORT = "import broker.cli"


def start_times(core: int, *, small: bool) -> dict[str, float]:
    """Return the seconds to its first line, and those of its imports, as medians."""
    starts = range(1 if small else _STARTS)
    return {
        "start": median(_until_it_listens(core) for _ in starts),
        "import": median(_imported(core) - _nothing_done(core) for _ in starts),
    }


def _until_it_listens(core: int) -> float:
    begin = time.perf_counter()
    with _python(core, _SERVE, "serve", "--port", "0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - begin
        process.terminate()
        process.communicate()
    assert line.startswith("atrio listening on "), f"`atrio serve` said {line!r}"
    return took


def _imported(core: int) -> float:
    return _run(core, _IMPORT)


def _nothing_done(core: int) -> float:
    return _run(core, "pass")


def _run(core: int, program: str) -> float:
    begin = time.perf_counter()
    with _python(core, program) as process:
        process.communicate()
    assert process.returncode == 0
    return time.perf_counter() - begin


def _python(core: int, program: str, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.sched_setaffinity(process.pid, {core})
    return process
