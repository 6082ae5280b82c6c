"""The option `per_message_deflate`, with a client that speaks the extension itself."""

from __future__ import annotations

import logging
import os
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from trio.testing import wait_all_tasks_blocked

from broker import Broker, Socket
from broker.engine import Engine, Session
from broker.values import encoded as encoded_module

from .stalled import LOCKSTEP

OFFER = "permessage-deflate; client_max_window_bits"
AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
LONG = "abc" * 1000

Streams = Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]]

FIN, RSV1 = 0x80, 0x40
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def deflated(payload: str | bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = payload.encode() if isinstance(payload, str) else payload
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(data: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")


def frame(first: int, payload: bytes) -> bytes:
    """Return a client's frame, masked with zeros."""
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size)) + bytes(4) + payload
    if size < 1 << 16:
        return bytes((first, 0xFE)) + size.to_bytes(2, "big") + bytes(4) + payload
    return bytes((first, 0xFF)) + size.to_bytes(8, "big") + bytes(4) + payload


@attrs.frozen
class Frame:
    """A frame of the server's; `size`: of its payload as it came; `data`: inflated."""

    opcode: int
    deflated: bool
    size: int
    data: bytes

    @property
    def text(self) -> str:
        assert self.opcode == TEXT
        return self.data.decode()


class Client:
    """A websocket connection, frame by frame."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = b""
        self.answer = ""

    async def shake_hands(self, target: str, extensions: str) -> None:
        await self.stream.send_all(
            f"GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Extensions: {extensions}\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._buffer:
            await self._read()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        for line in head.decode().splitlines():
            name, _, value = line.partition(": ")
            if name.lower() == "sec-websocket-extensions":
                self.answer = value

    async def _read(self) -> None:
        data = await self.stream.receive_some(65_536)
        if not data:
            raise trio.EndOfChannel
        self._buffer += data

    async def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._read()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    async def get(self) -> Frame:
        first, size = await self._take(2)
        if size > 125:
            size = int.from_bytes(await self._take(2 if size == 126 else 8), "big")
        payload = await self._take(size)
        assert first & ~RSV1 & 0xF0 == FIN
        data = inflated(payload) if first & RSV1 else payload
        return Frame(first & 0x0F, bool(first & RSV1), size, data)

    async def send(self, *messages: str | bytes) -> None:
        """Send deflated messages."""
        for message in messages:
            kind = TEXT if isinstance(message, str) else BINARY
            await self.send_frame(FIN | RSV1 | kind, deflated(message))

    async def send_frame(self, first: int, payload: bytes = b"") -> None:
        await self.stream.send_all(frame(first, payload))

    async def closing_code(self) -> int | None:
        """Return the code with which the server closes; None when it just does."""
        try:
            while (one := await self.get()).opcode != CLOSE:
                pass
        except trio.EndOfChannel:
            return None
        return int.from_bytes(one.data[:2], "big")


@asynccontextmanager
async def connected(
    server: Broker | Engine,
    extensions: str = OFFER,
    target: str = "/socket.io/?EIO=4&transport=websocket",
    streams: Streams = trio.testing.memory_stream_pair,
) -> AsyncIterator[Client]:
    ours, theirs = streams()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_stream, theirs)
            client = Client(ours)
            await client.shake_hands(target, extensions)
            yield client
            await trio.aclose_forcefully(ours)


@asynccontextmanager
async def entered(
    broker: Broker,
    extensions: str = OFFER,
    streams: Streams = trio.testing.memory_stream_pair,
) -> AsyncIterator[Client]:
    async with broker, connected(broker, extensions, streams=streams) as client:
        assert (await client.get()).text.startswith("0{")
        await client.send_frame(FIN | TEXT, b"40")
        assert (await client.get()).text.startswith("40{")
        yield client


def noting(broker: Broker) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return the arguments of each `e`, and why sockets have gone, both as they come."""
    events: list[tuple[Any, ...]] = []
    reasons: list[str] = []

    @broker.on("e")
    async def heard(socket: Socket, *args: Any) -> None:
        events.append(args)

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        reasons.append(str(reason))

    return events, reasons


# Whether, and how.


