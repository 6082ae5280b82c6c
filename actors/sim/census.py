"""The tasks of one run: their labels for people, their keys for comparing runs, where they are."""

from __future__ import annotations

import zlib

import trio

from .places import place_of_task
from .story import Blocked
from .strategies import TaskView


class Census:
    """All tasks there have been, `views`; and those of the program that live, `living`."""

    def __init__(self) -> None:
        self.views: dict[trio.lowlevel.Task, TaskView] = {}
        self.living: dict[trio.lowlevel.Task, TaskView] = {}
        self._labels: dict[str, int] = {}

    def spawned(self, task: trio.lowlevel.Task) -> TaskView:
        """Note a new task, which has the running one for its parent."""
        try:
            parent = self.views[trio.lowlevel.current_task()]
        except RuntimeError:  # trio's own first task has none
            view = TaskView(task, -1, task.name, system=True, apart=True)
        else:
            parent.spawned += 1
            name = self._name(task)
            view = TaskView(
                task,
                len(self.views) - 1,
                self._label(name),
                key=hash((parent.key, parent.spawned, zlib.crc32(name.encode("utf-8", "replace")))),
            )
            # Trio's first task starts the program's, and then the one of `run_sync_soon`.
            view.system = view.apart = parent.number == -1 and len(self.views) > 1
            if view.system:
                view.name = "run_sync_soon"
        self.views[task] = view
        if not view.system:
            self.living[task] = view
        return view

    def exited(self, task: trio.lowlevel.Task) -> TaskView:
        """Note the end of a task."""
        self.living.pop(task, None)
        return self.views[task]

    def _name(self, task: trio.lowlevel.Task) -> str:
        """Return what the user calls the task: its `name=`, or that of its function."""
        if len(self.views) == 1:
            return "main"
        if task.name.endswith(f".{task.coro.__qualname__}"):
            return task.coro.__name__
        return task.name.rpartition(".<locals>.")[2]

    def _label(self, name: str) -> str:
        count = self._labels[name] = self._labels.get(name, 0) + 1
        if count == 1:
            return name
        return self._label(f"{name}#{count}")  # somebody may be called that

    @property
    def names(self) -> frozenset[str]:
        """What the living tasks are called, without the numbers that tell them apart."""
        return frozenset(view.name.partition("#")[0] for view in self.living.values())

    def places(self) -> tuple[Blocked, ...]:
        """Return where the living tasks are, in the order of spawning."""
        return tuple(
            Blocked(view.name + (" (frozen)" if view.frozen else ""), place_of_task(task))
            for task, view in self.living.items()
        )

    def listed(self) -> str:
        """Return where the living tasks are, a line each."""
        places = self.places()
        width = max((len(one.lane) for one in places), default=0)
        return "\n".join(f"  {one.lane:{width}}  at {one.where}" for one in places)
