"""What is written for real listeners and streams runs on the simulated ones as it is."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
import trio_websocket
import trustme
from trio.testing import MockClock

from actors.sim import CHAOS, LAN, MOBILE, Faults, Net, Sim, simulate
from broker import Broker

from .net_script import Dice, Script, read_to_end

TARGET = "/socket.io/?EIO=4&transport=websocket"


async def echo(stream: trio.abc.Stream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def test_serve_listeners_serves_each_connection() -> None:
    net = Net(Script())
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, echo, [net.listen("echo")])
        for number in range(3):
            async with await net.connect("echo") as client:
                await client.send_all(bytes([number]))
                await client.send_eof()
                assert await read_to_end(client) == bytes([number])
        nursery.cancel_scope.cancel()
    with pytest.raises(ConnectionRefusedError):
        await net.connect("echo")  # it has closed its listener


async def test_tls_runs_over_it(autojump_clock: MockClock) -> None:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    authority.issue_cert("echo.invalid").configure_cert(theirs)
    net = Net(Script(), LAN)
    listener = trio.SSLListener(net.listen("echo"), theirs)
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, echo, [listener])
        client = trio.SSLStream(await net.connect("echo"), ours, server_hostname="echo.invalid")
        await client.send_all(b"secret")
        assert await client.receive_some() == b"secret"
        await client.aclose()
        nursery.cancel_scope.cancel()


# trio-websocket.


@asynccontextmanager
async def websocket(
    stream: trio.abc.Stream, target: str = "/"
) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    async with trio.open_nursery() as nursery:
        connection = await trio_websocket.wrap_client_stream(
            nursery, cast("trio.SocketStream", stream), "test.invalid", target
        )
        yield connection
        await connection.aclose()


async def echo_messages(request: trio_websocket.WebSocketRequest) -> None:
    connection = await request.accept()
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except trio_websocket.ConnectionClosed:
        pass


async def talk(net: Net) -> None:
    """Serve websockets and be two clients, one of which vanishes without a close frame."""
    listener = net.listen("echo")
    server = trio_websocket.WebSocketServer(echo_messages, cast("Any", [listener]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        stream = await net.connect("echo", "rude")
        async with trio.open_nursery() as client:
            rude = await trio_websocket.wrap_client_stream(
                client, cast("trio.SocketStream", stream), "test.invalid", "/"
            )
            await rude.send_message("are you there?")
            assert await rude.get_message() == "are you there?"
            await stream.aclose()
        async with websocket(await net.connect("echo", "polite")) as polite:
            for message in ("hello", "x" * 5000, b"\x00" * 5000):
                await polite.send_message(message)
                assert await polite.get_message() == message
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("faults", [Faults(), LAN, Faults(window=100)])
async def test_websockets_run_on_it(faults: Faults, autojump_clock: MockClock) -> None:
    await talk(Net(Script(), faults))


async def test_a_websocket_server_survives_torn_and_late_bytes(autojump_clock: MockClock) -> None:
    dice = Dice(1)
    await talk(Net(dice, Faults(chunk=5, latency=(0.1, 1.0), stall=(0.1, 9.0))))
    assert {"torn sends", "stalls"} <= set(dice.kinds)


# The broker.


@asynccontextmanager
async def serving(net: Net) -> AsyncIterator[Broker]:
    """Serve a broker that greets, answers, and keeps its clients in a room."""
    broker = Broker(ping_interval=25, ping_timeout=20)

    @broker.on("connection")
    async def connected(socket: Any) -> None:
        await socket.join("all")

    @broker.on("say")
    async def say(socket: Any, text: str) -> str:
        await broker.to("all").emit("said", text)
        return "done"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: broker.serve(listeners=[net.listen("broker")]))
        await trio.lowlevel.checkpoint()
        yield broker
        await broker.close()


async def say_and_hear(net: Net, who: str, text: str) -> None:
    """Connect as a Socket.IO client, say something, and wait until it is heard."""
    async with websocket(await net.connect("broker", who), TARGET) as client:
        await client.send_message("40")
        heard = []
        said = f'42["said","{text}"]'
        await client.send_message(f'420["say","{text}"]')
        while not (said in heard and '430["done"]' in heard):
            message = await client.get_message()
            if message == "2":
                await client.send_message("3")
            heard.append(message)


async def test_the_broker_runs_on_it() -> None:
    net = Net(Script())
    async with serving(net) as broker, trio.open_nursery() as nursery:
        nursery.start_soon(say_and_hear, net, "alice", "hello")
        nursery.start_soon(say_and_hear, net, "bob", "hi")
    assert net.statistics().listening == ()
    assert broker.statistics().connections == 0


async def test_the_broker_answers_http_on_it(autojump_clock: MockClock) -> None:
    net = Net(Script(), LAN)
    async with serving(net), await net.connect("broker") as client:
        await client.send_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await read_to_end(client)).startswith(b"HTTP/1.1 404 ")


async def test_the_broker_notices_by_its_heartbeat_that_a_client_is_cut_off(
    autojump_clock: MockClock,
) -> None:
    net = Net(Script())
    async with (
        serving(net) as broker,
        websocket(await net.connect("broker", "phone"), TARGET) as client,
    ):
        await client.send_message("40")
        while not str(await client.get_message()).startswith("40"):
            pass
        net.partition("phone", "broker")
        await trio.sleep(40.0)
        assert broker.statistics().sockets == 1
        await trio.sleep(10.0)
        assert broker.statistics().sockets == 0
        net.heal()


@pytest.mark.parametrize("faults", [Faults(), LAN, MOBILE, CHAOS])
@pytest.mark.parametrize("seed", range(3))
def test_the_broker_keeps_nobody_in_a_simulation_whatever_the_network_does(
    faults: Faults, seed: int
) -> None:
    async def program(sim: Sim) -> None:
        net = sim.net(faults)

        async def client(who: str) -> None:
            try:
                # A black hole says nothing; and trio-websocket's handshake waits for ever when
                # the connection ends in the middle of it.
                with trio.move_on_after(200.0):
                    await say_and_hear(net, who, "hello")
            except* (
                OSError,
                trio.BrokenResourceError,
                trio_websocket.ConnectionClosed,
                trio_websocket.HandshakeError,
            ):
                sim.note("it lost its connection")

        async with serving(net) as broker:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client, "alice")
                nursery.start_soon(client, "bob")
            await trio.sleep(100.0)
            assert broker.statistics().sockets == 0

    simulate(program, seed=seed, max_steps=100_000).check()
