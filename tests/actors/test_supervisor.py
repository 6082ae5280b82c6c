"""A supervisor: it knows its tasks by name, and an exception means what its task says it means."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import Restart, Supervisor


class TroubleError(Exception):
    pass


class Task:
    """A task that fails when it is told to, and what became of it."""

    def __init__(self) -> None:
        self.starts = 0
        self.ends = 0
        self.cancelled = False
        self.failure: BaseException | None = None
        self.go = trio.Event()

    async def run(self) -> None:
        self.starts += 1
        try:
            await self.go.wait()
        except trio.Cancelled:
            self.cancelled = True
            raise
        if self.failure is not None:
            raise self.failure

    def on_end(self) -> None:
        self.ends += 1

    def fail(self, error: BaseException) -> None:
        self.failure = error
        self.go.set()


async def test_the_block_ends_when_all_tasks_have_ended() -> None:
    one, other = Task(), Task()
    async with Supervisor() as supervisor:
        supervisor.start_soon(one.run, name="one", on_end=one.on_end)
        supervisor.start_soon(other.run, name="other")
        await wait_all_tasks_blocked()
        one.go.set()
        await wait_all_tasks_blocked()
        assert one.ends == 1
        assert supervisor.names == {"other": 1}
        other.go.set()
    assert supervisor.names == {}


async def test_names_counts_living_tasks_by_name() -> None:
    tasks = [Task(), Task(), Task()]
    async with Supervisor() as supervisor:
        for task, name in zip(tasks, ["room", "room", "link"], strict=True):
            supervisor.start_soon(task.run, name=name)
        await wait_all_tasks_blocked()
        assert supervisor.names == {"room": 2, "link": 1}
        tasks[0].go.set()
        await wait_all_tasks_blocked()
        assert supervisor.names == {"room": 1, "link": 1}
        supervisor.nursery.cancel_scope.cancel()
    assert supervisor.names == {}


async def test_a_task_gets_its_arguments_and_carries_its_name() -> None:
    seen: list[object] = []

    async def task(number: int, text: str) -> None:
        seen.extend([number, text, trio.lowlevel.current_task().name])

    async with Supervisor() as supervisor:
        supervisor.start_soon(task, 1, "a", name="room:tech")
    assert seen == [1, "a", "room:tech"]


async def test_tasks_may_be_started_by_tasks() -> None:
    task = Task()
    task.go.set()
    async with Supervisor() as supervisor:

        async def starter() -> None:
            supervisor.start_soon(task.run, name="second")

        supervisor.start_soon(starter, name="first")
    assert task.starts == 1


async def test_outside_its_block_a_supervisor_has_no_nursery() -> None:
    supervisor = Supervisor()
    with pytest.raises(RuntimeError, match="only inside its `async with` block"):
        supervisor.start_soon(Task().run, name="early")


async def test_an_exception_propagates_by_default_and_the_others_are_cancelled() -> None:
    failing, other = Task(), Task()
    supervisor = Supervisor()

    async def live() -> None:
        async with supervisor:
            supervisor.start_soon(failing.run, name="failing", on_end=failing.on_end)
            supervisor.start_soon(other.run, name="other", on_end=other.on_end)
            await wait_all_tasks_blocked()
            failing.fail(TroubleError())

    with pytest.raises(ExceptionGroup) as caught:
        await live()
    assert caught.group_contains(TroubleError, depth=1)
    assert other.cancelled
    assert (failing.starts, failing.ends, other.ends) == (1, 1, 1)
    assert supervisor.names == {}


async def test_an_exception_in_the_block_itself_propagates_and_cancels_all() -> None:
    task = Task()

    async def live() -> None:
        async with Supervisor() as supervisor:
            supervisor.start_soon(task.run, name="task", restart=Restart.ALWAYS)
            await wait_all_tasks_blocked()
            raise TroubleError

    with pytest.raises(ExceptionGroup) as caught:
        await live()
    assert caught.group_contains(TroubleError, depth=1)
    assert task.cancelled


async def test_a_dropped_task_is_logged_and_nobody_else_is_touched(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing, other = Task(), Task()
    async with Supervisor() as supervisor:
        supervisor.start_soon(
            failing.run, name="session", restart=Restart.DROP, on_end=failing.on_end
        )
        supervisor.start_soon(other.run, name="other")
        await wait_all_tasks_blocked()
        failing.fail(TroubleError("of one client"))
        await wait_all_tasks_blocked()
        assert supervisor.names == {"other": 1}
        assert not other.cancelled
        other.go.set()
    assert (failing.starts, failing.ends) == (1, 1)
    [record] = caplog.records
    assert record.name == "atrio.supervisor"
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "session failed and is dropped"
    assert record.exc_info is not None
    assert record.exc_info[1] is failing.failure


@pytest.mark.parametrize("restart", list(Restart))
async def test_a_task_that_returns_has_ended_for_good(
    restart: Restart, caplog: pytest.LogCaptureFixture
) -> None:
    task = Task()
    task.go.set()
    async with Supervisor() as supervisor:
        supervisor.start_soon(task.run, name="task", restart=restart, on_end=task.on_end)
    assert (task.starts, task.ends) == (1, 1)
    assert caplog.records == []


@pytest.mark.parametrize("restart", list(Restart))
async def test_a_cancel_is_not_judged(restart: Restart, caplog: pytest.LogCaptureFixture) -> None:
    task = Task()
    async with Supervisor() as supervisor:
        supervisor.start_soon(task.run, name="task", restart=restart, on_end=task.on_end)
        await wait_all_tasks_blocked()
        supervisor.nursery.cancel_scope.cancel()
    assert task.cancelled
    assert (task.starts, task.ends) == (1, 1)
    assert caplog.records == []
    assert supervisor.names == {}


async def test_a_task_whose_supervisor_is_cancelled_before_it_runs_has_its_end() -> None:
    task = Task()
    async with Supervisor() as supervisor:
        supervisor.start_soon(task.run, name="task", on_end=task.on_end)
        supervisor.nursery.cancel_scope.cancel()
    assert task.ends == 1
    assert supervisor.names == {}


@pytest.mark.parametrize("restart", list(Restart))
async def test_what_is_no_exception_but_ends_programs_is_not_judged(
    restart: Restart, caplog: pytest.LogCaptureFixture
) -> None:
    task = Task()
    task.fail(SystemExit(3))
    with pytest.raises(BaseExceptionGroup) as caught:
        async with Supervisor() as supervisor:
            supervisor.start_soon(task.run, name="task", restart=restart, on_end=task.on_end)
    assert caught.group_contains(SystemExit, depth=1)
    assert (task.starts, task.ends) == (1, 1)
    assert caplog.records == []


# Tasks that are nurseries of their own raise groups.


async def nested(failing: Task, other: Task) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(failing.run)
        nursery.start_soon(other.run)


async def test_a_group_of_exceptions_is_dropped_like_one() -> None:
    failing, inner, other = Task(), Task(), Task()
    async with Supervisor() as supervisor:
        supervisor.start_soon(nested, failing, inner, name="session", restart=Restart.DROP)
        supervisor.start_soon(other.run, name="other")
        await wait_all_tasks_blocked()
        failing.fail(TroubleError())
        await wait_all_tasks_blocked()
        assert inner.cancelled
        assert supervisor.names == {"other": 1}
        other.go.set()


async def test_a_group_of_exceptions_restarts_like_one() -> None:
    failing, inner = Task(), Task()
    async with Supervisor() as supervisor:
        supervisor.start_soon(nested, failing, inner, name="link", restart=Restart.ALWAYS)
        await wait_all_tasks_blocked()
        failing.fail(TroubleError())
        failing.go = trio.Event()  # it waits when it is started again
        await wait_all_tasks_blocked()
        assert failing.starts == inner.starts == 2
        supervisor.nursery.cancel_scope.cancel()


@pytest.mark.parametrize("restart", [Restart.DROP, Restart.ALWAYS])
async def test_trouble_while_a_task_is_cancelled_is_that_tasks_alone(
    restart: Restart, caplog: pytest.LogCaptureFixture
) -> None:
    """One child of the task is cancelled, another fails to clean up: the group holds both."""

    async def fails_to_clean_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise TroubleError

    async def session() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fails_to_clean_up)

    task = Task()
    async with Supervisor() as supervisor:
        supervisor.start_soon(session, name="session", restart=restart, on_end=task.on_end)
        await wait_all_tasks_blocked()
        supervisor.nursery.cancel_scope.cancel()
    assert task.ends == 1
    assert any("session failed" in record.getMessage() for record in caplog.records)
