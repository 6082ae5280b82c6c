"""The built-in chat, without its page: what a client hears and may do."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import ConnectError, Options, Recovery
from broker.chat import Chat
from broker.testing.client import TestClient
from broker.values.statistics import Statistics

from .returning import Returning, Wire

BAD_NAME = "A name has 1 to 32 characters."
BAD_TEXT = {"error": {"code": "bad_text", "message": "A message has 1 to 2000 characters."}}
NO_SUCH_ROOM = {
    "error": {"code": "no_such_room", "message": "There are the rooms general, tech, random."}
}
EMPTY: list[dict[str, Any]] = [
    {"name": room, "users": [], "messages": 0} for room in ("general", "tech", "random")
]


def joining(chat: Chat, name: object) -> AbstractAsyncContextManager[TestClient]:
    return chat.broker.test_client("/chat", auth={"name": name})


def looking(chat: Chat, **auth: Any) -> AbstractAsyncContextManager[TestClient]:
    return chat.broker.test_client("/admin", auth=auth)


@asynccontextmanager
async def arrived(chat: Chat, name: str) -> AsyncIterator[TestClient]:
    """A client that has heard all it is told on arrival."""
    async with joining(chat, name) as client:
        await client.expect("rooms")
        assert (await client.expect("roomChanged"))[0]["room"] == "general"
        yield client


@asynccontextmanager
async def running(chat: Chat) -> AsyncIterator[None]:
    """As `atrio serve` runs it: with what it does beside."""
    async with chat.broker, trio.open_nursery() as nursery:
        nursery.start_soon(chat.run)
        await wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


def rooms_of(stats: dict[str, Any]) -> dict[str, tuple[list[str], int]]:
    return {room["name"]: (room["users"], room["messages"]) for room in stats["rooms"]}


async def test_who_arrives_is_in_general_and_told_of_the_rooms() -> None:
    chat = Chat()
    async with chat.broker, joining(chat, "  Anna ") as anna:
        assert await anna.expect("rooms") == (
            [{"name": room, "users": 0} for room in ("general", "tech", "random")],
        )
        assert await anna.expect("roomChanged") == ({"room": "general", "users": ["Anna"]},)
        await anna.expect_nothing()  # one's own coming is no news
        async with joining(chat, "Ben") as ben:
            assert (await ben.expect("rooms"))[0][0] == {"name": "general", "users": 1}
            assert await ben.expect("roomChanged") == (
                {"room": "general", "users": ["Anna", "Ben"]},
            )


@pytest.mark.parametrize("name", ["x", "x" * 32, f"  {'x' * 32}  ", "ünï 😀", "<b>", "a\nb"])
async def test_names_of_1_to_32_characters_may_enter(name: str) -> None:
    chat = Chat()
    async with chat.broker, arrived(chat, name) as client:
        assert await client.call("listUsers") == {"room": "general", "users": [name.strip()]}


@pytest.mark.parametrize("name", ["", "   ", "x" * 33, None, 7, ["Anna"], {"first": "Anna"}])
async def test_no_other_name_may(name: object) -> None:
    chat = Chat()
    async with chat.broker:
        with pytest.raises(ConnectError, match=BAD_NAME):
            async with joining(chat, name):
                pass
        with pytest.raises(ConnectError, match=BAD_NAME):
            async with chat.broker.test_client("/chat"):
                pass


async def test_a_message_goes_to_everybody_in_the_room_and_nobody_else() -> None:
    chat = Chat()
    async with (
        chat.broker,
        arrived(chat, "Cleo") as cleo,
        arrived(chat, "Anna") as anna,
        arrived(chat, "Ben") as ben,
    ):
        await cleo.call("switchRoom", "tech")
        before = dt.datetime.now(dt.UTC)
        assert await anna.call("message", "Hello") == {"ok": True}
        (heard,) = await ben.expect("message")
        assert (heard,) == await anna.expect("message")
        at = dt.datetime.fromisoformat(heard.pop("time"))
        assert before - dt.timedelta(seconds=1) <= at <= dt.datetime.now(dt.UTC)
        first = heard.pop("id")
        assert heard == {"user": "Anna", "from": anna.id, "room": "general", "text": "Hello"}
        await anna.call("message", "Hello")
        assert (await ben.expect("message"))[0]["id"] != first

        assert await cleo.call("message", "Anybody?") == {"ok": True}
        assert (await cleo.expect("message"))[0]["room"] == "tech"
        await wait_all_tasks_blocked()
        assert await cleo.call("listUsers") == {"room": "tech", "users": ["Cleo"]}
        for client in (anna, ben, cleo):
            assert "Anybody?" not in [message[0]["text"] for message in client._events["message"]]
        assert not cleo._events["message"]


@pytest.mark.parametrize(
    "text", ["", " \n\t", "x" * 2001, None, 5, ["Hello"], {"text": "Hello"}, b"Hello"]
)
async def test_what_is_no_message_is_refused_and_reaches_nobody(text: object) -> None:
    chat = Chat()
    async with chat.broker, arrived(chat, "Anna") as anna, arrived(chat, "Ben") as ben:
        await anna.expect("notification")
        assert await anna.call("message", text) == BAD_TEXT
        await anna.expect_nothing()
        await ben.expect_nothing()


@pytest.mark.parametrize("text", ["x", "x" * 2000, "😀" * 2000, " padded ", "<script>"])
async def test_a_message_of_1_to_2000_characters_arrives_as_it_is(text: str) -> None:
    chat = Chat()
    async with chat.broker, arrived(chat, "Anna") as anna:
        assert await anna.call("message", text) == {"ok": True}
        assert (await anna.expect("message"))[0]["text"] == text


async def test_a_switch_is_told_to_the_members_of_both_rooms_only() -> None:
    chat = Chat()
    async with (
        chat.broker,
        arrived(chat, "Anna") as anna,
        arrived(chat, "Ben") as ben,
        arrived(chat, "Cleo") as cleo,
        arrived(chat, "Dora") as dora,
    ):
        assert await cleo.call("switchRoom", "tech") == {"ok": True, "room": "tech"}
        assert await dora.call("switchRoom", "random") == {"ok": True, "room": "random"}
        for client in (anna, ben, cleo, dora):
            await wait_all_tasks_blocked()
            client._events.clear()

        assert await anna.call("switchRoom", "tech") == {"ok": True, "room": "tech"}
        assert await anna.expect("roomChanged") == ({"room": "tech", "users": ["Anna", "Cleo"]},)
        await anna.expect_nothing()
        (left,) = await ben.expect("notification")
        assert dt.datetime.fromisoformat(left.pop("time")).tzinfo is not None
        assert left == {
            "kind": "left",
            "user": "Anna",
            "room": "general",
            "text": "Anna left general",
        }
        (joined,) = await cleo.expect("notification")
        assert (joined["kind"], joined["text"]) == ("joined", "Anna joined tech")
        for client in (ben, cleo, dora):
            await client.expect_nothing()


async def test_a_switch_to_the_room_one_is_in_changes_nothing() -> None:
    chat = Chat()
    async with chat.broker, arrived(chat, "Anna") as anna, arrived(chat, "Ben") as ben:
        await anna.expect("notification")
        assert await ben.call("switchRoom", "general") == {"ok": True, "room": "general"}
        await ben.expect_nothing()
        await anna.expect_nothing()


@pytest.mark.parametrize("room", ["kitchen", "", "Tech", None, 1, ["tech"], {"room": "tech"}])
async def test_only_the_three_rooms_can_be_entered(room: object) -> None:
    chat = Chat()
    async with chat.broker, arrived(chat, "Anna") as anna:
        assert await anna.call("switchRoom", room) == NO_SUCH_ROOM
        assert await anna.call("listUsers") == {"room": "general", "users": ["Anna"]}
        await anna.expect_nothing()


async def test_who_goes_is_announced_and_counted_no_more() -> None:
    chat = Chat()
    async with chat.broker, arrived(chat, "Anna") as anna:
        async with arrived(chat, "Ben") as ben:
            assert (await anna.expect("notification"))[0]["text"] == "Ben joined general"
            await ben.disconnect()
        assert (await anna.expect("notification"))[0]["text"] == "Ben left general"
        assert await anna.call("listUsers") == {"room": "general", "users": ["Anna"]}
        async with arrived(chat, "Cleo"):
            await anna.expect("notification")
            # … whose connection is cut, without a goodbye.
        assert (await anna.expect("notification"))[0]["text"] == "Cleo left general"
        await anna.expect_nothing()


async def test_what_is_known_of_a_room_goes_with_its_last_user() -> None:
    chat = Chat()
    async with chat.broker, looking(chat) as admin:
        async with arrived(chat, "Anna") as anna:
            await anna.call("message", "One")
            await anna.call("switchRoom", "tech")
            await anna.call("message", "Two")
            stats = await admin.call("getStats")
            assert rooms_of(stats) == {
                "general": ([], 0),
                "tech": (["Anna"], 1),
                "random": ([], 0),
            }
            assert set(chat.broker.of("/chat").rooms) == {"tech"}
        stats = await admin.call("getStats")
        assert stats["rooms"] == EMPTY
        assert (stats["connections"], stats["sockets"], stats["memberships"]) == (1, 1, 0)
        assert chat.broker.of("/chat").rooms == {}
    assert chat.broker.statistics() == Statistics()


async def test_admin_gets_the_statistics_on_arrival_and_when_it_asks() -> None:
    chat = Chat()
    async with chat.broker, arrived(chat, "Ben"), arrived(chat, "Anna"), looking(chat) as admin:
        (told,) = await admin.expect("stats")
        assert rooms_of(told)["general"] == (["Anna", "Ben"], 0)
        assert (told["connections"], told["sockets"], told["memberships"]) == (3, 3, 2)
        asked = await admin.call("getStats")
        assert await admin.expect("stats") == (asked,)
        assert asked | {"uptime": 0} == told | {"uptime": 0}


async def test_admin_sees_what_happens_without_asking(autojump_clock: MockClock) -> None:
    chat = Chat()
    async with running(chat), looking(chat) as admin:
        assert (await admin.expect("stats"))[0]["rooms"] == EMPTY
        async with arrived(chat, "Anna") as anna:
            began = trio.current_time()
            assert rooms_of((await admin.expect("stats"))[0])["general"] == (["Anna"], 0)
            await anna.call("message", "One")
            await anna.call("message", "Two")
            # Both, and the switch, go into one report.
            await anna.call("switchRoom", "tech")
            await anna.call("message", "Three")
            assert rooms_of((await admin.expect("stats"))[0])["tech"] == (["Anna"], 1)
            assert trio.current_time() - began <= 0.2
        assert (await admin.expect("stats"))[0]["rooms"] == EMPTY


async def test_the_figures_are_alive_when_nothing_happens(autojump_clock: MockClock) -> None:
    chat = Chat()
    async with running(chat), looking(chat) as admin:
        uptimes = [(await admin.expect("stats"))[0]["uptime"] for _ in range(5)]
        between = [later - sooner for sooner, later in pairwise(uptimes[1:])]
        assert all(1.9 < time < 2.3 for time in between), uptimes


async def test_everybody_learns_how_many_are_in_each_room(autojump_clock: MockClock) -> None:
    chat = Chat()
    async with running(chat), arrived(chat, "Anna") as anna:

        async def counts() -> list[int]:
            return [room["users"] for room in (await anna.expect("rooms"))[0]]

        assert await counts() == [1, 0, 0]
        async with arrived(chat, "Ben") as ben:
            assert await counts() == [2, 0, 0]
            # Right behind a report, while it rests: this is for the next one, and not lost.
            await ben.call("switchRoom", "tech")
            assert await counts() == [1, 1, 0]
        assert await counts() == [1, 0, 0]
        await trio.sleep(10)
        assert not anna._events["rooms"]  # no news, no event


async def test_who_comes_back_is_in_the_room_it_was_in(wire: Wire) -> None:
    chat = Chat(Options(connection_state_recovery=Recovery()))
    client = Returning(chat.broker, wire, "/chat")
    async with running(chat):
        async with client.connection(name="ann") as ann:
            await ann.send('42/chat,["switchRoom","tech"]')
        async with client.connection(name="ann"):
            assert client.recovered
            (socket,) = await chat.broker.of("/chat").fetch_sockets()
            assert socket.joined_rooms == {"tech"}
            (room_changed,) = [args for event, *args in client.got[-2:] if event == "roomChanged"]
            assert room_changed == [{"room": "tech", "users": ["ann"]}]
