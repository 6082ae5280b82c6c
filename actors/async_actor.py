"""An actor that may wait while it handles a message: one message at a time, in order.

An `Actor` is sync inside, so it always answers within a turn, and nobody can wait for it in a
circle. This one may await whatever it likes, other actors of its kind included; so it knows for
whom it waits, and a call that would close a circle raises `ActorCycle` at once.

Who waits is seen in the tree of tasks: a task is part of a handling if it runs in it, or in a
nursery that was opened in it. A task of a longer life that a handling has started is none: the
handling does not wait for it. What a task of the actor's waits for is noted all the same, since the
actor may come to wait for that task while it still waits (see `enclosed`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import attrs
import trio

from .actor import CAPACITY, Actor
from .errors import ActorCycle
from .reply import Ask

M = TypeVar("M")

# The actor whose task this is, or in whose task's tree it was started.
_above: ContextVar[AsyncActor[Any] | None] = ContextVar("atrio_actor", default=None)

Found = Callable[[], "AsyncActor[Any] | None"]


@attrs.define(eq=False)
class _Wait:
    """A task in an actor's tree that waits for what `find` finds; failed by cancelling `scope`."""

    find: Found
    task: trio.lowlevel.Task
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    circle: tuple[str, ...] = ()  # why it was failed


class AsyncActor(Actor[M], Generic[M]):
    """Base class: derive, give `M` as the union of your messages, write `handle`.

    >>> class Cache(AsyncActor[Fetch]):
    ...     async def handle(self, message):
    ...         message.reply.send(await fetch(message.url))

    Others await it in `with waiting_for(...)`, so that circles are found.
    """

    def __init__(self, name: str, *, capacity: int = CAPACITY) -> None:
        super().__init__(name, capacity=capacity)
        self._task: trio.lowlevel.Task | None = None
        self._outside: frozenset[trio.Nursery] = frozenset()
        self._handling = False
        self._entering = False  # whether nurseries may stay open behind what is handled
        self._waits: list[_Wait] = []  # of all tasks in its tree

    async def handle(self, message: M) -> None:
        """Handle one message; the next is taken when it returns."""
        raise NotImplementedError

    def receive(self, message: M) -> None:
        """Not called: messages are handled one by one, by `handle`."""
        raise NotImplementedError

    async def turns(self) -> None:
        """Handle messages until the mailbox is closed and empty."""
        self.become_current()
        while (message := await self.mailbox.take()) is not None:
            if not (isinstance(message, Ask) and message.withdrawn):
                try:
                    with self.handling():
                        await self.handle(message)
                except BaseException:
                    self.abandon(message)
                    raise
            message = None  # what it names shall not outlive it while this waits

    # Who waits for whom.

    def become_current(self) -> None:
        """Note that this task is the actor's own."""
        self._task = trio.lowlevel.current_task()
        _above.set(self)

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Let what this task waits for in the block count as the actor's waiting."""
        assert self._task is not None
        with self._handling_from(frozenset(self._task.child_nurseries)):
            yield

    @asynccontextmanager
    async def enclosed(self, manager: AbstractAsyncContextManager[object]) -> AsyncIterator[None]:
        """Enter and leave `manager` as `handling` does a message; the block itself is no handling.

        To enter it waits for no task of a nursery that stays open, so a task counts only when this
        one is seen to wait for its nursery. To leave it waits for all tasks in what it has opened.
        One of them that waits for this already, through others perhaps, gets `ActorCycle` then,
        unless leaving cancels it at once.
        """
        assert self._task is not None
        outside = frozenset(self._task.child_nurseries)

        async def leave(*error: Any) -> bool | None:
            with self._handling_from(outside):
                self._break_circles()
                return await manager.__aexit__(*error)

        async with AsyncExitStack() as stack:
            with self._handling_from(outside, entering=True):
                await manager.__aenter__()
            stack.push_async_exit(leave)
            yield

    @contextmanager
    def _handling_from(
        self, outside: frozenset[trio.Nursery], *, entering: bool = False
    ) -> Iterator[None]:
        self._outside = outside
        self._entering = entering
        self._handling = True
        try:
            yield
        finally:
            self._handling = False

    def _waits_for(self, task: trio.lowlevel.Task) -> bool:
        """Whether the message that is being handled waits for `task` to end."""
        if not self._handling:
            return False
        way = self._way_to(task)
        if not way:
            return way is not None  # it is the actor's own task
        nursery = way[-1]
        return nursery not in self._outside and not (self._entering and self._may_go_on(nursery))

    def _may_go_on(self, nursery: trio.Nursery) -> bool:
        """Whether the actor's own task does something else than wait for this nursery of it."""
        assert self._task is not None
        if nursery is not self._task.child_nurseries[-1]:
            return True
        names = {frame.f_code.co_qualname for frame, _ in self._task.iter_await_frames()}
        return "NurseryManager.__aexit__" not in names

    def _way_to(self, task: trio.lowlevel.Task) -> list[trio.Nursery] | None:
        """Return the nurseries from `task` up to this actor's task; None: it is not below that."""
        way = []
        while task is not self._task:
            if task.parent_nursery is None:
                return None
            way.append(task.parent_nursery)
            task = task.parent_nursery.parent_task
        return way

    def _own_waits(self) -> list[_Wait]:
        """Return what the message that is being handled waits for."""
        return [wait for wait in self._waits if self._waits_for(wait.task)]

    def _break_circles(self) -> None:
        """Fail what has been waited for without harm, and would be a circle if it began now."""
        for wait in self._own_waits():
            circle = self._circle_with(wait.find())
            if circle is not None:
                wait.circle = circle
                wait.scope.cancel()

    def _circle_with(self, target: AsyncActor[Any] | None) -> tuple[str, ...] | None:
        path = None if target is None else target.path_to(self)
        return None if path is None else (self.name, *(actor.name for actor in path))

    def path_to(self, goal: AsyncActor[Any]) -> tuple[AsyncActor[Any], ...] | None:
        """Return who waits for whom from here to `goal`, both included; None: it does not."""
        paths: list[tuple[AsyncActor[Any], ...]] = [(self,)]
        seen: set[AsyncActor[Any]] = {self}
        while paths:
            path = paths.pop()
            if path[-1] is goal:
                return path
            for wait in path[-1]._own_waits():
                found = wait.find()
                if found is not None and found not in seen:
                    seen.add(found)
                    paths.append((*path, found))
        return None


