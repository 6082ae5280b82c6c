"""A client in memory, for users' own tests.

It speaks to the real gateway through a memory stream, with real websocket frames and the real
codec; only the port is missing. Whether something will still arrive is decided by quiescence (all
tasks wait), never by time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import trio
import trio.testing
import trio_websocket

from actors import Reply
from protocol import engineio
from protocol.socketio import Decoder, Packet, PacketType, encode

from .errors import ConnectError, SocketDisconnected
from .options import Options
from .server import Server


class TestClient:
    """A connected client: `id` is its socket's id on the server."""

    __test__ = False  # no test, whatever pytest makes of the name

    def __init__(self, websocket: trio_websocket.WebSocketConnection, namespace: str) -> None:
        self.id = ""
        self.connected = False
        self._websocket = websocket
        self._namespace = namespace if namespace.startswith("/") else f"/{namespace}"
        self._decoder = Decoder()
        self._events: defaultdict[str, deque[tuple[Any, ...]]] = defaultdict(deque)
        self._changed = trio.Event()
        self._answers: dict[int, Reply[list[Any]]] = {}
        self._entered: Reply[Packet] = Reply()

    # For tests.

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to the server."""
        await self._send(Packet(PacketType.EVENT, self._namespace, [event, *args]))

    async def call(self, event: str, *args: Any) -> Any:
        """Send an event and return its ack: None, the value, or a tuple of several."""
        id_ = len(self._answers)
        reply = self._answers[id_] = Reply()
        await self._send(Packet(PacketType.EVENT, self._namespace, [event, *args], id_))
        values = await reply.wait()
        return None if not values else values[0] if len(values) == 1 else tuple(values)

    async def expect(self, event: str) -> tuple[Any, ...]:
        """Return the arguments of the next event of this name; others wait for their own turn.

        Raises `SocketDisconnected` when none can come any more.
        """
        while not self._events[event]:
            if not self.connected:
                raise SocketDisconnected(self.id)
            self._changed = trio.Event()
            await self._changed.wait()
        await trio.lowlevel.checkpoint()
        return self._events[event].popleft()

    async def expect_nothing(self) -> None:
        """Check that no event waits and none will come, as far as the program has got.

        Raises AssertionError with what there is.
        """
        await trio.testing.wait_all_tasks_blocked()
        waiting = [(event, *args) for event, queue in self._events.items() for args in queue]
        if waiting:
            raise AssertionError(f"expected nothing, got {waiting}")

    async def disconnect(self) -> None:
        """Leave, as a client does; returns when the server has seen to it, as far as it can."""
        if self.connected:
            await self._send(Packet(PacketType.DISCONNECT, self._namespace))
            self._left()
        await trio.testing.wait_all_tasks_blocked()

    # The wire.

    async def _send(self, packet: Packet) -> None:
        text, attachments = encode(packet)
        try:
            await self._websocket.send_message("4" + text.decode())
            for attachment in attachments:
                await self._websocket.send_message(attachment)
        except trio_websocket.ConnectionClosed:
            raise SocketDisconnected(self.id) from None

    async def enter(self, auth: dict[str, Any] | None) -> None:
        """Enter the namespace; raises `ConnectError`."""
        await self._send(Packet(PacketType.CONNECT, self._namespace, auth))
        packet = await self._entered.wait()
        if packet.type is PacketType.CONNECT_ERROR:
            raise ConnectError(packet.data["message"], packet.data.get("data"))

    async def read(self) -> None:
        """Read what the server sends, until the connection ends."""
        try:
            while True:
                await self._read_packet(engineio.decode(await self._websocket.get_message()))
        except trio_websocket.ConnectionClosed:
            self._left()

    async def _read_packet(self, packet: engineio.Packet) -> None:
        match packet.type:
            case engineio.PacketType.PING:
                await self._websocket.send_message("3")
            case engineio.PacketType.MESSAGE:
                decoded = self._decoder.add(packet.data)
                if decoded is not None:
                    self._receive(decoded)
            case _:
                pass

    def _receive(self, packet: Packet) -> None:
        match packet.type:
            case PacketType.CONNECT:
                self.id = packet.data["sid"]
                self.connected = True
                self._entered.send(packet)
            case PacketType.CONNECT_ERROR:
                self._entered.send(packet)
            case PacketType.EVENT:
                event, *args = packet.data
                self._events[event].append(tuple(args))
                self._changed.set()
            case PacketType.ACK if packet.id is not None:
                self._answers[packet.id].send(packet.data)
            case _:
                self._left()

    def _left(self) -> None:
        self.connected = False
        self._changed.set()
        self._entered.fail(SocketDisconnected(self.id))
        for reply in self._answers.values():
            reply.fail(SocketDisconnected(self.id))


@asynccontextmanager
async def connected_client(
    server: Server, options: Options, namespace: str, auth: dict[str, Any] | None
) -> AsyncIterator[TestClient]:
    """Connect a client for the block; as `Broker.test_client`."""
    ours, theirs = trio.testing.memory_stream_pair()
    failure: Exception | None = None
    async with server.living(), trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        try:
            websocket = await trio_websocket.wrap_client_stream(
                nursery,
                cast("trio.SocketStream", ours),  # any stream will do
                "test.invalid",
                f"{options.path}?EIO={engineio.VERSION}&transport=websocket",
                max_message_size=2**40,  # the server's limits are what is tested
            )
            client = TestClient(websocket, namespace)
            nursery.start_soon(client.read)
            await client.enter(auth)
            yield client
            await websocket.aclose()
        except Exception as error:  # noqa: BLE001 - raised below, in no group
            failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
