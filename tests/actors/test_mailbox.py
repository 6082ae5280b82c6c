"""A mailbox: bounded, in order, and whoever waits hears what becomes of it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import ActorGone, Mailbox, MailboxFull


def mailbox_with(*messages: str, capacity: int = 3) -> Mailbox[str]:
    mailbox = Mailbox[str]("room", capacity)
    for message in messages:
        mailbox.post_nowait(message)
    return mailbox


def emptied(mailbox: Mailbox[str]) -> list[str]:
    taken = []
    while (message := mailbox.take_nowait()) is not None:
        taken.append(message)
    return taken


# Without an event loop.


def test_messages_come_out_in_the_order_of_the_posts() -> None:
    mailbox = mailbox_with("a", "b", "c")
    assert len(mailbox) == 3
    assert emptied(mailbox) == ["a", "b", "c"]
    assert len(mailbox) == 0


def test_nothing_is_taken_from_an_empty_mailbox() -> None:
    assert mailbox_with().take_nowait() is None


def test_a_full_mailbox_refuses_and_keeps_what_it_has() -> None:
    mailbox = mailbox_with("a", "b", capacity=2)
    with pytest.raises(MailboxFull, match="'room' already holds 2 messages") as caught:
        mailbox.post_nowait("c")
    assert (caught.value.name, caught.value.capacity) == ("room", 2)
    assert emptied(mailbox) == ["a", "b"]


def test_a_taken_message_makes_a_place() -> None:
    mailbox = mailbox_with("a", capacity=1)
    mailbox.take_nowait()
    mailbox.post_nowait("b")
    assert emptied(mailbox) == ["b"]


def test_a_closed_mailbox_accepts_nothing_and_gives_what_it_has() -> None:
    mailbox = mailbox_with("a")
    mailbox.close()
    with pytest.raises(ActorGone, match="the actor 'room' has ended") as caught:
        mailbox.post_nowait("b")
    assert caught.value.name == "room"
    assert emptied(mailbox) == ["a"]


def test_a_closed_and_full_mailbox_says_that_the_actor_is_gone() -> None:
    mailbox = mailbox_with("a", capacity=1)
    mailbox.close()
    with pytest.raises(ActorGone):
        mailbox.post_nowait("b")


def test_a_discarded_mailbox_accepts_nothing_and_gives_nothing() -> None:
    mailbox = mailbox_with("a")
    mailbox.discard()
    with pytest.raises(ActorGone):
        mailbox.post_nowait("b")
    assert emptied(mailbox) == []
    assert len(mailbox) == 0


def test_closing_and_discarding_again_change_nothing() -> None:
    mailbox = mailbox_with("a")
    mailbox.close()
    mailbox.close()
    assert emptied(mailbox) == ["a"]
    mailbox.discard()
    mailbox.discard()
    mailbox.close()


def test_its_repr_tells_whose_it_is_and_how_full() -> None:
    assert repr(mailbox_with("a", "b")) == "<Mailbox of 'room', 2 of 3>"


# Waiting to post.


async def test_a_post_into_a_free_place_lets_nobody_else_run() -> None:
    mailbox = mailbox_with()
    ran = trio.Event()

    async def other() -> None:
        ran.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await mailbox.post("a")
        assert not ran.is_set()
    assert emptied(mailbox) == ["a"]


async def test_posts_to_a_full_mailbox_wait_and_keep_their_order() -> None:
    mailbox = mailbox_with("a", capacity=1)
    async with trio.open_nursery() as nursery:
        for message in "bcd":
            nursery.start_soon(mailbox.post, message)
            await wait_all_tasks_blocked()
        assert len(mailbox) == 1
        assert emptied(mailbox) == ["a", "b", "c", "d"]


async def test_nobody_gets_the_place_of_one_who_waits_for_it() -> None:
    mailbox = mailbox_with("a", capacity=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.post, "b")
        await wait_all_tasks_blocked()
        mailbox.take_nowait()
        with pytest.raises(MailboxFull):
            mailbox.post_nowait("c")
    assert emptied(mailbox) == ["b"]


async def test_a_post_that_is_cancelled_while_it_waits_has_posted_nothing() -> None:
    mailbox = mailbox_with("a", capacity=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.post, "b")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert emptied(mailbox) == ["a"]
    mailbox.post_nowait("c")
    assert emptied(mailbox) == ["c"]


async def test_a_cancelled_post_has_posted_nothing_though_there_is_a_place() -> None:
    mailbox = mailbox_with()
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.post("a")
    assert scope.cancelled_caught
    assert emptied(mailbox) == []


async def test_a_post_that_got_its_place_before_the_cancel_has_happened() -> None:
    mailbox = mailbox_with("a", capacity=1)
    posted = False

    async def post() -> None:
        nonlocal posted
        await mailbox.post("b")
        posted = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(post)
        await wait_all_tasks_blocked()
        assert mailbox.take_nowait() == "a"
        nursery.cancel_scope.cancel()  # in the same tick
    assert posted
    assert emptied(mailbox) == ["b"]


@pytest.mark.parametrize("ending", ["close", "discard"])
async def test_those_who_wait_for_a_place_hear_that_the_actor_is_gone(ending: str) -> None:
    mailbox = mailbox_with("a", capacity=1)
    heard: list[str] = []

    async def post(message: str) -> None:
        with pytest.raises(ActorGone), trio.fail_after(5):  # who does not hear it would hang
            await mailbox.post(message)
        heard.append(message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(post, "b")
        nursery.start_soon(post, "c")
        await wait_all_tasks_blocked()
        getattr(mailbox, ending)()
    assert sorted(heard) == ["b", "c"]
    assert emptied(mailbox) == (["a"] if ending == "close" else [])


async def test_a_post_to_a_closed_mailbox_hears_that_the_actor_is_gone() -> None:
    mailbox = mailbox_with()
    mailbox.close()
    with pytest.raises(ActorGone):
        await mailbox.post("a")


# Waiting to take.


async def test_take_waits_for_a_message() -> None:
    mailbox = mailbox_with()
    taken: list[str | None] = []

    async def take() -> None:
        taken.append(await mailbox.take())
        taken.append(mailbox.take_nowait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        mailbox.post_nowait("a")
        mailbox.post_nowait("b")
    assert taken == ["a", "b"]


async def test_take_returns_none_once_the_mailbox_is_closed_and_empty() -> None:
    mailbox = mailbox_with("a")
    mailbox.close()
    assert await mailbox.take() == "a"
    assert await mailbox.take() is None
    mailbox.discard()
    assert await mailbox.take() is None


async def test_the_close_wakes_the_one_who_waits_to_take() -> None:
    mailbox = mailbox_with()
    taken: list[str | None] = []

    async def take() -> None:
        taken.append(await mailbox.take())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        mailbox.close()
    assert taken == [None]


async def test_a_cancelled_take_has_taken_nothing() -> None:
    mailbox = mailbox_with("a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.take()
    assert scope.cancelled_caught
    assert emptied(mailbox) == ["a"]


async def test_a_message_that_reached_the_reader_before_the_cancel_is_not_lost() -> None:
    mailbox = mailbox_with()
    taken: list[str | None] = []

    async def take() -> None:
        taken.append(await mailbox.take())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await wait_all_tasks_blocked()
        mailbox.post_nowait("a")
        nursery.cancel_scope.cancel()  # in the same tick
    assert taken == ["a"]


async def test_a_sure_post_has_its_place_behind_what_fills_the_mailbox() -> None:
    mailbox = mailbox_with("a", "b", "c")
    mailbox.post_surely("sure")
    mailbox.post_surely("sure too")
    assert len(mailbox) == 5
    with pytest.raises(MailboxFull):
        mailbox.post_nowait("d")
    assert mailbox.take_nowait() == "a"
    mailbox.post_nowait("d")
    assert [await mailbox.take() for _ in range(5)] == ["b", "c", "sure", "sure too", "d"]
    assert len(mailbox) == 0


async def test_sure_posts_can_be_taken_once_the_mailbox_is_closed_and_not_once_discarded() -> None:
    for discarded in (False, True):
        mailbox = mailbox_with("a", "b", "c")
        mailbox.post_surely("sure")
        if discarded:
            mailbox.discard()
        mailbox.close()
        with pytest.raises(ActorGone):
            mailbox.post_surely("late")
        assert emptied(mailbox) == ([] if discarded else ["a", "b", "c", "sure"])
        assert await mailbox.take() is None
