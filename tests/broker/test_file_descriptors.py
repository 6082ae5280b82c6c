"""Connections of every kind come and go; their file descriptors go with them."""

from __future__ import annotations

import socket as socketlib
import struct
from pathlib import Path

import trio
import trio_websocket

from broker import Broker

HANDSHAKE = "GET /socket.io/?EIO=4&transport={} HTTP/1.1\r\nHost: test\r\n\r\n"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def websocket_that_leaves(url: str, port: int) -> None:
    async with trio_websocket.open_websocket_url(f"{url}websocket") as websocket:
        await websocket.send_message("40")
        while not str(await websocket.get_message()).startswith("40"):
            pass


async def websocket_that_is_reset(url: str, port: int) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: test\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await stream.receive_some()
    # Closing now sends a reset instead of an end.
    stream.setsockopt(socketlib.SOL_SOCKET, socketlib.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


async def poll_that_is_left_in_the_middle(url: str, port: int) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(HANDSHAKE.format("polling").encode())
    answer = bytes(await stream.receive_some())
    sid = answer.partition(b'"sid":"')[2][:20].decode()
    await stream.send_all(HANDSHAKE.format(f"polling&sid={sid}").encode())
    await stream.aclose()


async def garbage(url: str, port: int) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(b"\x16\x03\x01 no HTTP\r\n\r\n")
    while await stream.receive_some():
        pass
    await stream.aclose()


async def silence(url: str, port: int) -> None:
    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()


async def test_no_descriptor_is_left_behind() -> None:
    broker = Broker(ping_interval=0.2, ping_timeout=0.2)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            address = await nursery.start(broker.serve, "127.0.0.1", 0)
            before = descriptors()
            url = f"ws://127.0.0.1:{address.port}/socket.io/?EIO=4&transport="
            async with trio.open_nursery() as clients:
                for _ in range(10):
                    for kind in (
                        websocket_that_leaves,
                        websocket_that_is_reset,
                        poll_that_is_left_in_the_middle,
                        garbage,
                        silence,
                    ):
                        clients.start_soon(kind, url, address.port)
            while broker.statistics().connections or descriptors() > before:
                await trio.lowlevel.checkpoint()  # the deadline above is the bound
            await broker.close()
