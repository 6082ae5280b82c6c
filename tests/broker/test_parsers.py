"""The option `parser`: what lies in the messages, by name or of a user's own making."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
import trio_websocket
from trio.testing import wait_all_tasks_blocked

from broker import Broker, ConnectError, DisconnectReason, Options, Recovery, Socket
from protocol import ProtocolError
from protocol.parser import PacketDecoder, Parser
from protocol.socketio import Encoded, Packet, PacketType

pack = msgspec.msgpack.encode
unpack = msgspec.msgpack.decode


class Tabs:
    """A parser for the tests: type, namespace, id and JSON, between tabs."""

    def encode(self, packet: Packet, /) -> Encoded:
        id_ = "" if packet.id is None else str(packet.id)
        fields = [str(int(packet.type)), packet.namespace, id_, json.dumps(packet.data)]
        return Encoded("\t".join(fields).encode())

    def decoder(self) -> PacketDecoder:
        return self

    def add(self, message: str | bytes, /) -> Packet | None:
        if not isinstance(message, str) or message.count("\t") != 3:
            raise ProtocolError(f"expected four fields, saw {message!r}")
        type_, namespace, id_, data = message.split("\t")
        return Packet(
            PacketType(int(type_)), namespace, json.loads(data), int(id_) if id_ else None
        )


parsers = pytest.mark.parametrize(
    "parser", ["json", "msgpack", Tabs()], ids=["json", "msgpack", "own"]
)


def chatting(parser: str | Parser) -> Broker:
    broker = Broker(parser=parser)

    @broker.use
    async def check(socket: Socket) -> None:
        if socket.handshake.auth.get("name") == "nobody":
            raise ConnectError("not you", data={"retry": False})

    @broker.on("join")
    async def join(socket: Socket, room: str) -> str:
        await socket.join(room)
        return room

    @broker.on("tell")
    async def tell(socket: Socket, room: str, *values: object) -> tuple[object, ...]:
        await broker.to(room).emit("told", *values)
        return values

    @broker.on("ask me")
    async def ask_me(socket: Socket) -> object:
        return await socket.emit_with_ack("question", 1)

    @broker.on("kick me")
    async def kick_me(socket: Socket) -> None:
        await socket.disconnect()

    return broker


# Whatever the parser, and through the test client.


@parsers
async def test_events_acks_rooms_and_endings_work_with_any_parser(parser: str | Parser) -> None:
    broker = chatting(parser)
    async with (
        broker.test_client(auth={"name": "ann"}) as ann,
        broker.test_client(auth={"name": "bob"}) as bob,
    ):
        assert set(broker.sockets) == {ann.id, bob.id}
        assert await ann.call("join", "general") == "general"
        assert await bob.call("tell", "general", 1, {"two": [None, 3.5]}) == (
            1,
            {"two": [None, 3.5]},
        )
        assert await ann.expect("told") == (1, {"two": [None, 3.5]})
        await bob.expect_nothing()
        await ann.emit("kick me")
        await ann.expect_nothing()
        assert not ann.connected
        await bob.disconnect()
        assert not broker.sockets


@parsers
async def test_refusals_reach_the_client_with_any_parser(parser: str | Parser) -> None:
    broker = chatting(parser)
    with pytest.raises(ConnectError, match="not you") as refused:
        async with broker.test_client(auth={"name": "nobody"}):
            pass
    assert refused.value.data == {"retry": False}
    with pytest.raises(ConnectError, match="Invalid namespace"):
        async with broker.test_client("/nowhere"):
            pass


async def test_bytes_stand_where_they_are_in_msgpack() -> None:
    broker = chatting("msgpack")
    values = [b"%d" % number for number in range(50)]
    async with broker.test_client() as client:
        await client.call("join", "a")
        assert await client.call("tell", "a", {"all": values}) == {"all": values}
        assert await client.expect("told") == ({"all": values},)


async def test_what_cannot_be_sent_is_named_with_its_path() -> None:
    async with Broker(parser="msgpack") as broker:
        with pytest.raises(TypeError, match=r"args\[0\]\.when: object"):
            await broker.emit("e", {"when": object()})
        with pytest.raises(ValueError, match="'connect' is reserved"):
            await broker.emit("connect")


async def test_an_event_that_no_outbox_takes_is_refused() -> None:
    async with Broker(parser="msgpack", max_outbox_bytes=100) as broker:
        with pytest.raises(ValueError, match=r"'e' has .* more than max_outbox_bytes=100"):
            await broker.emit("e", bytes(100))


# On the wire.


async def test_a_packet_is_one_binary_message(wire: Callable[..., Any]) -> None:
    broker = chatting("msgpack")
    async with wire(broker) as client:
        await client.send(pack({"type": 0, "nsp": "/"}))
        welcome = unpack(await client.get())
        [sid] = broker.sockets
        assert welcome == {"type": 0, "nsp": "/", "data": {"sid": sid}}
        await client.send(pack({"type": 2, "nsp": "/", "data": ["tell", sid, b"\0"], "id": 0}))
        told, ack = [unpack(await client.get()) for _ in range(2)]
        assert told == {"type": 2, "nsp": "/", "data": ["told", b"\0"]}
        assert ack == {"type": 3, "nsp": "/", "data": [b"\0"], "id": 0}
        await client.send(pack({"type": 2, "nsp": "/", "data": ["kick me"]}))
        assert unpack(await client.get()) == {"type": 1, "nsp": "/"}


async def test_over_polling_it_is_base64(http: Callable[..., Any]) -> None:
    broker = chatting("msgpack")
    async with http(broker) as client:
        target = "/socket.io/?EIO=4&transport=polling"
        _, _, body = await client.request("GET", target)
        target += f"&sid={json.loads(body[1:])['sid']}"
        connect = b"bgqR0eXBlAKNuc3ChLw=="  # {"type": 0, "nsp": "/"}
        assert (await client.request("POST", target, connect))[2] == b"ok"
        _, _, body = await client.request("GET", target)
        assert body.startswith(b"bg6R0eXBlAKNuc3ChL6RkYXRhgaNzaWS0")


async def test_who_comes_back_tells_and_gets_offsets_in_msgpack(wire: Callable[..., Any]) -> None:
    broker = Broker(parser="msgpack", connection_state_recovery=Recovery())

    async def came(client: Any, told: dict[str, Any]) -> dict[str, Any]:
        await client.send(pack({"type": 0, "nsp": "/", "data": told}))
        welcome = unpack(await client.get())
        assert (welcome["type"], welcome["data"].keys()) == (0, {"sid", "pid"})
        return dict(welcome["data"])

    async def event(client: Any) -> list[Any]:
        packet = unpack(await client.get())
        assert (packet.pop("type"), packet.pop("nsp"), packet.keys()) == (2, "/", {"data"})
        return list(packet["data"])

    async with broker:
        async with wire(broker) as client:
            me = await came(client, {})
            await broker.emit("got", b"\0", {"in": b"\1"})
            *got, offset = await event(client)
            assert got == ["got", b"\0", {"in": b"\1"}]
            assert isinstance(offset, str)
        await wait_all_tasks_blocked()
        await broker.to(me["sid"]).emit("missed", b"\2", [b""])
        async with wire(broker) as client:
            assert await came(client, {"pid": me["pid"], "offset": offset}) == me
            assert broker.sockets[me["sid"]].recovered
            *missed, last = await event(client)
            assert missed == ["missed", b"\2", [b""]]
            await broker.emit("live")
            assert (await event(client))[0] == "live"
            # What asks for an ack has no offset: none would be sent again.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(broker.sockets[me["sid"]].emit_with_ack, "ask", b"\3")
                asked = unpack(await client.get())
                assert asked == {"type": 2, "nsp": "/", "data": ["ask", b"\3"], "id": asked["id"]}
                await client.send(pack({"type": 3, "nsp": "/", "data": [], "id": asked["id"]}))
        await wait_all_tasks_blocked()
        async with wire(broker) as client:
            assert await came(client, {"pid": me["pid"], "offset": last}) == me
            assert (await event(client))[0] == "live"


ENTERED = pack({"type": 0, "nsp": "/"})


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(ENTERED, id="a second CONNECT"),
        pytest.param(ENTERED + b"\0", id="more than a packet"),
        pytest.param(pack({"type": 2, "nsp": "/", "data": ["disconnect"]}), id="a reserved name"),
        pytest.param(pack({"type": 2, "nsp": "/", "data": ["e", {1: 2}]}), id="a number as key"),
        pytest.param(pack({"type": 2, "nsp": "/x", "data": ["e"]}), id="where it is not"),
        pytest.param(pack({"type": 5, "nsp": "/", "data": ["e"]}), id="BINARY_EVENT"),
        pytest.param('42["e"]', id="JSON"),
    ],
)
async def test_a_bad_packet_ends_the_connection(wire: Callable[..., Any], bad: str | bytes) -> None:
    broker = chatting("msgpack")
    reasons: list[DisconnectReason] = []

    @broker.on("disconnect")
    async def note(socket: Socket, reason: DisconnectReason) -> None:
        reasons.append(reason)

    async with wire(broker) as client:
        await client.send(ENTERED)
        await client.get()
        await client.send(bad)
        with pytest.raises(trio_websocket.ConnectionClosed):
            await client.get()
    assert reasons == [DisconnectReason.FORCED_CLOSE]


# The other parser.


@pytest.mark.parametrize(
    ("parser", "sent", "said"),
    [
        ("msgpack", '40{"token":"t"}', "saw a text of 14 characters"),
        ("msgpack", "40", "set parser='json' here"),
        ("json", ENTERED, "set parser='msgpack' here"),
    ],
)
async def test_a_client_with_the_other_parser_is_ended_and_the_log_says_what_to_set(
    wire: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    parser: str,
    sent: str | bytes,
    said: str,
) -> None:
    caplog.set_level(logging.INFO, "atrio.session")
    broker = chatting(parser)
    async with wire(broker) as client:
        await client.send(sent)
        await trio.testing.wait_all_tasks_blocked()
        assert broker.statistics().connections == 0
    assert said in caplog.text
    assert "socket.io-msgpack-parser" in caplog.text


# A parser of one's own.


class Careless(Tabs):
    def __init__(self, packet: Any) -> None:
        self.packet = packet

    def add(self, message: str | bytes, /) -> Packet | None:
        if isinstance(self.packet, Exception):
            raise self.packet
        return self.packet


@pytest.mark.parametrize(
    "packet",
    [
        Packet(PacketType.EVENT, "/", ["disconnect"]),
        Packet(PacketType.EVENT, "/", []),
        Packet(PacketType.EVENT, "/", None),
        Packet(PacketType.ACK, "/", []),
        Packet(PacketType.CONNECT, "/", "token"),
        Packet(PacketType.CONNECT, "no slash"),
        ProtocolError("expected another"),
    ],
    ids=str,
)
async def test_what_a_parser_reads_is_checked(
    wire: Callable[..., Any], caplog: pytest.LogCaptureFixture, packet: Any
) -> None:
    caplog.set_level(logging.INFO, "atrio.session")
    broker = Broker(parser=Careless(packet))
    async with wire(broker) as client:
        await client.send("4anything")
        await trio.testing.wait_all_tasks_blocked()
        assert broker.statistics().connections == 0
    assert "expected" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_binary_event_of_a_parser_is_an_event() -> None:
    class Binary(Tabs):
        def encode(self, packet: Packet, /) -> Encoded:
            if packet.type is PacketType.EVENT:
                packet = packet._replace(type=PacketType.BINARY_EVENT)
            return super().encode(packet)

    async with chatting(Binary()).test_client() as client:
        assert await client.call("tell", "a", 1) == 1


async def test_a_decoder_that_fails_ends_its_client_alone(
    wire: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(parser=Careless(KeyError("a bug")))
    async with broker, wire(broker) as one, wire(broker) as two:
        await one.send("4anything")
        await trio.testing.wait_all_tasks_blocked()
        assert broker.statistics().connections == 1
        await two.websocket.ping()
    assert "a bug" in caplog.text


@pytest.mark.parametrize(
    ("bad", "error"),
    [("mspack", ValueError), (None, TypeError), (b"json", TypeError), (Tabs, TypeError)],
    ids=str,
)
def test_what_is_no_parser_is_refused(bad: Any, error: type[Exception]) -> None:
    with pytest.raises(
        error, match="parser: expected 'json' or 'msgpack', or an object"
    ) as refused:
        Options(parser=bad)
    assert repr(bad) in str(refused.value)


@pytest.mark.parametrize("failing", [PacketType.CONNECT, PacketType.ACK, PacketType.DISCONNECT])
@pytest.mark.parametrize("error", [RuntimeError, ValueError])
async def test_an_encoder_that_fails_ends_its_client_alone(
    failing: PacketType,
    error: type[Exception],
    wire: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    unlucky: list[bool] = []

    class Failing(Tabs):
        def encode(self, packet: Packet, /) -> Encoded:
            if packet.type is failing and unlucky:
                unlucky.pop()
                raise error("a bug")
            return super().encode(packet)

    broker = Broker(parser=Failing())

    @broker.on("e")
    async def handle(socket: Socket, text: str) -> str:
        if text == "go":
            await socket.disconnect()
        return text

    async with broker:
        unlucky.append(True)
        with trio.fail_after(10):
            async with wire(broker) as client:
                await client.send("40\t/\t\t{}")
                await client.send('42\t/\t1\t["e", "x"]', '42\t/\t2\t["e", "go"]')
                await trio.testing.wait_all_tasks_blocked()
        unlucky.clear()
        async with broker.test_client() as other:
            assert await other.call("e", "x") == "x"


@pytest.mark.parametrize(
    ("parser", "packet"), [("json", '40["SECRET"]'), ("msgpack", '40{"a":"SECRET"}')]
)
async def test_what_a_client_proves_itself_by_is_not_logged(
    parser: Any, packet: str, wire: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broker = Broker(parser=parser)
    async with broker, wire(broker) as client:
        await client.send(packet)
        await trio.testing.wait_all_tasks_blocked()
        assert broker.statistics().connections == 0
    assert caplog.records
    assert "SECRET" not in caplog.text
