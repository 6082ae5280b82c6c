"""The bus and its weather, and what a broker makes of links that fail; in virtual time."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import NO_ACK, Answers, Broker, Options, Room
from broker.adapters import Adapter, Bus, Link, ThisNode
from broker.cluster.cluster_target import ClusterTarget
from broker.cluster.inbound import MOST
from broker.rooms.target import Target
from broker.testing.client import TestClient
from protocol.cluster.messages import (
    Broadcast,
    ClientAnswered,
    ClientCount,
    Closed,
    Envelope,
    FetchThem,
    Heartbeat,
    LetIn,
    Recipients,
    ServerEvent,
    SocketFacts,
    SocketsFetched,
)

ALL = Recipients()


def pair(bus: Bus) -> tuple[Broker, Broker]:
    return Broker(adapter=bus.named("one")), Broker(adapter=bus.named("two"))


class Eavesdropping(Bus):
    """A bus that keeps what goes over it."""

    def __init__(self) -> None:
        self.heard: list[Envelope] = []
        super().__init__(weather=self._note)

    def _note(self, _sender: str, _receiver: str, envelope: Envelope) -> Sequence[float]:
        self.heard.append(envelope)
        return (0.0,)

    @property
    def messages(self) -> list[Any]:
        return [envelope.message for envelope in self.heard]


def watched(client: TestClient) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    client.watch(lambda event, args: seen.append((event, *args)))
    return seen


# What goes over it.


async def test_what_is_for_a_socket_of_this_node_does_not_touch_the_bus() -> None:
    bus = Eavesdropping()
    one, two = pair(bus)
    async with one, two, one.test_client() as a, one.test_client() as b:
        await one.to(a.id).emit("event")
        one.to(a.id, b.id).emit_nowait("event")
        await one.sockets[a.id].emit("event")
        await one.sockets[a.id].volatile.emit("event")
        await one.to(a.id).sockets_join("r")
        assert len(await one.to(a.id).fetch_sockets()) == 1
        await one.local.emit("event")
        await one.to().emit("event")
        await wait_all_tasks_blocked()
        assert bus.heard == []
        await one.to("r").emit("event")
        assert len(bus.heard) == 1


async def test_an_id_of_node_may_be_a_room_of_others() -> None:
    bus = Eavesdropping()
    one, two = Broker(adapter=bus, profile="node"), Broker(adapter=bus, profile="node")
    async with one, two, one.test_client() as a, two.test_client() as b:
        await two.sockets[b.id].join(a.id)
        await one.to(a.id).emit("event")
        assert await b.expect("event") == ()


async def test_what_one_node_does_to_an_argument_no_other_sees() -> None:
    bus = Bus()
    one, two = pair(bus)
    three = Broker(adapter=bus)
    seen: list[list[int]] = []
    for broker in (two, three):

        @broker.on_server("list")
        async def take(values: list[int]) -> int:
            values.append(len(values))
            seen.append(values)
            return len(values)

    async with one, two, three:
        assert sorted(await one.server_side_emit_with_ack("list", [])) == [1, 1]
        assert seen == [[0], [0]]


# Weather.


async def test_what_is_late_is_late_for_all_that_comes_behind(autojump_clock: MockClock) -> None:
    bus = Bus()
    one, two = pair(bus)
    dice = random.Random(1)
    bus.weather = lambda *_: (dice.random(),)
    async with one, two, one.test_client() as a, two.test_client() as b:
        seen = watched(b)
        for number in range(50):
            await one.emit("event", number)
        assert [await a.expect("event") for _ in range(50)] == [(number,) for number in range(50)]
        assert trio.current_time() < 0.1  # nobody here has waited for the bus
        for _ in range(50):
            await b.expect("event")
        assert seen == [("event", number) for number in range(50)]


async def test_what_is_lost_is_lost_and_what_can_be_asked_again_is(
    autojump_clock: MockClock,
) -> None:
    bus = Bus()
    one, two = pair(bus)
    async with one, two, two.test_client() as b:
        bus.weather = lambda *_: ()
        await one.emit("lost")
        async with trio.open_nursery() as nursery:
            fetched: list[str] = []

            async def fetch() -> None:
                fetched.extend(each.id for each in await one.fetch_sockets())

            nursery.start_soon(fetch)
            await trio.sleep(0.5)
            bus.weather = lambda *_: (0.0,)
        assert fetched == [b.id]
        assert trio.current_time() < 2
        await one.emit("event")
        assert await b.expect("event") == ()


async def test_what_comes_twice_is_answered_once(autojump_clock: MockClock) -> None:
    bus = Bus()
    one, two = pair(bus)
    three = Broker(adapter=bus)
    asked = 0

    @two.on_server("event")
    async def event() -> int:
        nonlocal asked
        asked += 1
        return asked

    @three.on_server("event")
    async def slow() -> str:
        await trio.sleep(1)
        return "three"

    bus.weather = lambda *_: (0.0, 0.1)
    async with one, two, three, two.test_client() as b:
        assert sorted(map(str, await one.server_side_emit_with_ack("event"))) == ["1", "three"]
        assert [each.id for each in await one.fetch_sockets()] == [b.id]
        await one.sockets_join("r")
        await trio.sleep(1)
        assert two.rooms == {"r": {b.id}}


async def test_who_is_cut_off_is_waited_for_until_the_deadline_and_missed(
    autojump_clock: MockClock,
) -> None:
    bus = Bus()
    one, two = pair(bus)
    async with one, two, one.test_client() as a, two.test_client() as b:
        for client in (a, b):
            client.answer("poll", lambda: 1)
        bus.part(["one"], ["two"])
        begun = trio.current_time()
        with pytest.raises(trio.TooSlowError, match=r"1 other node\(s\) of / .* within 5 s"):
            await one.fetch_sockets()
        assert trio.current_time() - begun == pytest.approx(5)
        with pytest.raises(trio.TooSlowError, match="within 2 s"):
            await one.to("r").timeout(2).fetch_sockets()
        assert [each.id for each in await one.local.fetch_sockets()] == [a.id]
        answers = await one.timeout(3).emit_with_ack("poll")
        assert answers == Answers({a.id: 1}, missing_nodes=1)
        answers = await one.server_side_emit_with_ack("event", timeout=4)
        assert answers == Answers({}, missing_nodes=1)
        assert trio.current_time() - begun == pytest.approx(14)
        bus.mend()
        await one.emit("event")
        assert await b.expect("event") == ()
        assert len(await one.fetch_sockets()) == 2
        assert one.statistics().pending_requests == 0


async def test_a_node_that_dies_before_it_answers_makes_nobody_wait_long(
    autojump_clock: MockClock,
) -> None:
    bus = Bus()
    one, two = pair(bus)
    async with one, one.test_client() as a, trio.open_nursery() as dying:
        a.answer("poll", lambda: 1)

        async def live() -> None:
            async with two, two.test_client() as client:
                client.answer("poll", lambda: NO_ACK)
                await trio.sleep_forever()

        dying.start_soon(live)
        await wait_all_tasks_blocked()
        bus.part(["one"], ["two"])  # so it cannot say that it goes
        results: list[Any] = []

        async def ask(question: Any, *args: Any) -> None:
            results.append(await question(*args))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, one.timeout(60).fetch_sockets)
            nursery.start_soon(ask, one.timeout(60).emit_with_ack, "poll")
            nursery.start_soon(ask, one.server_side_emit_with_ack, "event")
            await trio.sleep(0.1)
            dying.cancel_scope.cancel()
        assert trio.current_time() < 3
        assert [one.sockets[a.id]] in results
        assert Answers({a.id: 1}, missing_nodes=1) in results
        assert Answers({}, missing_nodes=1) in results


async def test_who_comes_while_it_is_asked_is_asked_too(autojump_clock: MockClock) -> None:
    bus = Bus()
    one, two = pair(bus)
    three = Broker(adapter=bus.named("three"))
    async with one, two:
        bus.part(["one", "three"], ["two"])
        async with trio.open_nursery() as nursery:
            fetched: list[str] = []

            async def fetch() -> None:
                fetched.extend(each.id for each in await one.fetch_sockets())

            nursery.start_soon(fetch)
            await trio.sleep(0.5)
            async with three, three.test_client() as client:
                bus.mend()
                await trio.sleep(2)
            assert fetched == [client.id]


# What others say that makes no sense, or too much of it.


class Stranger(Bus):
    """A bus on which the test itself speaks."""

    def __init__(self) -> None:
        super().__init__()
        self.node: ThisNode | None = None

    def link(self, node: ThisNode) -> Link:
        self.node = node
        return super().link(node)

    def say(self, message: Any, namespace: str = "/", node: str = "stranger") -> None:
        assert self.node is not None
        self.node.deliver(Envelope(node, namespace, message))


NONSENSE: list[Any] = [
    Broadcast(ALL, []),
    Broadcast(ALL, "event"),  # type: ignore[arg-type]
    Broadcast(ALL, [1]),
    Broadcast(ALL, ["connect"]),
    Broadcast(ALL, ["event", object()]),
    Broadcast(Recipients(rooms="r"), ["event"]),  # type: ignore[arg-type]
    Broadcast(Recipients(rooms=(1,)), ["event"]),  # type: ignore[arg-type]
    Broadcast(Recipients(excluded=([],)), ["event"]),  # type: ignore[arg-type]
    Broadcast(None, ["event"]),  # type: ignore[arg-type]
    Broadcast(ALL, [["event"]], request_id="1"),
    LetIn(ALL, ("",)),
    LetIn(ALL, (None,)),  # type: ignore[arg-type]
    LetIn(ALL, None),  # type: ignore[arg-type]
    LetIn(ALL, ("x" * 1000,)),
    ServerEvent([]),
    ServerEvent("event"),  # type: ignore[arg-type]
    ServerEvent([{}]),
    FetchThem(Recipients(rooms=({},)), "1"),  # type: ignore[arg-type]
    ClientCount([], 1),  # type: ignore[arg-type]
    ClientCount("1", "2"),  # type: ignore[arg-type]
    ClientAnswered("1", None),  # type: ignore[arg-type]
    SocketsFetched("1", (None,)),  # type: ignore[arg-type]
    SocketsFetched("1", (SocketFacts("id", {}, (1,), {}),)),  # type: ignore[arg-type]
    None,
    "text",
]


@pytest.mark.parametrize("message", NONSENSE, ids=repr)
async def test_nonsense_is_logged_once_and_ignored(
    message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bus = Stranger()
    broker = Broker(adapter=bus)
    async with broker, broker.test_client() as client:
        with caplog.at_level(logging.WARNING, "atrio.adapter"):
            for _ in range(3):
                bus.say(message)
            bus.say(Broadcast(ALL, ["event"]))
            assert await client.expect("event") == ()
        await client.expect_nothing()
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "stranger" in caplog.text
        assert broker.rooms == {}
        assert broker.statistics().dropped_between_nodes == 3


async def test_what_nobody_has_asked_is_ignored() -> None:
    bus = Stranger()
    broker = Broker(adapter=bus)
    async with broker, broker.test_client() as client:
        bus.say(SocketsFetched("unknown", ()))
        bus.say(ClientCount("unknown", 1))
        bus.say(Closed())
        bus.say(Heartbeat())
        bus.say(Broadcast(ALL, ["event"]), namespace="/unknown")
        bus.say(FetchThem(ALL, "1"), node="")
        await client.expect_nothing()


async def test_an_emitter_is_heard_though_it_is_no_node() -> None:
    bus = Stranger()
    broker = Broker(adapter=bus)
    async with broker, broker.test_client() as client:
        for node in ("emitter", ""):
            bus.say(Broadcast(ALL, ["event", node]), node=node)
            assert await client.expect("event") == (node,)


async def test_what_is_told_amiss_of_a_socket_is_as_if_untold(autojump_clock: MockClock) -> None:
    bus = Stranger()
    broker = Broker(adapter=bus)

    class Telling(Bus):
        pass

    facts = SocketFacts(
        "id", {"headers": {"Cookie": ["a=1", "b=2"], "X": 1}, "query": 5, "issued": "x"}, ("r",), 7
    )
    async with broker, trio.open_nursery() as nursery:
        link = bus.link_of("other", bus.node)  # type: ignore[arg-type]
        link.open("/")
        answers = iter([facts])

        def weather(_sender: str, _receiver: str, envelope: Envelope) -> Sequence[float]:
            if isinstance(envelope.message, FetchThem):
                bus.say(SocketsFetched(envelope.message.request_id, tuple(answers)))
            return ()

        bus.weather = weather
        await nursery.start(lambda *, task_status: link.run(task_status=task_status))
        (remote,) = await broker.fetch_sockets()
        assert remote.id == "id"
        assert dict(remote.handshake.headers) == {"cookie": "a=1, b=2", "x": "1"}
        assert remote.handshake.query == {}
        assert remote.handshake.time == 0
        nursery.cancel_scope.cancel()


async def test_what_is_too_much_is_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    bus = Stranger()
    broker = Broker(adapter=bus)
    async with broker, broker.test_client():
        for _ in range(1 + MOST + 5):  # one is being done at once
            bus.say(Broadcast(Recipients(rooms=("none",)), ["event"]))
        statistics = broker.statistics()
        assert statistics.inbound_messages == MOST
        assert statistics.dropped_between_nodes == 5
        assert len(caplog.records) == 1
        with trio.fail_after(30):
            while broker.statistics().inbound_messages:
                await wait_all_tasks_blocked()


# Links that fail.


class Sick(Adapter):
    """An adapter whose links are as the test wants."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self.run = run
        self.is_healthy = True
        self.bus = Bus()

    def link(self, node: ThisNode) -> Link:
        link = self.bus.link(node)
        adapter = self

        class SickLink(type(link)):  # type: ignore[misc]
            async def run(self, **keywords: Any) -> None:
                await adapter.run(**keywords)

            @property
            def healthy(self) -> bool:
                return adapter.is_healthy

        link.__class__ = SickLink
        return link


