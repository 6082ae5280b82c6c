"""When events are handled: one at a time per socket, sockets concurrently, hooks first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket


async def test_events_of_a_socket_are_handled_one_at_a_time_in_order() -> None:
    broker = Broker()
    running = 0
    handled: list[int] = []

    @broker.on("n")
    async def handle(socket: Socket, number: int) -> None:
        nonlocal running
        running += 1
        assert running == 1
        for _ in range(5 - number % 5):
            await trio.lowlevel.checkpoint()
        handled.append(number)
        running -= 1

    async with broker.test_client() as client:
        for number in range(30):
            await client.emit("n", number)
        await wait_all_tasks_blocked()
        assert handled == list(range(30))


async def test_a_slow_handler_keeps_no_other_socket_waiting() -> None:
    broker = Broker()
    release = trio.Event()

    @broker.on("slow")
    async def slow(socket: Socket) -> str:
        await release.wait()
        return "slow"

    @broker.on("quick")
    async def quick(socket: Socket) -> str:
        release.set()
        return "quick"

    async with broker, broker.test_client() as one, broker.test_client() as two:
        await one.emit("slow")
        with trio.fail_after(5):
            assert await two.call("quick") == "quick"


async def test_an_ack_passes_waiting_events_by(wire: Callable[..., Any]) -> None:
    broker = Broker()
    order: list[object] = []

    @broker.on("ask me")
    async def ask(socket: Socket) -> None:
        order.append(await socket.emit_with_ack("question"))

    @broker.on("later")
    async def later(socket: Socket) -> None:
        order.append("later")

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('42["ask me"]', '42["later"]', '42["later"]')
        assert await client.get() == '420["question"]'
        assert order == []
        await client.send('430["answer"]')
        await wait_all_tasks_blocked()
        assert order == ["answer", "later", "later"]


async def test_another_namespaces_events_pass_waiting_events_by(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker()

    @broker.on("hang")
    async def hang(socket: Socket) -> None:
        await trio.sleep_forever()

    @broker.of("/other").on("echo")
    async def echo(socket: Socket, text: str) -> str:
        return text

    async with broker, wire(broker) as client:
        await client.enter()
        await client.enter("/other")
        await client.send('42["hang"]', '42["hang"]', '42/other,5["echo","x"]')
        with trio.fail_after(5):
            assert await client.get() == '43/other,5["x"]'


async def test_events_wait_for_the_connection_hooks(wire: Callable[..., Any]) -> None:
    broker = Broker()
    order: list[str] = []
    go = trio.Event()

    @broker.on("connect")
    async def first(socket: Socket) -> None:
        await go.wait()
        order.append("first")

    @broker.on("connection")
    async def second(socket: Socket) -> None:
        await trio.lowlevel.checkpoint()
        order.append("second")

        async def own(text: str) -> None:
            order.append(f"own {text}")

        socket.on("event", own)

    @broker.on("event")
    async def event(socket: Socket, text: str) -> None:
        order.append(f"all {text}")

    async with broker, wire(broker) as client:
        await client.send("40", '42["event","1"]', '42["event","2"]')
        await wait_all_tasks_blocked()
        assert order == []
        go.set()
        await wait_all_tasks_blocked()
        assert order == ["first", "second", "all 1", "own 1", "all 2", "own 2"]


async def test_connection_hooks_that_last_too_long_are_logged_by_name(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(connect_timeout=4.0)

    @broker.on("connection")
    async def dawdle(socket: Socket) -> None:
        await trio.sleep(10)

    async with broker.test_client():
        await trio.sleep(3.9)
        assert "dawdle" not in caplog.text
        await trio.sleep(0.2)
        assert "dawdle" in caplog.text


async def test_a_failing_connection_hook_stops_no_other() -> None:
    broker = Broker()
    seen: list[str] = []

    @broker.on("connection")
    async def first(socket: Socket) -> None:
        raise ValueError

    @broker.on("connection")
    async def second(socket: Socket) -> None:
        seen.append("second")

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: str) -> None:
        seen.append(event)

    async with broker.test_client() as client:
        await wait_all_tasks_blocked()
        assert client.connected
    assert seen == ["connection", "second"]


@pytest.mark.parametrize("name", ["connection", "error"])
async def test_a_client_cannot_run_a_hook(name: str) -> None:
    broker = Broker()
    hooked: list[object] = []
    own: list[object] = []

    @broker.on("connection")
    async def connected(socket: Socket, *args: object) -> None:
        hooked.append(args)

        async def seen(text: str) -> str:
            own.append(text)
            return "own"

        socket.on(name, seen)

    @broker.on("error")
    async def failed(socket: Socket, error: object, event: object) -> None:
        hooked.append(error)

    async with broker.test_client() as client:
        assert await client.call(name, "mine") == "own"
    assert hooked == [()]
    assert own == ["mine"]


@pytest.mark.parametrize(
    "name",
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"],
)
async def test_a_reserved_name_is_a_protocol_error_of_that_client_alone(
    name: str, wire: Callable[..., Any]
) -> None:
    broker = Broker()
    reasons: list[str] = []

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        reasons.append(reason)

    async with broker, broker.test_client() as other:
        async with wire(broker) as client:
            await client.enter()
            await client.send(f'42["{name}"]')
            await wait_all_tasks_blocked()
            assert reasons == ["forced close"]
        assert other.connected


@pytest.mark.parametrize("name", ["connect_error", "newListener", "removeListener"])
def test_no_handler_takes_a_name_no_client_can_send(name: str) -> None:
    async def handler(*args: object) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match=name):
        Broker().on(name, handler)


@pytest.mark.parametrize(
    "name",
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"],
)
async def test_reserved_names_cannot_be_emitted(name: str) -> None:
    broker = Broker()
    sockets: list[Socket] = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)

    async with broker.test_client() as client:
        await wait_all_tasks_blocked()
        with pytest.raises(ValueError, match=name):
            await broker.emit(name)
        with pytest.raises(ValueError, match=name):
            await sockets[0].emit(name)
        with pytest.raises(ValueError, match=name):
            broker.to("x").emit_nowait(name)
        await broker.emit("error", 1)
        assert await client.expect("error") == (1,)
        await client.expect_nothing()


def test_a_decorator_without_an_event_is_refused() -> None:
    """`@broker.on` without a name would register nothing, in silence."""

    async def message(socket: Socket) -> None:
        raise AssertionError

    with pytest.raises(TypeError):
        Broker().on(message)  # type: ignore[arg-type]


@pytest.mark.parametrize("hook", ["connection", "disconnect", "disconnecting", "error"])
def test_a_hook_that_cannot_be_called_is_refused_when_registered(hook: str) -> None:
    async def nothing() -> None:
        raise AssertionError

    with pytest.raises(TypeError, match=hook):
        Broker().on(hook, nothing)
