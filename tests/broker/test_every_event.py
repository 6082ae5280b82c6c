"""Those that get every event: listeners, packet middleware, the handler of what has none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, EventError, Socket


async def test_listeners_then_middleware_then_handlers() -> None:
    broker = Broker()
    calls: list[tuple[object, ...]] = []

    @broker.on_any
    async def seen(socket: Socket, event: str, *args: object) -> str:
        calls.append(("all", socket.id, event, *args))
        return "no ack"

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.use
        async def check(event: str, args: list[Any]) -> None:
            calls.append(("use", event, *args))

        @socket.on_any
        async def own(event: str, *args: object) -> None:
            calls.append(("own", event, *args))

        @socket.prepend_any
        async def sooner(event: str, *args: object) -> None:
            calls.append(("sooner", event, *args))

        assert socket.listeners_any() == [sooner, own]

    @broker.on("ask")
    async def ask(socket: Socket, number: int) -> int:
        calls.append(("handler", number))
        return number

    async with broker.test_client() as client:
        assert await client.call("ask", 7) == 7
        assert calls == [
            ("all", client.id, "ask", 7),
            ("sooner", "ask", 7),
            ("own", "ask", 7),
            ("use", "ask", 7),
            ("handler", 7),
        ]


async def test_an_event_nobody_handles_is_seen_and_not_acknowledged(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()
    seen: list[str] = []

    @broker.on_any
    async def see(socket: Socket, event: str, *args: object) -> str:
        seen.append(event)
        return "x"

    @broker.on("known")
    async def known(socket: Socket) -> int:
        return 1

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('420["connection"]', '421["error"]', '422["known"]')
        assert await client.get() == "432[1]"
    assert seen == ["connection", "error", "known"]


async def test_off_any() -> None:
    broker = Broker()
    seen: list[str] = []

    async def one(socket: Socket, event: str, *args: object) -> None:
        seen.append("one")

    async def two(socket: Socket, event: str, *args: object) -> None:
        seen.append("two")

    @broker.on("ask")
    async def ask(socket: Socket) -> int:
        return 1

    broker.on_any(one)
    broker.prepend_any(two)
    async with broker.test_client() as client:
        await client.call("ask")
        broker.off_any(two)
        await client.call("ask")
        broker.off_any()
        await client.call("ask")
    assert seen == ["two", "one", "one"]


async def test_a_listener_that_fails_is_reported_and_the_event_goes_on() -> None:
    broker = Broker()
    errors: list[tuple[object, ...]] = []

    @broker.on_any
    async def fails(socket: Socket, event: str, *args: object) -> None:
        raise LookupError("listener")

    @broker.on("error")
    async def error(socket: Socket, raised: Exception, event: str) -> None:
        errors.append((str(raised), event))

    @broker.on("ask")
    async def ask(socket: Socket) -> int:
        return 1

    async with broker.test_client() as client:
        assert await client.call("ask") == 1
    assert errors == [("listener", "ask")]


@pytest.mark.parametrize(
    ("raised", "answer"),
    [
        (EventError("muted", "be quiet", 5), {"code": "muted", "message": "be quiet", "data": 5}),
        (LookupError("secret"), {"code": "internal", "message": "internal error"}),
    ],
)
async def test_middleware_that_raises_drops_the_event_and_answers_it(
    raised: Exception, answer: object
) -> None:
    broker = Broker()
    errors: list[tuple[object, ...]] = []
    handled: list[str] = []

    @broker.on("error")
    async def error(socket: Socket, raised: Exception, event: str) -> None:
        errors.append((socket.id, raised, event))

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.use
        async def check(event: str, args: list[Any]) -> None:
            if event == "bad":
                raise raised

        @socket.use
        async def later(event: str, args: list[Any]) -> None:
            handled.append(f"later {event}")

    @broker.on("bad")
    @broker.on("good")
    async def handler(socket: Socket) -> int:
        handled.append("handler")
        return 1

    async with broker.test_client() as client:
        assert await client.call("bad") == {"error": answer}
        assert await client.call("good") == 1
        assert errors == [(client.id, raised, "bad")]
    assert handled == ["later good", "handler"]


async def test_a_refusal_by_middleware_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.use
        async def check(event: str, args: list[Any]) -> None:
            raise EventError("no", "no")

    with caplog.at_level(logging.WARNING):
        async with broker.test_client() as client:
            assert "error" in await client.call("ask")
    assert not caplog.records


async def test_middleware_may_change_the_arguments() -> None:
    broker = Broker()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.use
        async def parse(event: str, args: list[Any]) -> None:
            args[0] = int(args[0])
            args.append("more")

    @broker.on("ask")
    async def ask(socket: Socket, number: int, more: str) -> list[object]:
        return [number, more]

    async with broker.test_client() as client:
        assert await client.call("ask", "7") == [7, "more"]


async def test_a_loop_gets_what_has_passed_middleware() -> None:
    broker = Broker()
    seen: list[str] = []

    @broker.on_any
    async def see(socket: Socket, event: str, *args: object) -> None:
        await trio.lowlevel.checkpoint()
        seen.append(f"{event} {args[0]}")

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.use
        async def check(event: str, args: list[Any]) -> None:
            if args[0] < 0:
                raise EventError("negative", "no")
            args[0] *= 10

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for received in socket.events("move"):
            seen.append(f"loop {received.args[0]}")
            received.ack(received.args[0])

    @broker.on("ask")
    async def ask(socket: Socket, number: int) -> int:
        return number

    async with broker.test_client() as client:
        assert await client.call("move", 1) == 10
        assert (await client.call("move", -1))["error"]["code"] == "negative"
        assert await client.call("ask", 2) == 20
        assert await client.call("move", 3) == 30
    assert seen == ["move 1", "loop 10", "move -1", "ask 2", "move 3", "loop 30"]


async def test_what_arrives_together_is_seen_one_at_a_time(wire: Callable[..., Any]) -> None:
    broker = Broker()
    seen: list[str] = []

    @broker.on_any
    async def see(socket: Socket, event: str, *args: object) -> None:
        seen.append(f"see {event}")
        await trio.lowlevel.checkpoint()

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for event, *_ in socket.events():
            await trio.lowlevel.checkpoint()
            seen.append(f"loop {event}")

    @broker.on("b")
    async def handle(socket: Socket) -> int:
        seen.append("handle b")
        return 1

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('42["a"]', '420["b"]', '42["c"]', '421["b"]')
        assert await client.get() == "430[1]"
        assert await client.get() == "431[1]"
    one, three, two = ["see a", "loop a"], ["see c", "loop c"], ["see b", "handle b"]
    assert seen == [*one, *two, *three, *two]


async def test_an_event_in_middleware_is_dropped_when_the_server_disconnects_its_client() -> None:
    broker = Broker()
    handled: list[str] = []
    go = trio.Event()
    sockets: list[Socket] = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)

        @socket.use
        async def slow(event: str, args: list[Any]) -> None:
            await go.wait()

    @broker.on("ask")
    async def ask(socket: Socket) -> None:
        handled.append("ask")

    async with broker.test_client() as client:
        await client.emit("ask")
        await wait_all_tasks_blocked()
        await sockets[0].disconnect()
        go.set()
        await wait_all_tasks_blocked()
    assert handled == []


async def test_handler_timeout_is_for_middleware_too(autojump_clock: MockClock) -> None:
    broker = Broker(handler_timeout=1)

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.use
        async def hangs(event: str, args: list[Any]) -> None:
            await trio.sleep_forever()

    async with broker.test_client() as client:
        assert (await client.call("ask"))["error"]["code"] == "internal"
        await client.expect_error(trio.TooSlowError)


@pytest.mark.parametrize("register", ["on_any", "prepend_any", "on_unhandled"])
def test_what_does_not_take_every_event_is_refused(register: str) -> None:
    broker = Broker()

    async def fixed(socket: Socket, event: str, text: str) -> None: ...
    async def greedy(socket: Socket, event: str, text: str, *args: object) -> None: ...
    def sync(socket: Socket, event: str, *args: object) -> None: ...

    for bad in (fixed, greedy, sync):
        with pytest.raises(TypeError):
            getattr(broker, register)(bad)


# What has no handler.


async def test_what_has_no_handler_goes_to_on_unhandled_and_is_answered() -> None:
    broker = Broker()

    @broker.on_unhandled
    async def other(socket: Socket, event: str, *args: object) -> list[object]:
        return [event, *args]

    @broker.on("ask")
    async def ask(socket: Socket) -> int:
        return 1

    async with broker.test_client() as client:
        assert await client.call("ask") == 1
        assert await client.call("*", b"x", 2) == ["*", b"x", 2]
        assert await client.call("connection") == ["connection"]
        assert await client.call("error") == ["error"]


async def test_a_star_is_a_name_like_others_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.on("*")
        async def of_one_socket(*args: object) -> str:
            return "star"

    async with broker.test_client() as client, broker.test_client():
        assert await client.call("*") == "star"
        assert await client.call("*", 1) == "star"
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("atrio.broker", "WARNING")
    for word in ("of_one_socket", "on_unhandled", "on_any"):
        assert word in record.getMessage()


async def test_a_loop_comes_before_on_unhandled() -> None:
    broker = Broker()

    @broker.on_unhandled
    async def other(socket: Socket, event: str, *args: object) -> str:
        return "nobody"

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for received in socket.events("move"):
            received.ack("loop")
            if received.args:
                break

    async with broker.test_client() as client:
        assert await client.call("move") == "loop"
        assert await client.call("stop") == "nobody"
        assert await client.call("move", "last") == "loop"
        assert await client.call("move") == "nobody"


async def test_a_socket_of_its_own_may_have_one() -> None:
    broker = Broker()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.on_unhandled
        async def other(event: str, *args: object) -> str:
            return event

    async with broker.test_client() as client:
        assert await client.call("what") == "what"
