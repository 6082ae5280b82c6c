"""Questions to the clients, and to the programs, of all nodes."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio

from broker import NO_ACK, Answers, BrokerNotRunning, EventError


async def test_the_clients_of_all_nodes_are_asked(cluster: Any) -> None:
    async with cluster.two() as (a, b):
        a.client.answer("poll", lambda *args: args[0])
        b.client.answer("poll", lambda *args: list(args))
        for broker in (a.broker, b.broker):
            answers = await broker.emit_with_ack("poll", b"x", 2)
            assert answers.values == {a.id: b"x", b.id: [b"x", 2]}
            assert answers == Answers(answers.values)
        assert (await a.broker.local.emit_with_ack("poll", 1, 2)).values == {a.id: 1}
        assert (await a.broker.to(b.id).emit_with_ack("poll", 1)).values == {b.id: [1]}
        assert await a.broker.to("none").emit_with_ack("poll") == Answers({})
        assert await a.broker.to().emit_with_ack("poll") == Answers({})
        assert a.broker.statistics().pending_requests == 0


async def test_of_several_values_of_a_client_the_first_comes_at_least(cluster: Any) -> None:
    async with cluster.two() as (a, b):
        for end in (a, b):
            end.client.answer("poll", lambda: (1, 2))
        values = (await a.broker.emit_with_ack("poll")).values
        assert values[a.id] == (1, 2)
        assert values[b.id] in ((1, 2), 1)  # Node's formats have a place for one


async def test_who_does_not_answer_is_missing_wherever_it_is(cluster: Any, clock: object) -> None:
    async with cluster.two() as (a, b):
        a.client.answer("poll", lambda: 1)
        b.client.answer("poll", lambda: NO_ACK)
        answers = await a.broker.timeout(0.2).emit_with_ack("poll")
        assert answers.values == {a.id: 1}
        # Not every format can tell who it is.
        assert answers.missing == {b.id} or answers.unnamed == 1
        assert answers.missing_nodes == 0
        await trio.sleep(0.3)
        for end in (a, b):
            assert end.broker.statistics().pending_acks == 0


async def test_a_question_that_is_cancelled_leaves_nothing(cluster: Any) -> None:
    async with cluster.two() as (a, b):
        for end in (a, b):
            end.client.answer("poll", lambda: NO_ACK)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.broker.timeout(0.2).emit_with_ack, "poll")
            await trio.testing.wait_all_tasks_blocked()
            assert a.broker.statistics().pending_requests == 1
            nursery.cancel_scope.cancel()
        assert a.broker.statistics().pending_requests == 0
        assert a.broker.statistics().pending_acks == 0


async def test_programs_tell_each_other(cluster: Any) -> None:
    one, two, three = cluster.broker(), cluster.broker(), cluster.broker()
    heard: list[tuple[Any, ...]] = []
    done = trio.Event()
    for number, broker in enumerate((one, two, three)):

        @broker.on_server("event")
        async def event(*args: Any, number: int = number) -> None:
            heard.append((number, *args))
            if len(heard) == 2:
                done.set()

    async with one, two, three:
        await one.server_side_emit("event", 1, b"2")
        with trio.fail_after(5):
            await done.wait()
        assert sorted(heard) == [(1, 1, b"2"), (2, 1, b"2")]


async def test_programs_answer_each_other(cluster: Any) -> None:
    one, two, three = cluster.broker(), cluster.broker(), cluster.broker()
    chat = one.of("/chat")
    for number, broker in enumerate((one, two, three)):

        @broker.of("/chat").on_server("add")
        async def add(value: int, number: int = number) -> int:
            return value + number

    async with one, two, three:
        answers = await chat.server_side_emit_with_ack("add", 10)
        assert sorted(answers) == [11, 12]
        assert len(answers.values) == 2
        assert answers.missing_nodes == 0
        assert sorted(await three.of("/chat").server_side_emit_with_ack("add", 10)) == [10, 11]


async def test_the_events_of_one_node_are_handled_in_order(cluster: Any) -> None:
    one, two = cluster.broker(), cluster.broker()
    heard: list[int] = []

    @two.on_server("event")
    async def event(number: int) -> int:
        for _ in range(10 - number):
            await trio.lowlevel.checkpoint()
        heard.append(number)
        return number

    async with one, two:
        for number in range(10):
            await one.server_side_emit("event", number)
        await one.server_side_emit_with_ack("event", 10)
        assert heard == list(range(11))


async def test_what_is_not_answered_is_counted(
    cluster: Any, clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = cluster.broker(), cluster.broker()

    @two.on_server("fails")
    async def fails() -> None:
        raise ZeroDivisionError

    @two.on_server("refuses")
    async def refuses() -> None:
        raise EventError("no", "not now")

    @two.on_server("silent")
    async def silent() -> object:
        return NO_ACK

    async with one, two:
        for event, log in (
            ("fails", "ZeroDivisionError"),
            ("refuses", "not now"),
            ("silent", ""),
            ("unknown", ""),
        ):
            with caplog.at_level(logging.WARNING, "atrio.adapter"):
                answers = await one.server_side_emit_with_ack(event, timeout=0.2)
            assert answers == Answers({}, missing_nodes=1)
            assert log in caplog.text
        with caplog.at_level(logging.WARNING, "atrio.adapter"):
            assert (await one.server_side_emit_with_ack("fails", 1, timeout=0.2)).missing_nodes == 1
        assert "expected 0 arguments, got 1" in caplog.text


async def test_alone_nobody_is_told_and_nobody_answers(cluster: Any) -> None:
    broker = cluster.broker()

    @broker.on_server("event")
    async def event() -> None:
        raise AssertionError("it is for other nodes")

    async with broker:
        await broker.server_side_emit("event")
        assert await broker.server_side_emit_with_ack("event") == Answers({})


async def test_what_no_server_may_be_told(cluster: Any) -> None:
    broker = cluster.broker()
    with pytest.raises(BrokerNotRunning):
        await broker.server_side_emit("event")
    async with broker:
        for name in ("connection", "connect", "new_namespace"):
            with pytest.raises(ValueError, match="reserved"):
                await broker.server_side_emit(name)
            with pytest.raises(ValueError, match="reserved"):
                broker.on_server(name)(test_alone_nobody_is_told_and_nobody_answers)
        with pytest.raises(TypeError, match=r"args\[0\]"):
            await broker.server_side_emit_with_ack("event", object())
        with pytest.raises(TypeError):
            await broker.server_side_emit("")


async def test_children_have_the_handlers_of_their_parent(cluster: Any) -> None:
    async def check(name: str, _auth: object) -> bool:
        return name == "/child"

    one, two = cluster.broker(), cluster.broker()
    one.of(check)

    @two.of(check).on_server("event")
    async def event() -> str:
        return "parent"

    async with one, two, cluster.end(one, "/child"), cluster.end(two, "/child"):
        assert list(await one.of("/child").server_side_emit_with_ack("event")) == ["parent"]
