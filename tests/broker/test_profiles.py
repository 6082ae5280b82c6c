"""Node's traps, row by row: what becomes of each in both profiles; docs/compat.md has the rows."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio_websocket
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, ConnectError, JoinRefused, Socket, SocketDisconnected
from broker.values.options import Options
from broker.values.profile import NODE, STRICT, ProfileName

Wire = Callable[..., Any]

POLL = "/socket.io/?EIO=4&transport=polling"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}

both = pytest.mark.parametrize("profile", ["strict", "node"])


@pytest.fixture(autouse=True)
def _without_tracebacks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.CRITICAL, "atrio"):
        yield


@asynccontextmanager
async def people(broker: Broker, *names: str) -> AsyncIterator[list[Any]]:
    """Clients that are connected, and whose connection hooks have run."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(broker)
        clients = [await stack.enter_async_context(broker.test_client(name=name)) for name in names]
        await wait_all_tasks_blocked()
        yield clients


async def heard(*clients: Any) -> list[str]:
    """Return the names of those who have got the event `e`, and forget it."""
    await wait_all_tasks_blocked()
    names = [client.name for client in clients if client._events["e"]]
    for client in clients:
        client._events.clear()
    return names


async def silent(client: Any, seconds: float = 1.0) -> bool:
    """Whether nothing comes for so long."""
    with trio.move_on_after(seconds):
        await client.get()
        return False
    return True


async def until_closed(client: Any) -> list[str]:
    """Return what comes, but for pings, until the server ends the connection."""
    seen = []
    while True:
        try:
            message = str(await client.get())
        except trio_websocket.ConnectionClosed:
            return seen
        if message == "2":
            await client.send("3")
        else:
            seen.append(message)


def test_strict_has_no_trap_and_node_has_all() -> None:
    assert not any(attrs.astuple(STRICT))
    assert all(attrs.astuple(NODE))
    assert Options().traps is STRICT
    assert Options(profile="node").traps is NODE


def test_another_profile_is_refused() -> None:
    expected = "profile: expected one of ('strict', 'node'), saw 'Node'"
    with pytest.raises(ValueError, match=re.escape(expected)):
        Options(profile="Node")  # type: ignore[arg-type]


# Row 1.


@both
async def test_an_empty_list_of_rooms(profile: ProfileName) -> None:
    broker = Broker(profile=profile)
    async with people(broker, "ann", "bob", "cid") as (ann, bob, cid):
        await broker.sockets[ann.id].join("a")
        everybody = ["ann", "bob", "cid"] if profile == "node" else []
        await broker.to().emit("e")
        assert await heard(ann, bob, cid) == everybody
        await broker.of("/").in_(*[]).volatile.emit("e")
        assert await heard(ann, bob, cid) == everybody
        await broker.sockets[ann.id].to().emit("e")
        assert await heard(ann, bob, cid) == (["bob", "cid"] if profile == "node" else [])
        assert len(await broker.to().fetch_sockets()) == len(everybody)
        await broker.to().to("a").emit("e")
        assert await heard(ann, bob, cid) == (["ann"] if profile == "node" else [])
        await broker.to("a").to().emit("e")
        assert await heard(ann, bob, cid) == ["ann"]


@both
async def test_an_empty_list_of_rooms_in_all_children(profile: ProfileName) -> None:
    broker = Broker(profile=profile)
    org = broker.of(re.compile("^/org-"))
    async with broker, broker.test_client("/org-1", name="ann") as ann:
        await wait_all_tasks_blocked()
        await org.to().emit("e")
        assert await heard(ann) == (["ann"] if profile == "node" else [])


# Row 2.


