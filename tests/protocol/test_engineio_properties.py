"""Engine.IO: what goes out comes back, another codec reads it too, and bad input is one error."""

from __future__ import annotations

from contextlib import suppress

import engineio.packet  # type: ignore[import-untyped]
import engineio.payload  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import ProtocolError
from protocol.engineio import Packet, PacketType, decode, decode_payload, encode, encode_payload

moderate = settings(deadline=None, max_examples=100)

texts = st.builds(Packet, st.sampled_from(PacketType), st.text())
binaries = st.builds(Packet, st.just(PacketType.MESSAGE), st.binary())

# In a payload the separator cannot be data; JSON, which is what is sent, has it escaped.
joinable = st.builds(
    Packet,
    st.sampled_from(PacketType),
    st.text(st.characters(codec="utf-8", exclude_characters="\x1e")),
)
payloads = st.lists(joinable | binaries, min_size=1, max_size=12)

# Near to what is right: whole packets, halves of them, and what stands between.
nearly = st.lists(
    st.sampled_from(["0", "2probe", "3", "4", "42[", "b", "bAQ==", "bAQ", "=", "\x1e", "\x1e\x1e"])
    | st.text(max_size=3),
    max_size=8,
).map("".join)


@moderate
@given(packet=texts | binaries)
def test_what_is_encoded_is_decoded(packet: Packet) -> None:
    assert decode(encode(packet)) == packet


@moderate
@given(packets=payloads)
def test_a_payload_that_is_encoded_is_decoded(packets: list[Packet]) -> None:
    assert decode_payload(encode_payload(packets)) == packets


@moderate
@given(message=st.text() | st.binary() | nearly)
def test_any_message_is_a_packet_or_the_one_error(message: str | bytes) -> None:
    try:
        packet = decode(message)
    except ProtocolError:
        return
    assert encode(packet) == message


@moderate
@given(body=st.binary() | st.text().map(str.encode) | nearly.map(str.encode))
def test_any_body_is_packets_or_the_one_error(body: bytes) -> None:
    try:
        packets = decode_payload(body)
    except ProtocolError:
        return
    assert decode_payload(encode_payload(packets)) == packets


@moderate
@given(
    packets=payloads,
    position=st.integers(0, 10_000),
    removed=st.integers(0, 2),
    added=st.binary(max_size=2),
)
def test_a_damaged_payload_is_packets_or_the_one_error(
    packets: list[Packet], position: int, removed: int, added: bytes
) -> None:
    body = encode_payload(packets)
    position %= len(body) + 1
    with suppress(ProtocolError):
        decode_payload(body[:position] + added + body[position + removed :])


# An independent codec. It reads JSON out of its packets, so they hold something that is none.

not_json = st.builds(
    lambda type_, text: Packet(type_, "~" + text),
    st.sampled_from(PacketType),
    st.text(st.characters(codec="utf-8", exclude_characters="\x1e")),
)


@moderate
@given(packets=st.lists(not_json | binaries, min_size=1, max_size=12))
def test_python_engineio_reads_our_payloads_and_we_read_its(packets: list[Packet]) -> None:
    body = encode_payload(packets).decode()
    theirs = engineio.payload.Payload(encoded_payload=body)
    assert [(packet.packet_type, packet.data) for packet in theirs.packets] == packets
    assert theirs.encode() == body
    assert decode_payload(theirs.encode().encode()) == packets


@moderate
@given(packet=not_json | binaries)
def test_python_engineio_reads_our_frames_and_we_read_its(packet: Packet) -> None:
    theirs = engineio.packet.Packet(encoded_packet=encode(packet))
    assert (theirs.packet_type, theirs.data) == packet
    assert decode(theirs.encode()) == packet
