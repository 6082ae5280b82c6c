"""What several tests need: clients that speak the wire themselves, in memory; the closing lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import Any, cast

import h11
import pytest
import trio
import trio.testing
import trio_websocket

from broker.serving.server import Server

from .redis_process import RedisProcess

_NOT_RUN = pytest.StashKey[int]()  # how many tests lacked a real client

StreamPair = Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]]


class WireClient:
    """A websocket client without any Socket.IO of its own: it sends what a test says."""

    def __init__(self, websocket: trio_websocket.WebSocketConnection) -> None:
        self.websocket = websocket

    async def send(self, *messages: str | bytes) -> None:
        for message in messages:
            await self.websocket.send_message(message)

    async def get(self) -> str | bytes:
        return cast("str | bytes", await self.websocket.get_message())

    async def enter(self, namespace: str = "/", auth: str = "") -> str:
        """Connect to a namespace, and return the socket's id."""
        prefix = "" if namespace == "/" else f"{namespace},"
        await self.send(f"40{prefix}{auth}")
        while True:
            answer = str(await self.get())
            if answer.startswith(f"40{prefix}{{"):
                return str(json.loads(answer[2 + len(prefix) :])["sid"])
            assert not answer.startswith("44"), answer

    async def until(self, message: str) -> list[str | bytes]:
        """Return what comes up to and with `message`."""
        seen = [await self.get()]
        while seen[-1] != message:
            seen.append(await self.get())
        return seen


@asynccontextmanager
async def _connected(
    server: Server,
    target: str = "/socket.io/?EIO=4&transport=websocket",
    *,
    streams: StreamPair = trio.testing.memory_stream_pair,
    headers: list[tuple[bytes, bytes]] | None = None,
    read_open: bool = True,
) -> AsyncIterator[WireClient]:
    ours, theirs = streams()
    async with trio.open_nursery() as serving, trio.open_nursery() as nursery:
        serving.start_soon(server.serve_stream, theirs)
        websocket = await trio_websocket.wrap_client_stream(
            nursery,
            cast("trio.SocketStream", ours),
            "test.invalid",
            target,
            extra_headers=headers,
            max_message_size=2**30,
        )
        client = WireClient(websocket)
        if read_open:
            assert str(await client.get()).startswith("0{")
        yield client
        await trio.aclose_forcefully(ours)  # it vanishes; a polite one says so itself
        nursery.cancel_scope.cancel()


@pytest.fixture
def wire() -> Callable[..., AbstractAsyncContextManager[WireClient]]:
    """`async with wire(broker) as client`: a raw websocket client, past the open packet."""
    return _connected


class HttpClient:
    """One HTTP connection, in memory."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._h11 = h11.Connection(h11.CLIENT)

    async def request(
        self, method: str, target: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (names in lower case) and body of the answer."""
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        fields = [
            *({"Host": "test.invalid"} | named).items(),
            *([("Content-Length", str(len(body)))] if body else []),
        ]
        data = self._h11.send(h11.Request(method=method, target=target, headers=fields)) or b""
        if body:
            data += self._h11.send(h11.Data(data=body)) or b""
        await self.stream.send_all(data + (self._h11.send(h11.EndOfMessage()) or b""))
        status, fields_back, content = 0, {}, b""
        while True:
            event: Any = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._h11.receive_data(bytes(await self.stream.receive_some(65536)))
            elif isinstance(event, h11.Response):
                status = event.status_code
                fields_back = {
                    name.decode(): value.decode("latin-1") for name, value in event.headers
                }
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, fields_back, content
            else:
                raise AssertionError(f"no answer, but {event!r}")


@asynccontextmanager
async def _http(
    server: Server, *, streams: StreamPair = trio.testing.memory_stream_pair
) -> AsyncIterator[HttpClient]:
    ours, theirs = streams()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        yield HttpClient(ours)
        await ours.aclose()


@pytest.fixture
def http() -> Callable[..., AbstractAsyncContextManager[HttpClient]]:
    """`async with http(broker) as client`: an HTTP connection, in memory."""
    return _http


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisProcess]:
    """A Redis for all tests, each with keys of its own; who kills one has one for itself."""
    process = RedisProcess()
    yield process
    process.close()


@pytest.fixture
def own_redis() -> Iterator[Callable[..., RedisProcess]]:
    """Starts a Redis that is the test's own, with these options."""
    with ExitStack() as stack:

        def start(*options: str) -> RedisProcess:
            process = RedisProcess(*options)
            stack.callback(process.close)
            return process

        yield start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how the time was shared, and which real clients did not take part."""
    shares: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                folder = "/".join(report.nodeid.split("::")[0].split("/")[:2])
                shares[folder] = shares.get(folder, 0.0) + report.duration
    terminalreporter.section("shares of the time")
    for folder, seconds in sorted(shares.items()):
        terminalreporter.line(f"{folder}: {seconds:.1f} s")
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())]
    terminalreporter.config.stash[_NOT_RUN] = sum("apt-get install" in why for why in skipped)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close with the number of real-client tests that could not run."""
    if _NOT_RUN in config.stash:
        print(f"real-client tests that did not run: {config.stash[_NOT_RUN]}")  # noqa: T201