def current_actor() -> AsyncActor[Any] | None:
    """Return the actor whose task this is, or is below in the tree of tasks, if there is one."""
    actor = _above.get()
    if actor is None or actor._way_to(trio.lowlevel.current_task()) is None:
        return None
    return actor


def handling_actor() -> AsyncActor[Any] | None:
    """Return the actor that is handling a message and waits for the current task, if one does."""
    actor = _above.get()
    if actor is None or not actor._waits_for(trio.lowlevel.current_task()):
        return None
    return actor


def circle_with(target: AsyncActor[Any] | None) -> tuple[str, ...] | None:
    """Return the circle that waiting for `target` would close, by names; None: there is none."""
    waiter = handling_actor()
    return None if waiter is None else waiter._circle_with(target)


@contextmanager
def waiting_for(find: Found) -> Iterator[None]:
    """Count the current actor, if it waits for this task, as waiting for what `find` finds.

    It is found anew whenever somebody asks, for it may begin while it is waited for. Raises
    `ActorCycle` when it waits for us already. When the actor comes to wait for this task only in
    the block, and that closes a circle, the block is cancelled, and raises `ActorCycle`, too.
    """
    actor = current_actor()
    if actor is None:
        yield
        return
    circle = circle_with(find())
    if circle is not None:
        raise ActorCycle(circle)
    wait = _Wait(find, trio.lowlevel.current_task())
    actor._waits.append(wait)
    try:
        with wait.scope:
            yield
    finally:
        actor._waits.remove(wait)
    if wait.scope.cancelled_caught:
        raise ActorCycle(wait.circle)
