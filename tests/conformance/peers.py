"""The server under test as a process: ours (`apps.py`) or Node's (`node_peer.mjs`), the same apps.

A server is started once and shared by the tests; what it writes to stderr is watched, because a
client's fault must never become the server's traceback.
"""

from __future__ import annotations

import importlib.util
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Literal, get_args

import pytest

from .endpoint import Endpoint

HERE = Path(__file__).parent
NODE_MODULES = HERE / "node_modules"

PeerName = Literal["atrio", "node"]
PEERS: tuple[str, ...] = get_args(PeerName)

# A first start compiles what it imports, maybe beside other work.
_START = 30.0
# More than the grace a server gives its clients.
_STOP = 15.0


def unavailable(reason: str) -> None:
    """Skip the test for want of a tool; where nothing may be missing, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must run everything: {reason}")
    pytest.skip(reason)


def require_node() -> None:
    """Make sure that Node and its packages are there."""
    if shutil.which("node") is None:
        unavailable("needs Node.js: apt-get install -y nodejs npm")
    if not all(
        (NODE_MODULES / f"socket.io-{name}").is_dir() for name in ("client", "msgpack-parser")
    ):
        unavailable("needs Node's packages: apt-get install -y nodejs npm, then .ci/test")


def require_adapters() -> None:
    """Make sure that Node's adapters for Redis are there."""
    require_node()
    if not (NODE_MODULES / "@socket.io" / "redis-adapter").is_dir():
        unavailable("needs Node's adapters for Redis: .ci/test installs them")


def require_redis_adapter() -> None:
    """Make sure that they are there, and Node's client of Redis."""
    require_adapters()
    if not (NODE_MODULES / "redis").is_dir():
        unavailable("needs Node's client of Redis: .ci/test installs it")


def require_chromium() -> str:
    """Make sure that Node can drive the system's Chromium, and return where that is."""
    require_node()
    if not (NODE_MODULES / "playwright-core").is_dir():
        unavailable("needs Node's packages: apt-get install -y nodejs npm, then .ci/test")
    found = shutil.which("chromium")
    if found is None:
        unavailable("needs Chromium: apt-get install -y chromium")
    assert found is not None
    return found


def require_python_socketio() -> None:
    """Make sure that python-socketio's asyncio client is there."""
    for module in ("socketio", "aiohttp"):
        if importlib.util.find_spec(module) is None:
            unavailable("needs python-socketio: pip install python-socketio aiohttp")


class Server:
    """One process that serves one app."""

    def __init__(self, peer: str, app: str, port: int = 0) -> None:
        self.app = app
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._read = 0
        program = [sys.executable, "-W", "error", str(HERE / "apps.py")]
        if peer == "node":
            program = ["node", str(HERE / "node_peer.mjs")]
        self.process = subprocess.Popen(
            [*program, app, str(port)], stdout=subprocess.PIPE, stderr=self._log, cwd=HERE
        )
        try:
            self.port = self._wait_until_it_listens()
        except BaseException:
            self.kill()
            raise

    def _wait_until_it_listens(self) -> int:
        assert self.process.stdout is not None
        line, deadline = b"", time.monotonic() + _START
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n") and selector.select(deadline - time.monotonic()):
                if not (piece := os.read(self.process.stdout.fileno(), 100)):
                    break
                line += piece
        word, _, port = line.decode().strip().partition(" ")
        if word != "listening":
            said = self.new_log()
            raise RuntimeError(f"the server of {self.app!r} did not start: {line!r}\n{said}")
        return int(port)

    @property
    def endpoint(self) -> Endpoint:
        path = "/engine.io/" if self.app.endswith("engine") else "/socket.io/"
        return Endpoint(self.app, self.port, path)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_log(self) -> str:
        """Return what it has written to stderr since the last call."""
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), size - self._read, self._read)
        self._read = size
        return text.decode(errors="replace")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def check(self) -> None:
        """Fail when it has died, or complained as a server does not of a client."""
        log = self.new_log()
        if not self.alive:
            self.kill()
            raise AssertionError(f"the server of {self.app!r} died:\n{log}")
        assert "Traceback" not in log, f"the server of {self.app!r} failed inside:\n{log}"

    def stop(self) -> None:
        """End it as a service manager does; it must end by itself, and well."""
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(_STOP)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server of {self.app!r} ignores SIGTERM") from None
        else:
            log = self.new_log()
            assert status == 0, f"the server of {self.app!r} ended with {status}:\n{log}"
            assert "Traceback" not in log, f"the server of {self.app!r} failed inside:\n{log}"
        finally:
            self.kill()

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


class Servers:
    """The servers of a test session, each started when it is first asked for."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self._running: dict[str, Server] = {}
        self._failed: dict[str, str] = {}

    def __getitem__(self, app: str) -> Server:
        if app in self._failed:  # once is enough to wait for
            raise RuntimeError(self._failed[app])
        if app not in self._running:
            try:
                self._running[app] = self.start(app)
            except RuntimeError as error:
                self._failed[app] = str(error)
                raise
        return self._running[app]

    def start(self, app: str, port: int = 0) -> Server:
        """Start a server that is the caller's own to stop."""
        if self.peer == "node":
            require_node()
        return Server(self.peer, app, port)

    def check(self) -> None:
        for app, server in list(self._running.items()):
            if not server.alive:  # one test's trouble; the next gets another
                del self._running[app]
            server.check()

    def stop(self) -> None:
        complaints = []
        for server in self._running.values():
            try:
                server.stop()
            except AssertionError as error:
                complaints.append(str(error))
        assert not complaints, "\n".join(complaints)
