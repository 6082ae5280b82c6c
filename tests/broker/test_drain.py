"""To drain a broker: nobody new, everybody told in waves, and then the close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from broker import Broker, BrokerNotRunning, Socket
from broker.engine import Engine, Session
from broker.values.statistics import Statistics

from .alive import alive

CLOSE_FRAME = b"\x88\x02\x03\xe8"
POLLING = "/socket.io/?EIO=4&transport=polling"
UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket{} HTTP/1.1\r\nHost: test\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def noting(broker: Broker) -> list[tuple[str, str, str, float]]:
    """Return (socket's number, hook, reason, time) of all that goes."""
    log: list[tuple[str, str, str, float]] = []

    async def note(hook: str, socket: Socket, reason: str) -> None:
        log.append((socket.handshake.auth["name"], hook, reason, trio.current_time()))

    async def disconnecting(socket: Socket, reason: str) -> None:
        await note("disconnecting", socket, reason)

    async def disconnect(socket: Socket, reason: str) -> None:
        await note("disconnect", socket, reason)

    broker.on("disconnecting", disconnecting)
    broker.on("disconnect", disconnect)
    return log


async def visit(broker: Broker, number: int) -> None:
    async with broker.test_client(auth={"name": str(number)}) as client:
        while client.connected:
            await client.line.changes.park()


async def populate(broker: Broker, nursery: trio.Nursery, count: int) -> None:
    """Let clients connect, one after the other."""
    for number in range(count):
        nursery.start_soon(visit, broker, number)
        await wait_all_tasks_blocked()


async def opened(http: Any) -> str:
    """Open a polling session in `/`; return its target."""
    _, _, told = await http.request("GET", POLLING)
    sid = told.decode().split('"')[3]
    target = f"{POLLING}&sid={sid}"
    assert (await http.request("POST", target, b'40{"name":"poller"}'))[0] == 200
    await http.request("GET", target)
    return target


async def test_clients_go_in_waves_oldest_first_and_their_hooks_run_once(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    log = noting(broker)
    async with alive(broker), trio.open_nursery() as nursery:
        await populate(broker, nursery, 7)
        start = trio.current_time()
        await broker.drain(batch=3, interval=2.0)
        assert trio.current_time() == start + 4.0
        with pytest.raises(BrokerNotRunning, match="is being closed"):
            await broker.serve_stream(memory_stream_pair()[0])
        reason = "server shutting down"
        assert sorted(log) == sorted(
            (str(number), hook, reason, pytest.approx(start + number // 3 * 2.0))
            for number in range(7)
            for hook in ("disconnecting", "disconnect")
        )
    assert broker.statistics() == Statistics()


async def test_a_client_is_closed_and_not_put_out_of_its_namespace(
    autojump_clock: MockClock, wire: Callable[..., Any]
) -> None:
    """A JavaScript client that gets a DISCONNECT packet would not come back."""
    broker = Broker()
    async with alive(broker), wire(broker) as client, trio.open_nursery() as nursery:
        await client.enter()
        nursery.start_soon(broker.drain)
        with pytest.raises(Exception, match="1000") as closed:
            await client.get()
        assert closed.type.__name__ == "ConnectionClosed"


async def test_while_it_drains_nobody_new_is_let_in_and_the_health_check_says_so(
    autojump_clock: MockClock, http: Callable[..., Any]
) -> None:
    broker = Broker(healthz="/healthz")
    async with alive(broker), trio.open_nursery() as nursery, http(broker) as client:
        await populate(broker, nursery, 2)
        assert (await client.request("GET", "/healthz"))[0] == 200
        nursery.start_soon(broker.drain, 1, 10.0)
        await wait_all_tasks_blocked()
        assert (await client.request("GET", "/healthz"))[::2] == (503, b"closing\n")
        status, _, body = await client.request("GET", POLLING)
        assert (status, body) == (400, b'{"code":3,"message":"Bad request"}')
        ours, theirs = memory_stream_pair()
        nursery.start_soon(broker.serve_stream, theirs)
        await ours.send_all(UPGRADE.format("").encode())
        assert (await ours.receive_some()).startswith(b"HTTP/1.1 400")
        await ours.aclose()
        assert broker.statistics().connections == 1


async def test_who_polls_is_told_at_its_next_poll(
    autojump_clock: MockClock, http: Callable[..., Any]
) -> None:
    broker = Broker()
    log = noting(broker)
    async with (
        alive(broker),
        http(broker) as waiting,
        http(broker) as between,
        trio.open_nursery() as nursery,
    ):
        polls = await opened(waiting)
        target = await opened(between)
        heard: list[bytes] = []

        async def poll() -> None:
            heard.append((await waiting.request("GET", polls))[2])

        nursery.start_soon(poll)
        await populate(broker, nursery, 1)
        nursery.start_soon(broker.drain, 2, 10.0)
        await wait_all_tasks_blocked()
        assert heard == [b"1"]
        await trio.sleep(5)
        assert (await between.request("GET", target))[2] == b"1"
        assert (await between.request("GET", target))[0] == 400
        assert [name for name, *_ in log] == ["poller"] * 4


@pytest.mark.parametrize("steps", range(12))
async def test_who_is_in_its_upgrade_goes_too(
    steps: int, autojump_clock: MockClock, http: Callable[..., Any]
) -> None:
    broker = Broker()
    log = noting(broker)
    async with alive(broker), http(broker) as client, trio.open_nursery() as nursery:
        target = await opened(client)
        ours, theirs = memory_stream_pair()
        nursery.start_soon(broker.serve_stream, theirs)
        await ours.send_all(UPGRADE.format(target.removeprefix(POLLING)).encode())
        await ours.send_all(b"\x81\x86" + bytes(4) + b"2probe")
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        await populate(broker, nursery, 1)
        start = trio.current_time()
        nursery.start_soon(broker.drain, 1, 10.0)
        while await ours.receive_some():
            pass
        await ours.aclose()
        assert trio.current_time() == pytest.approx(start)
        assert [(name, reason) for name, _, reason, _ in log] == [
            ("poller", "server shutting down")
        ] * 2


@pytest.mark.parametrize("steps", range(14))
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_who_is_in_its_handshake_is_refused_or_goes_in_its_turn(
    transport: str, steps: int, autojump_clock: MockClock
) -> None:
    broker = Broker()
    async with alive(broker), trio.open_nursery() as nursery:
        await populate(broker, nursery, 2)
        ours, theirs = memory_stream_pair()
        nursery.start_soon(broker.serve_stream, theirs)
        request = (
            UPGRADE.format("")
            if transport == "websocket"
            else f"GET {POLLING} HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        await ours.send_all(request.encode())
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        start = trio.current_time()
        async with trio.open_nursery() as draining:
            draining.start_soon(broker.drain, 1, 10.0)
            heard = b""
            while piece := await ours.receive_some():
                heard += bytes(piece)
                if CLOSE_FRAME in heard or heard.startswith(b"HTTP/1.1 400"):
                    break
            await ours.aclose()
        assert heard.startswith((b"HTTP/1.1 400", b"HTTP/1.1 101", b"HTTP/1.1 200"))
        assert trio.current_time() <= start + 20.0
    assert broker.statistics() == Statistics()


async def test_to_close_meanwhile_hurries_it(autojump_clock: MockClock) -> None:
    broker = Broker()
    log = noting(broker)
    async with alive(broker), trio.open_nursery() as nursery:
        await populate(broker, nursery, 5)
        start = trio.current_time()
        async with trio.open_nursery() as draining:
            draining.start_soon(broker.drain, 1, 10.0)
            await trio.sleep(15)
            assert {name for name, *_ in log} == {"0", "1"}
            await broker.close()
        assert trio.current_time() == pytest.approx(start + 15)
        assert len(log) == 10


async def test_cancelled_it_makes_no_more_waves_and_lets_in_again(
    autojump_clock: MockClock, http: Callable[..., Any]
) -> None:
    broker = Broker(healthz="/healthz")
    log = noting(broker)
    async with alive(broker), trio.open_nursery() as nursery, http(broker) as client:
        await populate(broker, nursery, 3)
        with trio.move_on_after(15):
            await broker.drain(1, 10.0)
        await trio.sleep(20)
        assert {name for name, *_ in log} == {"0", "1"}
        assert broker.statistics().connections == 1
        assert (await client.request("GET", "/healthz"))[0] == 200
        assert (await client.request("GET", POLLING))[0] == 200
        with trio.CancelScope() as scope:
            scope.cancel()
            await broker.drain(1, 10.0)
        assert broker.statistics().connections == 2
        await broker.drain()  # another begins anew


async def test_who_never_answers_is_given_the_grace_and_no_more(
    autojump_clock: MockClock, wire: Callable[..., Any]
) -> None:
    broker = Broker(grace=3.0)
    ours, theirs = memory_stream_pair()
    async with alive(broker), trio.open_nursery() as nursery:
        nursery.start_soon(broker.serve_stream, theirs)
        await ours.send_all(UPGRADE.format("").encode())
        await wait_all_tasks_blocked()
        start = trio.current_time()
        await broker.drain()
        assert trio.current_time() == pytest.approx(start + 3.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"batch": 0}, "batch: expected a whole number from 1 up, saw 0"),
        ({"batch": 1.5}, "batch: expected a whole number from 1 up, saw 1.5"),
        ({"interval": 0}, "interval: expected more than 0, saw 0"),
        ({"interval": float("inf")}, "interval: expected more than 0, saw inf"),
        ({"interval": "1"}, "interval: expected more than 0, saw '1'"),
    ],
)
async def test_arguments_that_make_no_sense_are_refused_even_if_nothing_runs(
    arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        await Broker().drain(**arguments)


async def test_to_drain_what_does_not_run_is_no_error() -> None:
    await Broker().drain()


async def test_an_engine_drains_too(autojump_clock: MockClock, wire: Callable[..., Any]) -> None:
    engine = Engine(path="/socket.io/")
    reasons: list[str | None] = []

    @engine.on_session
    async def wait(session: Session) -> None:
        try:
            await trio.sleep_forever()
        finally:
            reasons.append(session.reason)

    async with alive(engine), wire(engine), wire(engine):
        start = trio.current_time()
        await engine.drain(batch=1, interval=2.0)
        assert trio.current_time() == pytest.approx(start + 2.0)
        assert reasons == ["server shutting down"] * 2