async def test_a_link_that_cannot_begin_ends_the_start_with_its_error() -> None:
    async def run(**_: Any) -> None:
        raise ConnectionRefusedError("no redis there")

    broker = Broker(adapter=Sick(run))
    with pytest.raises(ConnectionRefusedError, match="no redis there"):
        async with broker:
            raise AssertionError("it has begun")
    with pytest.raises(ConnectionRefusedError):
        await broker.serve("127.0.0.1", 0)
    assert broker.addresses == []


async def test_nobody_is_let_in_before_the_link_hears(autojump_clock: MockClock) -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(3)
        task_status.started()
        await trio.sleep_forever()

    broker = Broker(adapter=Sick(run))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker.serve, "127.0.0.1", 0)
        await trio.sleep(1)
        assert broker.addresses == []
        async with broker.test_client():  # it waits, too
            assert trio.current_time() >= 3
        nursery.cancel_scope.cancel()


async def test_a_start_that_is_cancelled_while_the_link_begins_ends(
    autojump_clock: MockClock,
) -> None:
    async def run(**_: Any) -> None:
        await trio.sleep_forever()

    broker = Broker(adapter=Sick(run))
    with trio.move_on_after(1) as scope:
        async with broker:
            raise AssertionError("it has begun")
    assert scope.cancelled_caught
    assert trio.current_time() < 2