@both
async def test_a_room_named_as_another_socket(profile: ProfileName) -> None:
    broker = Broker(profile=profile)
    async with people(broker, "ann", "bob", "cid") as (ann, bob, cid):
        hers, his = broker.sockets[ann.id], broker.sockets[bob.id]
        if profile == "strict":
            with pytest.raises(JoinRefused, match="another socket's own"):
                await his.join(ann.id)
        else:
            await his.join(ann.id)
        listeners = ["ann", "bob"] if profile == "node" else ["ann"]
        await broker.to(ann.id).emit("e")
        assert await heard(ann, bob, cid) == listeners
        broker.to(ann.id).emit_nowait("e")
        assert await heard(ann, bob, cid) == listeners
        await hers.emit("e")
        assert await heard(ann, bob, cid) == ["ann"]
        await hers.volatile.emit("e")
        assert await heard(ann, bob, cid) == ["ann"]
        # Who is in her room is left out of her broadcasts, as she is.
        await hers.broadcast.emit("e")
        assert await heard(ann, bob, cid) == (["cid"] if profile == "node" else ["bob", "cid"])
        await his.leave(ann.id)
        await broker.to(ann.id).emit("e")
        assert await heard(ann, bob, cid) == ["ann"]


# Row 3.


@both
async def test_a_socket_that_leaves_its_own_room(profile: ProfileName) -> None:
    broker = Broker(profile=profile)
    async with people(broker, "ann", "bob") as (ann, bob):
        hers = broker.sockets[ann.id]
        await hers.join("a")
        await hers.leave(ann.id)
        homeless = profile == "node"
        assert hers.rooms == ({"a"} if homeless else {"a", ann.id})
        await broker.to(ann.id).emit("e")
        assert await heard(ann, bob) == ([] if homeless else ["ann"])
        await hers.to("a").emit("e")
        assert await heard(ann, bob) == (["ann"] if homeless else [])
        await hers.emit("e")
        assert await heard(ann, bob) == ["ann"]
        await hers.volatile.emit("e")
        assert await heard(ann, bob) == ["ann"]
        await hers.join(ann.id)
        assert hers.rooms == {"a", ann.id}
        await broker.to(ann.id).emit("e")
        assert await heard(ann, bob) == ["ann"]
        await hers.to("a").emit("e")
        assert await heard(ann, bob) == []


@both
async def test_all_sockets_leave_a_room_named_as_one_of_them(profile: ProfileName) -> None:
    broker = Broker(profile=profile)
    async with people(broker, "ann", "bob") as (ann, bob):
        await broker.sockets_leave(ann.id)
        assert (ann.id in broker.sockets[ann.id].rooms) == (profile == "strict")
        assert bob.id in broker.sockets[bob.id].rooms


# Row 4.


@both
async def test_a_second_connect_during_middleware(
    profile: ProfileName, wire: Wire, autojump_clock: MockClock
) -> None:
    broker = Broker(profile=profile)

    @broker.use
    async def slow(socket: Socket) -> None:
        await trio.sleep(1)

    async with broker, wire(broker) as client:
        await client.send("40", "40")
        assert await until_closed(client) == []
        assert dict(broker.sockets) == {}


# Row 5.


@both
async def test_middleware_that_fails(
    profile: ProfileName, wire: Wire, autojump_clock: MockClock
) -> None:
    broker = Broker(profile=profile)

    @broker.of("/chat").use
    async def fail(socket: Socket) -> None:
        await socket.join("waiting")
        raise ValueError("swordfish")

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send("40/chat,")
        if profile == "strict":
            assert await client.get() == '44/chat,{"message":"internal error"}'
        assert await silent(client)
        assert dict(broker.of("/chat").rooms) == {}


@both
async def test_middleware_that_refuses(profile: ProfileName, wire: Wire) -> None:
    broker = Broker(profile=profile)

    @broker.use
    async def refuse(socket: Socket) -> None:
        raise ConnectError("no", data={"code": 7})

    async with broker, wire(broker) as client:
        await client.send("40")
        assert await client.get() == '44{"message":"no","data":{"code":7}}'


