"""Engine.IO packets: a digit and its data, alone or joined in a polling payload."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from protocol import ProtocolError
from protocol.engineio import (
    Packet,
    PacketType,
    binary_in_payload,
    decode,
    decode_payload,
    encode,
    encode_payload,
    open_packet,
)

# Each type as it is seen on the wire.
TEXT_PACKETS = [
    (Packet(PacketType.OPEN, '{"sid":"a"}'), '0{"sid":"a"}'),
    (Packet(PacketType.CLOSE), "1"),
    (Packet(PacketType.PING), "2"),
    (Packet(PacketType.PING, "probe"), "2probe"),
    (Packet(PacketType.PONG), "3"),
    (Packet(PacketType.PONG, "probe"), "3probe"),
    (Packet(PacketType.MESSAGE, "hello"), "4hello"),
    (Packet(PacketType.MESSAGE, "2[1]"), "42[1]"),
    (Packet(PacketType.MESSAGE, "6€ 😀\n"), "46€ 😀\n"),
    (Packet(PacketType.MESSAGE), "4"),
    (Packet(PacketType.UPGRADE), "5"),
    (Packet(PacketType.NOOP), "6"),
]


@pytest.mark.parametrize(("packet", "text"), TEXT_PACKETS)
def test_a_text_packet_is_its_digit_and_its_data(packet: Packet, text: str) -> None:
    assert encode(packet) == text
    assert decode(text) == packet


@pytest.mark.parametrize(("packet", "text"), TEXT_PACKETS)
def test_a_text_packet_is_the_same_in_a_payload(packet: Packet, text: str) -> None:
    assert encode_payload([packet]) == text.encode()
    assert decode_payload(text.encode()) == [packet]


@pytest.mark.parametrize("data", [b"", b"\x01\x02\x03\x04", b"4text", bytes(range(256))])
def test_a_binary_message_has_no_digit(data: bytes) -> None:
    packet = Packet(PacketType.MESSAGE, data)
    assert encode(packet) == data
    assert decode(data) == packet


def test_a_decoded_type_is_the_enumerations() -> None:
    assert decode("4").type is PacketType.MESSAGE
    assert decode(b"").type is PacketType.MESSAGE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "9",
        "a",
        "abc",
        "b",
        "bAQ==",
        "-1",
        " 4",
        "\x00",
        "\x1e4",
        "\u0664",
        "\uff14",
        "\u00b2",
    ],
)
def test_what_does_not_begin_with_a_packets_digit_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match=r"expected an Engine\.IO packet"):
        decode(text)


def test_a_refusal_shows_only_the_beginning_of_what_was_seen() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode("x" * 1_000_000)
    assert len(str(caught.value)) < 200


# Polling payloads.


def test_a_payload_is_its_packets_with_a_separator_between() -> None:
    packets = [
        Packet(PacketType.MESSAGE, "hello"),
        Packet(PacketType.PING),
        Packet(PacketType.MESSAGE, b"\x01\x02\x03\x04"),
        Packet(PacketType.MESSAGE, "€"),
    ]
    body = b"4hello\x1e2\x1ebAQIDBA==\x1e4\xe2\x82\xac"
    assert encode_payload(packets) == body
    assert encode_payload(iter(packets)) == body
    assert decode_payload(body) == packets


@pytest.mark.parametrize("size", range(9))
def test_binary_in_a_payload_is_b_and_padded_base64(size: int) -> None:
    data = bytes(range(256 - size, 256))  # with the letters in which the alphabets differ
    encoded = binary_in_payload(data)
    assert encoded == b"b" + b64encode(data)
    assert decode_payload(encoded) == [Packet(PacketType.MESSAGE, data)]


@pytest.mark.parametrize("size", range(8))
def test_base64_may_come_without_its_padding(size: int) -> None:
    data = bytes(range(size))
    body = b"b" + b64encode(data).rstrip(b"=")
    assert decode_payload(body) == [Packet(PacketType.MESSAGE, data)]


@pytest.mark.parametrize(
    "body",
    [
        "bA",  # one character is no byte
        "bAAAAA",
        "b=",
        "b====",
        "bAA==AA",  # nothing stands behind the padding
        "bAA-_",  # the alphabet of URLs is another one
        "bAA A",
        "bAAA\n",
        "b\tAAA",
        "bAAé",
        "b😀",
        "bb",
    ],
)
def test_bad_base64_is_refused(body: str) -> None:
    with pytest.raises(ProtocolError, match="expected base64 behind `b`"):
        decode_payload(body.encode())


@pytest.mark.parametrize("body", [b"", b"abc", b"\x1e", b"4a\x1e", b"\x1e4a", b"4a\x1e\x1e4b"])
def test_a_payload_with_an_empty_or_unknown_packet_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"expected an Engine\.IO packet"):
        decode_payload(body)


@pytest.mark.parametrize("bad", [b"x", b"bA", b""])
def test_one_bad_packet_refuses_the_whole_payload(bad: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_payload(b"\x1e".join([b"4good", bad, b"4good"]))


@pytest.mark.parametrize("body", [b"\xff", b"4\xc3", b"4\xed\xa0\x80", b"4ok\x1e4\x80"])
def test_a_payload_that_is_not_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="expected a polling payload in UTF-8"):
        decode_payload(body)


# The open packet.


def test_the_open_packet_has_exactly_its_keys_and_times_in_milliseconds() -> None:
    packet = open_packet(
        "lv_VI97HAXpY6yYWAAAC",
        upgrades=["websocket"],
        ping_interval=25,
        ping_timeout=20,
        max_payload=1_000_000,
    )
    assert packet.type is PacketType.OPEN
    assert isinstance(packet.data, str)
    assert json.loads(packet.data) == {
        "sid": "lv_VI97HAXpY6yYWAAAC",
        "upgrades": ["websocket"],
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": 1_000_000,
    }


def test_the_open_packet_is_compact_and_has_whole_numbers() -> None:
    packet = open_packet("a", upgrades=(), ping_interval=0.3, ping_timeout=0.2, max_payload=10)
    assert encode(packet) == (
        '0{"sid":"a","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":10}'
    )
