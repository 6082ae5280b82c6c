"""What a task waits for when it has made a step: to be looked at where nobody else could tell.

Trio calls an instrument behind each step of any task. One is there only while somebody listens.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
from trio.lowlevel import RunVar, Task


class _Steps(trio.abc.Instrument):
    """Calls who listens to a task's steps."""

    def __init__(self) -> None:
        self.listeners: dict[Task, Callable[[], object]] = {}

    def after_task_step(self, task: Task) -> None:
        listener = self.listeners.get(task)
        if listener is not None:
            listener()


_steps: RunVar[_Steps] = RunVar("atrio_steps")


def _of_this_run() -> _Steps:
    try:
        return _steps.get()
    except LookupError:
        _steps.set(_Steps())
        return _steps.get()


def hear_steps(task: Task, listener: Callable[[], object]) -> None:
    """Call `listener` whenever `task` has made a step, and so waits; one listener for each task."""
    steps = _of_this_run()
    if not steps.listeners:
        trio.lowlevel.add_instrument(steps)
    steps.listeners[task] = listener


def ignore_steps(task: Task) -> None:
    """Listen to `task` no more, if anybody does."""
    steps = _of_this_run()
    if task in steps.listeners:
        del steps.listeners[task]
        if not steps.listeners:
            trio.lowlevel.remove_instrument(steps)
