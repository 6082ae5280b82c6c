"""Rooms of a user's type: which names they have, their hooks, what is asked and told."""

from __future__ import annotations

import re
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors import Ask, MailboxFull
from actors.actor import CAPACITY
from broker import Broker, BrokerNotRunning, JoinRefused, Room, RoomRef, Socket

from .diary import Add, diary, words

# Names and types.


async def test_the_first_registered_glob_that_matches_counts_and_case_matters() -> None:
    broker = Broker()

    class A(Room):
        async def receive(self, message: Ask[str]) -> str:
            return f"A {self.name}"

    class B(Room):
        async def receive(self, message: Ask[str]) -> str:
            return f"B {self.name}"

    broker.room_type("table:*")(A)
    broker.room_type("table:1")(B)
    broker.room_type("Table:*")(B)
    async with broker:
        assert await broker.room("table:1").ask(Ask[str]()) == "A table:1"
        assert await broker.room("Table:1").ask(Ask[str]()) == "B Table:1"


async def test_children_of_a_dynamic_namespace_have_its_room_types() -> None:
    broker = Broker()
    org = broker.of(re.compile("^/org-"))

    @org.room_type("*")
    class Anything(Room):
        async def receive(self, message: Add) -> str:
            return f"{self.namespace.name} {self.name}"

    @org.on("ask")
    async def ask(socket: Socket) -> Any:
        return await socket.namespace.room("x").ask(Add(1))

    async with broker, broker.test_client("/org-7") as client:
        assert await client.call("ask") == "/org-7 x"


@pytest.mark.parametrize(
    ("glob", "attributes", "error"),
    [
        ("", {}, TypeError),
        (None, {}, TypeError),
        ("x", {"on_error": "explode"}, ValueError),
        ("x", {"linger": -1}, ValueError),
        ("x", {"linger": float("nan")}, ValueError),
        ("x", {"linger": "1"}, TypeError),
        ("x", {"on_join": len}, TypeError),
    ],
)
def test_a_type_that_cannot_work_is_refused_when_it_is_registered(
    glob: Any, attributes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(attributes), "room_type")):
        Broker().room_type(glob)(type("Wrong", (Room,), attributes))


def test_what_is_no_room_is_refused() -> None:
    with pytest.raises(TypeError, match="derived from Room"):
        Broker().room_type("x")(dict)  # type: ignore[type-var]

    class Wrong(Room):
        async def on_join(self) -> None:  # type: ignore[override]
            pass

    with pytest.raises(TypeError, match="on_join is called with 1"):
        Broker().room_type("x")(Wrong)


def test_a_room_is_named_by_a_str_and_needs_no_life_to_be_named() -> None:
    broker = Broker()
    assert broker.room("a") == broker.of("/").room("a") != broker.room("b")
    assert isinstance(broker.room("a"), RoomRef)
    assert (broker.room("a").members, broker.room("a").size) == ((), 0)
    for wrong in (None, ["a"], ""):
        with pytest.raises((TypeError, ValueError), match="name of a room"):
            broker.room(wrong)  # type: ignore[arg-type]


async def test_a_room_of_no_type_cannot_be_asked_or_told_but_is_a_target() -> None:
    broker = Broker()
    async with broker, broker.test_client() as client:
        room = broker.room("plain")
        for attempt in (room.ask(Add(1)), room.tell("x")):
            with pytest.raises(LookupError, match="room_type"):
                await attempt
        with pytest.raises(LookupError, match="room_type"):
            room.tell_nowait("x")
        socket = broker.sockets[client.id]
        await socket.join("plain")
        assert room.members == (socket,)
        assert (await room.emit("hi", 1)).recipients == 1
        assert await client.expect("hi") == (1,)


async def test_a_plain_room_that_lives_is_not_asked_though_its_type_comes_meanwhile() -> None:
    broker = Broker()
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r")
        notes = diary(broker)
        room = broker.room("r")
        for attempt in (room.ask(Add(1)), room.tell("x")):
            with pytest.raises(LookupError, match="while it lived"):
                await attempt
        with pytest.raises(LookupError, match="while it lived"):
            room.tell_nowait("x")
        assert (await room.emit("still here")).recipients == 1
        await socket.leave("r")
        await wait_all_tasks_blocked()
        assert await room.ask(Add(1)) == 1
        assert words(notes)[:2] == ["open", "create"]


# Lives.


async def test_a_life_begins_with_the_first_join_and_ends_when_the_last_has_left() -> None:
    broker = Broker()
    notes = diary(broker)
    async with broker, broker.test_client() as one, broker.test_client() as two:
        first, second = broker.sockets[one.id], broker.sockets[two.id]
        await first.join("r")
        await second.join("r")
        assert broker.room("r").members == (first, second)
        assert broker.room("r").size == 2
        await first.leave("r")
        await second.leave("r")
        assert broker.room("r").size == 0
        await wait_all_tasks_blocked()
        assert notes == [
            ("open", "r"),
            ("create", "r"),
            ("join", one.id),
            ("join", two.id),
            ("leave", one.id),
            ("leave", two.id),
            ("close", "r"),
            ("shut", "r"),
        ]
        assert broker.statistics().rooms == 0
        tasks = broker.statistics().tasks
        await first.join("r")
        assert words(notes)[8:] == ["open", "create", "join"]
        await first.leave("r")
        await wait_all_tasks_blocked()
        assert broker.statistics().tasks == tasks


async def test_a_second_join_of_a_member_changes_nothing() -> None:
    broker = Broker()
    notes = diary(broker)
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        await socket.join("r", "r")
        await socket.join("r")
        assert words(notes).count("join") == 1
        await socket.leave("r")
        await wait_all_tasks_blocked()
        assert words(notes).count("leave") == 1


