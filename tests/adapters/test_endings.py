"""A node that ends, while others ask it, and while it asks: nobody hangs, nothing is left."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

from broker import NO_ACK, Answers, BrokerNotRunning
from broker.values.statistics import Statistics


def at_rest(statistics: Statistics) -> Statistics:
    """Return figures without those that count since the start."""
    return attrs.evolve(statistics, tasks=0, dropped=0, slow_disconnects=0)


async def test_a_node_that_ends_while_it_is_asked_is_not_waited_for(
    cluster: Any, clock: object
) -> None:
    one, two, three = (cluster.broker() for _ in range(3))
    begun = trio.Event()

    for broker in (two, three):

        @broker.on_server("slow")
        async def slow(hangs: bool = broker is two) -> str:
            if hangs:
                begun.set()
                await trio.sleep_forever()
            return "three"

    async with one, three, trio.open_nursery() as nursery:
        answers: list[Answers] = []
        answered = trio.Event()

        async def ask() -> None:
            answers.append(await one.server_side_emit_with_ack("slow", timeout=60))
            answered.set()

        async with two:
            nursery.start_soon(ask)
            await begun.wait()
        with trio.fail_after(5):
            await answered.wait()
        assert list(answers[0]) == ["three"]
        assert answers[0].missing_nodes == 1


async def test_a_broker_that_ends_while_it_asks_lets_nobody_hang(
    cluster: Any, clock: object
) -> None:
    one, two = cluster.broker(), cluster.broker()
    results: list[object] = []

    @two.on_server("slow")
    async def slow() -> None:
        await trio.sleep_forever()

    async def ask(question: Any, *args: Any) -> None:
        try:
            results.append(await question(*args))
        except BrokerNotRunning as error:
            results.append(error)

    async with two, cluster.end(two) as b, trio.open_nursery() as nursery:
        b.client.answer("poll", lambda: NO_ACK)
        async with one:
            nursery.start_soon(ask, one.server_side_emit_with_ack, "slow")
            nursery.start_soon(ask, one.timeout(60).emit_with_ack, "poll")
            with trio.fail_after(5):
                while one.statistics().pending_requests < 2:
                    await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(1):
            while len(results) < 2:
                await trio.testing.wait_all_tasks_blocked()
        assert all(isinstance(each, Answers) for each in results)
        assert one.statistics() == Statistics()


async def test_when_all_has_been_done_nothing_is_left(cluster: Any, clock: object) -> None:
    one, two = cluster.broker(), cluster.broker()
    async with one, two:
        before = [at_rest(broker.statistics()) for broker in (one, two)]
        tasks = one.statistics().tasks
        async with cluster.end(one) as a, cluster.end(two) as b:
            for end in (a, b):
                end.client.answer("poll", lambda: 1)
            await one.sockets_join("r")
            await one.to("r").emit_with_ack("poll")
            await two.to("r").fetch_sockets()
            await two.server_side_emit_with_ack("none", timeout=0.1)
            await one.to("r").disconnect_sockets()
            with trio.fail_after(5):
                while a.client.connected or b.client.connected:
                    await trio.testing.wait_all_tasks_blocked()
        await one.fetch_sockets()
        assert [at_rest(broker.statistics()) for broker in (one, two)] == before
        assert one.statistics().tasks == tasks


async def test_who_ends_is_counted_no_more(cluster: Any, clock: object) -> None:
    one, two = cluster.broker(), cluster.broker()
    async with one:
        async with two, cluster.end(two):
            assert len(await one.fetch_sockets()) == 1
        with trio.fail_after(5):
            assert await one.fetch_sockets() == []
            assert (await one.server_side_emit_with_ack("event")).missing_nodes == 0


@pytest.mark.parametrize("close", [False, True])
async def test_a_broker_that_is_cancelled_leaves_the_cluster(cluster: Any, close: bool) -> None:
    one, two = cluster.broker(grace=0.1), cluster.broker()
    async with two, cluster.end(two) as b:
        async with trio.open_nursery() as nursery, one:
            await one.emit("event")
            if not close:
                nursery.cancel_scope.cancel()
        assert await b.client.expect("event") == ()
        assert len(await two.fetch_sockets()) == 1
