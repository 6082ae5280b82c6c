"""Namespaces: several over one connection, each with its own handlers, rooms and sockets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, ConnectError, Namespace, Socket


def test_of_creates_or_returns() -> None:
    broker = Broker()
    chat = broker.of("/chat")
    assert isinstance(chat, Namespace)
    assert broker.of("chat") is broker.of("/chat") is chat
    assert chat.name == "/chat"
    assert broker.of("").name == broker.of("/").name == "/"


@pytest.mark.parametrize("name", ["*", "/org-*"])
def test_a_star_is_part_of_a_name_and_the_log_says_so_once(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    assert broker.of(name) is broker.of(name)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("atrio.broker", "WARNING")
    assert "of(re.compile(...))" in record.getMessage()


async def test_several_over_one_connection_are_apart(wire: Callable[..., Any]) -> None:
    broker = Broker()
    names = ("/", "/chat", "/admin", "/ünï")
    for name in names:

        async def where(socket: Socket, name: str = name) -> str:
            return name

        broker.of(name).on("where", where)

    async with broker, wire(broker) as client:
        ids = [await client.enter(name) for name in names]
        assert len(set(ids)) == 4
        assert broker.statistics().connections == 1
        assert broker.statistics().sockets == 4
        for name in names:
            prefix = "" if name == "/" else name + ","
            await client.send(f'42{prefix}7["where"]')
            assert await client.get() == f'43{prefix}7["{name}"]'
        await client.send("41/chat,")
        await wait_all_tasks_blocked()
        assert len(broker.of("/chat").sockets) == 0
        assert len(broker.of("/admin").sockets) == len(broker.sockets) == 1


async def test_the_same_room_name_in_two_namespaces_is_two_rooms() -> None:
    broker = Broker()
    one, two = broker.of("/one"), broker.of("/two")
    async with (
        broker,
        broker.test_client("/one") as first,
        broker.test_client("two") as second,
    ):
        await one.sockets_join("room")
        await two.sockets_join("room")
        assert one.rooms["room"] == {first.id}
        assert two.rooms["room"] == {second.id}
        await one.to("room").emit("e", 1)
        assert await first.expect("e") == (1,)
        await second.expect_nothing()
        await two.sockets_leave("room")
        assert "room" in one.rooms
        assert "room" not in two.rooms
        assert "room" not in broker.rooms


@pytest.mark.parametrize("name", ["/nowhere", "/chat/", "/Chat", "/chat?x=1"])
async def test_an_unknown_namespace_is_refused_and_no_other_notices(
    name: str, wire: Callable[..., Any]
) -> None:
    broker = Broker()
    broker.of("/chat")
    async with broker, wire(broker) as client:
        await client.enter()
        await client.send(f"40{name},")
        assert await client.get() == f'44{name},{{"message":"Invalid namespace"}}'
        assert len(broker.sockets) == 1
        assert broker.statistics().namespaces == 2


async def test_a_pattern_gives_namespaces_that_are_apart() -> None:
    broker = Broker()
    org = broker.of(re.compile(r"^/org-\w+$"))

    @org.on("where")
    async def where(socket: Socket) -> str:
        return socket.namespace.name

    async with broker, broker.test_client("/org-a") as one, broker.test_client("/org-b") as two:
        assert (await one.call("where"), await two.call("where")) == ("/org-a", "/org-b")
        await broker.of("/org-a").emit("e")
        assert await one.expect("e") == ()
        await two.expect_nothing()
        with pytest.raises(ConnectError, match="Invalid namespace"):
            async with broker.test_client("/org-"):
                pass


async def test_a_handler_of_one_child_is_not_its_siblings() -> None:
    broker = Broker()
    broker.of(re.compile(r"^/org-\w+$"))
    called: list[str] = []

    @broker.of("/org-a").on("event")
    async def event(socket: Socket) -> None:
        called.append(socket.namespace.name)

    async with broker, broker.test_client("/org-a") as one, broker.test_client("/org-b") as two:
        await two.emit("event")
        await one.emit("event")
        await wait_all_tasks_blocked()
        assert called == ["/org-a"]


async def test_a_check_lets_in_by_name_and_auth() -> None:
    broker = Broker()
    asked: list[tuple[str, object]] = []

    async def check(name: str, auth: dict[str, object]) -> bool:
        asked.append((name, auth))
        return name.startswith("/d-") and auth.get("token") == "right"

    broker.of(check)
    async with broker:
        with pytest.raises(ConnectError, match="Invalid namespace"):
            async with broker.test_client("/d-1", auth={"token": "wrong"}):
                pass
        async with broker.test_client("/d-1", auth={"token": "right"}) as client:
            assert client.connected
        assert asked == [("/d-1", {"token": "wrong"}), ("/d-1", {"token": "right"})]


async def test_a_check_is_asked_for_each_client() -> None:
    """It sees the client's `auth`: who comes second is not let in on the word of the first."""
    broker = Broker()

    async def check(name: str, auth: dict[str, object]) -> bool:
        return auth.get("token") == "right"

    broker.of(check)
    async with broker, broker.test_client("/d", auth={"token": "right"}):
        with pytest.raises(ConnectError, match="Invalid namespace"):
            async with broker.test_client("/d", auth={"token": "wrong"}):
                pass