async def test_a_broker_that_is_closed_while_the_link_begins_ends(
    autojump_clock: MockClock,
) -> None:
    async def run(**_: Any) -> None:
        await trio.sleep_forever()

    broker = Broker(adapter=Sick(run))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker.serve, "127.0.0.1", 0)
        nursery.start_soon(broker.serve, "127.0.0.1", 0)
        await trio.sleep(1)
        with trio.fail_after(10):
            await broker.close()
    assert trio.current_time() < 10
    assert broker.addresses == []


@pytest.mark.parametrize("fails", [False, True], ids=["ends", "fails"])
async def test_a_link_that_ends_later_ends_the_broker_for_all_to_see(fails: bool) -> None:
    go = trio.Event()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await go.wait()
        if fails:
            raise ZeroDivisionError

    broker = Broker(adapter=Sick(run))

    async def live() -> None:
        async with broker:
            go.set()
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await live()
    assert caught.group_contains(ZeroDivisionError if fails else RuntimeError)


async def test_the_health_check_is_red_while_the_link_is_away(http: Callable[..., Any]) -> None:
    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep_forever()

    adapter = Sick(run)
    async with Broker(adapter=adapter, healthz="/healthz") as broker, http(broker) as client:
        assert (await client.request("GET", "/healthz"))[0] == 200
        adapter.is_healthy = False
        status, _, body = await client.request("GET", "/healthz")
        assert (status, body) == (503, b"out of touch with other nodes\n")
        adapter.is_healthy = True
        assert (await client.request("GET", "/healthz"))[0] == 200


