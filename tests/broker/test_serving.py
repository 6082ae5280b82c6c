"""Lives: who opens one, who leaves last, how it ends, and that nothing is left of it."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from broker import Address, Broker, Socket

HELLO = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def greeted(stream: trio.abc.Stream) -> bool:
    """Say hello; return whether a session was opened."""
    await stream.send_all(HELLO)
    answer = b""
    while b'"sid"' not in answer and (data := await stream.receive_some(65536)):
        answer += bytes(data)
    return b'"sid"' in answer


async def test_started_it_tells_its_real_address_and_serves_there() -> None:
    broker = Broker()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            address: Address = await nursery.start(broker.serve, "127.0.0.1", 0)
            assert address.host == "127.0.0.1"
            assert address.port > 0
            assert address.url == f"http://127.0.0.1:{address.port}"
            assert broker.addresses == [address]
            async with await trio.open_tcp_stream(address.host, address.port) as stream:
                assert await greeted(stream)
            nursery.cancel_scope.cancel()
        assert broker.addresses == []
        with pytest.raises(OSError, match=r".*"):
            await trio.open_tcp_stream(address.host, address.port)


async def test_several_serve_in_one_life_plain_tls_and_unix(tmp_path: Path) -> None:
    broker = Broker()
    sockets: list[Socket] = []

    @broker.use
    async def note(socket: Socket) -> None:
        sockets.append(socket)

    authority = trustme.CA()
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs = ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    path = tmp_path / "broker.sock"
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery, broker:
            plain = await nursery.start(broker.serve, "127.0.0.1", 0)

            async def serve_tls(task_status: trio.TaskStatus[Address]) -> None:
                await broker.serve("127.0.0.1", 0, ssl_context=ours, task_status=task_status)

            async def serve_unix(task_status: trio.TaskStatus[Address]) -> None:
                await broker.serve(unix=path, task_status=task_status)

            secure = await nursery.start(serve_tls)
            unix = await nursery.start(serve_unix)
            assert secure.url == f"https://127.0.0.1:{secure.port}"
            assert unix.host == str(path)
            assert broker.addresses == [plain, secure, unix]
            tcp = await trio.open_tcp_stream(secure.host, secure.port)
            tls = trio.SSLStream(tcp, theirs, server_hostname="localhost", https_compatible=True)
            async with tls, await trio.open_unix_socket(path) as local:
                assert await greeted(tls)
                assert await greeted(local)
            assert broker.statistics().connections == 2
            await broker.close()
            assert broker.addresses == []
        assert not path.exists()


async def test_who_cannot_listen_raises_a_plain_oserror_and_ends_the_life() -> None:
    broker = Broker()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            address = await nursery.start(Broker().serve, "127.0.0.1", 0)
            with pytest.raises(OSError, match=r".*"):
                await broker.serve(address.host, address.port)
            nursery.cancel_scope.cancel()
        async with broker:
            assert broker.statistics().namespaces == 1


async def test_two_that_open_the_life_at_once_are_both_served() -> None:
    for _ in range(10):
        broker = Broker()
        ids: list[str] = []

        async def client(broker: Broker = broker, ids: list[str] = ids) -> None:
            ours, theirs = memory_stream_pair()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(broker.serve_stream, theirs)
                assert await greeted(ours)
                ids.append("greeted")
                await ours.aclose()

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(client)
        assert ids == ["greeted"] * 3


async def test_two_test_clients_that_open_the_life_at_once_both_come_in() -> None:
    for _ in range(10):
        broker = Broker()
        came: list[str] = []
        all_came = trio.Event()

        async def client(
            broker: Broker = broker, came: list[str] = came, all_came: trio.Event = all_came
        ) -> None:
            async with broker.test_client() as connected:
                came.append(connected.id)
                if len(came) == 3:
                    all_came.set()
                await all_came.wait()

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(client)
        assert len(set(came)) == 3


async def test_who_opened_it_leaves_last_and_closes_what_others_hold(
    wire: Callable[..., Any],
) -> None:
    broker = Broker()
    log: list[str] = []

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        log.append(reason)

    async def visitor(task_status: trio.TaskStatus[None]) -> None:
        async with wire(broker) as client:
            await client.enter()
            task_status.started()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        async with broker:
            await nursery.start(visitor)
        assert log == ["server shutting down"]
        assert broker.statistics().tasks == 0
        nursery.cancel_scope.cancel()


async def test_close_waits_no_longer_than_grace(autojump_clock: MockClock) -> None:
    broker = Broker(grace=3.0, handler_grace=100.0, disconnect_timeout=1.0)
    log: list[str] = []

    @broker.on("hang")
    async def hang(socket: Socket) -> None:
        await trio.sleep_forever()

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        log.append(reason)

    async with broker, broker.test_client() as client:
        await client.emit("hang")
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await broker.close()
        assert trio.current_time() - start == pytest.approx(3.0)
        assert log == ["server shutting down"]
        await broker.close()


async def live(broker: Broker, how: str) -> None:
    match how:
        case "block":
            async with broker:
                await trio.sleep_forever()
        case "serve":
            await broker.serve("127.0.0.1", 0)
        case "client":
            async with broker.test_client():
                await trio.sleep_forever()


@pytest.mark.parametrize("how", ["block", "serve", "client"])
async def test_a_life_that_is_cancelled_as_it_begins_ends(how: str) -> None:
    broker = Broker()
    with trio.fail_after(5):
        with trio.CancelScope() as scope:
            scope.cancel()
            await live(broker, how)
        assert scope.cancelled_caught
    async with broker:
        assert broker.statistics().sockets == 0


@pytest.mark.parametrize("how", ["block", "serve", "client"])
@pytest.mark.parametrize("steps", range(6))
async def test_who_fails_beside_a_life_that_begins_is_heard(how: str, steps: int) -> None:
    async def fail() -> None:
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        raise ValueError("config")

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(live, Broker(), how)
            nursery.start_soon(fail)

    with trio.fail_after(5):
        with pytest.raises(ExceptionGroup) as raised:
            await run()
        assert raised.group_contains(ValueError, match="config")


async def test_close_when_nothing_runs_returns() -> None:
    broker = Broker()
    await broker.close()
    async with broker:
        pass
    await broker.close()


async def test_it_cannot_be_entered_twice_but_again() -> None:
    broker = Broker()
    async with broker:
        with pytest.raises(RuntimeError):
            await broker.__aenter__()
        assert broker.statistics().namespaces == 1
    async with broker:
        assert broker.statistics().namespaces == 1


async def test_an_exception_in_the_block_comes_out_as_itself() -> None:
    broker = Broker()
    with pytest.raises(ZeroDivisionError):
        async with broker, broker.test_client():
            _ = 1 / 0
    assert broker.statistics().tasks == 0


def test_it_lives_again_in_another_run_with_its_handlers_and_nothing_else() -> None:
    broker = Broker()

    @broker.on("enter")
    async def enter(socket: Socket) -> list[str]:
        await socket.join("room")
        return sorted(socket.namespace.rooms)

    async def life() -> None:
        async with broker, broker.test_client() as client:
            assert dict(broker.rooms) == {}
            assert await client.call("enter") == ["room"]

    for _ in range(3):
        trio.run(life)
        assert dict(broker.rooms) == {}
        assert dict(broker.sockets) == {}


async def test_two_brokers_know_nothing_of_each_other() -> None:
    one, two = Broker(), Broker()
    async with one, two, one.test_client() as first, two.test_client() as second:
        await one.emit("hello")
        assert await first.expect("hello") == ()
        await second.expect_nothing()
        await one.close()
        await wait_all_tasks_blocked()
        assert not first.connected
        assert second.connected


def test_it_runs_in_guest_mode() -> None:
    outcomes: list[Any] = []
    broker = Broker()

    @broker.on("echo")
    async def echo(socket: Socket, text: str) -> str:
        return text

    async def main() -> str:
        async with broker.test_client() as client:
            return str(await client.call("echo", "guest"))

    waiting: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    trio.lowlevel.start_guest_run(
        main, run_sync_soon_threadsafe=waiting.put, done_callback=outcomes.append
    )
    while not outcomes:
        waiting.get(timeout=10)()
    assert outcomes[0].unwrap() == "guest"


async def test_a_client_in_its_handshake_when_the_broker_closes_is_told_so() -> None:
    for steps in range(12):  # somewhere in here lies the handshake
        broker = Broker()
        ours, theirs = memory_stream_pair()
        with trio.fail_after(5):
            async with broker, trio.open_nursery() as nursery:
                nursery.start_soon(broker.serve_stream, theirs)
                await ours.send_all(
                    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: test\r\n"
                    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                )
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.start_soon(broker.close)
                heard = b""
                while piece := await ours.receive_some():
                    heard += bytes(piece)
                    if b"\x88\x02" in heard:  # its Close frame: answered by leaving
                        break
                await ours.aclose()
        assert not heard or b"\x88\x02" in heard or heard.startswith(b"HTTP/1.1 400")


async def test_a_client_in_its_first_poll_when_the_broker_closes_is_refused_or_told_so(
    autojump_clock: MockClock,
) -> None:
    for steps in range(12):  # somewhere in here lies the handshake
        broker = Broker()
        ours, theirs = memory_stream_pair()
        start = trio.current_time()
        async with broker, trio.open_nursery() as nursery:
            nursery.start_soon(broker.serve_stream, theirs)
            await ours.send_all(HELLO)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            await broker.close()
            heard = b""
            while piece := await ours.receive_some():
                heard += bytes(piece)
        assert trio.current_time() == pytest.approx(start), steps  # it waited for nobody
        assert not heard or heard.startswith(b"HTTP/1.1 400") or b'"sid"' in heard


@pytest.mark.parametrize("requests", [0, 1])
async def test_a_connection_without_a_request_goes_quietly_when_the_broker_closes(
    requests: int, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    ours, theirs = memory_stream_pair()
    async with broker, trio.open_nursery() as nursery:
        nursery.start_soon(broker.serve_stream, theirs)
        for _ in range(requests):
            await ours.send_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            while not (await ours.receive_some()).endswith(b"the endpoint is /socket.io/\n"):
                pass
        await wait_all_tasks_blocked()
        await broker.close()
        assert not await ours.receive_some()
    assert not caplog.records
