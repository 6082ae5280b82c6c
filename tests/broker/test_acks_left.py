"""Nothing is left of acks that were waited for: a hundred thousand of them, in every ending."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import NO_ACK, Answers, Broker, Socket, SocketDisconnected
from broker.testing.client import TestClient

CLIENTS = 100
QUESTIONS = 1_000
ALONE = 100  # to each client, by `socket.emit_with_ack`: each of these is a task
LIMIT = 10 * QUESTIONS


@asynccontextmanager
async def silent(broker: Broker, wire: Callable[..., Any]) -> AsyncIterator[list[Socket]]:
    """Have many clients who read, as far as anybody can see, and never answer."""
    async with broker, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire(broker)) for _ in range(CLIENTS)]
        for client in clients:
            await client.enter()
        await wait_all_tasks_blocked()
        yield list(broker.sockets.values())


def tables(sockets: list[Socket]) -> int:
    return sum(len(socket.acks) for socket in sockets)


@pytest.mark.parametrize("ending", ["deadline", "disconnect", "cancellation", "broker"])
async def test_a_hundred_thousand_unanswered_in_surveys(
    ending: str, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_packets=LIMIT)
    found: list[Answers] = []

    async def ask() -> None:
        found.append(await broker.timeout(5).emit_with_ack("q"))

    async with silent(broker, wire) as sockets, trio.open_nursery() as nursery:
        before = broker.statistics()
        for _ in range(QUESTIONS):
            nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert broker.statistics().pending_acks == tables(sockets) == CLIENTS * QUESTIONS
        match ending:
            case "deadline":
                await trio.sleep(6)
            case "disconnect":
                await broker.disconnect_sockets()
            case "cancellation":
                nursery.cancel_scope.cancel()
            case "broker":
                await broker.close()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
        assert tables(sockets) == 0
        assert broker.statistics().pending_acks == 0
        everybody = Answers({}, frozenset(socket.id for socket in sockets))
        assert found == [everybody] * (0 if ending == "cancellation" else QUESTIONS)
        if ending == "deadline":
            after = attrs.evolve(broker.statistics(), outbox_bytes=0, outbox_packets=0)
            assert after == attrs.evolve(before, outbox_bytes=0, outbox_packets=0)


@pytest.mark.parametrize("ending", ["deadline", "disconnect", "cancellation"])
async def test_ten_thousand_unanswered_of_single_sockets(
    ending: str, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_packets=LIMIT)
    raised: list[type[Exception]] = []

    async def ask(socket: Socket) -> None:
        with pytest.raises((trio.TooSlowError, SocketDisconnected)) as error:
            await socket.emit_with_ack("q", timeout=5)
        raised.append(error.type)

    async with silent(broker, wire) as sockets, trio.open_nursery() as nursery:
        for socket in sockets:
            for _ in range(ALONE):
                nursery.start_soon(ask, socket)
        await wait_all_tasks_blocked()
        assert broker.statistics().pending_acks == tables(sockets) == CLIENTS * ALONE
        match ending:
            case "deadline":
                await trio.sleep(6)
            case "disconnect":
                await broker.disconnect_sockets()
            case "cancellation":
                nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
        assert tables(sockets) == 0
        error = trio.TooSlowError if ending == "deadline" else SocketDisconnected
        assert raised == [error] * (0 if ending == "cancellation" else CLIENTS * ALONE)


async def test_round_after_round_of_unanswered_surveys_takes_no_more_memory(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    sizes = []
    async with broker, AsyncExitStack() as stack:
        for _ in range(20):
            client = await stack.enter_async_context(broker.test_client())
            client.answer("q", lambda: NO_ACK)
        tracemalloc.start()
        try:
            for _ in range(4):
                async with trio.open_nursery() as nursery:
                    for _ in range(100):
                        nursery.start_soon(broker.timeout(1).emit_with_ack, "q")
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    # What is expected in one round takes 300 kB.
    assert sizes[3] - sizes[1] < 50_000, sizes


async def test_what_is_answered_leaves_the_table_at_once(wire: Callable[..., Any]) -> None:
    broker = Broker()
    async with broker, wire(broker) as client, broker.test_client(), trio.open_nursery() as nursery:
        sid = await client.enter()
        for _ in range(500):
            nursery.start_soon(broker.to(sid).emit_with_ack, "q")
            nursery.start_soon(broker.sockets[sid].emit_with_ack, "q")
        ids = [str(await client.get())[2:].partition("[")[0] for _ in range(1000)]
        assert len(set(ids)) == 1000
        assert broker.statistics().pending_acks == 1000
        await client.send(*[f"43{id_}[]" for id_ in ids[:400]])
        await wait_all_tasks_blocked()
        assert broker.statistics().pending_acks == 600
        await client.send(*[f"43{id_}[]" for id_ in ids])
        await wait_all_tasks_blocked()
        assert broker.statistics().pending_acks == 0


# Any mixture.

GOES_AT = 1.0
PEOPLE = st.lists(
    st.tuples(
        st.lists(st.sampled_from([None, 1, ("a", "b"), [], b"\0"]), min_size=3, max_size=3),
        st.sets(st.integers(0, 2)),  # the questions it answers
        st.sampled_from(["stays", "leaves", "is put out"]),
    ),
    max_size=4,
)
TIMEOUTS = st.lists(st.sampled_from([0.5, 2.0, 3.0]), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(PEOPLE, TIMEOUTS, st.booleans())
def test_any_mixture_of_answers_silence_and_endings(
    people: list[tuple[list[Any], set[int], str]], timeouts: list[float], wide: bool
) -> None:
    trio.run(_mixture, people, timeouts, wide, clock=MockClock(autojump_threshold=0))


async def _mixture(
    people: list[tuple[list[Any], set[int], str]], timeouts: list[float], wide: bool
) -> None:
    broker = Broker()
    found: dict[int, tuple[Answers, float]] = {}

    async def ask(number: int) -> None:
        target = broker.to("r", "none") if wide else broker.to("r")
        answers = await target.timeout(timeouts[number]).emit_with_ack("q", number)
        found[number] = answers, trio.current_time() - start

    async with broker, AsyncExitStack() as stack:
        clients: list[TestClient] = []
        for says, answered, _ in people:
            client = await stack.enter_async_context(broker.test_client())
            client.answer("q", partial(_say, says, answered))
            await broker.sockets[client.id].join("r")
            clients.append(client)
        sockets = list(broker.sockets.values())
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(len(timeouts)):
                nursery.start_soon(ask, number)
            await trio.sleep(GOES_AT)
            for client, (_, _, end) in zip(clients, people, strict=True):
                if end == "leaves":
                    await client.disconnect()
                elif end == "is put out":
                    await broker.sockets[client.id].disconnect()
        assert tables(sockets) == 0
        for number, timeout in enumerate(timeouts):
            answers, took = found[number]
            heard = {
                client.id: says[number]
                for client, (says, answered, _) in zip(clients, people, strict=True)
                if number in answered
            }
            assert answers == Answers(heard, frozenset(c.id for c in clients) - heard.keys())
            silent_ends = [end for _, answered, end in people if number not in answered]
            waits = GOES_AT if silent_ends and "stays" not in silent_ends else timeout
            assert took == pytest.approx(min(waits, timeout) if silent_ends else 0.0)


def _say(says: list[Any], answered: set[int], number: int) -> Any:
    return says[number] if number in answered else NO_ACK
