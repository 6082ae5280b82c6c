"""Parents: what reaches all children of a pattern or check, and what they have of it."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
import trio

from actors import MailboxFull
from broker import Broker, BrokerNotRunning, Delivery, Room, Socket

ORG = re.compile(r"^/org-\w+$")


async def anybody(name: str, auth: object) -> bool:
    return name.startswith("/team-")


async def test_an_emit_reaches_the_sockets_of_all_children_and_nobody_else() -> None:
    broker = Broker()
    org = broker.of(ORG)
    async with (
        broker,
        broker.test_client("/org-a") as one,
        broker.test_client("/org-b") as two,
        broker.test_client() as other,
    ):
        assert await org.emit("news", b"x") == Delivery(2)
        for client in (one, two):
            assert await client.expect("news") == (b"x",)
        await other.expect_nothing()
        assert sorted(org.children) == ["/org-a", "/org-b"]


async def test_a_question_is_answered_by_the_sockets_of_all_children() -> None:
    broker = Broker()
    org = broker.of(ORG)
    async with (
        broker,
        broker.test_client("/org-a") as one,
        broker.test_client("/org-a") as silent,
        broker.test_client("/org-b") as two,
        broker.test_client() as other,
    ):
        one.answer("name", lambda: "one")
        two.answer("name", lambda: ("t", "wo"))
        with trio.fail_after(5):
            answers = await org.timeout(0.01).emit_with_ack("name")
        assert answers.values == {one.id: "one", two.id: ("t", "wo")}
        assert answers.missing == {silent.id}
        await silent.expect("name")
        await other.expect_nothing()


async def test_rooms_exceptions_and_checks() -> None:
    broker = Broker()
    team = broker.of(anybody)

    @team.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join(*socket.handshake.auth["rooms"])

    async with (
        broker,
        broker.test_client("/team-a", auth={"rooms": ["r", "s"]}) as both,
        broker.test_client("/team-b", auth={"rooms": ["r"]}) as one,
        broker.test_client("/team-b", auth={"rooms": []}) as none,
    ):
        assert await team.to("r").emit("r") == Delivery(2)
        assert await team.to("r").except_("s").emit("not s") == Delivery(1)
        assert await team.except_("r").emit("not r") == Delivery(1)
        assert await team.to().emit("nobody") == Delivery(0)
        assert await team.to(both.id, none.id).emit("ids") == Delivery(2)
        assert await team.volatile.to("s").local.emit("v") in (Delivery(1), Delivery(0, 1))
        for event in ("r", "not s"):
            await one.expect(event)
        for event in ("not r", "ids"):
            await none.expect(event)
        await one.expect_nothing()
        await none.expect_nothing()


async def test_what_a_task_emits_arrives_in_that_order() -> None:
    broker = Broker()
    org = broker.of(ORG)
    async with broker, broker.test_client("/org-a") as one, broker.test_client("/org-b") as two:
        for number in range(20):
            await (org if number % 2 else broker.of("/org-a")).emit("n", number)
        assert [await one.expect("n") for _ in range(20)] == [(number,) for number in range(20)]
        assert [await two.expect("n") for _ in range(10)] == [
            (number,) for number in range(1, 20, 2)
        ]


async def test_emit_nowait() -> None:
    broker = Broker()
    org = broker.of(ORG)
    async with broker, broker.test_client("/org-a") as one, broker.test_client("/org-b") as two:
        org.emit_nowait("tick")
        await one.expect("tick")
        await two.expect("tick")


async def test_emit_nowait_tells_of_a_full_child_and_reaches_the_others() -> None:
    broker = Broker()
    org = broker.of(ORG)
    async with broker, broker.test_client("/org-a"), broker.test_client("/org-b") as two:
        full = broker.of("/org-a")
        with suppress(MailboxFull):
            for _ in range(2_000):
                full.emit_nowait("flood")
        with pytest.raises(MailboxFull):
            org.emit_nowait("tick")
        await two.expect("tick")


async def test_a_cancelled_emit_reaches_nobody() -> None:
    broker = Broker()
    org = broker.of(ORG)
    async with broker, broker.test_client("/org-a") as client:
        with trio.CancelScope() as scope:
            scope.cancel()
            await org.emit("never")
        assert scope.cancelled_caught
        await client.expect_nothing()


async def test_sockets_of_all_children() -> None:
    broker = Broker()
    org = broker.of(ORG)
    async with broker, broker.test_client("/org-a") as one, broker.test_client("/org-b") as two:
        assert {socket.id for socket in await org.fetch_sockets()} == {one.id, two.id}
        await org.sockets_join("vip", "all")
        assert {socket.id for socket in await org.in_("vip").fetch_sockets()} == {one.id, two.id}
        await org.in_(one.id).sockets_leave("vip")
        assert await org.to("vip").emit("e") == Delivery(1)
        await org.in_("all").except_("vip").disconnect_sockets()
        assert [socket.id for socket in await org.fetch_sockets()] == [two.id]


async def test_what_is_registered_later_reaches_children_that_exist() -> None:
    broker = Broker()
    org = broker.of(ORG)
    async with broker, broker.test_client("/org-a") as one:

        @org.on("ask")
        async def ask(socket: Socket) -> int:
            return 1

        @org.on_any
        async def see(socket: Socket, event: str, *args: object) -> None:
            seen.append(event)

        @org.use
        async def check(socket: Socket) -> None:
            seen.append("middleware")

        @org.room_type("table")
        class Table(Room):
            async def receive(self, message: object) -> object:
                return message

        seen: list[str] = []
        assert await one.call("ask") == 1
        async with broker.test_client("/org-a"):
            pass
        await broker.of("/org-a").room("table").tell("x")
        org.off("ask", ask)
        assert broker.of("/org-a").listeners("ask") == []
    assert seen == ["ask", "middleware"]


async def test_a_child_that_the_program_asks_for_is_one_of_them() -> None:
    broker = Broker()
    org = broker.of(ORG)
    child = broker.of("org-a")
    assert child.parent is org
    assert list(org.children) == ["/org-a"]
    for _ in range(2):
        async with broker, broker.test_client("/org-a") as client:
            assert broker.of("/org-a") is child
            assert await org.emit("e") == Delivery(1)
            await client.expect("e")


async def test_it_needs_a_broker_that_runs_and_what_can_be_sent() -> None:
    broker = Broker()
    org = broker.of(ORG)
    for call in (org.emit, org.to("r").emit):
        with pytest.raises(BrokerNotRunning):
            await call("e")
    async with broker:
        assert await org.emit("nobody") == Delivery(0)
        for bad in (org.emit, org.to("r").emit):
            with pytest.raises(TypeError):
                await bad("e", object())
        with pytest.raises(ValueError, match="reserved"):
            org.emit_nowait("disconnect")
        assert await org.fetch_sockets() == []
