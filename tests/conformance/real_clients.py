"""Runs the real clients: each scenario is a program of its own, in `clients/`.

It gets the server's URL and a mode (which transports), prints JSON lines, the last of which says
what it saw, and exits with a status and a text on stderr when it could not get so far.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

CLIENTS = Path(__file__).parent / "clients"

# polling only, websocket only, and from one to the other, as most clients start.
MODES = ["polling", "websocket", "upgrade"]

# The scenarios have a deadline of their own, which says what they wait for; this comes after it.
_DEADLINE = 60.0


# Runs a scenario (script, mode), and returns what it saw.
Run = Callable[[str, str], Awaitable[dict[str, Any]]]


class Running:
    """A scenario under way."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._lines = b""

    async def next_line(self) -> dict[str, Any]:
        """Wait for what it says next; fails with its own words when it has failed."""
        assert self._process.stdout is not None
        with trio.fail_after(_DEADLINE):
            while b"\n" not in self._lines:
                if not (piece := await self._process.stdout.receive_some()):
                    raise AssertionError(f"the client ended: {await self._last_words()}")
                self._lines += piece
        line, _, self._lines = self._lines.partition(b"\n")
        seen: dict[str, Any] = json.loads(line)
        return seen

    async def _last_words(self) -> str:
        assert self._process.stderr is not None
        words = b""
        async for piece in self._process.stderr:
            words += piece
        return words.decode(errors="replace")

    async def end(self) -> None:
        """Wait for its end, which must be a good one."""
        with trio.fail_after(_DEADLINE):
            status = await self._process.wait()
            assert status == 0, f"the client ended with {status}: {await self._last_words()}"


class Client:
    """Starts scenarios."""

    @asynccontextmanager
    async def start(self, script: str, *args: str) -> AsyncIterator[Running]:
        """Start one, and end it with the block, however that ends."""
        program = [sys.executable, "-W", "error"] if script.endswith(".py") else ["node"]
        run = partial(
            trio.run_process,
            [*program, str(CLIENTS / script), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(run)
            assert process.stdout is not None
            assert process.stderr is not None
            async with process.stdout, process.stderr:
                yield Running(process)
            nursery.cancel_scope.cancel()

    async def run(self, script: str, *args: str) -> dict[str, Any]:
        """Run one to its end, and return what it saw."""
        async with self.start(script, *args) as running:
            seen = await running.next_line()
            await running.end()
        return seen
