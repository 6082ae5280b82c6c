"""The servers that are compared: how they are installed, started, watched and stopped.

What they need lies in a folder of its own, `.bench` of the checkout: nothing goes into the
project's environment.
"""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import msgspec

from .generator import MissingError

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SERVERS = HERE / "servers"
CACHE = ROOT / ".bench"
# A first start compiles what it imports, maybe beside other work.
_START = 30.0
_STOP = 5.0
# Clock ticks of the processor; so many in a look count as none (a heartbeat, a collector).
_CALM_TICKS = 1
_LONGEST_UNREST = 10.0


@attrs.frozen
class Hello:
    """The first line of each server here."""

    port: int
    version: str


@attrs.frozen
class Server:
    """A server that runs, in a process of its own."""

    pid: int
    port: int
    version: str

    def resident_bytes(self) -> int:
        """Return how much memory it has now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def wait_until_calm(self, look: float = 0.2) -> None:
        """Wait until it does nothing for the length of a look: what was before is over."""
        deadline = time.monotonic() + _LONGEST_UNREST
        before = self._used_ticks()
        while time.monotonic() < deadline:
            time.sleep(look)
            used = self._used_ticks()
            if used - before <= _CALM_TICKS:
                return
            before = used

    def _used_ticks(self) -> int:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


@attrs.frozen
class Peer:
    """A kind of server; `command` installs what it needs, or raises MissingError."""

    title: str
    command: Callable[[Path], list[str]]


def _atrio(cache: Path) -> list[str]:
    return [sys.executable, str(SERVERS / "atrio.py")]


def _node(cache: Path) -> list[str]:
    return [_found("node", "nodejs npm"), str(_npm_packages(cache) / "node.mjs")]


def _on_bun(program: str) -> Callable[[Path], list[str]]:
    def command(cache: Path) -> list[str]:
        folder = _npm_packages(cache)
        return [str(folder / "node_modules" / ".bin" / "bun"), str(folder / program)]

    return command


def _python_socketio(cache: Path) -> list[str]:
    folder = cache / "python"
    python = folder / "bin" / "python"
    requirements = SERVERS / "requirements.txt"
    if _stale(folder, requirements):
        venv.create(folder, with_pip=True, clear=True)
        quiet = ["--quiet", "--disable-pip-version-check"]
        _install([str(python), "-m", "pip", "install", *quiet, "-r", str(requirements)], folder)
        shutil.copy(requirements, folder)
    return [str(python), str(SERVERS / "python-socketio.py")]


PEERS = {
    "atrio": Peer("atrio", _atrio),
    "node": Peer("Node", _node),
    "bun": Peer("Bun", _on_bun("bun.mjs")),
    "uws": Peer("uWebSockets", _on_bun("uwebsockets.mjs")),
    "pysio": Peer("python-socketio", _python_socketio),
}


def _npm_packages(cache: Path) -> Path:
    """Return a folder with npm's packages, and the programs beside them: there they are found."""
    folder = cache / "node"
    folder.mkdir(parents=True, exist_ok=True)
    package = SERVERS / "package.json"
    if _stale(folder, package):
        npm = _found("npm", "nodejs npm")
        (folder / "package.json").unlink(missing_ok=True)
        wanted = msgspec.json.decode(package.read_bytes())["dependencies"]
        quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
        packages = [f"{name}@{version}" for name, version in wanted.items()]
        _install([npm, "install", *quiet, "--prefix", str(folder), *packages], folder)
        shutil.copy(package, folder)
    for program in SERVERS.glob("*.mjs"):
        shutil.copy(program, folder)
    return folder


def _stale(folder: Path, wanted: Path) -> bool:
    """Return whether something else was installed than is wanted now: a copy says what it was."""
    installed = folder / wanted.name
    return not installed.exists() or installed.read_bytes() != wanted.read_bytes()


def _install(command: list[str], folder: Path) -> None:
    print(f"installing into {folder}", file=sys.stderr)
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise MissingError(f"`{' '.join(command[:3])} …` failed: {last}")


def _found(program: str, packages: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise MissingError(f"needs {program}: apt-get install -y {packages}")
    return found


@contextmanager
def running(command: list[str], core: int) -> Iterator[Server]:
    """Run a server on a core until the end of the block; raises MissingError if it cannot start."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NODE_ENV": "production"}
    with (
        tempfile.TemporaryFile() as log,  # a pipe that nobody reads would stop it
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, cwd=ROOT, env=environment
        ) as process,
    ):
        try:
            os.sched_setaffinity(process.pid, {core})
            line = _first_line(process)
            if not line.endswith(b"\n"):
                said = os.pread(log.fileno(), 10_000, 0).decode(errors="replace").split("\n")
                raise MissingError(f"{command} did not start: {' '.join(said[-4:])}")
            hello = msgspec.json.decode(line, type=Hello)
            yield Server(process.pid, hello.port, hello.version)
        finally:
            process.terminate()
            try:
                process.wait(_STOP)
            except subprocess.TimeoutExpired:
                process.kill()


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    line, deadline = b"", time.monotonic() + _START
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n") and selector.select(deadline - time.monotonic()):
            if not (piece := os.read(process.stdout.fileno(), 1000)):
                break
            line += piece
    return line
