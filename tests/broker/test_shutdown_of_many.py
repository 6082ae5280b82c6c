"""The broker ends in time, whatever a thousand clients do: some poll, some never answer."""

from __future__ import annotations

import itertools
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from broker import Broker, Socket
from broker.values.statistics import Statistics

from .alive import alive
from .test_cli import serving

COUNT = 1000
GRACE = 6.0  # enough for a busy machine to say goodbye to most of a thousand
_ALLOWANCE = 20.0  # for a busy machine: to run a thousand hooks, and to end a process

POLLING = "/socket.io/?EIO=4&transport=polling"
UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: test\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ENTER = b"\x81\x82" + bytes(4) + b"40"
CLOSE = b"\x88\x02\x03\xe8"  # as the server sends it
CLOSE_BACK = b"\x88\x82" + bytes(4) + b"\x03\xe8"

APP = f"""
from broker import Broker

broker = Broker(grace={GRACE})
left = 0

@broker.on("connection")
async def connected(socket):
    await socket.join("room")
    if len(broker.sockets) == {COUNT}:
        await broker.emit("all here", "x" * 1000)

@broker.on("disconnect")
async def disconnected(socket, reason):
    global left
    left += 1
    if left == {COUNT}:
        print(f"all left: {{reason}}", flush=True)
"""


async def more(stream: trio.abc.Stream) -> bytes:
    """Return what comes; raises trio.BrokenResourceError, also at the end."""
    piece = bytes(await stream.receive_some())
    if not piece:
        raise trio.BrokenResourceError("the end")
    return piece


async def read_to_the_end(stream: trio.abc.Stream, all_here: trio.Event) -> None:
    """Read, and answer the server's close; say when the server says that all are here."""
    heard = b""
    while CLOSE not in heard:
        piece = await more(stream)
        heard = heard[-3:] + piece
        if b"all here" in piece:
            all_here.set()
    await stream.send_all(CLOSE_BACK)
    assert not await stream.receive_some()


async def poll_to_the_end(stream: trio.abc.Stream) -> None:
    """Enter over polling, and poll until told to go."""

    async def request(method: str, target: str, body: bytes = b"") -> bytes:
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        await stream.send_all(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await more(stream)
        head_of_it, _, content = answer.partition(b"\r\n\r\n")
        length = int(head_of_it.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(content) < length:
            content += await more(stream)
        return content

    opened = await request("GET", POLLING)
    target = POLLING + "&sid=" + opened.decode().split('"')[3]
    await request("POST", target, b"40")
    while (await request("GET", target)) != b"1":
        pass


async def test_a_process_with_a_thousand_clients_ends_within_its_grace(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = COUNT + 500  # here and in the process, which inherits it
    if hard != resource.RLIM_INFINITY and hard < enough:
        pytest.skip(f"a process may only open {hard} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))
    try:
        await _end_a_process_with_many(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _end_a_process_with_many(folder: Path) -> None:
    with trio.fail_after(60):
        async with serving("app:broker", cwd=folder) as command, trio.open_nursery() as mutes:
            host, _, port = command.url.removeprefix("http://").partition(":")

            all_here = trio.Event()
            told: list[int] = []

            async def visit(number: int) -> None:
                async with await trio.open_tcp_stream(host, int(port)) as stream:
                    match number % 10:
                        case 0:  # it enters, and reads and answers nothing ever after
                            await stream.send_all(UPGRADE + ENTER)
                            await trio.sleep_forever()
                        case 1:
                            with suppress(trio.BrokenResourceError):  # between two polls
                                await poll_to_the_end(stream)
                                told.append(number)
                        case _:
                            await stream.send_all(UPGRADE + ENTER)
                            with suppress(trio.BrokenResourceError):  # a busy machine
                                await read_to_the_end(stream, all_here)
                                told.append(number)

            async with trio.open_nursery() as others:
                for number in range(COUNT):
                    (others if number % 10 else mutes).start_soon(visit, number)
                await all_here.wait()
                began = time.monotonic()
                command.process.send_signal(signal.SIGTERM)
                assert await command.ended() == 0
                took = time.monotonic() - began
            mutes.cancel_scope.cancel()
    assert GRACE <= took < GRACE + _ALLOWANCE
    assert len(told) > COUNT / 2
    assert command.stdout.endswith(b"all left: server shutting down\n")
    assert command.stderr.count(b"\n") == 1, command.stderr
    (line,) = command.stderr.splitlines()
    assert line.endswith(
        b"the broker cancels what has not ended within grace=%g s of its closing" % GRACE
    )


async def _answer(stream: trio.abc.Stream) -> None:
    await read_to_the_end(stream, trio.Event())
    await stream.aclose()


@pytest.mark.parametrize("mute", [0, 100])
async def test_who_never_answers_takes_the_grace_and_not_a_moment_more(
    mute: int, autojump_clock: MockClock
) -> None:
    broker = Broker(grace=GRACE)
    went: list[tuple[str, float]] = []

    @broker.on("disconnect")
    async def disconnected(socket: Socket, reason: str) -> None:
        went.append((reason, trio.current_time()))

    async with alive(broker), trio.open_nursery() as nursery:
        streams = []
        for _ in range(COUNT):
            ours, theirs = memory_stream_pair()
            streams.append(ours)
            nursery.start_soon(broker.serve_stream, theirs)
            await ours.send_all(UPGRADE + ENTER)
        await wait_all_tasks_blocked()
        assert broker.statistics().sockets == COUNT
        for stream in itertools.islice(streams, mute, None):
            nursery.start_soon(_answer, stream)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await broker.close()
        assert trio.current_time() == began + (GRACE if mute else 0.0)
        assert went == [("server shutting down", began)] * COUNT
        nursery.cancel_scope.cancel()
    assert broker.statistics() == Statistics()