async def test_ask_and_tell_bring_a_room_to_life_and_emit_and_members_do_not() -> None:
    broker = Broker()
    notes = diary(broker)
    async with broker:
        room = broker.room("r")
        assert (await room.emit("x")).recipients == 0
        assert (room.members, room.size) == ((), 0)
        assert notes == []
        assert await room.ask(Add(3)) == 3
        await wait_all_tasks_blocked()
        assert words(notes) == ["open", "create", "close", "shut"]
        assert await room.ask(Add(3)) == 3  # another life, another state
        await room.tell("hello")
        room.tell_nowait("again")
        await wait_all_tasks_blocked()
        assert [note for note in notes if note[0] == "told"] == [
            ("told", "hello"),
            ("told", "again"),
        ]


async def test_an_empty_room_lingers(autojump_clock: MockClock) -> None:
    broker = Broker()
    notes = diary(broker, linger=10.0)
    async with broker:
        room = broker.room("r")
        assert await room.ask(Add(1)) == 1
        await trio.sleep(9.9)
        assert await room.ask(Add(1)) == 2
        await trio.sleep(9.9)
        assert words(notes) == ["open", "create"]
        await trio.sleep(0.2)
        assert words(notes) == ["open", "create", "close", "shut"]
        assert broker.statistics().rooms == 0


async def test_messages_of_one_task_are_handled_in_order_and_one_at_a_time() -> None:
    broker = Broker()
    handled: list[object] = []

    @broker.room_type("r")
    class Slow(Room):
        busy = False

        async def receive(self, message: object) -> None:
            assert not self.busy
            self.busy = True
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            self.busy = False
            handled.append(message)

    async with broker:
        room = broker.room("r")
        for number in range(20):
            if number % 3:
                await room.tell(number)
            else:
                room.tell_nowait(number)
        await room.ask(last := Add(0))
        assert handled == [*range(20), last]


async def test_a_full_mailbox_makes_its_senders_wait_and_nobody_else() -> None:
    broker = Broker()
    go = trio.Event()

    @broker.room_type("*")
    class Stuck(Room):
        async def receive(self, message: object) -> None:
            if self.name == "stuck":
                await go.wait()

    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        socket = broker.sockets[client.id]
        await socket.join("stuck")
        stuck = broker.room("stuck")
        for _ in range(1 + CAPACITY):  # the first is being handled
            await stuck.tell("x")
        with pytest.raises(MailboxFull):
            stuck.tell_nowait("x")
        waiting = 0

        async def tell() -> None:
            nonlocal waiting
            waiting += 1
            await stuck.tell("y")
            waiting -= 1

        nursery.start_soon(tell)
        await wait_all_tasks_blocked()
        assert waiting == 1
        await broker.room("free").tell("z")
        assert (await stuck.emit("still here")).recipients == 1
        await client.expect("still here")
        await socket.leave("stuck")  # never waits for the host
        go.set()
    assert waiting == 0


# What is no question.


async def test_only_an_ask_can_be_asked_and_only_once() -> None:
    broker = Broker()
    diary(broker)
    async with broker:
        with pytest.raises(TypeError, match="derives from Ask"):
            await broker.room("r").ask("what?")  # type: ignore[arg-type]
        question = Add(1)
        assert await broker.room("r").ask(question) == 1
        with pytest.raises(ValueError, match="asked before"):
            await broker.room("r").ask(question)


async def test_a_question_that_was_withdrawn_can_be_asked_again_and_is_handled_once() -> None:
    broker = Broker()
    go = trio.Event()
    handled: list[object] = []

    @broker.room_type("r")
    class Busy(Room):
        async def receive(self, message: object) -> object:
            await go.wait()
            handled.append(message)
            return len(handled)

    room, question = broker.room("r"), Add(1)
    with pytest.raises(BrokerNotRunning):
        await room.ask(question)
    async with broker, trio.open_nursery() as nursery:
        await room.tell("first")
        for _ in range(2):
            with trio.move_on_after(0) as scope:
                await room.ask(question)
            assert scope.cancelled_caught
        await room.tell("second")

        async def ask() -> None:
            assert await room.ask(question) == 3

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="was asked before"):
            await room.ask(question)
        go.set()
        await wait_all_tasks_blocked()
        assert handled == ["first", "second", question]
        with pytest.raises(ValueError, match="was asked before"):
            await room.ask(question)


async def test_outside_of_a_life_nothing_is_asked_or_told() -> None:
    broker = Broker()
    diary(broker)
    for attempt in (broker.room("r").ask(Add(1)), broker.room("r").tell("x")):
        with pytest.raises(BrokerNotRunning):
            await attempt
    with pytest.raises(BrokerNotRunning):
        broker.room("r").tell_nowait("x")


async def test_a_room_without_receive_says_that_it_takes_no_messages() -> None:
    broker = Broker()

    @broker.room_type("r")
    class Mute(Room):
        pass

    async with broker:
        with pytest.raises(TypeError, match=r"Mute has no .*receive"):
            await broker.room("r").ask(Add(1))


async def test_a_join_that_is_refused_says_by_which_room(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker()

    @broker.room_type("full")
    class Full(Room):
        async def on_join(self, socket: Socket) -> None:
            raise JoinRefused("full")

    @broker.on("enter")
    async def enter(socket: Socket) -> None:
        await socket.join("a", "full", "b")

    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        with pytest.raises(JoinRefused, match="full") as caught:
            await socket.join("a", "full", "b")
        assert caught.value.room == "full"
        assert socket.joined_rooms == {"a"}
        answer = await client.call("enter")
        assert answer["error"]["code"] == "join_refused"
        assert broker.statistics().rooms == 1
    assert "Traceback" not in caplog.text