@pytest.mark.parametrize("how", ["raises", "hangs"])
async def test_a_check_that_fails_or_hangs_refuses(
    how: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(middleware_timeout=3.0)

    async def check(name: str, auth: object) -> bool:
        if how == "hangs":
            await trio.sleep_forever()
        raise ValueError("swordfish")

    broker.of(check)
    with pytest.raises(ConnectError, match="Invalid namespace"):
        async with broker.test_client("/d"):
            pass
    assert "check" in caplog.text
    assert trio.current_time() <= 3.1


@pytest.mark.parametrize("bad", [None, 3, len, re.compile(rb"x")])
def test_what_can_never_give_a_namespace_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError):
        Broker().of(bad)


async def test_two_that_ask_for_a_new_namespace_at_once_meet_in_it() -> None:
    broker = Broker()
    go = trio.Event()
    met: list[str] = []

    async def check(name: str, auth: object) -> bool:
        await go.wait()
        return True

    broker.of(check)

    async def visit() -> None:
        async with broker.test_client("/d") as client:
            assert await client.expect("e") == ()
            met.append(client.id)

    async with broker, trio.open_nursery() as nursery:
        nursery.start_soon(visit)
        nursery.start_soon(visit)
        await wait_all_tasks_blocked()
        go.set()
        await wait_all_tasks_blocked()
        assert (await broker.of("/d").emit("e")).recipients == 2
    assert len(met) == 2


async def test_a_client_that_leaves_while_the_check_runs_keeps_its_other_namespaces(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()

    async def check(name: str, auth: object) -> bool:
        await trio.sleep_forever()
        return True

    broker.of(check)
    async with broker, wire(broker) as client:
        await client.enter()
        await client.send("40/d,")
        await wait_all_tasks_blocked()
        await client.send("41/d,")
        await wait_all_tasks_blocked()
        assert len(broker.sockets) == 1


async def test_a_client_that_leaves_while_the_check_runs_may_ask_again_at_once(
    http: Callable[..., Any],
) -> None:
    broker = Broker()
    asked: list[dict[str, Any]] = []

    @broker.of
    async def check(name: str, auth: dict[str, Any]) -> bool:
        asked.append(auth)
        if len(asked) == 1:
            await trio.sleep_forever()
        return True

    async with broker, http(broker) as client:
        _, _, opened = await client.request("GET", "/socket.io/?EIO=4&transport=polling")
        sid = opened.decode().split('"')[3]
        target = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        assert (await client.request("POST", target, b'40/a,{"n":1}'))[0] == 200
        assert (await client.request("POST", target, b'41/a,\x1e40/a,{"n":2}'))[0] == 200
        assert (await client.request("GET", target))[2].startswith(b'40/a,{"sid"')
        assert asked == [{"n": 1}, {"n": 2}]
        assert [socket.handshake.auth for socket in broker.of("/a").sockets.values()] == [{"n": 2}]


async def test_what_waits_for_a_check_is_bounded_in_bytes(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_inbox_bytes=10_000)

    async def check(name: str, auth: object) -> bool:
        await trio.sleep_forever()
        return True

    broker.of(check)
    async with broker, wire(broker, streams=trio.testing.lockstep_stream_pair) as client:
        sent = 0

        async def flood() -> None:
            nonlocal sent
            await client.send("40/d,")
            for _ in range(50):
                await client.send('42/d,["e","' + "x" * 5000 + '"]')
                sent += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        # Read no further, or ended: either is a bound.
        assert sent < 10 or broker.statistics().connections == 0


async def test_children_do_not_outlive_the_life_but_their_pattern_does() -> None:
    broker = Broker()
    broker.of(re.compile(r"^/org-\w+$"))
    for _ in range(2):
        async with broker:
            assert broker.statistics().namespaces == 1
            async with broker.test_client("/org-a"):
                assert broker.statistics().namespaces == 2


CONTROL = ["/org-a\n", "/org-\0", "/\x1b[2Jorg", "/org-\x85", "/org-\u2028"]


@pytest.mark.parametrize("name", CONTROL)
async def test_no_client_enters_a_namespace_with_control_characters(name: str) -> None:
    broker = Broker()
    asked: list[str] = []
    org = broker.of(re.compile(r"^/org-\w+$"))

    @broker.of
    async def check(name: str, auth: object) -> bool:
        asked.append(name)
        return True

    async with broker:
        with pytest.raises(ConnectError, match="Invalid namespace"):
            async with broker.test_client(name):
                pass
        assert (dict(org.children), asked) == ({}, [])


@pytest.mark.parametrize("name", CONTROL)
def test_the_program_cannot_make_one(name: str) -> None:
    broker = Broker()
    with pytest.raises(ValueError, match="control characters, saw '/"):
        broker.of(name)


async def test_a_name_may_have_what_is_only_invisible(wire: Callable[..., Any]) -> None:
    broker = Broker()
    broker.of(re.compile("^/[^/]+$"))
    async with broker, wire(broker) as client:
        for name in ("/👨\u200d👩\u200d👧", "/一\u3000二"):
            await client.enter(name)
