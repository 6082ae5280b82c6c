"""Sharing a set of schedules among processes.

Each worker is a fork of this process, so the program need not be importable, and takes every n-th
seed. What comes back are numbers only. The lowest failing seed is what counts, so that the result
is the one that a single process would have had; workers that are past it are stopped.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

import attrs

from .tally import Tally

_now = time.perf_counter  # taken here: during a run `time` shows virtual time

_NEWS = 0.2  # seconds between what a worker tells

Judge = Callable[[int, Tally], bool]
"""Runs one seed, counts it, and returns whether it failed."""


def cores() -> int:
    """Return how many processes can work here at once; 1 where there is no fork."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@attrs.frozen
class _News:
    """What a worker has done since it last told."""

    tally: Tally
    next_seed: int
    failed: int | None = None
    crash: str = ""
    done: bool = False


@attrs.define(eq=False)
class _Worker:
    process: ForkProcess
    pipe: Connection
    next_seed: int
    done: bool = False

    def stop(self) -> None:
        self.done = True
        self.process.terminate()
        self.process.join()
        self.pipe.close()


def search(
    judge: Judge,
    seeds: range,
    jobs: int,
    *,
    until: float | None,
    tally: Tally,
    progress: Callable[[Tally], None] | None,
) -> int | None:
    """Judge all `seeds` in `jobs` processes; return the lowest that failed, or None.

    Ends early at the time `until` (of `time.perf_counter`). What is counted goes into `tally`.
    """
    with _started(judge, seeds, jobs, until) as workers:
        lowest: int | None = None
        while pipes := {worker.pipe: worker for worker in workers if not worker.done}:
            for ready in wait(list(pipes)):
                worker = pipes[ready]  # type: ignore[index]  # what was waited for
                news = _received(worker)
                tally.merge(news.tally)
                worker.next_seed = news.next_seed
                worker.done = news.done
                if news.failed is not None and (lowest is None or news.failed < lowest):
                    lowest = news.failed
            if progress is not None:
                progress(tally)
            for worker in workers:
                if lowest is not None and not worker.done and worker.next_seed > lowest:
                    worker.stop()
    return lowest


def _received(worker: _Worker) -> _News:
    try:
        news = worker.pipe.recv()
    except EOFError:
        worker.process.join()
        raise RuntimeError(
            f"a process that ran schedules ended by itself, with code {worker.process.exitcode}"
        ) from None
    assert isinstance(news, _News)
    if news.crash:
        raise RuntimeError(f"a process that ran schedules failed:\n{news.crash}")
    return news


@contextmanager
def _started(judge: Judge, seeds: range, jobs: int, until: float | None) -> Iterator[list[_Worker]]:
    fork = multiprocessing.get_context("fork")
    workers: list[_Worker] = []
    try:
        for number in range(jobs):
            ours, theirs = fork.Pipe(duplex=False)
            process = fork.Process(
                target=_work, args=(judge, seeds[number::jobs], until, theirs), daemon=True
            )
            with warnings.catch_warnings():
                # A thread that waits idly, as trio's do, is no trouble: the fork only runs Python
                # of ours, and leaves by `os._exit`.
                warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
                process.start()
            theirs.close()
            workers.append(_Worker(process, ours, seeds[number] if number < len(seeds) else 0))
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def _work(judge: Judge, seeds: range, until: float | None, pipe: Connection) -> None:
    tally = Tally()
    told = _now()
    try:
        for seed in seeds:
            if until is not None and _now() > until:
                break
            if judge(seed, tally):
                pipe.send(_News(tally, seed + 1, failed=seed, done=True))
                return
            if _now() - told > _NEWS:
                pipe.send(_News(tally, seed + 1))
                tally, told = Tally(), _now()
        pipe.send(_News(tally, seeds.stop, done=True))
    except KeyboardInterrupt:
        pass
    except BaseException:  # noqa: BLE001 - told to the process that waits for it
        pipe.send(_News(tally, seeds.stop, crash=traceback.format_exc(), done=True))
