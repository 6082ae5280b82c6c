"""The tutorial's rows on namespaces. See docs/tutorial.md."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio_websocket

from broker import Broker, ConnectError, Socket
from protocol import engineio
from protocol.socketio import Decoder, Packet, PacketType, encode

NAMESPACES = ("/", "/chat", "/admin", "/notifications")


class Connection:
    """One websocket connection that is in as many namespaces as it likes."""

    def __init__(self, websocket: trio_websocket.WebSocketConnection) -> None:
        self._websocket = websocket
        self._decoder = Decoder()

    async def send(self, packet: Packet) -> None:
        text, attachments = encode(packet)
        assert not attachments
        await self._websocket.send_message("4" + text.decode())

    async def receive(self) -> Packet:
        """Return the next Socket.IO packet."""
        while True:
            below = engineio.decode(await self._websocket.get_message())
            if below.type is engineio.PacketType.MESSAGE:
                packet = self._decoder.add(below.data)
                assert packet is not None
                return packet

    async def enter(self, namespace: str) -> str:
        """Connect to a namespace, and return the socket's id there."""
        await self.send(Packet(PacketType.CONNECT, namespace))
        answer = await self.receive()
        assert (answer.type, answer.namespace) == (PacketType.CONNECT, namespace)
        return str(answer.data["sid"])

    async def call(self, namespace: str, event: str) -> Any:
        await self.send(Packet(PacketType.EVENT, namespace, [event], 0))
        answer = await self.receive()
        assert (answer.type, answer.namespace, answer.id) == (PacketType.ACK, namespace, 0)
        return answer.data[0]


@asynccontextmanager
async def connection(broker: Broker) -> AsyncIterator[Connection]:
    """Serve on a free port, and connect to it once."""
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            address = await nursery.start(broker.serve, "127.0.0.1", 0)
            url = f"ws://127.0.0.1:{address.port}/socket.io/?EIO=4&transport=websocket"
            async with trio_websocket.open_websocket_url(url) as websocket:
                yield Connection(websocket)
            await broker.close()


async def test_tutorial_four_namespaces_over_one_connection() -> None:
    broker = Broker()

    for name in NAMESPACES:
        namespace = broker.of(name)

        @namespace.on("whereAmI")
        async def where_am_i(socket: Socket) -> str:
            return socket.namespace.name

    async with connection(broker) as client:
        ids = {name: await client.enter(name) for name in NAMESPACES}

        assert len(set(ids.values())) == 4  # a socket in each namespace, with an id of its own
        assert broker.statistics().connections == 1
        assert broker.statistics().sockets == 4
        for name in NAMESPACES:
            assert await client.call(name, "whereAmI") == name
            assert list(broker.of(name).sockets) == [ids[name]]

        await client.send(Packet(PacketType.DISCONNECT, "/admin"))
        assert await client.call("/chat", "whereAmI") == "/chat"  # the others stay
        assert dict(broker.of("/admin").sockets) == {}


async def test_tutorial_same_room_name_in_two_namespaces_is_two_rooms() -> None:
    broker = Broker()
    chat, admin = broker.of("/chat"), broker.of("/admin")

    async def connected(socket: Socket) -> None:
        await socket.join("general")
        await socket.emit("ready")

    chat.on("connection", connected)
    admin.on("connection", connected)

    async with broker.test_client("/chat") as ann, broker.test_client("/admin") as root:
        await ann.expect("ready")
        await root.expect("ready")

        await chat.to("general").emit("message", "to the chat")

        assert await ann.expect("message") == ("to the chat",)
        await root.expect_nothing()
        assert chat.rooms["general"] == {ann.id}
        assert admin.rooms["general"] == {root.id}