@pytest.mark.parametrize(
    ("option", "extensions", "answer"),
    [
        (True, OFFER, AGREED),
        (1, "x-foo, permessage-deflate", AGREED),
        (True, "permessage-deflate; server_max_window_bits=9", ""),
        (True, "x-foo", ""),
        (None, OFFER, ""),
        (False, OFFER, ""),
    ],
)
async def test_it_is_used_if_the_option_is_set_and_the_client_offers_it(
    option: Any, extensions: str, answer: str
) -> None:
    broker = Broker(per_message_deflate=option)
    async with entered(broker, extensions) as client:
        assert client.answer == answer
        await broker.emit("e", LONG)
        event = await client.get()
        assert event.deflated == bool(answer)
        assert event.text == f'42["e","{LONG}"]'


def test_it_is_off_and_begins_at_a_kilobyte() -> None:
    assert Broker().options.per_message_deflate is None
    assert Broker(per_message_deflate=True).options.per_message_deflate == 1024


@pytest.mark.parametrize("bad", [0, -1, 1.5, "1kb"])
def test_a_threshold_that_makes_no_sense_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="per_message_deflate"):
        Broker(per_message_deflate=bad)


async def test_headers_of_the_program_are_in_the_answer_too() -> None:
    broker = Broker(per_message_deflate=True)
    broker.on_headers(lambda headers, _request: headers.add("X-Mine", "1"))
    async with entered(broker) as client:
        assert client.answer == AGREED


# Out.


async def test_what_is_large_enough_is_deflated_message_by_message() -> None:
    broker = Broker(per_message_deflate=2000)
    async with entered(broker) as client:
        frame_size = len('42["e",""]')
        for size, is_deflated in ((1999, False), (2000, True)):
            text = "a" * (size - frame_size)
            await broker.emit("e", text)
            event = await client.get()
            assert (event.text, event.deflated) == (f'42["e","{text}"]', is_deflated)
        # Each attachment is a message of its own; noise is sent as it is.
        zeros, noise = bytes(5000), os.urandom(5000)
        await broker.emit("e", zeros, noise, b"small")
        frames = [await client.get() for _ in range(4)]
        assert [(one.opcode, one.deflated) for one in frames] == [
            (TEXT, False), (BINARY, True), (BINARY, False), (BINARY, False),
        ]  # fmt: skip
        assert [one.data for one in frames[1:]] == [zeros, noise, b"small"]
        assert frames[1].size < 100
        assert broker.statistics().outbox_bytes == 0


async def test_what_is_not_worth_it_is_sent_as_it_is() -> None:
    broker = Broker(per_message_deflate=True)
    async with entered(broker) as client:
        (socket,) = broker.sockets.values()
        await socket.join("room")
        # A room pushes together what comes together: each event is judged by itself.
        for compress in (False, True, False):
            broker.to("room").compress(compress).emit_nowait("e", LONG)
        assert [(await client.get()).deflated for _ in range(3)] == [False, True, False]


async def test_what_many_get_is_deflated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    deflate = encoded_module.deflate.deflated_text_frame
    made: list[bytes] = []

    def noted(payload: bytes, threshold: int) -> bytes:
        made.append(payload)
        return deflate(payload, threshold)

    monkeypatch.setattr(encoded_module.deflate, "deflated_text_frame", noted)
    broker = Broker(per_message_deflate=True)
    async with (
        broker,
        connected(broker) as one,
        connected(broker) as two,
        connected(broker, "") as plain,
    ):
        clients = (one, two, plain)
        for client in clients:
            await client.get()
            await client.send_frame(FIN | TEXT, b"40")
            await client.get()
        await broker.emit("e", LONG)
        for _ in range(2):
            broker.emit_nowait("f", LONG)
        await broker.emit("g")
        for client in clients:
            events = [await client.get() for _ in range(4)]
            assert [event.deflated for event in events] == [client is not plain] * 3 + [False]
            assert events[2].text == f'42["f","{LONG}"]'
    assert [payload[:6] for payload in made] == [b'42["e"', b'42["f"', b'42["f"']


