"""Listeners to rooms and to namespaces that come to be."""

from __future__ import annotations

import re

import pytest
from trio.testing import wait_all_tasks_blocked

from broker import Broker, JoinRefused, Namespace, Room, Socket
from broker.sockets.namespace import NamespaceRegistry

Seen = list[tuple[str, ...]]


def listening(namespace: NamespaceRegistry) -> Seen:
    seen: Seen = []

    @namespace.on_room("create")
    def created(room: str) -> None:
        seen.append(("create", room))

    @namespace.on_room("join")
    def joined(room: str, sid: str) -> None:
        seen.append(("join", room, sid))

    @namespace.on_room("leave")
    def left(room: str, sid: str) -> None:
        seen.append(("leave", room, sid))

    @namespace.on_room("delete")
    def deleted(room: str) -> None:
        seen.append(("delete", room))

    return seen


async def test_they_come_in_nodes_order_and_not_for_own_rooms() -> None:
    broker = Broker()
    seen = listening(broker)

    @broker.on("join")
    async def join(socket: Socket, room: str) -> None:
        await socket.join(room, room)

    @broker.on("leave")
    async def leave(socket: Socket, room: str) -> None:
        await socket.leave(room, "another")

    async with broker.test_client() as one, broker.test_client() as two:
        await one.call("join", "r")
        await two.call("join", "r")
        await one.call("leave", "r")
        await two.call("leave", "r")
        assert seen == [
            ("create", "r"),
            ("join", "r", one.id),
            ("join", "r", two.id),
            ("leave", "r", one.id),
            ("leave", "r", two.id),
            ("delete", "r"),
        ]
        seen.clear()
        await two.call("join", "r")
    assert seen == [
        ("create", "r"),
        ("join", "r", two.id),
        ("leave", "r", two.id),
        ("delete", "r"),
    ]


async def test_a_room_of_a_type_who_is_refused_is_not_heard_of() -> None:
    broker = Broker()
    seen = listening(broker)

    @broker.room_type("table")
    class Table(Room):
        on_error = "crash"

        async def on_join(self, socket: Socket) -> None:
            if socket.handshake.auth.get("refused"):
                raise JoinRefused("no")

        async def receive(self, message: object) -> None:
            raise LookupError(message)

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        try:
            await socket.join("table")
        except JoinRefused:
            await socket.emit("refused")

    async with broker.test_client() as one, broker.test_client(auth={"refused": True}) as two:
        await two.expect("refused")
        assert seen == [("create", "table"), ("join", "table", one.id)]
        seen.clear()
        await broker.room("table").tell("crash")
        await wait_all_tasks_blocked()
        assert seen == [("leave", "table", one.id), ("delete", "table")]


async def test_a_listener_that_fails_is_logged_and_hurts_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()

    @broker.on_room("join")
    def fails(room: str, sid: str) -> None:
        raise LookupError("listener")

    seen = listening(broker)

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join("r")

    async with broker.test_client():
        await wait_all_tasks_blocked()
        assert [event for event, *_ in seen] == ["create", "join"]
    assert "room 'r': the listener" in caplog.text


async def test_those_of_a_parent_hear_of_all_children() -> None:
    broker = Broker()
    org = broker.of(re.compile("^/org-"))

    @org.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join("r")

    async with broker.test_client("/org-a"):
        seen = listening(org)  # later than the child
        own = listening(broker.of("/org-a"))
        async with broker.test_client("/org-b") as two, broker.test_client("/org-a") as three:
            await wait_all_tasks_blocked()
            assert ("create", "r") in seen
            assert ("join", "r", two.id) in seen
            assert own == [("join", "r", three.id)]


@pytest.mark.parametrize("bad", ["joined", "", None])
def test_there_are_four_of_them(bad: object) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        Broker().on_room(bad)(print)  # type: ignore[arg-type]


def test_they_are_sync_and_take_what_they_are_given() -> None:
    async def waits(room: str, sid: str) -> None: ...

    def one(room: str) -> None: ...

    for bad in (waits, one):
        with pytest.raises(TypeError, match="on_room"):
            Broker().on_room("join")(bad)


# Namespaces.


async def test_a_new_namespace_is_told_of_before_anybody_enters() -> None:
    broker = Broker()
    names: list[str] = []

    @broker.on_new_namespace
    def born(namespace: Namespace) -> None:
        names.append(namespace.name)

        @namespace.on("ask")
        async def ask(socket: Socket) -> str:
            return namespace.name

    broker.of("/chat")
    broker.of("chat")
    broker.of(re.compile("^/org-"))
    async with broker, broker.test_client("/org-a") as one, broker.test_client("/org-a") as two:
        assert await one.call("ask") == await two.call("ask") == "/org-a"
    assert names == ["/chat", "/org-a"]


async def test_a_child_that_has_ended_is_new_again() -> None:
    broker = Broker(cleanup_empty_child_namespaces=True)
    broker.of(re.compile("^/org-"))
    names: list[str] = []
    broker.on_new_namespace(lambda namespace: names.append(namespace.name))
    async with broker:
        for _ in range(2):
            async with broker.test_client("/org-a"):
                pass
            await wait_all_tasks_blocked()
    assert names == ["/org-a", "/org-a"]


async def test_one_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker()

    @broker.on_new_namespace
    def fails(namespace: Namespace) -> None:
        raise LookupError("listener")

    assert broker.of("/chat").name == "/chat"
    assert "failed for <Namespace '/chat'>" in caplog.text

    async def waits(namespace: Namespace) -> None: ...

    with pytest.raises(TypeError, match="on_new_namespace"):
        broker.on_new_namespace(waits)
