"""`socket.nursery`: long and mutual work that lives as long as its socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker import Broker, Socket


async def test_a_task_may_wait_for_an_ack_while_events_go_on(wire: Callable[..., Any]) -> None:
    broker = Broker()
    answers: list[object] = []

    @broker.on("start")
    async def start(socket: Socket) -> None:
        async def ask() -> None:
            answers.append(await socket.emit_with_ack("q"))

        socket.nursery.start_soon(ask)

    @broker.on("echo")
    async def echo(socket: Socket, text: str) -> str:
        return text

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('42["start"]', '427["echo","x"]')
        assert {await client.get(), await client.get()} == {'420["q"]', '437["x"]'}
        await client.send("430[1]")
        await wait_all_tasks_blocked()
        assert answers == [1]


async def test_an_exception_goes_to_the_error_hook_and_ends_that_socket_alone() -> None:
    broker = Broker()
    seen: list[tuple[str, object]] = []
    reasons: list[tuple[str, str]] = []
    failure = ValueError("broken")

    @broker.on("start")
    async def start(socket: Socket) -> None:
        async def fail() -> None:
            raise failure

        socket.nursery.start_soon(fail)

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: object) -> None:
        seen.append((socket.id, error))

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        reasons.append((socket.id, reason))

    async with broker, broker.test_client() as other, broker.test_client() as client:
        await client.emit("start")
        await wait_all_tasks_blocked()
        assert seen == [(client.id, failure)]
        assert reasons == [(client.id, "server error")]
        assert not client.connected
        assert other.connected


async def test_a_task_that_waits_for_an_ack_when_the_socket_goes_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker()
    errors: list[object] = []

    @broker.on("start")
    async def start(socket: Socket) -> None:
        socket.nursery.start_soon(socket.emit_with_ack, "q")

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: object) -> None:
        errors.append(error)

    async with broker:
        async with broker.test_client() as client:
            await client.emit("start")
            assert await client.expect("q") == ()
        assert errors == []
        assert "ERROR" not in caplog.text


async def test_start_gives_what_the_task_is_started_with() -> None:
    broker = Broker()
    started: list[object] = []

    async def task(*, task_status: trio.TaskStatus[int]) -> None:
        task_status.started(7)
        await trio.sleep_forever()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        started.append(await socket.nursery.start(task))

    async with broker.test_client():
        await wait_all_tasks_blocked()
        assert started == [7]


async def test_start_raises_what_the_task_raised_before_it_started() -> None:
    """As a nursery of trio's own does."""
    broker = Broker()
    heard: list[BaseException] = []

    async def task(*, task_status: trio.TaskStatus[int]) -> None:
        raise KeyError("too early")

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        try:
            await socket.nursery.start(task)
        except Exception as error:  # noqa: BLE001 - which one is the question
            heard.append(error)

    async with broker.test_client() as client:
        await wait_all_tasks_blocked()
        assert [type(error) for error in heard] == [KeyError]
        assert client.connected


async def test_nothing_starts_once_the_socket_has_gone() -> None:
    broker = Broker()
    sockets: list[Socket] = []
    ran: list[int] = []

    async def task() -> None:
        await trio.lowlevel.checkpoint()
        ran.append(1)

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        socket.nursery.start_soon(task)

    async with broker:
        async with broker.test_client():
            await wait_all_tasks_blocked()
        sockets[0].nursery.start_soon(task)
        await wait_all_tasks_blocked()
        assert ran == []
