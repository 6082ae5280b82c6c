"""A redis-server of the tests' own: on a free port of the loopback, with nothing on disk."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

_START = 10.0


class RedisProcess:
    """`url` stays the same when it is killed and started again."""

    def __init__(self, *options: str) -> None:
        if shutil.which("redis-server") is None:
            reason = "needs redis-server: apt-get install redis-server"
            if os.environ.get("CI"):
                pytest.fail(f"CI must run everything: {reason}")
            pytest.skip(reason)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._folder = tempfile.TemporaryDirectory()
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            [
                "redis-server",
                *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", self._folder.name),
                *("--save", "", "--appendonly", "no", *self._options),
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START
        while not self._answers():
            assert self._process.poll() is None, "redis-server has ended"
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(1) in (b"+", b"-")  # pong, or that it wants a password
        except OSError:
            return False

    def tell(self, command: str) -> None:
        """Have it do a command."""
        with socket.create_connection(("127.0.0.1", self.port), _START) as connection:
            connection.sendall(command.encode() + b"\r\n")
            assert connection.recv(1) != b"-", command

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it do nothing, though its connections are there."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._folder.cleanup()