async def test_tutorial_handlers_per_namespace() -> None:
    broker = Broker()
    chat, notifications = broker.of("/chat"), broker.of("/notifications")

    @chat.on("message")
    async def message(socket: Socket, text: str) -> str:
        return f"chat heard {text}"

    @notifications.on("subscribe")
    async def subscribe(socket: Socket, topic: str) -> str:
        await socket.join(topic)
        return f"subscribed to {topic}"

    async with broker.test_client("/chat") as ann, broker.test_client("/notifications") as bob:
        assert await ann.call("message", "hello") == "chat heard hello"
        assert await bob.call("subscribe", "news") == "subscribed to news"
        await bob.emit("message", "hello")  # nobody listens to that here
        await bob.expect_nothing()
        assert dict(chat.rooms) == {}


async def test_tutorial_middleware_per_namespace() -> None:
    broker = Broker()
    admin = broker.of("/admin")

    @admin.use
    async def authenticate(socket: Socket) -> None:
        if socket.handshake.auth.get("token") != "let me in":
            raise ConnectError("not authorized", data={"retry": False})
        socket.data["role"] = "admin"

    @admin.on("whoAmI")
    async def who_am_i(socket: Socket) -> str:
        return str(socket.data["role"])

    async with broker:
        with pytest.raises(ConnectError) as refused:
            async with broker.test_client("/admin", auth={"token": "guessed"}):
                pass
        assert (refused.value.message, refused.value.data) == ("not authorized", {"retry": False})
        assert dict(admin.sockets) == {}

        async with broker.test_client("/admin", auth={"token": "let me in"}) as root:
            assert await root.call("whoAmI") == "admin"
        async with broker.test_client("/") as guest:  # the others ask for no token
            assert guest.connected


async def test_tutorial_clients_per_namespace() -> None:
    broker = Broker()
    chat, admin = broker.of("/chat"), broker.of("/admin")

    @chat.on("connection")
    async def connected(socket: Socket) -> None:
        await chat.emit("userCount", len(chat.sockets))

    async with broker.test_client("/chat") as ann:
        assert await ann.expect("userCount") == (1,)  # a socket counts itself
        async with broker.test_client("/chat") as bob, broker.test_client("/admin") as root:
            assert await bob.expect("userCount") == (2,)
            assert await ann.expect("userCount") == (2,)
            await root.expect_nothing()
            assert set(chat.sockets) == {ann.id, bob.id}
            assert set(admin.sockets) == {root.id}
        assert set(chat.sockets) == {ann.id}


async def test_tutorial_dynamic_namespaces_by_pattern() -> None:
    broker = Broker()
    organizations = broker.of(re.compile(r"^/org-\w+$"))

    @organizations.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.namespace.emit("hello", socket.namespace.name)

    async with broker.test_client("/org-acme") as ann, broker.test_client("/org-zoo") as bob:
        assert await ann.expect("hello") == ("/org-acme",)
        assert await bob.expect("hello") == ("/org-zoo",)
        await ann.expect_nothing()  # they are two namespaces

        with pytest.raises(ConnectError, match="Invalid namespace"):
            async with broker.test_client("/shop-acme"):
                pass


async def test_tutorial_get_stats_across_namespaces() -> None:
    broker = Broker()
    chat, admin = broker.of("/chat"), broker.of("/admin")

    @chat.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join(socket.handshake.auth["room"])
        await socket.emit("ready")

    @admin.on("getStats")
    async def get_stats(socket: Socket) -> None:
        await socket.emit(
            "stats",
            {
                "chatUsers": len(await chat.fetch_sockets()),
                "admins": len(admin.sockets),
                "rooms": {room: len(members) for room, members in chat.rooms.items()},
            },
        )

    async with (
        broker.test_client("/chat", auth={"room": "general"}) as ann,
        broker.test_client("/chat", auth={"room": "tech"}) as bob,
        broker.test_client("/admin") as root,
    ):
        await ann.expect("ready")
        await bob.expect("ready")
        await root.emit("getStats")
        assert await root.expect("stats") == (
            {"chatUsers": 2, "admins": 1, "rooms": {"general": 1, "tech": 1}},
        )
