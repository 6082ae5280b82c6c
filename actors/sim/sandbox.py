"""What a run may not take from the real world, for the length of one run.

Entropy comes from the tape's first choice; the clocks of `time` show virtual time; what threads
are given runs at once; real sockets and name look-ups are refused through Trio's public seams, and
processes are not started.
The collector of garbage works between runs only: finalisers come when they come.

What stays out of reach: `datetime.now()` and names imported from `time` before the run, `id()` and
the order of sets of objects, and the hash seed of the process, which orders sets of strings.
"""

from __future__ import annotations

import gc
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import trio

from .errors import Escaped
from .seam import inline_threads

EPOCH = 1_000_000_000.0
"""What `time.time()` says when a run begins: 2001-09-09, so that it is seen to be virtual."""

_SECONDS = ("time", "monotonic", "perf_counter")

_only = threading.Lock()


def _trio_runs_here() -> bool:
    # `trio.lowlevel.in_trio_run` came with trio 0.28.
    try:
        trio.current_time()
    except RuntimeError:
        return False
    return True


@contextmanager
def alone() -> Iterator[None]:
    """Make sure that no other simulation runs, nor Trio in this thread; raises RuntimeError."""
    if _trio_runs_here():
        raise RuntimeError(
            "a simulation is a run of Trio's own, and cannot begin inside of another one: begin it "
            "in an ordinary function, as `def test_x(): simulate(program).check()`"
        )
    if not _only.acquire(blocking=False):
        raise RuntimeError(
            "another thread is simulating: a simulation takes over time, random numbers and "
            "threads of the whole process, so there can be one only"
        )
    try:
        yield
    finally:
        _only.release()


@contextmanager
def sandbox(entropy: int, now: Callable[[], float]) -> Iterator[None]:
    """Keep the real world out of the block; `now` is the virtual time in seconds."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with (
            _entropy(entropy),
            _clocks(now),
            _refused(subprocess.Popen, "__init__", _PROCESS),
            _refused(trio.from_thread, "run", _FROM_THREAD),
            _refused(trio.from_thread, "run_sync", _FROM_THREAD),
            inline_threads(),
        ):
            yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def _entropy(seed: int) -> Iterator[None]:
    state = random.getstate()
    source = random.Random(f"entropy/{seed}")
    saved = os.urandom
    saved_random: Any = random._urandom  # type: ignore[attr-defined]  # SystemRandom and secrets
    seed_generator = random.Random.seed

    def seeded(self: random.Random, a: Any = None, version: int = 2) -> None:
        seed_generator(self, source.getrandbits(64) if a is None else a, version)

    random.seed(source.getrandbits(64))
    os.urandom = source.randbytes
    random._urandom = source.randbytes  # type: ignore[attr-defined]
    random.Random.seed = seeded  # type: ignore[method-assign]  # of `random.Random()`
    try:
        yield
    finally:
        os.urandom = saved
        random._urandom = saved_random  # type: ignore[attr-defined]
        random.Random.seed = seed_generator  # type: ignore[method-assign]
        random.setstate(state)


@contextmanager
def _clocks(now: Callable[[], float]) -> Iterator[None]:
    saved = {name: getattr(time, name) for name in _SECONDS}
    saved |= {f"{name}_ns": getattr(time, f"{name}_ns") for name in _SECONDS}

    def wall() -> float:
        return EPOCH + now()

    for name in _SECONDS:
        clock = wall if name == "time" else now
        setattr(time, name, clock)
        setattr(time, f"{name}_ns", lambda clock=clock: int(clock() * 1e9))
    try:
        yield
    finally:
        for name, function in saved.items():
            setattr(time, name, function)


@contextmanager
def _refused(owner: Any, name: str, why: str) -> Iterator[None]:
    """Let nobody call this function of `owner`, but in other threads."""
    here = threading.get_ident()
    original = getattr(owner, name)

    def refuse(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == here:
            raise Escaped(why)
        return original(*args, **kwargs)

    setattr(owner, name, refuse)
    try:
        yield
    finally:
        setattr(owner, name, original)


_PROCESS = (
    "a simulated program started a process, and no seed decides what that does: give the program "
    "a stand-in for it"
)
_FROM_THREAD = (
    "a function that a simulated program gave to `trio.to_thread` called back into Trio; in a "
    "simulation it is no thread, but runs at once, and cannot wait for other tasks"
)


class _NoSockets(trio.abc.SocketFactory):
    def socket(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise Escaped(
            "a simulated program opened a real socket. Give it a stream or a listener of the "
            "simulated network: `net = sim.net()`, then `net.listen(name)`, `net.connect(name)`"
        )


class _NoNames(trio.abc.HostnameResolver):
    async def getaddrinfo(self, host: bytes | None, port: object, *_args: object) -> NoReturn:
        raise Escaped(
            f"a simulated program looked up the address of {host!r}, port {port!r}, in the real "
            "world. Give it a stream of the simulated network: `await sim.net().connect(name)`"
        )

    async def getnameinfo(self, sockaddr: object, _flags: int) -> NoReturn:
        raise Escaped(f"a simulated program looked up the name of {sockaddr!r} in the real world")


def refuse_sockets() -> None:
    """Refuse real sockets and name look-ups for the rest of this `trio.run`."""
    trio.socket.set_custom_socket_factory(_NoSockets())
    trio.socket.set_custom_hostname_resolver(_NoNames())
