"""An actor that may wait while it handles a message: one message at a time, in order.

An `Actor` is sync inside, so it always answers within a turn, and nobody can wait for it in a
circle. This one may await whatever it likes, other actors of its kind included; so it knows for
whom it waits, and a call that would close a circle raises `ActorCycle` at once.

Who waits is seen in the tree of tasks: a task is part of a handling if it runs in it, or in a
nursery that was opened in it. A task of a longer life that a handling has started is none: the
handling does not wait for it. What a task of the actor's waits for is noted all the same, since the
actor may come to wait for that task while it still waits (see `enclosed`). A circle that is closed
so is broken at the first call in it that nobody has begun to handle: it is withdrawn, and raises.
There is one, for whoever enters or leaves handles nothing.
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
from .steps import hear_steps, ignore_steps

M = TypeVar("M")

# The actor whose task this is, or in whose task's tree it was started.
_above: ContextVar[AsyncActor[Any] | None] = ContextVar("atrio_actor", default=None)

Found = Callable[[], "AsyncActor[Any] | None"]


@attrs.define(eq=False)
class _Wait:
    """A task in an actor's tree that waits for what `find` finds; failed by cancelling `scope`."""

    actor: AsyncActor[Any]
    task: trio.lowlevel.Task
    find: Found
    question: Ask[Any] | None  # None: it waits for a place only
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    circle: tuple[str, ...] = ()  # why it was failed

    @property
    def over(self) -> bool:
        """Whether the task has yet to hear that it waits no more."""
        return bool(self.circle) or (self.question is not None and self.question.reply.given)

    @property
    def begun(self) -> bool:
        """Whether what it waits for is being done, and cannot just be withdrawn."""
        return self.question is not None and self.question.reply.begun

    def path_to(self, goal: AsyncActor[Any]) -> tuple[_Wait, ...] | None:
        """Return this and what it waits for in turn, up to who waits for `goal`; None: nobody."""
        target = self.find()
        path = None if target is None else target.path_to(goal)
        return None if path is None else (self, *path)


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
        One of them that waits for this already, through others perhaps, is in a circle then, which
        is broken, unless leaving cancels it at once.
        """
        assert self._task is not None
        outside = frozenset(self._task.child_nurseries)

        async def leave(*error: Any) -> bool | None:
            with self._handling_from(outside):
                self._break_circles()
                return await manager.__aexit__(*error)

        async with AsyncExitStack() as stack:
            with self._handling_from(outside, entering=True):
                try:
                    await manager.__aenter__()
                finally:
                    ignore_steps(self._task)
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
            self._handling = self._entering = False

    def _note(self, wait: _Wait) -> None:
        """Note what a task of the actor's waits for."""
        self._waits.append(wait)
        if self._entering:  # to wait for this task, it need ask nobody: its nursery does it
            assert self._task is not None
            hear_steps(self._task, self._break_circles)

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
        return [wait for wait in self._waits if not wait.over and self._waits_for(wait.task)]

    def _break_circles(self) -> None:
        """Fail what has been waited for without harm, and would be a circle if it began now."""
        for wait in self._own_waits():
            while not wait.over and (circle := wait.path_to(self)) is not None:
                weakest = min(circle, key=lambda wait: wait.begun)  # the first that is not
                at = circle.index(weakest)
                waits = (*circle[at:], *circle[: at + 1])
                weakest.circle = tuple(wait.actor.name for wait in waits)
                weakest.scope.cancel()

    def path_to(self, goal: AsyncActor[Any]) -> tuple[_Wait, ...] | None:
        """Return by which waits this waits for `goal`; none if it is that; None: it does not."""
        paths: list[tuple[AsyncActor[Any], tuple[_Wait, ...]]] = [(self, ())]
        seen: set[AsyncActor[Any]] = {self}
        while paths:
            actor, path = paths.pop()
            if actor is goal:
                return path
            for wait in actor._own_waits():
                found = wait.find()
                if found is not None and found not in seen:
                    seen.add(found)
                    paths.append((found, (*path, wait)))
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
    path = None if waiter is None or target is None else target.path_to(waiter)
    if waiter is None or path is None:
        return None
    return (waiter.name, *(wait.actor.name for wait in path), waiter.name)


@contextmanager
def waiting_for(find: Found, question: Ask[Any] | None = None) -> Iterator[None]:
    """Count the current actor, if it waits for this task, as waiting for what `find` finds.

    It is found anew whenever somebody asks, for it may begin while it is waited for. `question`:
    whose answer is awaited; it may be posted in the block.

    Raises `ActorCycle` when it waits for us already. When a circle is closed only in the block, as
    an actor comes to wait for a task that waits, the block may be cancelled, and raises
    `ActorCycle`, too.
    """
    actor = current_actor()
    if actor is None:
        yield
        return
    circle = circle_with(find())
    if circle is not None:
        raise ActorCycle(circle)
    wait = _Wait(actor, trio.lowlevel.current_task(), find, question)
    actor._note(wait)
    try:
        with wait.scope:
            yield
    finally:
        actor._waits.remove(wait)
    if wait.scope.cancelled_caught:
        raise ActorCycle(wait.circle)
