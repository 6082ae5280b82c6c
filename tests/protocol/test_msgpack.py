"""Packets as msgpack: the bytes socket.io-msgpack-parser writes and reads, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol import ProtocolError
from protocol.msgpack import MSGPACK
from protocol.socketio import JSON, RESERVED_EVENTS, Packet, PacketType

pack = msgspec.msgpack.encode


def decode(data: str | bytes) -> Packet:
    packet = MSGPACK.decoder().add(data)
    assert packet is not None
    return packet


def message_of(packet: Packet) -> Any:
    text, [data] = MSGPACK.encode(packet)
    assert text is None
    return msgspec.msgpack.decode(data)


# What goes out.


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (
            Packet(PacketType.CONNECT, "/", {"sid": "a"}),
            {"type": 0, "nsp": "/", "data": {"sid": "a"}},
        ),
        (Packet(PacketType.CONNECT, "/chat"), {"type": 0, "nsp": "/chat"}),
        (Packet(PacketType.DISCONNECT, "/chat"), {"type": 1, "nsp": "/chat"}),
        (Packet(PacketType.EVENT, "/", [b"\0"]), {"type": 2, "nsp": "/", "data": [b"\0"]}),
        (Packet(PacketType.EVENT, "/", ["e"], 0), {"type": 2, "nsp": "/", "data": ["e"], "id": 0}),
        (Packet(PacketType.ACK, "/", [], 7), {"type": 3, "nsp": "/", "data": [], "id": 7}),
        (
            Packet(PacketType.CONNECT_ERROR, "/", {"message": "no"}),
            {"type": 4, "nsp": "/", "data": {"message": "no"}},
        ),
        (Packet(PacketType.BINARY_EVENT, "/", ["e"]), {"type": 2, "nsp": "/", "data": ["e"]}),
        (Packet(PacketType.BINARY_ACK, "/", [1], 7), {"type": 3, "nsp": "/", "data": [1], "id": 7}),
    ],
)  # fmt: skip
def test_a_packet_is_one_map_without_keys_for_what_is_absent(packet: Packet, message: Any) -> None:
    assert message_of(packet) == message


def test_many_binary_values_need_no_attachments() -> None:
    values = [b"%d" % number for number in range(100)]
    assert message_of(Packet(PacketType.EVENT, "/", ["e", *values]))["data"][1:] == values


# What the official client writes, byte for byte: notepack.io 2.2.0.


CONNECT = "83a47479706500a464617461d40000a36e7370a12f"  # data: undefined
DISCONNECT = "82a47479706501a36e7370a52f63686174"
EVENT = (  # data: ["a", undefined], options: {compress: true}, id: undefined
    "85a47479706502a46461746192a161d40000a76f7074696f6e7381a8636f6d7072657373c3"
    "a26964d40000a36e7370a12f"
)


@pytest.mark.parametrize(
    ("hexadecimal", "packet"),
    [
        (CONNECT, Packet(PacketType.CONNECT)),
        (DISCONNECT, Packet(PacketType.DISCONNECT, "/chat")),
        (EVENT, Packet(PacketType.EVENT, "/", ["a", None])),
    ],
    ids=["CONNECT", "DISCONNECT", "EVENT"],
)
def test_absent_keys_of_the_javascript_client_are_absent(hexadecimal: str, packet: Packet) -> None:
    assert decode(bytes.fromhex(hexadecimal)) == packet


@pytest.mark.parametrize("type_", [PacketType.CONNECT, PacketType.DISCONNECT])
def test_nil_of_the_python_client_is_absent(type_: PacketType) -> None:
    assert decode(pack({"type": int(type_), "data": None, "nsp": "/", "id": None})) == Packet(type_)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(None, id="nil"),
        pytest.param([2, "/", ["e"]], id="a list"),
        pytest.param({}, id="nothing"),
        pytest.param({"nsp": "/", "data": ["e"]}, id="no type"),
        pytest.param({"type": 5, "nsp": "/", "data": ["e"]}, id="BINARY_EVENT"),
        pytest.param({"type": 6, "nsp": "/", "data": [], "id": 1}, id="BINARY_ACK"),
        pytest.param({"type": -1, "nsp": "/"}, id="a type below all"),
        pytest.param({"type": True, "nsp": "/"}, id="a bool as type"),
        pytest.param({"type": "2", "nsp": "/", "data": ["e"]}, id="text as type"),
        pytest.param({"type": 2.0, "nsp": "/", "data": ["e"]}, id="a float as type"),
        pytest.param({"type": [2], "nsp": "/", "data": ["e"]}, id="a list as type"),
        pytest.param({"type": 1}, id="no namespace"),
        pytest.param({"type": 1, "nsp": ""}, id="an empty namespace"),
        pytest.param({"type": 1, "nsp": "chat"}, id="a namespace without its slash"),
        pytest.param({"type": 1, "nsp": 1}, id="a number as namespace"),
        pytest.param({"type": 0, "nsp": "/", "data": "token"}, id="CONNECT with text"),
        pytest.param({"type": 0, "nsp": "/", "data": []}, id="CONNECT with a list"),
        pytest.param({"type": 0, "nsp": "/", "id": 1}, id="CONNECT with an ack id"),
        pytest.param({"type": 1, "nsp": "/", "data": {}}, id="DISCONNECT with a payload"),
        pytest.param({"type": 2, "nsp": "/"}, id="EVENT without a payload"),
        pytest.param({"type": 2, "nsp": "/", "data": []}, id="EVENT without a name"),
        pytest.param({"type": 2, "nsp": "/", "data": [None]}, id="nil as a name"),
        pytest.param({"type": 2, "nsp": "/", "data": [b"e"]}, id="bytes as a name"),
        pytest.param({"type": 2, "nsp": "/", "data": [True]}, id="a bool as a name"),
        pytest.param({"type": 2, "nsp": "/", "data": [float("nan")]}, id="NaN as a name"),
        pytest.param({"type": 2, "nsp": "/", "data": {"0": "e"}}, id="EVENT with a map"),
        pytest.param({"type": 2, "nsp": "/", "data": ["e"], "id": -1}, id="an id below 0"),
        pytest.param({"type": 2, "nsp": "/", "data": ["e"], "id": 10**16}, id="an id of 17 digits"),
        pytest.param({"type": 2, "nsp": "/", "data": ["e"], "id": "1"}, id="text as id"),
        pytest.param({"type": 2, "nsp": "/", "data": ["e"], "id": False}, id="a bool as id"),
        pytest.param({"type": 3, "nsp": "/", "data": []}, id="ACK without an id"),
        pytest.param({"type": 3, "nsp": "/", "data": {}, "id": 1}, id="ACK with a map"),
        pytest.param({"type": 4, "nsp": "/"}, id="CONNECT_ERROR without a payload"),
        pytest.param({"type": 4, "nsp": "/", "data": [1]}, id="CONNECT_ERROR with a list"),
        *(
            pytest.param({"type": 2, "nsp": "/", "data": [name]}, id=name)
            for name in sorted(RESERVED_EVENTS)
        ),
    ],
)
def test_a_packet_that_is_none_is_refused(message: Any) -> None:
    with pytest.raises(ProtocolError, match="expected"):
        decode(pack(message))


def test_an_event_may_have_a_number_as_its_name() -> None:
    assert decode(pack({"type": 2, "nsp": "/", "data": [7]})).data == [7]


# The other parser.


def test_a_json_client_is_told_apart() -> None:
    with pytest.raises(ProtocolError, match=r"saw a text of 3 characters.*set parser='json'"):
        decode("0{}")


def test_a_msgpack_client_is_told_apart_by_the_json_parser() -> None:
    [data] = MSGPACK.encode(Packet(PacketType.CONNECT)).attachments
    with pytest.raises(ProtocolError, match="set parser='msgpack'"):
        JSON.decoder().add(data)
    with pytest.raises(ProtocolError, match=r"none announced$"):
        JSON.decoder().add(b"\0")
