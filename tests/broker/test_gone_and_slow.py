"""A socket that has gone on a connection that is slow, and other ends that meet a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Socket, SocketDisconnected

LOCKSTEP = trio.testing.lockstep_stream_pair


async def test_nothing_waits_for_the_outbox_of_a_socket_that_has_gone(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_outbox_packets=20, slow_timeout=1000.0)
    chat = broker.of("/a")
    heard: list[object] = []

    @chat.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        await socket.emit("bye")
        heard.append(trio.current_time() - began)

    async def wait(call: Callable[[], Any]) -> None:
        try:
            heard.append(await call())
        except SocketDisconnected as error:
            heard.append(type(error))

    async with broker, wire(broker, streams=LOCKSTEP) as client, trio.open_nursery() as nursery:
        await client.enter()
        await client.send("40/a,")
        await client.get()
        socket, other = next(iter(chat.sockets.values())), next(iter(broker.sockets.values()))
        while not socket.statistics().slow:
            other.emit_nowait("fill")
            await wait_all_tasks_blocked()
        nursery.start_soon(wait, lambda: socket.emit("e"))
        nursery.start_soon(wait, lambda: socket.emit_with_ack("e", timeout=500))
        await wait_all_tasks_blocked()
        assert heard == []
        began = trio.current_time()
        await client.send("41/a,")
        await wait_all_tasks_blocked()
        assert sorted(map(str, heard)) == sorted(map(str, [0.0, None, SocketDisconnected]))
        nursery.cancel_scope.cancel()


async def test_an_ack_that_no_outbox_would_take_is_the_handlers_error() -> None:
    broker = Broker(max_outbox_bytes=10_000)

    @broker.on("big")
    async def big(_socket: Socket) -> str:
        return "x" * 20_000

    async with broker, broker.test_client() as client:
        assert await client.call("big") == {
            "error": {"code": "internal", "message": "internal error"}
        }
        assert "20" in str(await client.expect_error(ValueError))
        assert broker.statistics().slow_disconnects == 0
        assert client.connected


async def test_the_inbox_counts_bytes_and_not_characters(autojump_clock: MockClock) -> None:
    broker = Broker()

    @broker.on("e")
    async def handle(_socket: Socket, _text: str) -> None:
        await trio.sleep_forever()

    async with broker, broker.test_client() as client:
        for _ in range(2):
            await client.emit("e", "😀" * 1000)
        await wait_all_tasks_blocked()
        assert 4000 < broker.sockets[client.id].statistics().inbox_bytes < 4100


async def test_to_start_a_task_for_a_socket_that_goes_says_that_it_has_gone() -> None:
    broker = Broker()

    async def never(task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    async with broker, broker.test_client() as client, trio.open_nursery() as nursery:
        socket = broker.sockets[client.id]

        @nursery.start_soon
        async def leave() -> None:
            await wait_all_tasks_blocked()
            await socket.disconnect()

        with pytest.raises(SocketDisconnected):
            await socket.nursery.start(never)
        with pytest.raises(SocketDisconnected):
            await socket.nursery.start(never)


async def test_every_last_hook_is_called_though_one_has_used_up_the_time(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(disconnect_timeout=2.0)
    called: list[str] = []

    @broker.on("disconnecting")
    async def slow(_socket: Socket, _reason: str) -> None:
        called.append("slow")
        await trio.sleep(100)

    for name in ("disconnecting", "disconnect", "disconnect"):

        @broker.on(name)
        async def quick(_socket: Socket, _reason: str, name: str = name) -> None:
            called.append(name)
            await trio.lowlevel.checkpoint()

    async with broker:
        async with broker.test_client():
            pass
        assert called == ["slow", "disconnecting", "disconnect", "disconnect"]


@pytest.mark.parametrize("takes", ["handler", "loop"])
async def test_a_client_that_goes_while_it_is_not_read_is_missed_in_time(
    takes: str, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_inbox_packets=4, ping_interval=5.0, ping_timeout=2.0)
    gone: list[float] = []

    @broker.on("disconnect")
    async def disconnected(_socket: Socket, _reason: str) -> None:
        gone.append(trio.current_time() - left)

    if takes == "handler":

        @broker.on("e")
        async def handle(_socket: Socket) -> None:
            await trio.sleep_forever()

    else:

        @broker.on_socket
        async def life(socket: Socket) -> None:
            async for _ in socket.events():
                await trio.sleep_forever()

    async with broker:
        async with wire(broker) as client:
            await client.enter()
            for _ in range(10):
                await client.send('42["e"]')
            await wait_all_tasks_blocked()
            left = trio.current_time()
        await trio.sleep(60.0)
        assert len(gone) == 1
        assert gone[0] <= 3 * (5.0 + 2.0)


async def test_a_client_that_polls_no_more_while_it_is_not_read_is_missed_in_time(
    http: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_inbox_packets=4, ping_interval=5.0, ping_timeout=2.0, handler_grace=1.0)
    reasons: list[str] = []

    @broker.on("e")
    async def handle(_socket: Socket) -> None:
        await trio.sleep_forever()

    @broker.on("disconnect")
    async def disconnected(_socket: Socket, reason: str) -> None:
        reasons.append(reason)

    async with broker, http(broker) as client:
        _, _, opened = await client.request("GET", "/socket.io/?EIO=4&transport=polling")
        target = f"/socket.io/?EIO=4&transport=polling&sid={opened.decode().split(chr(34))[3]}"
        await client.request("POST", target, b"40")
        await client.request("GET", target)
        async with trio.open_nursery() as nursery:
            body = chr(0x1E).join(['42["e"]'] * 10).encode()
            nursery.start_soon(client.request, "POST", target, body)
            await trio.sleep(40.0)
            nursery.cancel_scope.cancel()
        assert reasons == ["ping timeout"]


async def test_a_client_that_is_not_read_for_long_but_takes_its_pings_is_kept(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(max_inbox_packets=4, ping_interval=5.0, ping_timeout=2.0)

    @broker.on("e")
    async def handle(_socket: Socket) -> None:
        await trio.sleep(20.0)

    async with broker, wire(broker) as client, trio.open_nursery() as nursery:
        await client.enter()
        for _ in range(10):
            await client.send('42["e"]')

        @nursery.start_soon
        async def pong() -> None:
            while True:
                if await client.get() == "2":
                    await client.send("3")

        await trio.sleep(300.0)
        assert len(broker.sockets) == 1
        nursery.cancel_scope.cancel()


async def test_a_ping_does_not_wait_behind_a_bulk_of_events(
    wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    broker = Broker(ping_interval=5.0, ping_timeout=2.0)
    async with broker, wire(broker, streams=LOCKSTEP) as client:
        await client.enter()
        socket = next(iter(broker.sockets.values()))
        for number in range(30):  # 3 MB: a write takes 256 kB
            socket.emit_nowait("bulk", number, "x" * 100_000)
        await trio.sleep(5.1)
        heard: list[Any] = []
        while "2" not in heard:
            heard.append(await client.get())
        assert len(heard) < 8
        await client.send("3")
        numbers = [int(str(each).split(",")[1]) for each in heard if each != "2"]
        while len(numbers) < 30:
            each = await client.get()
            numbers.append(int(str(each).split(",")[1]))
        assert numbers == list(range(30))
