"""`atrio serve` as a user has it: a process, what it prints, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

ATRIO = Path(sys.executable).with_name("atrio")

# A first start compiles what it imports, maybe beside other work.
DEADLINE = 30.0


class Command:
    """A running `atrio serve`, which has said that it listens at `url`."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.stdout = b""
        self.stderr = b""
        self.listens = trio.Event()
        self.done = 0

    async def read(self, name: str) -> None:
        """Read stdout or stderr until its end: a pipe that nobody empties stops who writes."""
        stream = getattr(self.process, name)
        async for piece in stream:
            setattr(self, name, getattr(self, name) + piece)
            if b"\n" in self.stdout:
                self.listens.set()
        self.done += 1
        if self.done == 2:
            self.listens.set()

    @property
    def url(self) -> str:
        first, _, _ = self.stdout.decode().partition("\n")
        word, _, url = first.rpartition(" ")
        assert word == "atrio listening on", (self.stdout, self.stderr.decode())
        return url

    async def ended(self) -> int:
        """Wait for the end; return the exit code."""
        with trio.fail_after(DEADLINE):
            return await self.process.wait()

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and body of the answer to a GET."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        with trio.fail_after(DEADLINE):
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await stream.send_all(
                    f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
                )
                answer = b"".join([piece async for piece in stream])
        head, _, body = answer.decode().partition("\r\n\r\n")
        return int(head.split()[1]), body

    @asynccontextmanager
    async def client(
        self, namespace: str = "", path: str = "/socket.io/"
    ) -> AsyncIterator[WebSocketConnection]:
        """A websocket client that has asked to enter a namespace."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        target = f"{path}?EIO=4&transport=websocket"
        with trio.fail_after(DEADLINE):
            async with (
                await trio.open_tcp_stream(host, int(port)) as stream,
                trio.open_nursery() as nursery,
            ):
                websocket = await wrap_client_stream(nursery, stream, f"{host}:{port}", target)
                await websocket.send_message(f"40{namespace}")
                yield websocket
                await websocket.aclose()


async def closed(client: WebSocketConnection) -> int:
    """Wait until the server closes the websocket; return its code."""
    with pytest.raises(ConnectionClosed) as end:  # noqa: PT012 - whatever comes before
        while True:
            await client.get_message()
    assert end.value.reason is not None
    return int(end.value.reason.code)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "error"}


@asynccontextmanager
async def serving(*args: str, cwd: Path | None = None) -> AsyncIterator[Command]:
    """`atrio serve --port 0 …`, ready."""
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(
                trio.run_process,
                [ATRIO, "serve", "--port", "0", *args],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                check=False,
                deliver_cancel=_kill,
                cwd=cwd,
                env=_environment(),
            )
        )
        command = Command(process)
        nursery.start_soon(command.read, "stdout")
        nursery.start_soon(command.read, "stderr")
        with trio.fail_after(DEADLINE):
            await command.listens.wait()
        assert command.url
        yield command
        nursery.cancel_scope.cancel()
    assert b"Traceback" not in command.stderr, command.stderr.decode()


async def _kill(process: trio.Process) -> None:
    process.kill()


async def run(*args: str, cwd: Path | None = None) -> tuple[int, str]:
    """Run `atrio …` to its end; return the exit code and what it said on stderr."""
    with trio.fail_after(DEADLINE):
        done = await trio.run_process(
            [ATRIO, *args],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            deliver_cancel=_kill,
            cwd=cwd,
            env=_environment(),
        )
    return done.returncode, done.stderr.decode()


async def test_it_says_where_it_listens_and_serves_the_chat() -> None:
    async with serving() as command:
        host, _, port = command.url.removeprefix("http://").partition(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        status, page = await command.get("/")
        assert status == 200
        assert "<title>atrio</title>" in page
        assert await command.get("/healthz") == (200, "ok\n")
        async with command.client("/chat,") as client:
            assert str(await client.get_message()).startswith("0{")
            refusal = str(await client.get_message())
            assert "A name has 1 to 32 characters." in refusal
    assert command.stdout == f"atrio listening on {command.url}\n".encode()


async def test_a_404_names_the_path_and_the_endpoint() -> None:
    async with serving() as command:
        status, text = await command.get("/nowhere?x=1")
        assert status == 404
        assert "/nowhere" in text
        assert "/socket.io/" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_gracefully(number: signal.Signals) -> None:
    async with serving() as command, command.client("/admin,") as client:
        assert str(await client.get_message()).startswith("0{")
        assert str(await client.get_message()).startswith("40/admin,")
        command.process.send_signal(number)
        assert await closed(client) == 1000
        assert await command.ended() == 0
    assert command.stderr == b""


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    # A handler that takes longer than the test, and options that would let it.
    (tmp_path / "app.py").write_text("""
