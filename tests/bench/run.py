"""One run: rounds, in each of them all servers in turn, then atrio from inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .generator import Generator, LoadError, MissingError, compiled
from .peers import PEERS, ROOT, Server, running
from .results import BUSY_GENERATOR, Results, Sample
from .scenarios import INSIDE, SCENARIOS, Scenario
from .startup import start_times
from .table import number

_WARM_UP = 1.0
# The longest measurement from inside, on a machine that others use, too.
_LONGEST = 600.0


def cores() -> tuple[int, int]:
    """Return a core for servers and one for the load; the same when there is but one."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        _say("there is one core only: the load takes its time from the server")
    return allowed[0], allowed[min(1, len(allowed) - 1)]


class Bench:
    """Measures into `results`; raises MissingError when there is no load generator."""

    def __init__(
        self,
        cache: Path,
        results: Results,
        cores: tuple[int, int],
        *,
        seconds: float,
        small: bool = False,
    ) -> None:
        self._cache = cache
        self._results = results
        self._core, load_core = cores
        self._generator = Generator(compiled(cache), load_core)
        self._seconds = seconds
        self._small = small

    def run(self, rounds: int, servers: list[str], names: list[str]) -> None:
        """Measure what is named; a server that cannot be run is left out, and it is said why."""
        commands = {}
        for server in servers:
            try:
                commands[server] = PEERS[server].command(self._cache)
            except MissingError as missing:
                self._leave_out(server, missing)
        for round_ in range(rounds):
            for server, command in commands.items():
                if server not in self._results.missing:
                    self._measure(round_, server, command, [n for n in names if n in SCENARIOS])
            if "atrio" in commands:
                for name in names:
                    if name in INSIDE:
                        self._measure_inside(round_, name)

    def _leave_out(self, server: str, missing: MissingError) -> None:
        self._results.missing[server] = str(missing)
        _say(f"{server} is left out: {missing}")

    def _measure(self, round_: int, server: str, command: list[str], names: list[str]) -> None:
        if not names:
            return
        try:
            with running(command, self._core) as process:
                self._results.versions[server] = process.version
                for name in names:
                    self._calm(process)
                    scenario = SCENARIOS[name].small() if self._small else SCENARIOS[name]
                    try:
                        samples = self._samples(process, name, scenario)
                    except LoadError as failure:
                        _say(f"round {round_ + 1}, {server}, {name}: failed: {failure}")
                        continue
                    for figure, (value, load) in samples.items():
                        self._note(Sample(round_, server, figure, value, load))
        except MissingError as missing:
            self._leave_out(server, missing)

    def _samples(
        self, server: Server, name: str, scenario: Scenario
    ) -> dict[str, tuple[float, float | None]]:
        """Return what one scenario shows: figures, and the generator's load."""
        if scenario.mode == "idle":
            before = server.resident_bytes()
            with self._generator.idle(server.port, scenario) as accepted:
                if name == "connect":
                    return {name: (accepted.per_second, accepted.load)}
                self._calm(server)
                grown = server.resident_bytes() - before
            return {name: (grown / scenario.clients, None)}
        warm_up = min(_WARM_UP, self._seconds)
        measured = self._generator.run(
            server.port, scenario, seconds=self._seconds, warm_up=warm_up
        )
        if measured.missing:
            raise LoadError(f"{measured.missing} events never arrived")
        samples: dict[str, tuple[float, float | None]] = {
            name: (measured.per_second, measured.load)
        }
        if scenario.mode == "echo":
            samples[f"{name}-p50"] = (measured.p50_ms, None)
            samples[f"{name}-p99"] = (measured.p99_ms, None)
        return samples

    def _measure_inside(self, round_: int, name: str) -> None:
        if name == "start":
            figures = start_times(self._core, small=self._small)
        else:
            figures = self._inside(name)
        for figure, value in figures.items():
            self._note(Sample(round_, "atrio", figure, value))

    def _inside(self, name: str) -> dict[str, float]:
        command = [sys.executable, "-m", "tests.bench.inside", name]
        command += [f"--generator={self._generator.program}"]
        command += [f"--load-core={self._generator.core}"]
        if self._small:
            command.append("--small")
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        ) as process:
            os.sched_setaffinity(process.pid, {self._core})
            try:
                said, _ = process.communicate(timeout=_LONGEST)
            finally:
                process.kill()
        if process.returncode != 0:
            _say(f"atrio, {name}: failed")
            return {}
        figures: dict[str, float] = json.loads(said)
        return figures

    def _calm(self, server: Server) -> None:
        server.wait_until_calm(0.02 if self._small else 0.2)

    def _note(self, sample: Sample) -> None:
        self._results.samples.append(sample)
        said = f"round {sample.round + 1}, {sample.server}, {sample.figure}: {number(sample.value)}"
        if sample.load is not None:
            said += f", load {sample.load:.0%}"
            if sample.load > BUSY_GENERATOR:
                said += ": the load generator may be what is measured"
        _say(said)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
