"""A server of Node's on a real Redis (`redis_node.mjs`), with clients of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import trio

from .cluster_peer import node_process, shown, with_bytes
from .real_clients import Running

_DEADLINE = 10.0


def _meant(value: Any) -> Any:
    if isinstance(value, bytes):
        return shown(value)
    return [_meant(each) for each in value] if isinstance(value, list | tuple) else value


class RejectedError(Exception):
    """What was asked was rejected there: its text, and the responses so far."""


class RedisNode:
    """`told`: the server events it has heard."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._running = Running(process)
        self._numbers = count()
        self._answers: dict[int, dict[str, Any]] = {}
        self._got: dict[str, list[list[Any]]] = {}
        self.told: list[list[Any]] = []
        self._news = trio.lowlevel.ParkingLot()
        self._listening = trio.CancelScope()

    async def ready(self) -> None:
        """Wait until it hears what others publish."""
        assert await self._running.next_line() == {"ready": True}

    async def listen(self) -> None:
        """Take what it says, until cancelled."""
        with self._listening:
            while True:
                self._take(with_bytes(await self._running.next_line()))
                self._news.unpark_all()

    def _take(self, said: dict[str, Any]) -> None:
        if "client" in said:
            self._got.setdefault(said["client"], []).append(said["got"])
        elif "told" in said:
            self.told.append(said["told"])
        else:
            self._answers[said["number"]] = said

    def kill(self) -> None:
        """End it as a power cut does."""
        self._listening.cancel()
        self._process.kill()

    async def do(self, what: str, *args: Any, **command: Any) -> Any:
        """Have it do something in /chat, and return the result; raises `RejectedError`."""
        number = next(self._numbers)
        line = json.dumps({"do": what, "number": number, "args": _meant(args)} | command)
        assert self._process.stdin is not None
        await self._process.stdin.send_all(line.encode() + b"\n")
        with trio.fail_after(_DEADLINE):
            while number not in self._answers:
                await self._news.park()
        answer = self._answers.pop(number)
        if "failed" in answer:
            raise RejectedError(answer["failed"], answer["responses"])
        return answer["result"]

    async def until(self, client: str, event: str) -> list[list[Any]]:
        """Return what a client has got before this event, which comes once."""
        got = self._got.setdefault(client, [])
        with trio.fail_after(_DEADLINE):
            while not any(each[0] == event for each in got):
                await self._news.park()
        place = next(number for number, each in enumerate(got) if each[0] == event)
        before, got[:] = got[:place], got[place + 1 :]
        return before

    async def heard(self, number: int) -> list[list[Any]]:
        """Return the server events, when there are so many."""
        with trio.fail_after(_DEADLINE):
            while len(self.told) < number:
                await self._news.park()
        return self.told


@asynccontextmanager
async def redis_node(url: str, **options: Any) -> AsyncIterator[RedisNode]:
    """Start one with these options of Node's adapter, and end it with the block."""
    async with (
        node_process("redis_node.mjs", url, json.dumps(options)) as process,
        trio.open_nursery() as nursery,
    ):
        node = RedisNode(process)
        await node.ready()
        nursery.start_soon(node.listen)
        yield node
        nursery.cancel_scope.cancel()
