"""Socket.IO packets out: the exact bytes."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.socketio import Encoded, Packet, PacketType, encode

CONNECT, DISCONNECT, EVENT = PacketType.CONNECT, PacketType.DISCONNECT, PacketType.EVENT
ACK, CONNECT_ERROR = PacketType.ACK, PacketType.CONNECT_ERROR

FIRST = b'{"_placeholder":true,"num":0}'
SECOND = b'{"_placeholder":true,"num":1}'


@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (Packet(CONNECT), b"0"),
        (Packet(CONNECT, data={"sid": "a"}), b'0{"sid":"a"}'),
        (Packet(CONNECT, "/chat"), b"0/chat,"),
        (Packet(CONNECT, "/chat", {"token": "x"}), b'0/chat,{"token":"x"}'),
        (Packet(CONNECT, "/chat", {"sid": "a", "pid": "b"}), b'0/chat,{"sid":"a","pid":"b"}'),
        (Packet(DISCONNECT), b"1"),
        (Packet(DISCONNECT, "/chat"), b"1/chat,"),
        (Packet(EVENT, data=["ev"]), b'2["ev"]'),
        (Packet(EVENT, "/chat", ["ev", 1]), b'2/chat,["ev",1]'),
        (Packet(EVENT, "/chat", ["q"], 7), b'2/chat,7["q"]'),
        (Packet(EVENT, data=["q"], id=0), b'20["q"]'),
        (Packet(EVENT, data=("ev", 1.5, None, True)), b'2["ev",1.5,null,true]'),
        (Packet(EVENT, data=["é", "😀\n\x1e"]), '2["é","😀\\n\\u001e"]'.encode()),
        (Packet(EVENT, "/é", ["ev"]), '2/é,["ev"]'.encode()),
        (Packet(EVENT, data=[1, 2]), b"2[1,2]"),
        (Packet(ACK, "/chat", ["r"], 7), b'3/chat,7["r"]'),
        (Packet(ACK, data=[], id=12), b"312[]"),
        (
            Packet(CONNECT_ERROR, "/chat", {"message": "m", "data": {}}),
            b'4/chat,{"message":"m","data":{}}',
        ),
        (
            Packet(CONNECT_ERROR, "/x", {"message": "Invalid namespace"}),
            b'4/x,{"message":"Invalid namespace"}',
        ),
        (Packet(CONNECT_ERROR, data="no"), b'4"no"'),
    ],
)
def test_a_packet_without_bytes_is_its_text(packet: Packet, text: bytes) -> None:
    assert encode(packet) == Encoded(text, [])


@pytest.mark.parametrize(
    ("packet", "text", "attachments"),
    [
        (Packet(EVENT, data=["ev", b"\x01"]), b'51-["ev",' + FIRST + b"]", [b"\x01"]),
        (
            Packet(EVENT, "/chat", ["ev", b"a", {"x": [b"b"]}], 3),
            b'52-/chat,3["ev",' + FIRST + b',{"x":[' + SECOND + b"]}]",
            [b"a", b"b"],
        ),
        (Packet(ACK, "/ns", [b""], 12), b"61-/ns,12[" + FIRST + b"]", [b""]),
        (Packet(ACK, data=[1, b"a"], id=0), b"61-0[1," + FIRST + b"]", [b"a"]),
        # The same bytes twice are two attachments.
        (
            Packet(EVENT, data=["ev", b"a", b"a"]),
            b'52-["ev",' + FIRST + b"," + SECOND + b"]",
            [b"a", b"a"],
        ),
    ],
)
def test_bytes_become_placeholders_and_the_packet_binary(
    packet: Packet, text: bytes, attachments: list[bytes]
) -> None:
    assert encode(packet) == Encoded(text, attachments)


@pytest.mark.parametrize("data", [bytearray(b"ab"), memoryview(b"ab"), memoryview(b"a-b-")[::2]])
def test_attachments_are_bytes_whatever_they_were(data: Any) -> None:
    [attachment] = encode(Packet(EVENT, data=["ev", data])).attachments
    assert type(attachment) is bytes
    assert attachment == b"ab"


def test_an_attachment_is_what_the_bytes_were_when_they_were_sent() -> None:
    data = bytearray(b"ab")
    encoded = encode(Packet(EVENT, data=["ev", data]))
    data[0] = 0
    assert encoded.attachments == [b"ab"]


@pytest.mark.parametrize("type_", [CONNECT, CONNECT_ERROR])
def test_packets_that_are_never_binary_refuse_bytes(type_: PacketType) -> None:
    with pytest.raises(TypeError, match=rf"a {type_.name} packet cannot hold bytes"):
        encode(Packet(type_, data={"token": b"x"}))


@pytest.mark.parametrize(
    ("packet", "path"),
    [
        (Packet(EVENT, data=["ev", {1}]), r"args\[0\]"),
        (Packet(EVENT, data=["ev", 1, {"user": {"when": {1}}}]), r"args\[1\]\.user\.when"),
        (Packet(EVENT, data=("ev", [{1}])), r"args\[0\]\[0\]"),
        (Packet(ACK, data=[{1}], id=1), r"args\[0\]"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_place_among_the_arguments(
    packet: Packet, path: str
) -> None:
    with pytest.raises(TypeError, match=f"^{path}: set cannot be sent$"):
        encode(packet)


def test_encoding_leaves_the_data_as_it_was() -> None:
    data = ["ev", {"x": [b"a"]}]
    encode(Packet(EVENT, data=data))
    assert data == ["ev", {"x": [b"a"]}]
