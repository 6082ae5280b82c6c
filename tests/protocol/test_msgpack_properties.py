"""msgpack: what goes out comes back, another codec reads it too, and bad input is one error."""

from __future__ import annotations

import struct
from typing import Any
from unittest import mock

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol import ProtocolError
from protocol.msgpack import MSGPACK
from protocol.msgpack_values import _Reader, loads
from protocol.socketio import JSON, MAX_ATTACHMENTS, RESERVED_EVENTS, Packet, PacketType
from protocol.values import MAX_DEPTH, MAX_INT

moderate = settings(deadline=None, max_examples=100)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INT, MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=4), inner, max_size=20)
    ),
    max_leaves=20,
)
arguments = st.lists(values, max_size=4)
objects = st.dictionaries(st.text(max_size=4), values, max_size=4)
names = st.text().filter(lambda name: name not in RESERVED_EVENTS) | st.integers(0, 99)
namespaces = st.text(st.characters(codec="utf-8"), max_size=8).map(lambda text: "/" + text)
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
        names,
        arguments,
        st.none() | ids,
    )
    | st.builds(Packet, st.just(PacketType.ACK), namespaces, arguments, ids)
)


def encode(packet: Packet) -> bytes:
    [data] = MSGPACK.encode(packet).attachments
    return data


@moderate
@given(packet=packets)
def test_packets_that_are_encoded_are_decoded(packet: Packet) -> None:
    received = MSGPACK.decoder().add(encode(packet))
    assert received == packet
    assert received.type is packet.type


@moderate
@given(value=values)
def test_the_slow_reader_reads_what_the_quick_one_does(value: Any) -> None:
    """Where both may read they agree, so nobody sees which it was."""
    data = msgspec.msgpack.encode(value)
    assert _Reader(data).read_all() == loads(data) == value
    with mock.patch("protocol.msgpack_values._Reader", side_effect=AssertionError("not needed")):
        assert loads(data) == value


@moderate
@given(args=st.lists(values, max_size=3))
def test_handlers_get_the_same_with_both_parsers(args: list[Any]) -> None:
    packet = Packet(PacketType.EVENT, "/", ["e", *args])
    try:
        text, attachments = JSON.encode(packet)
    except ValueError:  # more bytes than attachments
        return
    assert text is not None
    decoder = JSON.decoder()
    by_json = [decoder.add(message) for message in (text.decode(), *attachments)][-1]
    assert len(attachments) <= MAX_ATTACHMENTS
    assert by_json == MSGPACK.decoder().add(encode(packet))


# Any input.

pieces = st.sampled_from(
    [
        b"\x80", b"\x81", b"\x82", b"\x90", b"\x91", b"\x92", b"\xa1a", b"\xa4type", b"\xa3nsp",
        b"\xa4data", b"\xa2id", b"\xa1/", b"\xc0", b"\xc1", b"\xc2", b"\xc3", b"\xd4\0\0",
        b"\xd7\0", b"\xd6\xff", b"\xc7\1\0", b"\xc4\1", b"\xca", b"\xcb\x7f\xf8", b"\xcf\xff",
        b"\xd9\2\xed\xa0", b"\xdc\0\1", b"\xdd\0\0\0\1", b"\xdd\xff\xff\xff\xff", b"\xde\0\1",
        b"\xdf\xff", b"\xe0", b"\0", b"\1", b"\2", b"\3", b"\4", b"\x91" * 99,
        b"\x81\xa1a" * 99, struct.pack(">q", -(2**63)),
    ]
) | st.binary(max_size=4)  # fmt: skip


def add(data: bytes | str) -> None:
    try:
        packet = MSGPACK.decoder().add(data)
    except ProtocolError:
        return
    MSGPACK.encode(packet._replace(data=None))
    assert packet.type in set(PacketType)


@settings(deadline=None, max_examples=300)
@given(data=st.lists(pieces, max_size=14).map(b"".join) | st.binary() | st.text())
def test_any_message_is_a_packet_or_the_one_error(data: bytes | str) -> None:
    add(data)


@settings(deadline=None, max_examples=300)
@given(
    packet=packets,
    edits=st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 3), pieces), min_size=1, max_size=3
    ),
)
def test_a_damaged_packet_is_a_packet_or_the_one_error(
    packet: Packet, edits: list[tuple[int, int, bytes]]
) -> None:
    data = encode(packet)
    for position, removed, added in edits:
        start = position % (len(data) + 1)
        data = data[:start] + added + data[start + removed :]
        add(data)


@settings(deadline=None, max_examples=150)
@given(data=st.lists(pieces, max_size=10).map(b"".join))
@example(data=b"\x91" * 99 + b"\x00")
@example(data=b"\x91" * 101 + b"\x00")
def test_values_that_are_read_are_what_may_be_sent(data: bytes) -> None:
    try:
        value = loads(data, MAX_DEPTH - 2)  # it is to stand in a packet, and in its list
    except ProtocolError:
        return
    try:
        again = encode(Packet(PacketType.ACK, "/", [value], 1))
    except ValueError as error:  # beyond what JavaScript holds
        assert "2^53" in str(error)  # noqa: PT017
    else:
        assert MSGPACK.decoder().add(again).data == [value]
