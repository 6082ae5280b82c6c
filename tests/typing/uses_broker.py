"""A program that uses the public face, as its author's `mypy --strict` sees it: it is never run.

Each `type: ignore` here is an error that mypy has to find: one that it does not find is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, assert_type

import attrs
import msgspec
import trio

from actors import Ask
from broker import (
    NO_ACK,
    Address,
    Answers,
    Broker,
    ConnectError,
    Delivery,
    DisconnectReason,
    EventError,
    JoinRefused,
    Namespace,
    NamespaceHandlers,
    Options,
    ReceivedEvent,
    Room,
    RoomRef,
    Socket,
    SocketStatistics,
)
from broker.adapters import Bus
from broker.engine import Engine, Session

broker = Broker(ping_interval=10)
other = Broker(Options(cors_allowed_origins=("https://example.org",)))
chat = broker.of("/chat")
org = broker.of(re.compile(r"^/org-\w+$"))


class Message(msgspec.Struct):
    text: str


@chat.use
async def authenticate(socket: Socket) -> None:
    if socket.handshake.auth.get("token") != "secret":
        raise ConnectError("not authorized", data={"retry": False})


@chat.on("connection")
async def connected(socket: Socket) -> None:
    await socket.join("general")

    @socket.on("mine")
    async def mine(number: int) -> int:
        return number

    assert_type(await mine(1), int)


@chat.on("message")
async def message(socket: Socket, message: Message) -> str:
    assert_type(await chat.to("general").emit("message", message), Delivery)
    await socket.emit("message", message)
    socket.emit_nowait("message", message)
    assert_type(await socket.emit_with_ack("question", timeout=5), Any)
    assert_type(await socket.broadcast.emit("x"), Delivery)
    broker.to("general").emit_nowait("tick")
    for each in await broker.in_("general").fetch_sockets():
        assert_type(each.id, str)
        await each.join("vip")
    assert_type(await chat.to("a").except_("b").volatile.emit("x"), Delivery)
    await chat.to(3).emit("x")  # type: ignore[arg-type]
    return message.text


assert_type(chat, Namespace)
org.on("message", message)
assert_type(chat.sockets, Mapping[str, Socket])
assert_type(chat.rooms["general"], frozenset[str])
assert_type(broker.statistics().sockets, int)


@chat.on("not async")  # type: ignore[type-var]
def sync(socket: Socket) -> None: ...


@chat.on("refuse")
async def refuse(socket: Socket) -> object:
    assert_type(await message(socket, Message("hi")), str)
    await message(socket, "hi")  # type: ignore[arg-type]
    if socket.rooms:
        raise EventError("no", "no", data=1)
    return NO_ACK


@chat.on("disconnect")
async def gone(socket: Socket, reason: DisconnectReason) -> None:
    assert_type(socket.id, str)
    assert_type(socket.rooms, frozenset[str])
    assert_type(socket.data, dict[str, Any])
    assert_type(socket.connected, bool)
    assert_type(socket.transport, Literal["polling", "websocket"])
    assert_type(socket.namespace.name, str)
    assert_type(socket.statistics(), SocketStatistics)
    assert_type(socket.handshake.headers["host"], str)
    assert_type(socket.handshake.query, Mapping[str, str])


@attrs.frozen
class TakeSeat(Ask[bool]):
    socket: Socket


@chat.room_type("table:*")
class Table(Room):
    linger = 1.0

    async def on_join(self, socket: Socket) -> None:
        if self.size > 4:
            raise JoinRefused("full")

    async def receive(self, message: TakeSeat) -> bool:
        await self.emit("seat", message.socket.id)
        return True


@chat.on("sit")
async def sit(socket: Socket) -> None:
    table = chat.room("table:1")
    assert_type(table, RoomRef)
    assert_type(await table.ask(TakeSeat(socket)), bool)
    await table.ask("seat")  # type: ignore[arg-type]
    assert_type(table.size, int)
    assert_type([member.id for member in table.members], list[str])
    table.tell_nowait("x")
    assert_type(Table, type[Table])


@chat.on_socket
async def life(socket: Socket) -> None:
    async for received in socket.events("move"):
        assert_type(received, ReceivedEvent)
        assert_type(received.args, tuple[Any, ...])
        received.ack(1)
    socket.nursery.start_soon(sit, socket)
    async with socket.joined("general"):
        pass


class Counter(NamespaceHandlers):
    async def on_how_many(self, socket: Socket) -> int:
        return 1


assert_type(chat.register(Counter()), Counter)


@chat.on_room("join")
def joined(room: str, sid: str) -> None: ...


@chat.on_server("load")
async def load() -> int:
    return len(chat.sockets)


async def ask_others() -> None:
    assert_type(await chat.server_side_emit_with_ack("load", timeout=1), Answers)
    for socket in await chat.to("general").fetch_sockets():
        assert_type(socket.id, str)
        await socket.join("vip")


Broker(adapter=Bus())


async def main() -> None:
    async with trio.open_nursery() as nursery:
        address: Address = await nursery.start(broker.serve, "127.0.0.1", 0)
        assert_type(address.url, str)
        assert_type(broker.addresses, list[Address])
    async with broker.test_client("/chat", auth={"token": "secret"}) as client:
        assert_type(client.id, str)
        assert_type(await client.call("message", {"text": "hi"}), Any)
        assert_type(await client.expect("message"), tuple[Any, ...])


engine = Engine(path="/engine.io/", ping_interval=0.3)


@engine.on_session
async def echo(session: Session) -> None:
    async for sent in session:
        assert_type(sent, str | bytes)
        await session.send(sent)