@both
async def test_middleware_that_takes_long(
    profile: ProfileName, wire: Wire, autojump_clock: MockClock
) -> None:
    broker = Broker(profile=profile, middleware_timeout=10, ping_interval=1000)
    ended: list[float] = []

    @broker.use
    async def never(socket: Socket) -> None:
        await socket.join("waiting")
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with broker, wire(broker) as client:
        start = trio.current_time()
        await client.send("40")
        said = await until_closed(client)
        # Nothing is left of who waits for ever, in neither profile: it has `connect_timeout`.
        if profile == "strict":
            assert said == ['44{"message":"the server took too long to decide"}']
            assert ended == [pytest.approx(start + 10)]
        else:
            assert said == []
            assert ended == [pytest.approx(start + 45)]
        await wait_all_tasks_blocked()
        assert dict(broker.rooms) == {}


# Row 6.


@both
@pytest.mark.parametrize("lets_in", [True, False])
async def test_what_middleware_emits(profile: ProfileName, wire: Wire, *, lets_in: bool) -> None:
    broker = Broker(profile=profile)

    @broker.use
    async def greet(socket: Socket) -> None:
        await socket.join("waiting")
        await broker.to("waiting").emit("to all who wait")
        await socket.emit("session", 1)
        socket.emit_nowait("session", 2)
        if not lets_in:
            raise ConnectError("no")

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.emit("in")

    async with broker, wire(broker) as client:
        await client.send("40")
        seen = await client.until('42["in"]' if lets_in else '44{"message":"no"}')
        seen = ["40" if str(each).startswith("40") else each for each in seen]
        events = ['42["session",1]', '42["session",2]']
        if profile == "node":
            rest = ["40", '42["to all who wait"]', '42["in"]'] if lets_in else seen[2:3]
            assert seen == [*events, *rest]
        elif lets_in:
            assert seen == ["40", '42["to all who wait"]', *events, '42["in"]']
        else:
            assert seen == ['44{"message":"no"}']


# Row 9.


@both
async def test_an_ack_that_does_not_come(profile: ProfileName, autojump_clock: MockClock) -> None:
    broker = Broker(profile=profile, ack_timeout=10, ping_interval=1000)
    async with broker:
        async with trio.open_nursery() as nursery:
            ended: list[tuple[type[Exception], float]] = []

            async def ask(socket: Socket) -> None:
                start = trio.current_time()
                with pytest.raises((trio.TooSlowError, SocketDisconnected)) as failed:
                    await socket.emit_with_ack("question")
                ended.append((failed.type, trio.current_time() - start))

            async with broker.test_client() as client:
                await wait_all_tasks_blocked()
                socket = broker.sockets[client.id]
                nursery.start_soon(ask, socket)
                with pytest.raises(trio.TooSlowError):
                    await socket.emit_with_ack("question", timeout=5)
                await trio.sleep(95)
        # It never stays for ever: the end of the socket ends it.
        if profile == "strict":
            assert ended == [(trio.TooSlowError, pytest.approx(10))]
        else:
            assert ended == [(SocketDisconnected, pytest.approx(100, abs=1))]


@both
async def test_many_acks_without_a_timeout(profile: ProfileName, autojump_clock: MockClock) -> None:
    broker = Broker(profile=profile, ack_timeout=10)
    async with people(broker, "ann", "bob") as (ann, bob):
        ann.answer("question", lambda: 42)
        start = trio.current_time()
        answers = await broker.emit_with_ack("question")
        assert (dict(answers.values), answers.missing) == ({ann.id: 42}, {bob.id})
        assert trio.current_time() - start == pytest.approx(10)


# Row 14.


@both
async def test_a_request_that_node_answers_badly(profile: ProfileName, http: Wire) -> None:
    broker = Broker(profile=profile)
    target = POLL.replace("polling", "websocket")
    async with broker, http(broker) as client:
        status, _, body = await client.request("GET", target)
        assert (status, b'"code":3' in body) == (400, True)
    async with broker, http(broker) as client:
        status, _, body = await client.request("GET", target.replace("EIO=4", "EIO=5"), **UPGRADE)
        assert (status, body) == (400, b"Unsupported protocol version")


# Row 15.


