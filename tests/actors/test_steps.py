"""Who listens to a task hears each of its steps; when nobody listens, nothing is called."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from actors.steps import hear_steps, ignore_steps


async def test_each_step_of_a_task_is_heard_until_nobody_listens(nursery: trio.Nursery) -> None:
    heard: list[str] = []
    go_on, and_on = trio.Event(), trio.Event()

    async def step(*, task_status: trio.TaskStatus[trio.lowlevel.Task]) -> None:
        task_status.started(trio.lowlevel.current_task())
        await go_on.wait()
        await and_on.wait()

    one, other = await nursery.start(step), await nursery.start(step)
    hear_steps(one, lambda: heard.append("one"))
    hear_steps(other, lambda: heard.append("other"))
    await wait_all_tasks_blocked()
    assert heard == []
    go_on.set()
    await wait_all_tasks_blocked()
    assert sorted(heard) == ["one", "other"]
    ignore_steps(other)
    ignore_steps(other)
    and_on.set()
    await wait_all_tasks_blocked()
    assert sorted(heard) == ["one", "one", "other"]
    ignore_steps(one)


async def test_a_task_that_nobody_listens_to_makes_no_sound() -> None:
    heard: list[str] = []
    me = trio.lowlevel.current_task()
    hear_steps(me, lambda: heard.append("me"))
    ignore_steps(me)
    await trio.lowlevel.checkpoint()
    assert heard == []