# Options, and rooms of users' types.


def test_alone_a_target_is_what_it_was() -> None:
    assert type(Broker().to("r")) is type(Broker(adapter=Bus()).to("r").local) is Target
    assert type(Broker(adapter=Bus()).to("r")) is ClusterTarget


def test_the_option_takes_an_adapter() -> None:
    assert Options().adapter is None
    with pytest.raises(TypeError, match=r"not its class: write it with \(\.\.\.\)"):
        Options(adapter=Bus)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"an Adapter of broker\.adapters, saw 'redis://x'"):
        Options(adapter="redis://x")  # type: ignore[arg-type]


async def test_a_rooms_type_must_say_that_each_node_has_its_own() -> None:
    def broker(**keywords: bool) -> Broker:
        broker = Broker(adapter=Bus())

        @broker.of("/chat").room_type("table:*", **keywords)
        class Table(Room):
            pass

        return broker

    with pytest.raises(RuntimeError, match=r"room_type\('table:\*'\) for Table.*per_node"):
        async with broker():
            raise AssertionError("it has begun")
    async with broker(per_node=True) as running:
        with pytest.raises(RuntimeError, match="per_node=True"):
            running.of("/chat").room_type("late:*")(Room)
        with pytest.raises(RuntimeError, match="per_node=True"):
            running.of("/new").room_type("late:*")(Room)
        with pytest.raises(RuntimeError, match="per_node=True"):
            running.of(re.compile("^/org-")).room_type("late:*")(Room)
    alone = Broker()
    alone.room_type("table:*")(Room)
    async with alone:
        pass