@both
async def test_a_refused_websocket_handshake(profile: ProfileName, http: Wire) -> None:
    async def nobody(request: object) -> bool:
        return False

    broker = Broker(profile=profile, allow_request=nobody)
    async with broker, http(broker) as client:
        target = POLL.replace("polling", "websocket")
        status, headers, body = await client.request("GET", target, **UPGRADE)
        if profile == "strict":
            assert (status, headers["content-type"]) == (403, "application/json")
            assert body == b'{"code":4,"message":"Forbidden"}'
        else:
            assert (status, headers["content-type"]) == (400, "text/html")
            assert body == b"Forbidden"
    async with broker, http(broker) as client:  # polling: the same in both
        status, _, body = await client.request("GET", POLL)
        assert (status, body) == (403, b'{"code":4,"message":"Forbidden"}')


# Row 16.


@both
async def test_a_client_that_has_left_its_last_namespace(
    profile: ProfileName, wire: Wire, autojump_clock: MockClock
) -> None:
    broker = Broker(profile=profile, connect_timeout=45, ping_interval=1000)
    async with broker, wire(broker) as client:
        await client.enter()
        await client.send("41")
        if profile == "strict":
            assert await until_closed(client) == []
        else:
            assert await silent(client, 900)
            await client.enter()


@both
@pytest.mark.parametrize("refused", [True, False])
async def test_a_client_that_is_in_no_namespace_in_time(
    profile: ProfileName, wire: Wire, autojump_clock: MockClock, *, refused: bool
) -> None:
    broker = Broker(profile=profile, connect_timeout=45, ping_interval=1000)

    @broker.use
    async def refuse(socket: Socket) -> None:
        raise ConnectError("no")

    async with broker, wire(broker) as client:
        start = trio.current_time()
        if refused:
            await trio.sleep(20)
            await client.send("40")
        assert len(await until_closed(client)) == refused
        anew = 20 if refused and profile == "strict" else 0
        assert trio.current_time() - start == pytest.approx(45 + anew)


# Row 17.


@both
async def test_the_cookie_of_a_session(profile: ProfileName, http: Wire) -> None:
    broker = Broker(profile=profile, cookie="io")
    async with broker, http(broker) as client:
        _, headers, _ = await client.request("GET", POLL)
        assert headers["set-cookie"].startswith("io=")
    async with broker, http(broker) as client:
        target = POLL.replace("polling", "websocket")
        headers = await _headers_of_upgrade(client, target)
        assert "set-cookie" not in headers


async def _headers_of_upgrade(client: Any, target: str) -> str:
    lines = [f"GET {target} HTTP/1.1", "Host: test.invalid"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in UPGRADE.items()]
    await client.stream.send_all(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += bytes(await client.stream.receive_some())
    assert answer.startswith(b"HTTP/1.1 101")
    return answer.partition(b"\r\n\r\n")[0].decode().lower()


# Row 18.


@both
@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        ("42", None),
        ("427", None),
        ("43", None),
        ("431", None),
        ('42 ["echo","x"]', '430["x"]'),
        ('42 7["echo","x"]', '437["x"]'),
        ('42/, 7["echo","x"]', '437["x"]'),
    ],
)
async def test_a_packet_without_what_belongs_to_it(
    profile: ProfileName, packet: str, answer: str | None, wire: Wire
) -> None:
    broker = Broker(profile=profile)

    @broker.on("echo")
    async def echo(socket: Socket, text: str) -> str:
        return text

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send(packet)
        if profile == "strict":
            assert await until_closed(client) == []
            return
        if answer is not None:
            assert await client.get() == answer
        await client.send('429["echo","y"]')
        assert await client.get() == '439["y"]'


@both
@pytest.mark.parametrize("packet", ["42null", "42{}", '42 1 2["echo","x"]', "42[]", "451-", "4 "])
async def test_a_packet_that_no_profile_accepts(
    profile: ProfileName, packet: str, wire: Wire
) -> None:
    broker = Broker(profile=profile)
    async with broker, wire(broker) as client:
        await client.enter()
        await client.send(packet)
        assert await until_closed(client) == []


# Row 19.


