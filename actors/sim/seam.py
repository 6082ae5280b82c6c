"""All that the kit needs of Trio's insides, in one place, and a self-test of it.

Trio has no public way to decide which task runs next (its issues 32 and 239 ask for one). Nothing
outside this file uses a private name of Trio. The names have been the same since Trio 0.22; the
self-test runs when this is imported, and says what to do should that ever change.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import outcome
import trio
import trio._threads
import trio.testing
from trio._core import _run


def install_queue(queue: deque[trio.lowlevel.Task]) -> None:
    """Make `queue` the run queue of the run that begins; for `Instrument.before_run` only.

    Each tick of the loop runs all that iterating over the queue gives, and then calls `clear`.
    """
    runner = _run.GLOBAL_RUN_CONTEXT.runner
    if runner.runq:
        raise RuntimeError("the run queue is not empty in before_run")
    runner.runq = queue


def someone_waits_for_idle() -> bool:
    """Whether a task waits in `wait_all_tasks_blocked`: then time must not pass."""
    return bool(_run.GLOBAL_RUN_CONTEXT.runner.waiting_for_idle)


@contextmanager
def inline_threads() -> Iterator[None]:
    """Run what `to_thread.run_sync` is given at once; its result comes as that of a thread does."""
    threads: Any = trio._threads
    original = threads.start_thread_soon

    def run_now(
        function: Callable[[], Any],
        deliver: Callable[[outcome.Outcome[Any]], object],
        name: str | None = None,  # noqa: ARG001 - as the original's
    ) -> None:
        deliver(outcome.capture(function))

    threads.start_thread_soon = run_now
    try:
        yield
    finally:
        threads.start_thread_soon = original


def channel_of(end: trio.MemorySendChannel[Any] | trio.MemoryReceiveChannel[Any]) -> Any:
    """Return what all ends and clones of one memory channel share."""
    return end._state


def next_receiver(channel: Any) -> trio.lowlevel.Task | None:
    """Return the task that would be handed a message now, if one waits."""
    return next(iter(channel.receive_tasks), None)


def next_sender(channel: Any) -> trio.lowlevel.Task | None:
    """Return the task whose message gets the next free place, if one waits."""
    return next(iter(channel.send_tasks), None)


def waiting_messages(channel: Any) -> list[tuple[trio.lowlevel.Task, Any]]:
    """Return the senders that wait for a place, and their messages, the oldest first."""
    return list(channel.send_tasks.items())


def throw_when_run(task: trio.lowlevel.Task, error: BaseException) -> None:
    """Have a runnable task meet `error` instead of what it waited for."""
    task._next_send_fn = task.coro.throw
    task._next_send = error


def abort(task: trio.lowlevel.Task, error: BaseException) -> bool:
    """Wake a blocked task, shielded or not, with `error`; return whether it could be woken."""
    if task._abort_func is None or task._next_send_fn is not None:
        return False

    def raise_error() -> NoReturn:
        raise error

    task._attempt_abort(raise_error)
    return task._next_send_fn is not None


class _OneAtATime(deque[trio.lowlevel.Task]):
    """The smallest run queue of our kind: what was appended last runs first, one per tick."""

    def __iter__(self) -> Iterator[trio.lowlevel.Task]:
        return iter((self.pop(),)) if self else iter(())

    def clear(self) -> None:
        """Keep what has not run."""


class _Installer(trio.abc.Instrument):
    def before_run(self) -> None:
        install_queue(_OneAtATime())


async def _program(seen: list[str]) -> None:
    async def step(name: str) -> None:
        seen.append(name)
        await trio.lowlevel.checkpoint()
        seen.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(step, "a")
        nursery.start_soon(step, "b")

    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stubborn)
        while someone_waits_for_idle() or not nursery.child_tasks:
            await trio.lowlevel.checkpoint()
        (child,) = nursery.child_tasks
        await trio.testing.wait_all_tasks_blocked()
        try:
            await trio.lowlevel.checkpoint()
        finally:
            seen.append(f"woken {abort(child, _Probe())}")
    raise AssertionError("the abandoned task ended without its error")


class _Probe(BaseException):
    pass


async def _channels(seen: list[str]) -> None:
    sender, receiver = trio.open_memory_channel[int](0)
    channel = channel_of(sender)

    async def receive() -> None:
        await receiver.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        while next_receiver(channel) is None:
            await trio.lowlevel.checkpoint()
        await sender.send(1)
    same = channel is channel_of(receiver) and next_sender(channel) is None
    seen.append(f"one channel {same}")
    with inline_threads():
        seen.append(f"inline {await trio.to_thread.run_sync(threading.get_ident)}")


def _self_test() -> None:
    seen: list[str] = []

    def run() -> None:
        try:
            trio.run(_program, seen, instruments=[_Installer()])
        except* _Probe:
            seen.append("abandoned")
        trio.run(_channels, seen)
        seen[-1] = seen[-1].replace(str(threading.get_ident()), "here")

    failure: list[BaseException] = []

    def guarded() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - reported below, whatever it is
            failure.append(error)

    # In a thread of its own: this may be imported while trio runs in this one.
    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    expected = ["b", "b", "a", "a", "woken True", "abandoned", "one channel True", "inline here"]
    if failure or seen != expected:
        raise ImportError(
            f"actors.sim cannot steer Trio {trio.__version__}: the insides it relies on have "
            f"changed (expected {expected}, saw {seen}). Install a Trio release that atrio is "
            "tested with (see its documentation), or update atrio."
        ) from (failure[0] if failure else None)


_self_test()
