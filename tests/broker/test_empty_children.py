"""`cleanup_empty_child_namespaces`: a child that nobody needs ends, and lives again when needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, ConnectError, Delivery, Namespace, Room, Socket

ORG = re.compile(r"^/org-\w+$")


def cleaning(**options: Any) -> Broker:
    return Broker(cleanup_empty_child_namespaces=True, **options)


async def test_by_default_a_child_stays() -> None:
    broker = Broker()
    org = broker.of(ORG)
    async with broker:
        async with broker.test_client("/org-a"):
            pass
        await wait_all_tasks_blocked()
        assert list(org.children) == ["/org-a"]


async def test_a_child_ends_when_its_last_client_has_gone() -> None:
    broker = cleaning()
    org = broker.of(ORG)
    async with broker:
        tasks = broker.statistics().tasks
        async with broker.test_client("/org-a"):
            async with broker.test_client("/org-a"):
                pass
            await wait_all_tasks_blocked()
            assert list(org.children) == ["/org-a"]
        await wait_all_tasks_blocked()
        assert not org.children
        assert broker.statistics().namespaces == 1
        assert broker.statistics().tasks == tasks
        async with broker.test_client("/org-a") as client:
            assert await org.emit("e") == Delivery(1)
            await client.expect("e")


async def test_it_lives_until_the_last_disconnect_hook_has_run() -> None:
    broker = cleaning()
    org = broker.of(ORG)
    seen: list[object] = []

    @org.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        seen.append((list(org.children), await socket.namespace.emit("gone")))

    async with broker:
        async with broker.test_client("/org-a"):
            pass
        await wait_all_tasks_blocked()
        assert seen == [(["/org-a"], Delivery(0))]
        assert not org.children


async def test_one_in_middleware_keeps_it() -> None:
    broker = cleaning()
    org = broker.of(ORG)
    go = trio.Event()

    @org.use
    async def check(socket: Socket) -> None:
        if socket.handshake.auth:
            await go.wait()

    async with broker, trio.open_nursery() as nursery:
        one = broker.test_client("/org-a")
        await one.__aenter__()
        child = org.children["/org-a"]

        async def slow() -> None:
            async with broker.test_client("/org-a", auth={"slow": True}) as client:
                assert await child.emit("e") == Delivery(1)
                await client.expect("e")

        nursery.start_soon(slow)
        await wait_all_tasks_blocked()
        await one.__aexit__(None, None, None)
        await wait_all_tasks_blocked()
        assert org.children["/org-a"] is child
        go.set()


async def test_one_that_lets_nobody_in_ends() -> None:
    broker = cleaning()
    org = broker.of(ORG)

    @org.use
    async def refuse(socket: Socket) -> None:
        raise ConnectError("no")

    async with broker:
        with pytest.raises(ConnectError):
            async with broker.test_client("/org-a"):
                pass
        await wait_all_tasks_blocked()
        assert not org.children
        assert broker.statistics().namespaces == 1


async def test_a_room_of_a_type_keeps_it(autojump_clock: MockClock) -> None:
    broker = cleaning()
    org = broker.of(ORG)
    closed: list[float] = []

    @org.room_type("table")
    class Table(Room):
        linger = 7.0

        async def on_close(self) -> None:
            closed.append(trio.current_time())

    @org.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join("table")

    async with broker:
        async with broker.test_client("/org-a"):
            pass
        await trio.sleep(6.9)
        assert list(org.children) == ["/org-a"]
        await trio.sleep(0.2)
        assert closed
        assert not org.children


async def test_a_room_that_fails_does_not_keep_it(caplog: pytest.LogCaptureFixture) -> None:
    broker = cleaning()
    broker.of(ORG)

    @broker.of("/org-a").room_type("table")
    class Table(Room):
        on_error = "crash"

        async def receive(self, message: object) -> None:
            raise LookupError("crash")

    async with broker:
        child = broker.of("/org-a")
        await child.room("table").tell("x")
        await wait_all_tasks_blocked()
        assert broker.statistics().namespaces == 1


async def test_who_holds_one_that_has_ended_reaches_the_one_that_lives() -> None:
    broker = cleaning()
    org = broker.of(ORG)
    held: list[Namespace] = []

    @org.room_type("table")
    class Table(Room):
        async def receive(self, message: object) -> object:
            await self.emit("told", message)
            return message

    @org.on("connection")
    async def connected(socket: Socket) -> None:
        assert isinstance(socket.namespace, Namespace)
        held.append(socket.namespace)
        await socket.join("room", "table")

    async with broker:
        async with broker.test_client("/org-a"):
            pass
        await wait_all_tasks_blocked()
        (namespace,) = held
        assert not namespace.sockets
        assert await namespace.emit("nobody") == Delivery(0)
        await namespace.room("table").tell("x")
        await wait_all_tasks_blocked()
        assert not org.children
        async with broker.test_client("/org-a") as client:
            assert held[1] is not namespace
            assert list(namespace.sockets) == [client.id]
            assert namespace.rooms["room"] == {client.id}
            assert namespace.room("room").size == 1
            assert await namespace.to("room").emit("e") == Delivery(1)
            await namespace.room("table").tell("y")
            assert await client.expect("told") == ("y",)
        await wait_all_tasks_blocked()
        assert not org.children


async def test_questions_by_one_that_is_held_and_by_the_one_that_lives_are_not_mixed_up() -> None:
    broker = Broker(cleanup_empty_child_namespaces=True)
    org = broker.of(re.compile(r"^/org-\w+$"))
    answers: dict[str, object] = {}

    async def ask(namespace: Namespace, question: str) -> None:
        answers[question] = list(await namespace.timeout(1).emit_with_ack(question))

    async with broker:
        async with broker.test_client("/org-a"):
            held = org.children["/org-a"]
        await wait_all_tasks_blocked()
        assert not org.children
        async with broker.test_client("/org-a") as client:
            client.answer("colour", lambda: "red")
            client.answer("age", lambda: 7)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, held, "colour")
                nursery.start_soon(ask, org.children["/org-a"], "age")
    assert answers == {"colour": ["red"], "age": [7]}


async def test_one_the_program_has_asked_for_keeps_its_handlers_and_no_task() -> None:
    broker = cleaning()
    org = broker.of(ORG)
    child = broker.of("/org-a")

    @child.on("ask")
    async def ask(socket: Socket) -> int:
        return 1

    async with broker:
        for _ in range(2):
            await wait_all_tasks_blocked()
            assert broker.statistics().namespaces == 1
            assert await org.emit("nobody") == Delivery(0)
            async with broker.test_client("/org-a") as client:
                assert broker.of("/org-a") is child
                assert await client.call("ask") == 1
                assert broker.statistics().namespaces == 2


async def test_children_are_those_that_live_and_those_the_program_has_asked_for() -> None:
    broker = cleaning()
    org = broker.of(ORG)
    named = broker.of("/org-named")
    assert dict(org.children) == {"/org-named": named}
    async with broker:
        async with broker.test_client("/org-named"), broker.test_client("/org-came"):
            assert sorted(org.children) == ["/org-came", "/org-named"]
        await wait_all_tasks_blocked()
        assert broker.statistics().namespaces == 1
        assert dict(org.children) == {"/org-named": named}
        assert broker.of("/org-came") is org.children["/org-came"]
    assert sorted(org.children) == ["/org-came", "/org-named"]


async def test_a_client_that_leaves_while_the_check_says_yes_leaves_no_child(
    wire: Callable[..., Any],
) -> None:
    broker = cleaning()
    go = trio.Event()

    async def check(name: str, auth: object) -> bool:
        with trio.CancelScope(shield=True):
            await go.wait()
        return True

    team = broker.of(check)
    async with broker, wire(broker) as client:
        await client.send("40/team-a,")
        await wait_all_tasks_blocked()
        await client.send("41/team-a,")
        await wait_all_tasks_blocked()
        go.set()
        await wait_all_tasks_blocked()
        assert not team.children
        assert broker.statistics().namespaces == 1