@both
async def test_a_reserved_name_in_msgpack(profile: ProfileName, wire: Wire) -> None:
    broker = Broker(profile=profile, parser="msgpack")
    gone: list[str] = []

    @broker.on("disconnect")
    async def bye(socket: Socket, reason: str) -> None:
        gone.append(reason)

    async with broker, wire(broker) as client:
        await client.send(b"\x82\xa4type\x00\xa3nsp\xa1/")
        await client.get()
        await client.send(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xaadisconnect\xa3hey")
        with pytest.raises(trio_websocket.ConnectionClosed):
            await client.get()
        await wait_all_tasks_blocked()
        assert gone == ["forced close"]


# Row 20.


@both
async def test_a_child_with_somebody_in_middleware(
    profile: ProfileName, wire: Wire, autojump_clock: MockClock
) -> None:
    broker = Broker(profile=profile, cleanup_empty_child_namespaces=True)
    org = broker.of(re.compile("^/org-"))

    @org.use
    async def slow(socket: Socket) -> None:
        await trio.sleep(socket.handshake.auth.get("for", 0))

    async with broker, wire(broker) as first, wire(broker) as second:
        await first.enter("/org-1")
        await second.send('40/org-1,{"for":2}')
        await wait_all_tasks_blocked()
        await first.send("41/org-1,")
        assert str(await second.get()).startswith("40/org-1,")
        await broker.of("/org-1").emit("e")
        assert await second.get() == '42/org-1,["e"]'


# Row 21.


@both
async def test_a_check_that_never_answers(
    profile: ProfileName, wire: Wire, autojump_clock: MockClock
) -> None:
    broker = Broker(profile=profile, ping_interval=1000)
    given_up: list[float] = []

    async def never(name: str, auth: object) -> bool:
        try:
            await trio.sleep_forever()
        finally:
            given_up.append(trio.current_time())
        raise AssertionError

    broker.of(never)
    start = trio.current_time()
    async with broker, wire(broker) as client:
        await client.enter()
        await client.send("40/dynamic,")
        if profile == "strict":
            assert await client.get() == '44/dynamic,{"message":"Invalid namespace"}'
            assert given_up == [pytest.approx(start + 10)]
        else:
            assert await silent(client, 900)
            assert given_up == []
    assert len(given_up) == 1  # the client has gone, and nothing of it is left


# Row 22.


@both
async def test_errors_have_the_form_of_node(profile: ProfileName, wire: Wire, http: Wire) -> None:
    broker = Broker(profile=profile)
    async with broker, wire(broker) as client:
        await client.send("40/nope,")
        assert await client.get() == '44/nope,{"message":"Invalid namespace"}'
    async with broker, http(broker) as client:
        status, headers, body = await client.request("GET", POLL + "&sid=nobody")
        assert (status, headers["content-type"]) == (400, "application/json")
        assert body == b'{"code":1,"message":"Session ID unknown"}'
        _, _, body = await client.request("GET", POLL)
        sid = body.decode().split('"sid":"')[1].split('"')[0]
        status, _, body = await client.request("POST", f"{POLL}&sid={sid}", b"40")
        assert (status, body) == (200, b"ok")


# Handlers that fail: no row of its own, but as much of a trap.


@both
async def test_a_handler_that_fails(
    profile: ProfileName, wire: Wire, autojump_clock: MockClock
) -> None:
    broker = Broker(profile=profile)
    reported: list[str] = []

    @broker.on("fail")
    async def fail(socket: Socket) -> None:
        raise ValueError("swordfish")

    @broker.on("error")
    async def hear(socket: Socket, error: Exception, event: str) -> None:
        reported.append(str(error))

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('421["fail"]')
        if profile == "strict":
            assert await client.get() == (
                '431[{"error":{"code":"internal","message":"internal error"}}]'
            )
        assert await silent(client)
        assert reported == ["swordfish"]
        await client.send('422["fail",1]')  # what the client does wrong, it hears in both
        assert '"bad_arguments"' in str(await client.get())
