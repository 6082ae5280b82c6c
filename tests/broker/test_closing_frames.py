"""What follows a websocket's Close frame on the wire: nothing."""

from __future__ import annotations

import trio
import trio.testing

from broker import Broker, Socket


def _masked(first: int, payload: bytes) -> bytes:
    mask = b"abcd"
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes((first, 0x80 | len(payload))) + mask + body


def _opcodes(data: bytes) -> list[int]:
    """The opcodes of unmasked frames of less than 126 bytes."""
    found = []
    while data:
        found.append(data[0] & 0x0F)
        data = data[2 + data[1] :]
    return found


async def test_no_data_frame_follows_the_close_frame() -> None:
    broker = Broker()

    @broker.on("go")
    async def go(socket: Socket) -> None:
        for number in range(20):
            await socket.emit("n", number)

    for _ in range(20):  # who of two tasks runs first in a tick is trio's dice
        ours, theirs = trio.testing.memory_stream_pair()
        async with broker, trio.open_nursery() as nursery:
            nursery.start_soon(broker.serve_stream, theirs)
            await ours.send_all(
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: test\r\n"
                b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + _masked(0x81, b"40")
            )
            await trio.testing.wait_all_tasks_blocked()
            await ours.send_all(_masked(0x81, b'42["go"]') + _masked(0x88, b"\x03\xe8"))
            data = b""
            while chunk := await ours.receive_some():
                data += bytes(chunk)
        frames = data.partition(b"\r\n\r\n")[2]
        frames = frames[2 + 2 + int.from_bytes(frames[2:4], "big") if frames[1] == 126 else 0 :]
        assert _opcodes(frames)[-1] == 0x8
        assert _opcodes(frames).count(0x8) == 1


async def test_a_message_in_pieces_that_comes_behind_our_close_frame_delays_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    broker = Broker(grace=3)

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.disconnect(close=True)

    ours, theirs = trio.testing.memory_stream_pair()
    async with broker, trio.open_nursery() as nursery:
        nursery.start_soon(broker.serve_stream, theirs)
        await ours.send_all(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: test\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + _masked(0x81, b"40")
        )
        while b"\x88\x02\x03\xe8" not in await ours.receive_some():
            pass
        began = trio.current_time()
        pieces = _masked(0x01, b"42[") + _masked(0x80, b'"x"]')
        await ours.send_all(pieces + _masked(0x88, b"\x03\xe8"))
        assert not await ours.receive_some()
        assert trio.current_time() == began
