"""The boundary of a join into a room of a user's type, and what cancels or races it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors import ActorCycle, Ask
from broker import Broker, JoinRefused, Room, Socket, SocketDisconnected


class Door:
    """Holds each `on_join` of room `r` until it is opened; `refuse` it by hand."""

    def __init__(self, broker: Broker, glob: str = "r*") -> None:
        self.open: dict[str, trio.Event] = {}
        self.refuse = False
        self.notes: list[tuple[str, str]] = []
        door = self

        @broker.room_type(glob)
        class Held(Room):
            async def on_join(self, socket: Socket) -> None:
                door.notes.append(("join", self.name))
                await door.event(self.name).wait()
                await socket.emit(f"snapshot of {self.name}")
                if door.refuse:
                    raise JoinRefused("no")

            async def on_leave(self, socket: Socket) -> None:
                door.notes.append(("leave", self.name))

            async def on_close(self) -> None:
                door.notes.append(("close", self.name))

            async def receive(self, message: Ask[Any]) -> Any:
                return self.size

    def event(self, name: str) -> trio.Event:
        return self.open.setdefault(name, trio.Event())


async def expect(client: Any, *events: str) -> None:
    for event in events:
        assert await client.expect(event) == ()
    await client.expect_nothing()


async def test_the_rooms_events_come_behind_what_on_join_sends_and_none_is_missed() -> None:
    broker = Broker()
    door = Door(broker)
    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        socket = broker.sockets[client.id]
        await broker.to("r").emit("before")
        nursery.start_soon(socket.join, "r")
        await wait_all_tasks_blocked()
        assert (await broker.to("r").emit("one")).recipients == 0
        assert broker.room("r").size == 0
        broker.to("r").emit_nowait("two")
        broker.to("r", "x").emit_nowait("three")
        await wait_all_tasks_blocked()
        door.event("r").set()
        await wait_all_tasks_blocked()
        await broker.to("r").emit("four")
        await expect(client, "snapshot of r", "one", "two", "three", "four")


@pytest.mark.parametrize("ending", ["refused", "cancelled", "gone"])
async def test_who_does_not_get_in_gets_nothing_of_the_room(ending: str) -> None:
    broker = Broker()
    door = Door(broker)
    door.refuse = ending == "refused"
    raised: list[BaseException] = []
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]

        async def join(task_status: trio.TaskStatus[trio.CancelScope]) -> None:
            with trio.CancelScope() as scope:
                task_status.started(scope)
                try:
                    await socket.join("r")
                except (JoinRefused, SocketDisconnected, trio.Cancelled) as error:
                    raised.append(error)
                    if isinstance(error, trio.Cancelled):
                        raise

        async with trio.open_nursery() as nursery:
            scope = await nursery.start(join)
            await wait_all_tasks_blocked()
            await broker.to("r").emit("of r")
            await broker.emit("of all")
            await broker.except_("r").emit("of those outside")
            if ending == "cancelled":
                scope.cancel()
            elif ending == "gone":
                await socket.disconnect()
            door.event("r").set()
        await wait_all_tasks_blocked()
        assert [type(error) for error in raised] == [
            {"refused": JoinRefused, "cancelled": trio.Cancelled, "gone": SocketDisconnected}[
                ending
            ]
        ]
        assert socket.joined_rooms == frozenset()
        assert broker.room("r").members == ()
        assert broker.statistics().rooms == 0
        if ending != "gone":
            snapshot = ["snapshot of r"] * (ending == "refused")
            await expect(client, *snapshot, "of all", "of those outside")
        # It returned for who had gone: then it is taken back by its on_leave.
        left = [("leave", "r")] * (ending == "gone")
        assert door.notes == [("join", "r"), *left, ("close", "r")]


async def test_while_a_join_runs_the_socket_sees_the_order_that_others_see() -> None:
    broker = Broker()
    door = Door(broker)
    async with (
        broker,
        broker.test_client() as joiner,
        broker.test_client() as member,
        trio.open_nursery() as nursery,
    ):
        sockets = broker.sockets
        door.event("r").set()
        await sockets[member.id].join("r", "lobby")
        await sockets[joiner.id].join("lobby")
        await member.expect("snapshot of r")
        door.open.clear()
        nursery.start_soon(sockets[joiner.id].join, "r")
        await wait_all_tasks_blocked()
        await broker.to("lobby").emit("1")  # nothing of the room yet: it comes at once
        await joiner.expect("1")
        await broker.to("r").emit("2")
        await broker.to("lobby").emit("3")
        await sockets[joiner.id].emit("4")
        await broker.to("r", "lobby").emit("5")
        await broker.except_("r").emit("6")
        await broker.emit("7")
        await joiner.expect_nothing()
        door.event("r").set()
        await expect(joiner, "snapshot of r", "2", "3", "4", "5", "7")
        await expect(member, "1", "2", "3", "5", "7")


async def test_two_joins_of_one_socket_at_once_keep_each_its_boundary() -> None:
    broker = Broker()
    door = Door(broker)
    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        socket = broker.sockets[client.id]
        nursery.start_soon(socket.join, "r1")
        nursery.start_soon(socket.join, "r2")
        await wait_all_tasks_blocked()
        for number, rooms in enumerate((("r1",), ("r2",), ("r1", "r2"), ("r1",))):
            await broker.to(*rooms).emit(f"{number}")
        door.event("r2").set()
        await expect(client, "snapshot of r2")  # all the rest is behind an event of r1
        door.event("r1").set()
        await expect(client, "snapshot of r1", "0", "1", "2", "3")
        assert socket.joined_rooms == {"r1", "r2"}


async def test_middleware_may_join_and_connect_is_still_the_first_packet() -> None:
    broker = Broker()
    door = Door(broker)
    door.event("r").set()

    @broker.use
    async def join(socket: Socket) -> None:
        await socket.join("r")
        await broker.to("r").emit("welcome")

    async with broker, broker.test_client() as client:
        await expect(client, "snapshot of r", "welcome")


async def test_volatile_events_are_not_kept_for_a_joiner() -> None:
    broker = Broker()
    door = Door(broker)
    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        nursery.start_soon(broker.sockets[client.id].join, "r")
        await wait_all_tasks_blocked()
        await broker.to("r").volatile.emit("tick")
        await broker.to("r", "x").volatile.emit("tick")
        await broker.to("r").emit("event")
        assert (await broker.volatile.emit("tick")).dropped == 1
        door.event("r").set()
        await expect(client, "snapshot of r", "event")


async def test_what_is_kept_for_a_joiner_is_bounded_as_its_outbox_is() -> None:
    broker = Broker(max_outbox_packets=20)
    Door(broker)
    reasons: list[str] = []

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        reasons.append(reason)

    async with broker, trio.open_nursery() as nursery:
        async with broker.test_client() as client:
            nursery.start_soon(join_or_go, broker.sockets[client.id])
            await wait_all_tasks_blocked()
            for _ in range(30):
                await broker.to("r").emit("x")
            await wait_all_tasks_blocked()
            assert reasons == ["slow client"]
        nursery.cancel_scope.cancel()


async def join_or_go(socket: Socket) -> None:
    with pytest.raises(SocketDisconnected):
        await socket.join("r")


# Withdrawn and undone.


async def test_a_join_whose_turn_has_not_come_is_withdrawn() -> None:
    broker = Broker()
    door = Door(broker)
    async with (
        broker,
        broker.test_client() as one,
        broker.test_client() as two,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(broker.sockets[one.id].join, "r")
        await wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_blocked, scope)
            await broker.sockets[two.id].join("r")
        assert scope.cancelled_caught
        door.event("r").set()
        await wait_all_tasks_blocked()
        assert door.notes == [("join", "r")]


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_a_cancelled_join_of_several_rooms_leaves_those_it_had_entered() -> None:
    broker = Broker()
    Door(broker)
    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        socket = broker.sockets[client.id]
        await socket.join("mine")
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when_blocked, scope)
            await socket.join("mine", "a", "r", "b")
        assert scope.cancelled_caught
        assert socket.joined_rooms == {"mine"}


async def test_what_somebody_else_has_joined_meanwhile_is_not_undone() -> None:
    broker = Broker()
    Door(broker)
    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        socket = broker.sockets[client.id]
        with trio.CancelScope() as scope:

            @nursery.start_soon
            async def join_too() -> None:
                await wait_all_tasks_blocked()
                await socket.join("a")
                scope.cancel()

            await socket.join("a", "r")
        assert scope.cancelled_caught
        assert socket.joined_rooms == {"a"}


async def test_a_question_is_withdrawn_before_its_turn_and_answered_once_it_has_come() -> None:
    broker = Broker()
    go = trio.Event()
    received: list[object] = []

    @broker.room_type("r")
    class Slow(Room):
        async def receive(self, message: Ask[str]) -> str:
            received.append(message)
            await go.wait()
            return "answer"

    answers: list[object] = []

    async def ask(question: Ask[str], scope: trio.CancelScope) -> None:
        with scope:
            answers.append(await broker.room("r").ask(question))

    async with broker:
        scopes = [trio.CancelScope(), trio.CancelScope()]
        questions = [Ask[str](), Ask[str]()]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, questions[0], scopes[0])
            await wait_all_tasks_blocked()
            nursery.start_soon(ask, questions[1], scopes[1])
            await wait_all_tasks_blocked()
            for scope in scopes:
                scope.cancel()
            await wait_all_tasks_blocked()
            assert not scopes[0].cancelled_caught
            assert scopes[1].cancelled_caught
            go.set()
        assert answers == ["answer"]
        assert received == [questions[0]]


# From inside a room.


@attrs.frozen
class Do(Ask[Any]):
    """Run something in the room."""

    what: Callable[[Room], Awaitable[Any]]


def doing(broker: Broker, glob: str = "*", **attributes: Any) -> None:
    class Doing(Room):
        async def receive(self, message: Do) -> Any:
            return await message.what(self)

    broker.room_type(glob)(type("Doing", (Doing,), attributes))


async def test_inside_a_room_what_needs_no_answer_of_it_always_works() -> None:
    broker = Broker()
    doing(broker)
    async with broker, broker.test_client() as one, broker.test_client() as two:
        first, second = broker.sockets[one.id], broker.sockets[two.id]
        await first.join("r")
        await second.join("r")

        async def everything(room: Room) -> int:
            await room.emit("hello")
            await second.leave("r")
            assert room.members == (first,)
            for _ in range(3000):  # more than its mailbox holds
                await room.tell(Do(nothing))
            await second.disconnect()
            return (await broker.to("r", "x").emit("again")).recipients

        assert await broker.room("r").ask(Do(everything)) == 1
        await expect(one, "hello", "again")
        await expect_left(broker, two.id)


async def expect_left(broker: Broker, sid: str) -> None:
    await wait_all_tasks_blocked()
    assert sid not in broker.sockets


async def nothing(_room: Room) -> None:
    """Do nothing."""


@pytest.mark.parametrize("length", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["ask", "join"])
async def test_a_circle_of_asks_and_joins_raises_and_prints_the_chain(
    length: int, kind: str
) -> None:
    broker = Broker()
    doing(broker)

    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]

        def step(number: int) -> Callable[[Room], Awaitable[Any]]:
            async def go_on(_room: Room) -> Any:
                target = f"r{(number + 1) % length}"
                if number + 1 == length and kind == "join":
                    return await socket.join(target)
                return await broker.room(target).ask(Do(step(number + 1)))

            return go_on

        with pytest.raises(ActorCycle) as caught:
            await broker.room("r0").ask(Do(step(0)))
        last = f"r{length - 1}"
        assert caught.value.chain == (last, *(f"r{number}" for number in range(length)))
        assert f"{last!r} -> 'r0'" in str(caught.value)
        for number in range(length):  # and nobody hangs
            assert await broker.room(f"r{number}").ask(Do(nothing)) is None


async def test_a_circle_through_two_namespaces_names_them() -> None:
    broker = Broker()
    chat = broker.of("/chat")
    doing(broker)

    class Asking(Room):
        async def receive(self, message: Do) -> Any:
            return await broker.room("r").ask(Do(nothing))

    chat.room_type("r")(Asking)
    async with broker:
        with pytest.raises(ActorCycle, match="'/chat r' -> 'r' -> '/chat r'"):
            await broker.room("r").ask(Do(lambda _room: chat.room("r").ask(Do(nothing))))


async def test_two_rooms_that_ask_each_other_at_once_do_not_hang() -> None:
    broker = Broker()
    doing(broker)
    outcomes: list[str] = []

    async def cross(mine: str, other: str) -> None:
        async def ask(_room: Room) -> Any:
            await wait_all_tasks_blocked()
            return await broker.room(other).ask(Do(nothing))

        try:
            await broker.room(mine).ask(Do(ask))
            outcomes.append("answer")
        except ActorCycle:
            outcomes.append("circle")

    async with broker, trio.open_nursery() as nursery:
        nursery.start_soon(cross, "a", "b")
        nursery.start_soon(cross, "b", "a")
    assert sorted(outcomes) == ["answer", "circle"]


async def test_a_room_that_is_being_created_is_part_of_a_circle() -> None:
    broker = Broker()

    async def on_create(self: Room) -> None:
        if self.name == "b":
            await broker.room("a").ask(Do(nothing))

    doing(broker, on_create=on_create)
    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]
        with pytest.raises(ActorCycle):
            await broker.room("a").ask(Do(lambda _room: socket.join("b")))


async def test_a_task_that_outlives_a_call_is_no_part_of_its_waiting() -> None:
    broker = Broker()
    doing(broker)
    answers: list[object] = []

    async def ask_back() -> None:
        answers.append(await broker.room("r").ask(Do(nothing)))

    async with broker, broker.test_client() as client:
        socket = broker.sockets[client.id]

        async def start_one(_room: Room) -> None:
            socket.nursery.start_soon(ask_back)
            await wait_all_tasks_blocked()  # it asks while we are still busy

        await broker.room("r").ask(Do(start_one))
        await wait_all_tasks_blocked()
        assert answers == [None]

        async def wait_for_one(_room: Room) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask_back)

        with pytest.RaisesGroup(ActorCycle):
            await broker.room("r").ask(Do(wait_for_one))