import trio
from broker import Broker

broker = Broker(grace=1000, handler_grace=1000)

@broker.on("work")
async def work(socket):
    await socket.emit("working")
    await trio.sleep(1000)
""")
    async with serving("app:broker", cwd=tmp_path) as command, command.client() as client:
        await client.send_message('42["work"]')
        while await client.get_message() != '42["working"]':
            pass
        command.process.send_signal(signal.SIGTERM)
        await closed(client)
        # It has begun to close, and waits for the handler.
        assert command.process.poll() is None
        command.process.send_signal(signal.SIGTERM)
        assert await command.ended() == 0


async def test_a_signal_drains_it_in_waves_and_a_second_one_ends_it_at_once() -> None:
    args = ("--drain-batch", "1", "--drain-interval", "1000")
    async with serving(*args) as command, command.client("/admin,") as first:
        assert str(await first.get_message()).startswith("0{")
        async with command.client("/admin,") as second:
            assert str(await second.get_message()).startswith("0{")
            assert str(await second.get_message()).startswith("40/admin,")
            command.process.send_signal(signal.SIGTERM)
            assert await closed(first) == 1000
            # The other one is served as before, for a thousand seconds.
            assert await command.get("/healthz") == (503, "closing\n")
            await second.ping()
            command.process.send_signal(signal.SIGTERM)
            assert await command.ended() == 0
            await closed(second)


async def test_the_last_wave_ends_it() -> None:
    args = ("--drain-batch", "1", "--drain-interval", "0.01")
    async with serving(*args) as command, command.client("/admin,") as first:
        assert str(await first.get_message()).startswith("0{")
        async with command.client("/admin,") as second:
            assert str(await second.get_message()).startswith("0{")
            command.process.send_signal(signal.SIGTERM)
            assert await closed(first) == 1000
            assert await closed(second) == 1000
        assert await command.ended() == 0
    assert command.stderr == b""


async def test_a_port_that_is_taken_is_a_failure_that_names_it() -> None:
    async with serving() as command:
        port = command.url.rpartition(":")[2]
        code, said = await run("serve", "--port", port)
        assert code == 1
        assert f"cannot listen on 127.0.0.1, port {port}" in said
        assert "Traceback" not in said
        assert (await command.get("/healthz"))[0] == 200


async def test_a_users_folder_may_have_modules_named_like_ours(tmp_path: Path) -> None:
    (tmp_path / "actors.py").write_text("CAST = 'their own actors'\n")
    (tmp_path / "protocol").mkdir()
    (tmp_path / "protocol" / "__init__.py").write_text("from .greeting import GREETING\n")
    (tmp_path / "protocol" / "greeting.py").write_text("GREETING = 'their own protocol'\n")
    (tmp_path / "app.py").write_text("""
import actors, protocol
from broker import Broker

broker = Broker()

@broker.on("connection")
async def connected(socket):
    import protocol.greeting
    await socket.emit("mine", actors.CAST, protocol.greeting.GREETING)
""")
    async with serving("app:broker", cwd=tmp_path) as command, command.client() as client:
        assert str(await client.get_message()).startswith("0{")
        assert str(await client.get_message()).startswith("40{")
        assert await client.get_message() == '42["mine","their own actors","their own protocol"]'
        assert await command.get("/healthz") == (200, "ok\n")
        # The chat and its page are for those who bring no broker.
        assert (await command.get("/"))[0] == 404


async def test_a_brokers_own_healthz_is_kept(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("""
from broker import Broker