async def test_the_room_type_of_a_parent_must_say_so_too() -> None:
    async def check(_name: str, _auth: object) -> bool:
        return True

    broker = Broker(adapter=Bus())
    broker.of(check).room_type("table:*")(Room)
    with pytest.raises(RuntimeError, match="per_node=True"):
        async with broker:
            raise AssertionError("it has begun")


# Links that hear of rooms.


async def test_a_link_hears_which_rooms_there_are() -> None:
    there: set[tuple[str, str]] = set()

    class Interested(Bus):
        def link(self, node: ThisNode) -> Link:
            link = super().link(node)

            class Hearing(type(link)):  # type: ignore[misc]
                def interested(self, namespace: str, room: str, there_is: bool) -> None:
                    if there_is:
                        there.add((namespace, room))
                    else:
                        there.remove((namespace, room))

            link.__class__ = Hearing
            return link

    broker = Broker(adapter=Interested())
    async with broker:
        async with broker.test_client() as client:
            socket = broker.sockets[client.id]
            await socket.join("red", "blue")
            assert there == {("/", client.id), ("/", "red"), ("/", "blue")}
            await socket.leave("red")
            await wait_all_tasks_blocked()
            assert there == {("/", client.id), ("/", "blue")}
        await wait_all_tasks_blocked()
        assert there == set()
