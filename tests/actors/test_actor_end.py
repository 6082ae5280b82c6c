"""However an actor ends, everybody who waits for it hears of it; and what goes on until then."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import Actor, ActorGone, Ask


@attrs.frozen
class Say:
    text: str


@attrs.frozen
class Said(Ask[list[str]]):
    pass


class EndError(Exception):
    """What ends an actor in these tests."""


class Listener(Actor[Say | Said]):
    """Breaks when it is told to; waits between turns when `gate` is there."""

    def __init__(self, capacity: int = 10) -> None:
        super().__init__("listener", capacity=capacity)
        self.said: list[str] = []
        self.turns_taken = 0
        self.gate: trio.Event | None = None

    def begin(self) -> None:
        if self.name == "broken":
            raise EndError

    def receive(self, message: Say | Said) -> None:
        match message:
            case Say(text="break"):
                raise EndError
            case Say(text="close"):
                self.mailbox.close()
            case Say(text="again"):
                self.tell_nowait(message)
            case Say(text=text):
                self.said.append(text)
            case Said(reply=reply):
                reply.send(list(self.said))

    def settle(self) -> None:
        self.turns_taken += 1

    async def between_turns(self) -> None:
        if self.gate is not None:
            await self.gate.wait()


async def hear_the_end(actor: Listener, message: Say | Said, heard: list[str]) -> None:
    wait = actor.ask(message) if isinstance(message, Said) else actor.tell(message)
    with pytest.raises(ActorGone), trio.fail_after(5):  # who does not hear it would hang
        await wait
    heard.append(type(message).__name__)


async def test_at_the_end_askers_and_those_who_wait_for_a_place_hear_it() -> None:
    actor = Listener(capacity=1)
    heard: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear_the_end, actor, Said(), heard)
        await wait_all_tasks_blocked()
        nursery.start_soon(hear_the_end, actor, Said(), heard)
        nursery.start_soon(hear_the_end, actor, Say("a"), heard)
        await wait_all_tasks_blocked()
        actor.end()
    assert sorted(heard) == ["Said", "Said", "Say"]


async def test_an_actor_that_breaks_ends_and_everybody_hears_it() -> None:
    actor = Listener()
    heard: list[str] = []
    async with trio.open_nursery() as nursery:
        actor.tell_nowait(Say("break"))
        nursery.start_soon(hear_the_end, actor, Said(), heard)
        await wait_all_tasks_blocked()
        with pytest.raises(EndError):
            await actor.run()
    assert heard == ["Said"]
    with pytest.raises(ActorGone):
        actor.tell_nowait(Say("a"))


async def test_an_actor_that_cannot_begin_ends_and_everybody_hears_it() -> None:
    actor = Listener()
    actor.name = "broken"
    heard: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear_the_end, actor, Said(), heard)
        await wait_all_tasks_blocked()
        with pytest.raises(EndError):
            await actor.run()
    assert heard == ["Said"]


async def test_a_cancelled_actor_ends_and_everybody_hears_it() -> None:
    actor = Listener()
    actor.gate = trio.Event()
    heard: list[str] = []
    async with trio.open_nursery() as askers, trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        await actor.tell(Say("a"))
        await wait_all_tasks_blocked()  # it has taken a turn, and waits before the next
        askers.start_soon(hear_the_end, actor, Said(), heard)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert actor.said == ["a"]
    assert heard == ["Said"]


async def test_an_actor_that_is_cancelled_while_it_waits_for_messages_ends() -> None:
    actor = Listener()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with pytest.raises(ActorGone):
        actor.tell_nowait(Say("a"))


async def test_an_actor_started_in_a_cancelled_scope_tells_those_who_wait() -> None:
    actor = Listener()
    heard: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear_the_end, actor, Said(), heard)
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await actor.run()
    assert scope.cancelled_caught
    assert heard == ["Said"]


async def test_a_message_that_reached_the_actor_before_the_cancel_is_handled() -> None:
    actor = Listener()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        await wait_all_tasks_blocked()
        actor.tell_nowait(Say("a"))
        nursery.cancel_scope.cancel()  # in the same tick
    assert actor.said == ["a"]


async def test_an_asker_who_is_cancelled_with_the_actor_is_cancelled() -> None:
    actor = Listener()
    actor.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        nursery.start_soon(actor.tell, Say("a"))
        await wait_all_tasks_blocked()
        nursery.start_soon(actor.ask, Said())
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert nursery.cancel_scope.cancelled_caught


async def test_a_closed_mailbox_is_read_to_its_end_before_the_actor_ends() -> None:
    actor = Listener()
    for text in ("a", "close", "b"):
        actor.tell_nowait(Say(text))
    await actor.run()
    assert actor.said == ["a", "b"]


async def test_between_turns_the_actor_may_wait_and_takes_what_came_meanwhile_in_one_turn() -> None:
    actor = Listener()
    actor.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        for text in "abc":
            actor.tell_nowait(Say(text))
            await wait_all_tasks_blocked()
        assert actor.said == ["a"]
        actor.gate.set()
        await wait_all_tasks_blocked()
        assert actor.said == ["a", "b", "c"]
        assert actor.turns_taken == 2
        actor.end()


async def test_an_actor_that_fails_between_turns_keeps_the_unread() -> None:
    class Failing(Listener):
        async def between_turns(self) -> None:
            self.tell_nowait(Say("unread"))
            raise EndError

    actor = Failing()
    question = Said()
    actor.tell_nowait(question)
    with pytest.raises(EndError):
        await actor.turns()
    assert await question.reply.wait() == []
    assert actor.mailbox.take_nowait() == Say("unread")


async def test_a_flood_of_messages_lets_others_have_their_turn() -> None:
    actor = Listener()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        await actor.tell(Say("again"))  # it posts itself again for ever
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        assert actor.turns_taken > 0
        nursery.cancel_scope.cancel()
