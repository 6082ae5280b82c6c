"""How long one part of a program has to wait for another."""

from __future__ import annotations

import socket
import time
from statistics import median, quantiles

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from broker import Broker

from .setting import EVENT, ROOM, Setting, broker_with_a_room, members, served

_BROADCASTS = 20
# Passes of the loop: more than the writes of 10,000 members take.
_PASSES = 500
_STEP = 0.02  # an application that computes, and seldom lets others run
_BUSY_TASKS = 100
_BUSY = 50e-6

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: YSB0aW1lciBvZiB0aWNrcw==\r\n\r\n"
)
CONNECT = b"\x81\x82\0\0\0\0" + b"40"  # masked with zeros


async def longest_waits(setting: Setting) -> dict[str, float]:
    """Return how long another task waits, in ms, while a room of 10,000 gets an event.

    In processor time of this process: what else runs on the machine does not count.
    """
    broker = broker_with_a_room()

    async def longest() -> float:
        longest, last = 0, time.thread_time_ns()
        for _ in range(_PASSES):
            await trio.lowlevel.checkpoint()
            now = time.thread_time_ns()
            longest = max(longest, now - last)
            last = now
        return longest / 1e6

    async def broadcast() -> None:
        await broker.to(ROOM).emit(*EVENT)

    async with served(broker) as port, members(setting, port, setting.of(10_000, 50)):
        with_one, without = [], []
        for _ in range(setting.of(_BROADCASTS, 2)):
            await wait_all_tasks_blocked()
            without.append(await longest())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(broadcast)
                with_one.append(await longest())
    return {
        "wait-median": median(with_one),
        "wait-worst": max(with_one),
        "wait-without": max(without),
    }


@attrs.define(eq=False)  # trio keeps instruments in a set
class Ticks(trio.abc.Instrument):
    """Counts the passes of the loop, and notes in which the first byte came to a client."""

    client: socket.socket
    passed: int = 0
    watching: bool = False
    seen: int = 0

    def before_io_wait(self, timeout: float) -> None:
        """Look, between two passes."""
        if self.watching:
            try:
                self.client.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                pass
            else:
                self.watching, self.seen = False, self.passed
        self.passed += 1


async def ticks_until_written(setting: Setting) -> dict[str, float]:
    """Return how many passes of the loop lie between an emit and its first byte.

    0: it was written in the pass in which `emit` was called.
    """
    broker = broker_with_a_room()
    figures = {}
    async with served(broker) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(UPGRADE + CONNECT)
        await wait_all_tasks_blocked(0.01)
        with socket.socket(fileno=socket.dup(stream.socket.fileno())) as client:
            client.setblocking(False)
            client.recv(10_000)
            ticks = Ticks(client)
            trio.lowlevel.add_instrument(ticks)
            for name, tasks, step in (("busy", _BUSY_TASKS, _BUSY), ("steps", 1, _STEP)):
                async with trio.open_nursery() as nursery:
                    for _ in range(tasks):
                        nursery.start_soon(_computes, step)
                    samples = [
                        await _ticks_of_one(broker, ticks) for _ in range(setting.of(100, 3))
                    ]
                    nursery.cancel_scope.cancel()
                figures[f"{name}-median"] = median(samples)
                figures[f"{name}-p99"] = quantiles(samples, n=100, method="inclusive")[98]
            trio.lowlevel.remove_instrument(ticks)
    return figures


async def _ticks_of_one(broker: Broker, ticks: Ticks) -> int:
    async def emit() -> None:
        await broker.to(ROOM).emit(*EVENT)

    begin, ticks.watching = ticks.passed, True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(emit)
        while ticks.watching:
            await trio.lowlevel.checkpoint()
    ticks.client.recv(10_000)
    return ticks.seen - begin - 1  # `emit` began in the pass after `begin`


async def _computes(step: float) -> None:
    """Work for `step` seconds of processor time, again and again, and let others run between."""
    while True:
        end = time.thread_time() + step
        while time.thread_time() < end:
            pass
        await trio.lowlevel.checkpoint()
