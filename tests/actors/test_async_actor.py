"""Actors that may wait: one message at a time, and no circle of waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import ActorCycle, ActorGone, Ask, AsyncActor
from actors.async_actor import circle_with, handling_actor, waiting_for


@attrs.frozen(eq=False)
class Do(Ask[object]):
    what: Callable[[], Awaitable[object]]


class Doing(AsyncActor[Do]):
    """Does what it is asked, and notes when."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.notes: list[str] = []

    async def handle(self, message: Do) -> None:
        self.notes.append("begin")
        try:
            message.reply.send(await message.what())
        except Exception as error:  # noqa: BLE001 - the asker gets it
            message.reply.fail(error)
        self.notes.append("end")


async def ask(actor: Doing, what: Callable[[], Awaitable[object]]) -> object:
    with waiting_for(lambda: actor):
        return await actor.ask(Do(what))


async def nothing() -> None:
    await trio.lowlevel.checkpoint()


async def test_messages_are_handled_one_at_a_time_and_in_order(nursery: trio.Nursery) -> None:
    actor = Doing("a")
    nursery.start_soon(actor.run)
    async with trio.open_nursery() as askers:
        for _ in range(3):
            askers.start_soon(ask, actor, nothing)
    assert actor.notes == ["begin", "end"] * 3
    nursery.cancel_scope.cancel()


async def test_a_message_that_was_withdrawn_is_not_handled(nursery: trio.Nursery) -> None:
    actor = Doing("a")
    with trio.move_on_after(0):
        await ask(actor, nothing)
    nursery.start_soon(actor.run)
    await wait_all_tasks_blocked()
    assert actor.notes == []
    nursery.cancel_scope.cancel()


async def test_who_asked_hears_that_the_actor_is_gone_before_and_in_its_turn() -> None:
    actor = Doing("a")
    gone: list[str] = []

    async def hear() -> None:
        with suppress(ActorGone):
            await ask(actor, trio.sleep_forever)
            return
        gone.append("gone")

    async with trio.open_nursery() as nursery, trio.open_nursery() as life:
        life.start_soon(actor.run)
        nursery.start_soon(hear)
        nursery.start_soon(hear)
        await wait_all_tasks_blocked()
        life.cancel_scope.cancel()
    assert gone == ["gone"] * 2


@pytest.mark.parametrize("length", [1, 2, 4])
async def test_a_circle_is_found_before_anybody_hangs(length: int, nursery: trio.Nursery) -> None:
    actors = [Doing(f"a{number}") for number in range(length)]
    for actor in actors:
        nursery.start_soon(actor.run)

    def ask_from(number: int) -> Callable[[], Awaitable[object]]:
        following = (number + 1) % length
        return partial(ask_next, following)

    async def ask_next(number: int) -> object:
        return await ask(actors[number], ask_from(number) if number else nothing)

    with pytest.raises(ActorCycle) as caught:
        await ask(actors[0], ask_from(0))
    names = [actor.name for actor in actors]
    assert caught.value.chain == (names[-1], *names)
    assert await ask(actors[0], nothing) is None
    nursery.cancel_scope.cancel()


async def test_outside_of_all_actors_nothing_is_a_circle(nursery: trio.Nursery) -> None:
    actor = Doing("a")
    nursery.start_soon(actor.run)
    assert handling_actor() is None
    assert circle_with(actor) is None

    async def look() -> object:
        return handling_actor(), circle_with(actor)

    assert await ask(actor, look) == (actor, ("a", "a"))
    nursery.cancel_scope.cancel()


async def test_a_child_task_of_a_handling_waits_for_it_and_one_of_a_longer_life_does_not(
    nursery: trio.Nursery,
) -> None:
    actor = Doing("a")
    nursery.start_soon(actor.run)
    seen: list[object] = []

    async def look() -> None:
        seen.append(handling_actor())

    async def start_both() -> None:
        nursery.start_soon(look)
        async with trio.open_nursery() as inner:
            inner.start_soon(look)
        await wait_all_tasks_blocked()

    await ask(actor, start_both)
    assert sorted(seen, key=repr) == sorted([None, actor], key=repr)
    nursery.cancel_scope.cancel()


class Wrapped(AsyncActor[Do]):
    """Does its first message inside of what it encloses."""

    def __init__(self, manager: AbstractAsyncContextManager[object]) -> None:
        super().__init__("a")
        self._manager = manager

    async def turns(self) -> None:
        self.become_current()
        async with self.enclosed(self._manager):
            message = await self.mailbox.take()
            assert message is not None
            with self.handling():
                message.reply.send(await message.what())


async def test_a_nursery_that_stays_open_is_not_waited_for_when_it_is_entered_but_when_left(
    nursery: trio.Nursery,
) -> None:
    seen: list[str] = []

    async def look(where: str) -> None:
        seen.append(f"{where}: {'waits' if handling_actor() else 'free'}")

    async def look_and_start(*, task_status: trio.TaskStatus[None]) -> None:
        await look("until it has started")
        task_status.started()
        await look("when it has started")

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        await look("entering")
        async with trio.open_nursery() as lasting:
            lasting.start_soon(look, "stays open")
            await lasting.start(look_and_start)
            async with trio.open_nursery() as brief:
                lasting.start_soon(look, "stays open, behind another")
                brief.start_soon(look, "brief")
            await wait_all_tasks_blocked()
            yield
            await look("leaving")
            lasting.start_soon(look, "left")

    actor = Wrapped(manager())
    nursery.start_soon(actor.run)
    await wait_all_tasks_blocked()
    await actor.ask(Do(nothing))
    await wait_all_tasks_blocked()
    assert sorted(seen) == [
        "brief: waits",
        "entering: waits",
        "leaving: waits",
        "left: waits",
        "stays open, behind another: free",
        "stays open: free",
        "until it has started: waits",
        "when it has started: free",
    ]


async def test_what_waits_in_a_nursery_gets_the_circle_when_who_enters_comes_to_wait_for_that(
    nursery: trio.Nursery,
) -> None:
    heard: list[str] = []

    async def ask_and_hear() -> None:
        with pytest.raises(ActorCycle):
            await ask(actor, nothing)
        heard.append("circle")

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        async with trio.open_nursery() as brief:
            brief.start_soon(ask_and_hear)
            await wait_all_tasks_blocked()
            heard.append("leaves")
        yield

    actor = Wrapped(manager())
    nursery.start_soon(actor.run)
    with trio.fail_after(5):
        assert await actor.ask(Do(nothing)) is None
    assert heard == ["leaves", "circle"]


@pytest.mark.parametrize("cancels", [False, True])
async def test_what_waits_in_a_nursery_that_is_left_gets_the_circle_unless_it_is_cancelled(
    cancels: bool,
) -> None:
    heard: list[tuple[str, ...]] = []
    busy = trio.Event()

    async def ask_when_busy() -> None:
        await busy.wait()
        try:
            await ask(actor, nothing)
        except ActorCycle as error:
            heard.append(error.chain)

    @asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        async with trio.open_nursery() as lasting:
            lasting.start_soon(ask_when_busy)
            yield
            if cancels:
                lasting.cancel_scope.cancel()

    async def be_busy() -> None:
        busy.set()
        await wait_all_tasks_blocked()
        assert heard == []

    actor = Wrapped(manager())
    with trio.fail_after(5):
        async with trio.open_nursery() as life:
            life.start_soon(actor.run)
            await actor.ask(Do(be_busy))
    assert heard == ([] if cancels else [("a", "a")])
