"""Socket.IO packets in: what each text is."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import ProtocolError
from protocol.socketio import MAX_ATTACHMENTS, Decoder, Packet, PacketType

CONNECT, DISCONNECT, EVENT = PacketType.CONNECT, PacketType.DISCONNECT, PacketType.EVENT
ACK, CONNECT_ERROR = PacketType.ACK, PacketType.CONNECT_ERROR


def placeholder(number: object) -> str:
    return f'{{"_placeholder":true,"num":{number}}}'


def decoded(*messages: str | bytes) -> Packet:
    """Return the packet that the last of `messages` completes."""
    decoder = Decoder()
    for message in messages[:-1]:
        assert decoder.add(message) is None
    packet = decoder.add(messages[-1])
    assert packet is not None
    return packet


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0", Packet(CONNECT)),
        ("0{}", Packet(CONNECT, data={})),
        ('0{"token":"x"}', Packet(CONNECT, data={"token": "x"})),
        ("0/admin", Packet(CONNECT, "/admin")),
        ("0/admin,", Packet(CONNECT, "/admin")),
        ('0/chat,{"token":"x"}', Packet(CONNECT, "/chat", {"token": "x"})),
        ("0/,", Packet(CONNECT, "/")),
        ("0/a/b-1,", Packet(CONNECT, "/a/b-1")),
        ("0/a?token=x&b=1,", Packet(CONNECT, "/a?token=x&b=1")),
        ("0/é\n,", Packet(CONNECT, "/é\n")),
        ("0/1[", Packet(CONNECT, "/1[")),
        ("1", Packet(DISCONNECT)),
        ("1/chat,", Packet(DISCONNECT, "/chat")),
        ("1/chat", Packet(DISCONNECT, "/chat")),
        ('2["ev"]', Packet(EVENT, data=["ev"])),
        ('2/chat,["ev",1]', Packet(EVENT, "/chat", ["ev", 1])),
        ('2/chat,7["q"]', Packet(EVENT, "/chat", ["q"], 7)),
        ('20["q"]', Packet(EVENT, data=["q"], id=0)),
        ('2456["q"]', Packet(EVENT, data=["q"], id=456)),
        ('2007["q"]', Packet(EVENT, data=["q"], id=7)),
        ('2/,["ev"]', Packet(EVENT, data=["ev"])),
        ('2["a,b/c-1"]', Packet(EVENT, data=["a,b/c-1"])),
        ('2[""]', Packet(EVENT, data=[""])),
        ("2[1,2]", Packet(EVENT, data=[1, 2])),
        ("2[1.5]", Packet(EVENT, data=[1.5])),
        ('2["message"]', Packet(EVENT, data=["message"])),
        ('2["Connect"]', Packet(EVENT, data=["Connect"])),
        ('2["ev","connect"]', Packet(EVENT, data=["ev", "connect"])),
        ('2["ev",{"3":[true]},null]', Packet(EVENT, data=["ev", {"3": [True]}, None])),
        ("31[]", Packet(ACK, data=[], id=1)),
        ('3/chat,7["r"]', Packet(ACK, "/chat", ["r"], 7)),
        ('312["connect"]', Packet(ACK, data=["connect"], id=12)),
        ('4{"message":"m"}', Packet(CONNECT_ERROR, data={"message": "m"})),
        (
            '4/chat,{"message":"m","data":{}}',
            Packet(CONNECT_ERROR, "/chat", {"message": "m", "data": {}}),
        ),
        ('4"no"', Packet(CONNECT_ERROR, data="no")),
    ],
)
def test_a_text_is_a_packet(text: str, packet: Packet) -> None:
    assert decoded(text) == packet
    assert decoded(text).type is packet.type


def test_the_longest_ack_id_has_sixteen_digits() -> None:
    assert decoded('29999999999999999["q"]').id == 9_999_999_999_999_999
    with pytest.raises(ProtocolError):
        Decoder().add('210000000000000000["q"]')


def test_placeholders_in_a_packet_without_attachments_are_plain_data() -> None:
    assert decoded(f'2["ev",{placeholder(0)}]').data == ["ev", {"_placeholder": True, "num": 0}]


# Attachments.


def test_a_binary_event_is_given_as_an_event_with_its_bytes_in_their_places() -> None:
    text = f'52-/chat,3["ev",{placeholder(0)},{{"x":[{placeholder(1)},1]}}]'
    packet = decoded(text, b"a", b"b")
    assert packet == Packet(EVENT, "/chat", ["ev", b"a", {"x": [b"b", 1]}], 3)
    assert packet.type is EVENT


def test_a_binary_ack_is_given_as_an_ack_with_its_bytes() -> None:
    packet = decoded(f"61-/ns,12[{placeholder(0)}]", b"")
    assert packet == Packet(ACK, "/ns", [b""], 12)
    assert packet.type is ACK


def test_placeholders_choose_their_attachments_by_number() -> None:
    text = f'52-["ev",{placeholder(1)},{placeholder(0)},{placeholder(1)}]'
    assert decoded(text, b"a", b"b").data == ["ev", b"b", b"a", b"b"]


def test_only_what_says_that_it_is_a_placeholder_is_one() -> None:
    data: list[Any] = [{"_placeholder": False, "num": 0}, {"_placeholder": 1, "num": 0}, {"num": 0}]
    text = '51-["ev",{"_placeholder":false,"num":0},{"_placeholder":1,"num":0},{"num":0}]'
    assert decoded(text, b"a").data == ["ev", *data]


def test_ten_attachments_are_the_most() -> None:
    places = ",".join(placeholder(number) for number in range(MAX_ATTACHMENTS))
    attachments = [bytes([number]) for number in range(MAX_ATTACHMENTS)]
    assert MAX_ATTACHMENTS == 10
    assert decoded(f'510-["ev",{places}]', *attachments).data == ["ev", *attachments]


def test_a_decoder_goes_on_after_each_packet() -> None:
    decoder = Decoder()
    binary = f'51-["ev",{placeholder(0)}]'
    for data in (b"a", b"b"):
        assert decoder.add('2["plain"]') == Packet(EVENT, data=["plain"])
        assert decoder.add(binary) is None
        assert decoder.add(data) == Packet(EVENT, data=["ev", data])
    assert decoder.add("1") == Packet(DISCONNECT)
