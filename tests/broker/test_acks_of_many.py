"""`emit_with_ack` on a target: who is asked, what they answer, who is missing, and when it returns.

`asking` starts it beside the test; `settled` waits until everything waits.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Answers, Broker, JoinRefused, Room, Socket
from broker.testing.carriers import Carrier
from broker.testing.client import TestClient

from .carried import over_each_carrier
from .stalled import LOCKSTEP, noting, stall

NOBODY = Answers({}, frozenset())


@asynccontextmanager
async def clients(broker: Broker, count: int, room: str = "r") -> AsyncIterator[list[TestClient]]:
    """Have so many clients, all in one room."""
    async with broker, AsyncExitStack() as stack:
        here = [await stack.enter_async_context(broker.test_client()) for _ in range(count)]
        await wait_all_tasks_blocked()
        for client in here:
            await broker.sockets[client.id].join(room)
        yield here


class Asking:
    """A call under way: `answers` once it has returned, `at` which time."""

    def __init__(self) -> None:
        self.answers: Answers | None = None
        self.at = math.nan
        self.scope = trio.CancelScope()

    async def run(self, call: Callable[[], Awaitable[Answers]]) -> None:
        with self.scope:
            self.answers = await call()
            self.at = trio.current_time()


def pending(broker: Broker) -> int:
    return broker.statistics().pending_acks


# What they answer.


@over_each_carrier
async def test_each_client_answers_with_what_its_ack_means(over: Carrier) -> None:
    broker = Broker()
    said: list[Any] = [1, None, ("two", "values"), [1, 2], {"b": b"\0\xff"}]
    async with broker, AsyncExitStack() as stack:
        expected = {}
        for value in said:
            client = await stack.enter_async_context(broker.test_client(over=over))
            client.answer("poll", lambda *args, value=value: value if args == ("?", b"x") else "!")
            expected[client.id] = value
        answers = await broker.emit_with_ack("poll", "?", b"x")
        assert answers == Answers(expected, frozenset())
        assert [value for value in answers if isinstance(value, dict)] == [{"b": b"\0\xff"}]
        assert len(list(answers)) == len(said)
        await client.expect_nothing()
        assert pending(broker) == 0


async def test_all_are_asked_with_one_id_and_a_socket_alone_with_another(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()
    async with broker, wire(broker) as one, wire(broker) as other, trio.open_nursery() as nursery:
        ids = [await one.enter(), await other.enter()]
        asking = Asking()
        alone: list[Any] = []

        async def ask_alone() -> None:
            alone.append(await broker.sockets[ids[0]].emit_with_ack("q"))

        nursery.start_soon(asking.run, partial(broker.emit_with_ack, "poll"))
        await wait_all_tasks_blocked()
        nursery.start_soon(ask_alone)
        assert await one.get() == await other.get() == '420["poll"]'
        assert await one.get() == '421["q"]'
        assert pending(broker) == 3
        await other.send('431["mine is another"]')
        await one.send('431["alone"]', "430[1]", "430[2]")
        await wait_all_tasks_blocked()
        assert alone == ["alone"]
        assert asking.answers is None
        assert pending(broker) == 1
        await other.send('430["last"]')
        await wait_all_tasks_blocked()
        assert asking.answers == Answers({ids[0]: 1, ids[1]: "last"})
        assert list(asking.answers) == [1, "last"]


# Who is asked.


async def test_a_target_asks_whom_it_reaches_each_once() -> None:
    broker = Broker()
    async with clients(broker, 4) as here:
        asked: list[str] = []
        for client in here:
            client.answer("who?", partial(asked.append, client.id))
        ids = [client.id for client in here]
        first = broker.sockets[ids[0]]
        await broker.sockets[ids[3]].leave("r")
        await first.join("s")

        for target, expected in [
            (broker, ids),
            (broker.of("/"), ids),
            (broker.room("r"), ids[:3]),
            (broker.to("r"), ids[:3]),
            (broker.to("r", "s").in_(ids[3]), ids),
            (broker.to("r").except_("s"), ids[1:3]),
            (broker.to(ids[2]), ids[2:3]),
            (first.to("r"), ids[1:3]),
            (first.broadcast, ids[1:]),
            (first.local.timeout(5), ids[1:]),
            (first.timeout(5), ids[:1]),
            (first.timeout(5).volatile, ids[:1]),
            (first.volatile.compress(False).timeout(5), ids[:1]),
            (first.timeout(5).to("r"), ids[1:3]),
            (broker.to(), []),
            (broker.to().to("r").timeout(5), []),
            (broker.to("nowhere"), []),
            (broker.room("nowhere"), []),
            (broker.of("/empty"), []),
            (first.to(ids[0]), []),
        ]:
            asked.clear()
            answers = await target.emit_with_ack("who?")
            assert sorted(answers.values) == sorted(asked) == sorted(expected), target
            assert not answers.missing
            assert pending(broker) == 0
        assert "nowhere" not in broker.rooms


async def test_it_has_its_place_in_the_order_of_all_events() -> None:
    broker = Broker()
    async with clients(broker, 3) as here:
        seen: dict[str, list[str]] = {client.id: [] for client in here}
        for client in here:
            client.watch(lambda event, _args, log=seen[client.id]: log.append(event))
            client.answer("asked", lambda: None)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                target = broker.to("r") if number % 2 else broker
                nursery.start_soon(target.emit, f"told {number}")
                nursery.start_soon(target.emit_with_ack, "asked")
        await wait_all_tasks_blocked()
        assert len(seen[here[0].id]) == 40
        assert all(log == seen[here[0].id] for log in seen.values())


async def test_what_cannot_be_sent_is_refused_before_anybody_is_asked() -> None:
    broker = Broker(max_outbox_bytes=2_000_000)
    async with clients(broker, 1) as (client,):
        with pytest.raises(TypeError, match=r"args\[0\]"):
            await broker.emit_with_ack("q", object())
        with pytest.raises(ValueError, match="reserved"):
            await broker.emit_with_ack("connect")
        with pytest.raises(ValueError, match="max_outbox_bytes"):
            await broker.emit_with_ack("q", "x" * 2_000_001)
        await client.expect_nothing()
        assert pending(broker) == 0


# Who is missing, and when.


@pytest.mark.parametrize("seconds", [None, 2, 0.5])
async def test_the_deadline_is_no_error(seconds: float | None, autojump_clock: MockClock) -> None:
    broker = Broker(ack_timeout=4.0)
    async with clients(broker, 3) as here:
        here[0].answer("q", lambda: "yes")
        target = broker.to("r") if seconds is None else broker.to("r").timeout(seconds)
        start = trio.current_time()
        answers = await target.emit_with_ack("q")
        assert trio.current_time() - start == pytest.approx(seconds or 4.0)
        assert answers == Answers({here[0].id: "yes"}, frozenset(c.id for c in here[1:]))
        assert list(answers) == ["yes"]
        assert pending(broker) == 0


async def test_no_time_at_all_sends_the_event_and_waits_for_nobody() -> None:
    broker = Broker()
    async with clients(broker, 1) as (client,):
        answers = await broker.timeout(0).emit_with_ack("q")
        assert answers == Answers({}, frozenset({client.id}))
        assert await client.expect("q") == ()


async def test_an_infinite_timeout_waits(autojump_clock: MockClock) -> None:
    broker = Broker()
    async with clients(broker, 1):
        with trio.move_on_after(1000) as scope:
            await broker.timeout(math.inf).emit_with_ack("q")
        assert scope.cancelled_caught
        assert pending(broker) == 0


@pytest.mark.parametrize("wrong", [None, "5", True, -1, math.nan])
def test_a_timeout_is_seconds(wrong: Any) -> None:
    error = ValueError if isinstance(wrong, float | int) and wrong is not True else TypeError
    with pytest.raises(error, match=r"timeout\(\): expected .*seconds, saw"):
        Broker().timeout(wrong)


async def test_one_who_goes_is_missing_at_once(autojump_clock: MockClock) -> None:
    broker = Broker()
    async with clients(broker, 3) as here, trio.open_nursery() as nursery:
        start = trio.current_time()
        asking = Asking()
        nursery.start_soon(asking.run, partial(broker.emit_with_ack, "q"))
        await wait_all_tasks_blocked()
        here[0].answer("now", lambda: None)
        await here[1].disconnect()
        await broker.sockets[here[2].id].disconnect()
        await wait_all_tasks_blocked()
        assert asking.answers is None
        assert pending(broker) == 1
        await broker.sockets[here[0].id].disconnect(close=True)
        await wait_all_tasks_blocked()
        assert asking.answers == Answers({}, frozenset(client.id for client in here))
        assert asking.at == start


async def test_who_has_gone_before_is_not_asked() -> None:
    broker = Broker()

    @broker.on("disconnecting")
    async def going(socket: Socket, reason: str) -> None:
        assert socket.id in {member.id for member in broker.room("r").members}
        found.append(await broker.to("r").emit_with_ack("q"))
        found.append(await socket.timeout(5).emit_with_ack("q"))

    found: list[Answers] = []
    async with clients(broker, 1) as (client,):
        await client.disconnect()
    assert found == [NOBODY, NOBODY]


async def test_a_volatile_question_is_for_those_who_can_have_it_at_once(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker()
    sockets, _ = noting(broker)
    async with broker, broker.test_client() as client, wire(broker, streams=LOCKSTEP) as slow:
        client.answer("q", lambda: 1)
        await slow.enter()
        await wait_all_tasks_blocked()
        await stall(sockets[1:], 0)
        for target in (broker.volatile, broker.to(client.id, sockets[1].id).volatile):
            start = trio.current_time()
            answers = await target.emit_with_ack("q")
            assert answers == Answers({client.id: 1}, frozenset({sockets[1].id}))
            assert trio.current_time() - start < 1
        answers = await sockets[1].volatile.emit_with_ack("q")
        assert answers == Answers({}, frozenset({sockets[1].id}))
        assert broker.statistics().dropped == 3
        assert pending(broker) == 0


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_a_full_outbox_drops_no_question_and_who_ends_by_them_is_missing_at_once(
    overflow: Any, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(overflow=overflow, max_outbox_packets=10, slow_timeout=1000)
    sockets, reasons = noting(broker)
    async with (
        broker,
        wire(broker, streams=LOCKSTEP) as slow,
        trio.open_nursery() as nursery,
    ):
        await slow.enter()
        await wait_all_tasks_blocked()
        await stall(sockets, 20)
        questions = [Asking() for _ in range(11)]
        for asking in questions:
            nursery.start_soon(asking.run, partial(broker.timeout(50).emit_with_ack, "q"))
            await wait_all_tasks_blocked()
            if asking is not questions[-1]:
                assert not reasons
                assert sockets[0].statistics().pending_acks == questions.index(asking) + 1
        missing = Answers({}, frozenset({sockets[0].id}))
        assert [asking.answers for asking in questions] == [missing] * 11
        assert reasons == ["slow client"]
        assert pending(broker) == 0


async def test_one_whose_inbox_is_full_answers_when_its_handlers_have_caught_up(
    wire: Callable[..., Any],
) -> None:
    broker = Broker(max_inbox_packets=4)
    go = trio.Event()

    @broker.on("work")
    async def work(socket: Socket) -> None:
        await go.wait()

    async with broker, wire(broker) as client, trio.open_nursery() as nursery:
        sid = await client.enter()
        await client.send(*['42["work"]'] * 5)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.TooSlowError):
            await broker.sockets[sid].emit_with_ack("q")
        asking = Asking()
        nursery.start_soon(asking.run, partial(broker.emit_with_ack, "poll"))
        ask = str(await client.get())
        await client.send(f'43{ask[2:].partition("[")[0]}["late"]')
        await wait_all_tasks_blocked()
        assert asking.answers is None
        go.set()
        await wait_all_tasks_blocked()
        assert asking.answers == Answers({sid: "late"})


# Rooms of a user's type.


async def test_members_decide_about_a_newcomer_who_is_not_asked_but_told() -> None:
    broker = Broker()

    @broker.room_type("r")
    class Club(Room):
        async def on_join(self, socket: Socket) -> None:
            answers = await self.emit_with_ack("may he come?", socket.data.get("name"))
            assert not answers.missing
            if not all(answers):
                raise JoinRefused("a member is against it")

    async with broker, AsyncExitStack() as stack:
        votes: dict[str, bool] = {}
        for name in ("ann", "ben", "eve", "dan"):
            client = await stack.enter_async_context(broker.test_client())
            socket = broker.sockets[client.id]
            socket.data["name"] = name
            if name == "eve":
                with pytest.raises(JoinRefused):
                    await socket.join("r")
            else:
                await socket.join("r")
                # What the room emits while an `on_join` runs is for the newcomer, too.
                assert await client.expect("may he come?") == (name,)
                client.answer("may he come?", lambda name: votes.setdefault(name, name != "eve"))
            await client.expect_nothing()
        assert votes == {"ben": True, "eve": False, "dan": True}
        assert broker.room("r").size == 3
        assert pending(broker) == 0


@pytest.mark.parametrize("accepts", [True, False])
async def test_about_whom_an_on_join_decides_is_not_waited_for(accepts: bool) -> None:
    broker = Broker()
    decide = trio.Event()

    @broker.room_type("typed")
    class Typed(Room):
        async def on_join(self, socket: Socket) -> None:
            await decide.wait()
            if not accepts:
                raise JoinRefused("no")

    async def join(socket: Socket) -> None:
        with suppress(JoinRefused):
            await socket.join("typed")

    async with clients(broker, 2) as here, trio.open_nursery() as nursery:
        heard: list[str] = []
        here[0].watch(lambda event, _args: heard.append(event))
        for client in here:
            for event in ("in", "out"):
                client.answer(event, lambda: "yes")
        nursery.start_soon(join, broker.sockets[here[0].id])
        await wait_all_tasks_blocked()
        assert await broker.to("typed").emit_with_ack("in") == NOBODY
        others = Answers({here[1].id: "yes"})
        assert await broker.to("r").except_("typed").emit_with_ack("out") == others
        decide.set()
        await wait_all_tasks_blocked()
        assert heard == ["in" if accepts else "out"]
        assert pending(broker) == 0


async def test_an_on_join_does_not_wait_for_a_joiner_who_waits_for_it(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    begin = trio.Event()
    found: list[Answers] = []

    @broker.room_type("typed")
    class Typed(Room):
        async def on_join(self, socket: Socket) -> None:
            await begin.wait()
            found.append(await broker.to(socket.id).emit_with_ack("q"))
            found.append(await broker.to("r").emit_with_ack("q"))
            found.append(await broker.to(socket.id).emit_with_ack("q"))

    async with clients(broker, 2) as here, trio.open_nursery() as nursery:
        for client in here:
            client.answer("q", lambda: "yes")
        start = trio.current_time()
        nursery.start_soon(broker.sockets[here[0].id].join, "typed")
        await wait_all_tasks_blocked()
        await broker.to("typed").emit("kept")  # and behind it, whatever comes for the joiner
        begin.set()
        await wait_all_tasks_blocked()
        assert found == [
            Answers({here[0].id: "yes"}),  # what is for the joiner alone is the snapshot
            Answers({here[1].id: "yes"}, frozenset({here[0].id})),
            Answers({}, frozenset({here[0].id})),  # behind the one before: it is one task's
        ]
        assert trio.current_time() == start
        assert "typed" in broker.sockets[here[0].id].rooms


# Cancellation, and the end of the broker.


async def test_cancelled_before_its_turn_it_asks_nobody() -> None:
    broker = Broker()
    async with clients(broker, 2) as here:
        for target in (broker, broker.to("r"), broker.to(here[0].id)):
            with trio.CancelScope() as scope:
                scope.cancel()
                await target.emit_with_ack("q")
            assert scope.cancelled_caught
        for client in here:
            await client.expect_nothing()
        assert pending(broker) == 0


@pytest.mark.parametrize("steps", range(1, 8))
async def test_cancelled_it_expects_nothing_more(steps: int) -> None:
    broker = Broker()
    async with clients(broker, 2) as here, trio.open_nursery() as nursery:
        here[0].answer("q", lambda: 1)
        asking = Asking()
        nursery.start_soon(asking.run, partial(broker.emit_with_ack, "q"))
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        asking.scope.cancel()
        await wait_all_tasks_blocked()
        assert asking.scope.cancelled_caught
        assert asking.answers is None
        assert pending(broker) == 0
        for client in here:
            client.answer("q", lambda: 2)
        assert list(await broker.emit_with_ack("q")) == [2, 2]


@pytest.mark.parametrize("end", ["close", "cancel"])
async def test_when_the_broker_ends_those_who_had_not_answered_are_missing(end: str) -> None:
    broker = Broker()
    asking = Asking()
    async with trio.open_nursery() as outside:
        sid = ""
        async with trio.open_nursery() as nursery:

            async def live(task_status: Any) -> None:
                async with broker, broker.test_client() as client:
                    task_status.started(client.id)
                    await trio.sleep_forever()

            sid = await nursery.start(live)
            await wait_all_tasks_blocked()
            outside.start_soon(asking.run, partial(broker.timeout(math.inf).emit_with_ack, "q"))
            await wait_all_tasks_blocked()
            if end == "close":
                await broker.close()
            nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        assert asking.answers == Answers({}, frozenset({sid}))
