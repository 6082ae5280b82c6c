"""Socket.IO: what goes out comes back, another codec reads it too, and bad input is one error."""

from __future__ import annotations

from typing import Any

import socketio.packet  # type: ignore[import-untyped]
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocol import ProtocolError
from protocol.socketio import (
    MAX_ATTACHMENTS,
    RESERVED_EVENTS,
    Decoder,
    Encoded,
    Packet,
    PacketType,
    encode,
)
from protocol.values import MAX_INT

moderate = settings(deadline=None, max_examples=100)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INT, MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=12,
    )


arguments = st.lists(nested(scalars | st.binary(max_size=8)), max_size=4)
objects = st.dictionaries(st.text(max_size=4), nested(scalars), max_size=4)
names = st.text().filter(lambda name: name not in RESERVED_EVENTS)
# A namespace ends with a comma; a query behind a `?` is cut off by the other codec.
namespaces = st.just("/") | st.text(
    st.characters(codec="utf-8", exclude_characters=",?"), max_size=8
).map(lambda text: "/" + text)
ids = st.integers(0, 10**16 - 1)

packets = (
    st.builds(Packet, st.just(PacketType.CONNECT), namespaces, st.none() | objects, st.none())
    | st.builds(Packet, st.just(PacketType.DISCONNECT), namespaces, st.none(), st.none())
    | st.builds(
        Packet, st.just(PacketType.CONNECT_ERROR), namespaces, objects | st.text(), st.none()
    )
    | st.builds(
        lambda namespace, name, rest, id_: Packet(PacketType.EVENT, namespace, [name, *rest], id_),
        namespaces,
        names | st.integers(0, 99),
        arguments,
        st.none() | ids,
    )
    | st.builds(Packet, st.just(PacketType.ACK), namespaces, arguments, ids)
)


def messages_of(encoded: Encoded) -> list[str | bytes]:
    return [encoded.text.decode(), *encoded.attachments]


@moderate
@given(sent=st.lists(packets, min_size=1, max_size=4))
def test_packets_that_are_encoded_are_decoded_by_one_decoder(sent: list[Packet]) -> None:
    decoder = Decoder()
    for packet in sent:
        encoded = encode(packet)
        assume(len(encoded.attachments) <= MAX_ATTACHMENTS)
        *before, last = messages_of(encoded)
        assert [decoder.add(message) for message in before] == [None] * len(before)
        received = decoder.add(last)
        assert received == packet
        assert received is not None
        assert received.type is packet.type


# An independent codec, which has None for `/` and the binary types by their own numbers.


@moderate
@given(packet=packets)
def test_python_socketio_reads_what_we_encode(packet: Packet) -> None:
    encoded = encode(packet)
    theirs = socketio.packet.Packet(encoded_packet=encoded.text.decode())
    assert theirs.attachment_count == len(encoded.attachments)
    for attachment in encoded.attachments:
        theirs.add_attachment(attachment)
    assert theirs.packet_type == {
        (PacketType.EVENT, True): socketio.packet.BINARY_EVENT,
        (PacketType.ACK, True): socketio.packet.BINARY_ACK,
    }.get((packet.type, bool(encoded.attachments)), packet.type)
    assert (theirs.namespace or "/", theirs.data, theirs.id) == packet[1:]


@moderate
@given(packet=packets)
def test_we_read_what_python_socketio_encodes(packet: Packet) -> None:
    encoded = socketio.packet.Packet(
        int(packet.type), data=packet.data, namespace=packet.namespace, id=packet.id
    ).encode()
    messages = encoded if isinstance(encoded, list) else [encoded]
    assume(len(messages) <= 1 + MAX_ATTACHMENTS)
    decoder = Decoder()
    received = [decoder.add(message) for message in messages]
    assert received == [None] * (len(messages) - 1) + [packet]


# Any input.

# What packets are made of, in any order.
pieces = st.lists(
    st.sampled_from(
        [
            *'0123456789[]{},:-/" \\',
            "51-", "52-", "61-7", "2[", '"ev"', '["ev",', '{"_placeholder":true,"num":0}',
            '{"_placeholder":true,"num":1}', "null", "true", "1e9", "/chat,", "\\ud83d",
            '"connect"', "[" * 60, "]" * 60,
        ]
    )
    | st.text(max_size=3),
    max_size=12,
).map("".join)  # fmt: skip

# As a library might give it: text with what UTF-8 cannot hold.
with_surrogates = st.text(st.characters())


def add_all(messages: list[str | bytes]) -> None:
    """Give all of `messages` to one decoder after the other: an error is a decoder's last word."""
    decoder = Decoder()
    for message in messages:
        try:
            packet = decoder.add(message)
        except ProtocolError:
            decoder = Decoder()
        else:
            assert packet is None or packet.type in set(PacketType)


@settings(deadline=None, max_examples=150)
@given(messages=st.lists(pieces | st.text() | with_surrogates | st.binary(), max_size=6))
def test_any_messages_are_packets_or_the_one_error(messages: list[str | bytes]) -> None:
    add_all(messages)


@settings(deadline=None, max_examples=150)
@given(
    packet=packets,
    edits=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 3), pieces | st.text(max_size=2)),
        min_size=1,
        max_size=3,
    ),
    between=st.lists(st.binary(max_size=2) | pieces, max_size=2),
    shuffled=st.randoms(use_true_random=False),
)
def test_a_damaged_packet_is_a_packet_or_the_one_error(
    packet: Packet,
    edits: list[tuple[int, int, str]],
    between: list[str | bytes],
    shuffled: Any,
) -> None:
    text, *attachments = messages_of(encode(packet))
    assert isinstance(text, str)
    for position, removed, added in edits:
        start = position % (len(text) + 1)
        text = text[:start] + added + text[start + removed :]
    behind = [*attachments, *between]
    shuffled.shuffle(behind)
    add_all([text, *behind])
    add_all([*behind, text])


@moderate
@given(text=pieces)
def test_what_is_decoded_and_encoded_again_is_decoded_the_same(text: str) -> None:
    for start in ("", '2["ev",', "0", '4/x,{"message":'):
        try:
            packet = Decoder().add(start + text)
        except ProtocolError:
            continue
        if packet is not None:
            [again] = messages_of(encode(packet))
            assert Decoder().add(again) == packet