@pytest.mark.parametrize("extensions", [OFFER, ""])
async def test_an_outbox_counts_what_waits_as_it_is_without(extensions: str) -> None:
    """In bytes of plain frames: how well something deflates changes no limit and no figure."""
    size = 4 + len(f'42["e","{LONG}"]')
    broker = Broker(per_message_deflate=True, max_outbox_bytes=10 * size)
    _, reasons = noting(broker)
    async with entered(broker, extensions, LOCKSTEP) as client:
        for number in range(1, 11):
            broker.emit_nowait("e", LONG)
            await wait_all_tasks_blocked()
            assert broker.statistics().outbox_bytes == number * size
        for _ in range(10):
            await client.get()
        await wait_all_tasks_blocked()
        assert broker.statistics().outbox_packets == 0
        assert broker.statistics().outbox_bytes == 0
        for _ in range(11):
            assert reasons == []
            broker.emit_nowait("e", LONG)
            await wait_all_tasks_blocked()
        assert reasons == ["slow client"]


async def test_over_a_socket_that_takes_little_at_once_nothing_is_lost_and_all_is_counted() -> None:
    broker = Broker(per_message_deflate=1, max_outbox_bytes=32_000_000, max_outbox_packets=10)
    # Each deflates to the half of it; all of them are more than the kernel takes.
    data = [os.urandom(2_000_000) + bytes(2_000_000) for _ in range(6)]
    async with broker, trio.open_nursery() as nursery:
        address = await nursery.start(broker.serve, "127.0.0.1", 0)
        async with await trio.open_tcp_stream("127.0.0.1", address.port) as stream:
            client = Client(stream)
            with trio.fail_after(20):
                await client.shake_hands("/socket.io/?EIO=4&transport=websocket", OFFER)
                await client.get()
                await client.send_frame(FIN | TEXT, b"40")
                await client.get()
                await broker.emit("e", *data)
                await wait_all_tasks_blocked(0.01)
                assert 0 < broker.statistics().outbox_bytes < 24_000_000
                await client.get()
                for expected in data:
                    one = await client.get()
                    assert one.deflated
                    assert one.data == expected
                while broker.statistics().outbox_packets:
                    await trio.lowlevel.checkpoint()
                assert broker.statistics().outbox_bytes == 0
        await broker.close()


async def test_an_upgraded_session_is_deflated_from_the_upgrade_on(http: Any) -> None:
    broker = Broker(per_message_deflate=True)
    polling = "/socket.io/?EIO=4&transport=polling"
    async with broker, http(broker) as poller:
        _, _, body = await poller.request("GET", polling)
        sid = body.decode().split('"sid":"')[1].split('"')[0]
        await poller.request("POST", f"{polling}&sid={sid}", b"40")
        await poller.request("GET", f"{polling}&sid={sid}")
        target = f"/socket.io/?EIO=4&transport=websocket&sid={sid}"
        async with connected(broker, target=target) as client:
            await client.send("2probe")
            assert (await client.get()).text == "3probe"
            await client.send("5")
            await wait_all_tasks_blocked()
            await broker.emit("e", LONG)
            event = await client.get()
            assert event.deflated
            assert event.text == f'42["e","{LONG}"]'


async def test_engine_io_alone_has_it_too() -> None:
    engine = Engine(path="/engine.io/", per_message_deflate=True)

    @engine.on_session
    async def echo(session: Session) -> None:
        async for message in session:
            await session.send(message)

    target = "/engine.io/?EIO=4&transport=websocket"
    async with engine, connected(engine, target=target) as client:
        await client.get()
        await client.send(f"4{LONG}", LONG.encode())
        for opcode, data in ((TEXT, f"4{LONG}"), (BINARY, LONG)):
            one = await client.get()
            assert one.deflated
            assert (one.opcode, one.data) == (opcode, data.encode())


# In.


async def test_deflated_and_plain_messages_arrive_in_their_order() -> None:
    broker = Broker(per_message_deflate=True)
    events, _ = noting(broker)
    async with entered(broker) as client:
        await client.send('42["e",1]', '451-["e",{"_placeholder":true,"num":0}]', b"\0" * 5000)
        await client.send_frame(FIN | TEXT, b'42["e",3]')
        # One deflated, in fragments; one plain, in fragments; a ping between the fragments.
        data = deflated(f'42["e","{LONG}"]')
        await client.send_frame(RSV1 | TEXT, data[:5])
        await client.send_frame(FIN | PING, b"between")
        await client.send_frame(CONTINUATION, data[5:9])
        await client.send_frame(FIN | CONTINUATION, data[9:])
        await client.send_frame(TEXT, b'42["e",')
        await client.send_frame(FIN | CONTINUATION, b"5]")
        await client.send('42["e",6]')
        pong = await client.get()
        assert (pong.opcode, pong.data) == (PONG, b"between")
        await wait_all_tasks_blocked()
        assert events == [(1,), (b"\0" * 5000,), (3,), (LONG,), (5,), (6,)]