broker = Broker(healthz="/well")
""")
    async with serving("app:broker", cwd=tmp_path) as command:
        assert (await command.get("/well"))[0] == 200
        assert (await command.get("/healthz"))[0] == 404


async def test_a_file_says_what_the_command_line_does_not(tmp_path: Path) -> None:
    file = tmp_path / "atrio.toml"
    file.write_text("""
host = "::1"
port = 1
log_level = "debug"
admin_token = "the token"

[options]
path = "/talk"
healthz = "/well"
""")
    # The port is the command line's, and goes before the file's.
    async with serving("--config", str(file), "--host", "127.0.0.1") as command:
        assert command.url.startswith("http://127.0.0.1:")
        assert (await command.get("/well"))[0] == 200
        assert (await command.get("/healthz"))[0] == 404
        assert "/talk/" in (await command.get("/nowhere"))[1]
        async with command.client("/admin,", "/talk/") as client:
            assert str(await client.get_message()).startswith("0{")
            assert "This is not the admin token." in str(await client.get_message())
    assert b" DEBUG " in command.stderr


@pytest.mark.parametrize(
    "text",
    [
        "[options.connection_state_recovery]\nmax_disconnection = 60\nskip_middlewares = false\n",
        "[options]\nconnection_state_recovery = {}\n",
    ],
)
async def test_a_file_may_have_clients_come_back(tmp_path: Path, text: str) -> None:
    file = tmp_path / "atrio.toml"
    file.write_text(text)
    connect = '/chat,{"name":"ann"}'
    async with serving("--config", str(file)) as command, command.client(connect) as client:
        assert str(await client.get_message()).startswith("0{")
        assert '"pid":' in str(await client.get_message())


async def test_public_limits_each_client_and_says_how(tmp_path: Path) -> None:
    file = tmp_path / "atrio.toml"
    file.write_text("[options]\nmax_connections_per_address = 7\n")
    limited = serving("--public", "--config", str(file))
    async with limited as command, command.client("/chat,") as client:
        with suppress(ConnectionClosed):
            for _ in range(600):
                await client.send_message("3")
        assert await closed(client) == 1008
    said = command.stderr.decode()
    assert "public: max_packets_per_second=100\n" in said
    assert "public: max_bytes_per_second=500000\n" in said
    assert "public: max_connections_per_address=7, the broker's own\n" in said
    assert "rate_burst=5 s" in said


async def test_a_file_may_say_public_for_a_broker_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("""
from broker import Broker

broker = Broker(max_packets_per_second=50)
""")
    (tmp_path / "atrio.toml").write_text("public = true\n")
    async with serving("app:broker", "--config", "atrio.toml", cwd=tmp_path) as command:
        assert await command.get("/healthz") == (200, "ok\n")
    assert "public: max_packets_per_second=50, the broker's own\n" in command.stderr.decode()
    assert "public: max_connections_per_address=100\n" in command.stderr.decode()


async def test_nothing_is_limited_unasked() -> None:
    async with serving() as command:
        assert await command.get("/healthz") == (200, "ok\n")
    assert "public:" not in command.stderr.decode()


@pytest.mark.parametrize(("own", "expected"), [("", 10_000), ("gc.set_threshold(9)", 9)])
async def test_the_collector_looks_more_rarely_unless_the_module_has_set_it(
    own: str, expected: int, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(
        f"import gc\nfrom broker import Broker\n{own}\nbroker = Broker()\n"
        "@broker.on('connection')\nasync def connected(socket):\n"
        "    await socket.emit('threshold', gc.get_threshold()[0])\n"
    )
    async with serving("app:broker", cwd=tmp_path) as command, command.client() as client:
        while not (message := str(await client.get_message())).startswith("42"):
            pass
    assert message == f'42["threshold",{expected}]'
