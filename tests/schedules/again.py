"""The same runs in another process: `python -m tests.schedules.again`, from the checkout.

Reads from its input, as JSON, what to run; writes what was seen. A run's digest is of its choices,
its steps, its result, and, if it is told, of its whole report.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from actors.sim import LAN, Run, simulate

from .everything import everything
from .planted import ghost_join, room_clients
from .planted.catalogue import PLANTED, Program
from .websockets import websocket_visits

_ROOT = Path(__file__).parents[2]

PROGRAMS: Mapping[str, Program] = {
    "everything": everything,
    "ghost_join": ghost_join.broken,
    "resets": room_clients.resets,
    "websockets": websocket_visits(2, attrs.evolve(LAN, reset=0.02)),
}
TOLD_EVERY = 10  # a report is two or three runs more


def digest(run: Run, *, told: bool) -> str:
    seen = [run.tape, run.record.history, repr(run.value), repr(run.error), run.record.seconds]
    if told:
        seen += [run.text(full=True), run.mermaid()]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def by_seed(counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Return the digests of so many seeds of each program of `PROGRAMS`."""
    return {
        name: [
            digest(simulate(PROGRAMS[name], seed=seed), told=seed % TOLD_EVERY == 0)
            for seed in range(count)
        ]
        for name, count in counts.items()
    }


def by_token(tokens: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of planted bugs, by name, replayed."""
    return {
        name: digest(simulate(PLANTED[name].program, replay=token), told=True)
        for name, token in tokens.items()
    }


_ANSWERS = {"by_seed": by_seed, "by_token": by_token}


def in_another_process(what: str, question: Mapping[str, Any], *, hash_seed: int) -> Any:
    """Return what `by_seed` or `by_token` returns there."""
    other = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.schedules.again", what],
        input=json.dumps(question),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
    )
    return json.loads(other.stdout)


if __name__ == "__main__":
    json.dump(_ANSWERS[sys.argv[1]](json.load(sys.stdin)), sys.stdout)  # type: ignore[operator]