async def closed_with(broker: Broker, data: bytes, extensions: str = OFFER) -> int | None:
    """Return the code with which the broker closes on these bytes, in bounded memory."""
    events, reasons = noting(broker)
    async with entered(broker, extensions) as client:
        tracemalloc.start()
        try:
            await client.stream.send_all(data)
            code = await client.closing_code()
            await wait_all_tasks_blocked()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 12 * broker.options.max_http_buffer_size + 1_000_000
        assert reasons == ["message too large" if code == 1009 else "transport error"]
        assert events == []
        assert broker.statistics().connections == 0
    return code


BOMB = deflated(bytes(80_000_000))  # of one byte a thousand


@pytest.mark.parametrize(
    "data",
    [
        frame(FIN | RSV1 | BINARY, BOMB),
        frame(FIN | RSV1 | TEXT, BOMB),
        frame(RSV1 | BINARY, BOMB[:5000]) + frame(CONTINUATION, BOMB[5000:]),
        frame(FIN | RSV1 | TEXT, deflated("é" * 50_001)),
        frame(FIN | RSV1 | BINARY, os.urandom(100_001)),
    ],
    ids=["binary", "text", "fragments", "one byte too many", "before it is inflated"],
)
async def test_what_inflates_to_more_than_is_allowed_is_closed_with_1009(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "atrio.session")
    broker = Broker(per_message_deflate=True, max_http_buffer_size=100_000)
    assert await closed_with(broker, data) == 1009
    (record,) = caplog.records
    assert "sent more than max_http_buffer_size=100000 bytes" in record.getMessage()


async def test_the_largest_message_is_not_too_large() -> None:
    broker = Broker(per_message_deflate=True, max_http_buffer_size=100_000)
    events, _ = noting(broker)
    text = "é" * ((100_000 - len('42["e",""]')) // 2)
    async with entered(broker) as client:
        await client.send(f'42["e","{text}"]')
        await wait_all_tasks_blocked()
        assert events == [(text,)]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(FIN | RSV1 | TEXT, b"\xff" * 50), id="no deflated data"),
        pytest.param(frame(FIN | RSV1 | TEXT, deflated(LONG)[:-2]), id="half of it"),
        pytest.param(frame(RSV1 | TEXT, b"") + frame(FIN, b"\xff" * 50), id="none in a fragment"),
        pytest.param(frame(FIN | RSV1 | TEXT, deflated(b"4\xff")), id="bad UTF-8"),
        pytest.param(frame(FIN | RSV1 | PING, deflated(b"a")), id="a deflated ping"),
        pytest.param(
            frame(RSV1 | TEXT, deflated("4")) + frame(FIN | RSV1, b""), id="twice deflated"
        ),
        pytest.param(
            frame(RSV1 | TEXT, deflated("4")) + frame(FIN | TEXT, b"4"), id="one in another"
        ),
        pytest.param(
            frame(TEXT, b"4") + frame(FIN | RSV1 | TEXT, deflated("4")), id="the other way"
        ),
        pytest.param(frame(FIN | RSV1 | 0x20 | TEXT, deflated("4")), id="another bit"),
    ],
)
async def test_what_breaks_the_rules_ends_the_connection(data: bytes) -> None:
    """As without the extension: with no closing frame."""
    broker = Broker(per_message_deflate=True)
    assert await closed_with(broker, data) is None


@pytest.mark.parametrize(
    ("option", "extensions"), [(None, OFFER), (True, ""), (True, "permessage-deflate; unknown")]
)
async def test_nothing_may_be_deflated_that_was_not_agreed(option: Any, extensions: str) -> None:
    data = frame(FIN | RSV1 | TEXT, deflated('42["e"]'))
    broker = Broker(per_message_deflate=option)
    assert await closed_with(broker, data, extensions) is None


async def test_a_client_that_says_goodbye_has_kept_the_rules() -> None:
    broker = Broker(per_message_deflate=True)
    _, reasons = noting(broker)
    async with entered(broker) as client:
        await client.send_frame(FIN | CLOSE, b"\x03\xe8")
        assert (await client.get()).opcode == CLOSE
        await wait_all_tasks_blocked()
        assert reasons == ["transport close"]
