"""What writes a websocket's bytes: it counts what it has taken itself, and tells who waits."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import memory_stream_pair

from broker.sessions.flusher import Flusher
from broker.sessions.outbox import Outbox
from broker.sessions.wire import Wire
from broker.values.encoded import Encoded
from broker.values.options import Options


class Calm:
    def outbox_full(self) -> None: ...
    def outbox_high(self, *, high: bool) -> None: ...
    def outbox_dropped(self) -> None: ...


class Breaking(trio.abc.Stream):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return b""

    async def aclose(self) -> None: ...


@pytest.mark.parametrize("raw", [True, False])
async def test_what_a_poll_still_writes_is_not_counted_as_written(raw: bool) -> None:
    outbox = Outbox(Options(), Flusher(0.001), Calm())
    for _ in range(40):
        outbox.push(Encoded(b"4of the poll"))
    polled = outbox.take()
    size, packets = outbox.bytes, outbox.packets
    ours, theirs = socket.socketpair()
    stream: trio.abc.Stream
    if raw:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    else:
        stream, _theirs = memory_stream_pair()
    with ours, theirs:
        async with trio.open_nursery() as nursery:
            wire = Wire(stream, nursery, lambda: None)
            wire.outbox = outbox
            for count in (1, 3):
                for _ in range(count):
                    outbox.push(Encoded(b"4of the websocket"))
                await wire.drained()
                assert (outbox.bytes, outbox.packets) == (size, packets)
    outbox.written(sum(len(event.wire) for event in polled), len(polled))
    assert (outbox.bytes, outbox.packets) == (0, 0)


async def test_who_sends_a_frame_that_is_under_way_hears_that_the_peer_has_gone() -> None:
    broken: list[bool] = []
    async with trio.open_nursery() as nursery:
        wire = Wire(Breaking(), nursery, lambda: broken.append(True))
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            await wire.send_all(b"\x88\x00")
    assert broken == [True]
