"""Restarts: again and again until the limit; and actors that keep their mailbox meanwhile."""

from __future__ import annotations

import math

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import Actor, ActorGone, Ask, Restart, RestartLimit, Supervisor


class TroubleError(Exception):
    pass


class Link:
    """A task that fails after each of `lives` seconds, and then lives on."""

    def __init__(self, *lives: float) -> None:
        self.lives = list(lives)
        self.starts: list[float] = []
        self.ends = 0

    async def run(self) -> None:
        self.starts.append(trio.current_time())
        if len(self.starts) > len(self.lives):
            return
        await trio.sleep(self.lives[len(self.starts) - 1])
        raise TroubleError(len(self.starts))

    def on_end(self) -> None:
        self.ends += 1

    async def supervised(self, limit: RestartLimit | None = None) -> list[float]:
        """Live under a supervisor; return when it was started, from the first on."""
        async with Supervisor(limit=limit) as supervisor:
            supervisor.start_soon(self.run, name="link", restart=Restart.ALWAYS, on_end=self.on_end)
        return [time - self.starts[0] for time in self.starts]


async def test_a_failed_task_is_started_again_and_ends_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    link = Link(1)
    assert await link.supervised() == [0, 1]
    assert link.ends == 1
    [record] = caplog.records
    assert record.getMessage() == "link failed and is started again"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TroubleError)


async def test_a_restarted_task_keeps_its_name_meanwhile(autojump_clock: MockClock) -> None:
    link = Link(1, 1)
    async with Supervisor() as supervisor:
        supervisor.start_soon(link.run, name="link", restart=Restart.ALWAYS)
        for _ in range(3):
            await trio.sleep(0.5)
            assert supervisor.names == {"link": 1}
    assert supervisor.names == {}


async def test_by_default_the_fourth_failure_within_five_seconds_propagates(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    link = Link(1, 1, 1, 1, 1)
    with pytest.raises(ExceptionGroup) as caught:
        await link.supervised()
    [error] = caught.value.exceptions
    assert isinstance(error, TroubleError)
    assert error.args == (4,)
    assert error.__notes__ == ["link failed 4 times within 5.0 s"]
    assert len(link.starts) == 4
    assert link.ends == 1
    assert len(caplog.records) == 3


async def test_failures_further_apart_than_the_period_never_reach_the_limit(
    autojump_clock: MockClock,
) -> None:
    link = Link(*[2.5] * 20)
    assert len(await link.supervised()) == 21


async def test_failures_longer_ago_than_the_period_are_forgotten(
    autojump_clock: MockClock,
) -> None:
    link = Link(0.1, 0.1, 0.1, 5.1, 0.1, 0.1)
    assert len(await link.supervised()) == 7


async def test_the_limit_is_the_supervisors(autojump_clock: MockClock) -> None:
    link = Link(1, 1, 1)
    with pytest.raises(ExceptionGroup):
        await link.supervised(RestartLimit(times=1, period=10))
    assert len(link.starts) == 2


async def test_with_a_limit_of_none_the_first_failure_propagates(
    autojump_clock: MockClock,
) -> None:
    link = Link(1)
    with pytest.raises(ExceptionGroup):
        await link.supervised(RestartLimit(times=0))
    assert len(link.starts) == 1
    assert link.ends == 1


async def test_each_task_has_a_limit_of_its_own(autojump_clock: MockClock) -> None:
    links = [Link(1, 1), Link(1, 1), Link(1, 1)]
    async with Supervisor(limit=RestartLimit(times=2, period=math.inf)) as supervisor:
        for link in links:
            supervisor.start_soon(link.run, name="link", restart=Restart.ALWAYS)
    assert [len(link.starts) for link in links] == [3, 3, 3]


# Actors.


@attrs.frozen
class Echo(Ask[str]):
    text: str


class Parrot(Actor[Echo]):
    heard: list[str]

    def begin(self) -> None:
        self.heard = []

    def receive(self, message: Echo) -> None:
        if message.text == "break":
            raise TroubleError
        self.heard.append(message.text)
        message.reply.send(message.text)


async def ask(actor: Parrot, text: str, heard: list[str]) -> None:
    try:
        with trio.fail_after(5):  # who hears nothing would hang
            heard.append(await actor.ask(Echo(text)))
    except ActorGone:
        heard.append(f"gone: {text}")


async def test_a_restarted_actor_keeps_its_mailbox_and_begins_with_fresh_state() -> None:
    actor = Parrot("parrot")
    heard: list[str] = []
    async with trio.open_nursery() as nursery, Supervisor() as supervisor:
        for text in ("a", "break", "b"):
            nursery.start_soon(ask, actor, text, heard)
            await wait_all_tasks_blocked()
        supervisor.start_soon(actor.turns, name="parrot", restart=Restart.ALWAYS, on_end=actor.end)
        await wait_all_tasks_blocked()
        assert sorted(heard) == ["a", "b", "gone: break"]
        assert actor.heard == ["b"]
        nursery.start_soon(ask, actor, "c", heard)
        await wait_all_tasks_blocked()
        assert heard[-1] == "c"
        supervisor.nursery.cancel_scope.cancel()
    with pytest.raises(ActorGone):
        actor.tell_nowait(Echo("late"))


async def test_an_actor_over_its_limit_ends_and_everybody_hears_it() -> None:
    actor = Parrot("parrot")
    heard: list[str] = []
    async with trio.open_nursery() as nursery:
        for text in ("break", "break", "b"):
            nursery.start_soon(ask, actor, text, heard)
            await wait_all_tasks_blocked()
        with pytest.raises(ExceptionGroup):
            async with Supervisor(limit=RestartLimit(times=1)) as supervisor:
                supervisor.start_soon(
                    actor.turns, name="parrot", restart=Restart.ALWAYS, on_end=actor.end
                )
    assert sorted(heard) == ["gone: b", "gone: break", "gone: break"]


async def test_a_dropped_actor_ends_and_everybody_hears_it() -> None:
    actor = Parrot("parrot")
    heard: list[str] = []
    async with trio.open_nursery() as nursery:
        for text in ("a", "break", "b"):
            nursery.start_soon(ask, actor, text, heard)
            await wait_all_tasks_blocked()
        async with Supervisor() as supervisor:
            supervisor.start_soon(actor.run, name="parrot", restart=Restart.DROP)
    assert sorted(heard) == ["a", "gone: b", "gone: break"]
