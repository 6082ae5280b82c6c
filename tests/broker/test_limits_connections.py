"""How many clients there may be, in all and from one address; and that no place is ever lost."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
import trio_websocket
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, ConnectError, ConnectionFailure, Options, Request, Socket
from broker.engine import Engine, Session
from broker.serving.places import Places, block_of
from broker.serving.refusals import Refused

POLL = "/socket.io/?EIO=4&transport=polling"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
both = pytest.mark.parametrize(
    ("target", "named"),
    [
        pytest.param(POLL, {}, id="polling"),
        pytest.param(POLL.replace("polling", "websocket"), UPGRADE, id="websocket"),
    ],
)

Http = Callable[..., Any]


class Loopback:
    """Streams over the loopback interface, so that clients have an address: 127.0.0.1."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener

    async def pair(self) -> tuple[trio.abc.Stream, trio.abc.Stream]:
        ours = await trio.testing.open_stream_to_socket_listener(self._listener)
        return ours, await self._listener.accept()

    async def pairs(self) -> Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]]:
        pair = await self.pair()
        return lambda: pair


@pytest.fixture
async def loopback() -> AsyncIterator[Loopback]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        yield Loopback(listener)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("what a proxy wrote", "what a proxy wrote"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(address: str, counted: str) -> None:
    assert block_of(address) == counted


def test_a_place_is_given_back_once_and_leaves_nothing() -> None:
    places = Places(Options(max_connections_per_address=2, max_connections=3))
    first, second = places.take("192.0.2.7"), places.take("192.0.2.7")
    with pytest.raises(Refused, match=r"max_connections_per_address=2, from 192\.0\.2\.7"):
        places.take("192.0.2.7")
    other = places.take("2001:db8::1")
    with pytest.raises(Refused, match="max_connections=3"):
        places.take("192.0.2.8")
    first.leave()
    first.leave()
    again = places.take("192.0.2.7")
    with pytest.raises(Refused, match="max_connections=3"):
        places.take("192.0.2.7")
    for place in (second, other, again):
        place.leave()
    assert (places.taken, dict(places.by_address)) == (0, {})


def test_clients_without_an_address_do_not_share_one() -> None:
    places = Places(Options(max_connections_per_address=1))
    assert [places.take(""), places.take("")]


@both
@pytest.mark.parametrize(
    ("options", "status"),
    [({"max_connections_per_address": 2}, 429), ({"max_connections": 2}, 503)],
)
async def test_one_client_too_many_is_refused_before_anybody_is_asked_and_let_in_later(
    target: str,
    named: dict[str, str],
    options: dict[str, int],
    status: int,
    http: Http,
    wire: Http,
    loopback: Loopback,
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked: list[Request] = []
    failures: list[ConnectionFailure] = []

    async def allow(request: Request) -> None:
        asked.append(request)

    broker = Broker(allow_request=allow, **options)
    broker.on_connection_error(failures.append)
    gone = trio.Event()

    @broker.on("disconnect")
    async def left(socket: Socket, reason: str) -> None:
        gone.set()

    ((name, limit),) = options.items()
    async with broker, AsyncExitStack() as stack:
        polls = await stack.enter_async_context(http(broker, streams=await loopback.pairs()))
        _, _, opened = await polls.request("GET", POLL)
        sid = json.loads(opened[1:])["sid"]
        async with wire(broker, streams=await loopback.pairs()) as websocket:
            await websocket.enter()
            assert len(asked) == 2
            async with http(broker, streams=await loopback.pairs()) as late:
                answer = await late.request("GET", target, **named)
            assert answer[0] == status
            assert json.loads(answer[2]) == {"code": 4, "message": "Too many connections"}
            assert len(asked) == 2
            assert f"{name}={limit}" in caplog.text
            assert [failure.context["name"] for failure in failures] == ["TOO_MANY_CONNECTIONS"]
            # An upgrade is of a session that has its place.
            probe = f"{POLL}&sid={sid}".replace("polling", "websocket")
            streams = await loopback.pairs()
            async with wire(broker, probe, streams=streams, read_open=False) as over:
                await over.send("2probe")
                assert await over.get() == "3probe"
        with trio.fail_after(10):
            await gone.wait()
        async with http(broker, streams=await loopback.pairs()) as again:
            assert (await again.request("GET", POLL))[0] == 200


async def test_behind_a_proxy_that_is_trusted_each_client_has_its_own_address(
    http: Http, loopback: Loopback
) -> None:
    broker = Broker(max_connections_per_address=1, trusted_proxies="127.0.0.0/8")
    async with broker, http(broker, streams=await loopback.pairs()) as client:
        statuses = [
            (await client.request("GET", POLL, X_Forwarded_For=address))[0]
            for address in ("192.0.2.7", "192.0.2.8", "192.0.2.7", "2001:db8::1", "2001:db8::2")
        ]
        assert statuses == [200, 200, 429, 200, 429]


async def test_who_is_being_asked_about_has_a_place_already(
    http: Http, autojump_clock: MockClock
) -> None:
    async def allow(request: Request) -> None:
        await trio.sleep(1)
        if "banned" in request.query:
            raise ConnectError("you are banned")

    broker = Broker(allow_request=allow, max_connections=1)
    statuses: dict[str, int] = {}

    async def come(name: str, query: str = "", *, patience: float = 10) -> None:
        with trio.move_on_after(patience):
            async with http(broker) as client:
                statuses[name] = (await client.request("GET", POLL + query))[0]

    async with broker:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(come, "banned", "&banned=1")
            await wait_all_tasks_blocked()
            await come("meanwhile")
        await come("impatient", patience=0.5)
        await wait_all_tasks_blocked()
        await come("later")
    assert statuses == {"banned": 403, "meanwhile": 503, "later": 200}


async def fails(request: Request) -> str:
    raise ValueError("no id today")


async def test_a_handshake_that_fails_gives_its_place_back(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(generate_id=fails, max_connections=1)
    async with broker, http(broker) as client:
        for _ in range(3):
            assert (await client.request("GET", POLL))[0] == 400
    assert "max_connections" not in caplog.text


@pytest.mark.parametrize("seed", range(12))
async def test_no_place_is_lost_however_clients_come_and_go(
    seed: int, http: Http, wire: Http, autojump_clock: MockClock
) -> None:
    """Clients of all kinds, cancelled at any moment; then as many as there may be find a place."""
    dice = random.Random(seed)
    most = 6
    calm = trio.Event()

    async def allow(request: Request) -> bool:
        if calm.is_set():
            return True
        await trio.sleep(dice.choice([0, 0, 1]))
        return dice.random() < 0.8

    engine = Engine(
        path="/socket.io/",
        allow_request=allow,
        max_connections=most,
        ping_interval=3.0,
        ping_timeout=1.0,
    )

    @engine.on_session
    async def stay(session: Session) -> None:
        await trio.sleep_forever()

    @asynccontextmanager
    async def refusable() -> AsyncIterator[None]:
        try:
            yield
        except* (trio_websocket.ConnectionRejected, trio_websocket.ConnectionClosed):
            pass
        except* (trio.BrokenResourceError, trio_websocket.HandshakeError):
            pass

    async def poll() -> None:
        async with http(engine) as client:
            status, _, opened = await client.request("GET", POLL)
            if status == 200:
                target = f"{POLL}&sid={json.loads(opened[1:])['sid']}"
                body = dice.choice([b"1", b"4a", b"no packet"])
                await client.request("POST", target, body)
                await client.request("GET", target)

    async def carry() -> None:
        async with refusable(), wire(engine, POLL.replace("polling", "websocket")) as client:
            await client.send(dice.choice(["1", "4a", "no packet"]))
            await client.until("never")

    async def come() -> None:
        await trio.sleep(dice.uniform(0, 10))
        with trio.move_on_after(dice.choice([0, 0.5, 1, 1.5, 5, 100])):
            await dice.choice([poll, carry])()

    async with engine:
        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(come)
        await trio.sleep(10)  # who only vanished is silent for too long
        assert engine.statistics()["sessions"] == 0
        calm.set()
        async with http(engine) as client:
            statuses = [(await client.request("GET", POLL))[0] for _ in range(most + 1)]
        assert statuses == [200] * most + [503]
