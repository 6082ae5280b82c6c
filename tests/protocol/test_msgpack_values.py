"""Values in msgpack: those of JSON and bytes, whatever notepack.io writes them as."""

from __future__ import annotations

import datetime as dt
import enum
import math
import struct
from typing import Any

import attrs
import msgspec
import pytest

from protocol import ProtocolError
from protocol.msgpack_values import dumps, loads
from protocol.values import MAX_INT

pack = msgspec.msgpack.encode


def sent(value: Any) -> Any:
    """Return what a peer reads of an argument."""
    read = msgspec.msgpack.decode(dumps({"data": ["e", value]}, lead=1))
    return read["data"][1]


@attrs.frozen
class User:
    name: str
    born: dt.datetime


class Colour(enum.StrEnum):
    RED = "red"


class Place(msgspec.Struct, array_like=True, tag="a tag"):
    row: int


class Loud(str):
    __slots__ = ()


WHEN = dt.datetime(2024, 2, 29, 12, 0, 0, 5000, tzinfo=dt.timezone(dt.timedelta(hours=2)))
ISO = "2024-02-29T10:00:00.005Z"


# Out.


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (MAX_INT, MAX_INT),
        (-MAX_INT, -MAX_INT),
        ("é😀", "é😀"),
        ((1, [2, (3,)]), [1, [2, [3]]]),
        (b"\0\xff", b"\0\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (math.nan, None),
        ([math.inf, {"a": -math.inf}], [None, {"a": None}]),
        (WHEN, ISO),
        (User("ann", WHEN), {"name": "ann", "born": ISO}),
        ({"a": [User("ann", WHEN), b"x"]}, {"a": [{"name": "ann", "born": ISO}, b"x"]}),
        (Place(3), ["a tag", 3]),
        (Colour.RED, "red"),
        (Loud("a"), "a"),
        ({"_placeholder": True, "num": 0}, {"_placeholder": True, "num": 0}),
    ],
    ids=repr,
)
def test_values_go_out_as_in_json_and_bytes_as_bytes(value: Any, read: Any) -> None:
    assert sent(value) == read
    assert sent([value, {"a": value, "far": math.nan}]) == [read, {"a": read, "far": None}]


@pytest.mark.parametrize(
    ("value", "error", "path"),
    [
        (MAX_INT + 1, ValueError, r"args\[0\]\.a: .*2\^53"),
        (WHEN.replace(tzinfo=None), ValueError, r"args\[0\]\.a: a datetime without a time zone"),
        (dt.date(2024, 1, 1), TypeError, r"args\[0\]\.a: date cannot be sent"),
        ({1}, TypeError, r"args\[0\]\.a: set cannot be sent"),
        (1j, TypeError, r"args\[0\]\.a: complex cannot be sent"),
        ({1: 2}, TypeError, r"args\[0\]\.a: the key 1 is int"),
        ({b"k": 2}, TypeError, r"args\[0\]\.a: the key b'k' is bytes"),
        ("\ud83d", ValueError, r"args\[0\]\.a: a lone surrogate"),
        ({"\ud83d": 1}, ValueError, r"args\[0\]\.a.*: a lone surrogate"),
        (object(), TypeError, r"args\[0\]\.a: object cannot be sent"),
    ],
    ids=repr,
)
def test_what_cannot_be_sent_is_named_with_its_path(
    value: Any, error: type[Exception], path: str
) -> None:
    with pytest.raises(error, match=path):
        sent({"a": value})


def test_what_is_within_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="within itself"):
        sent(endless)


# In.


def array(*items: bytes) -> bytes:
    return bytes([0x90 + len(items)]) + b"".join(items)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\xd4\0\0", None),
        (array(b"\xd4\0\0", b"\1"), [None, 1]),
        (b"\x82\xa1a\xd4\0\0\xa1b\1", {"b": 1}),
        (b"\xd7\0" + struct.pack(">q", 0), "1970-01-01T00:00:00.000Z"),
        (b"\xd7\0" + struct.pack(">q", -1), "1969-12-31T23:59:59.999Z"),
        (b"\xd7\0" + struct.pack(">q", 253_402_300_800_000), "+010000-01-01T00:00:00.000Z"),
        (b"\xd7\0" + struct.pack(">q", -62_198_755_200_001), "-000002-12-31T23:59:59.999Z"),
        (b"\xd7\0" + struct.pack(">q", 8_640_000_000_000_001), None),
        (b"\xc7\1\0\0", b"\0"),
        (b"\xc7\x08\0" + bytes(8), bytes(8)),
        (b"\xc8\0\2\0ab", b"ab"),
        (b"\xc9\0\0\0\2\0ab", b"ab"),
        (b"\xc7\0\0", b""),
    ],
)
def test_notepacks_extensions_are_what_json_has_for_them(data: bytes, value: Any) -> None:
    assert loads(data) == value
    assert loads(array(data, b"\xd4\0\0")) == [value, None]


@pytest.mark.parametrize(
    "data", [b"\xd4\1\0", b"\xd6\xfe\0\0\0\0", b"\xc7\1\5x", b"\xd5\0ab", b"\xd8\0" + bytes(16)]
)
def test_other_extensions_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"expected .*extension"):
        loads(data)


@pytest.mark.parametrize(
    ("data", "iso"),
    [
        (b"\xd6\xff" + struct.pack(">I", 1_709_200_800), "2024-02-29T10:00:00.000Z"),
        (b"\xd7\xff" + struct.pack(">Q", 5_999_999 << 34 | 1_709_200_800), ISO),
        (b"\xc7\x0c\xff" + struct.pack(">Iq", 999_000_000, -1), "1969-12-31T23:59:59.999Z"),
        (b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 253_402_300_800), "+010000-01-01T00:00:00.000Z"),
        (b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 2**62), None),
    ],
)
def test_a_timestamp_of_msgpack_is_iso_text(data: bytes, iso: str | None) -> None:
    assert loads(data) == iso
    assert loads(array(data, b"\xd4\0\0")) == [iso, None]


@pytest.mark.parametrize("data", [b"\xd4\xff\0", b"\xd8\xff" + bytes(16), b"\xc7\5\xff12345"])
def test_a_timestamp_of_another_length_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="expected a timestamp of 4, 8 or 12 bytes"):
        loads(data)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_comes_in_as_none(number: float) -> None:
    assert loads(pack(number)) is None
    assert loads(b"\xca" + struct.pack(">f", number)) is None
    assert loads(pack({"a": [number]})) == {"a": [None]}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\xed\xa0\xbdb", "a\ufffdb"),
        (b"\xed\xb8\x80", "\ufffd"),
        (b"\xed\xa0\xbd\xed\xb8\x80", "😀"),
        (b"\xed\xb8\x80\xed\xa0\xbd", "\ufffd\ufffd"),
        (b"a\xff", "a\ufffd"),
        (b"\xf0\x9f\x98", "\ufffd"),
    ],
)
def test_text_that_is_no_utf8_comes_in_mended(data: bytes, text: str) -> None:
    fixed = bytes([0xA0 + len(data)]) + data
    assert loads(fixed) == text
    assert loads(b"\xd9" + bytes([len(data)]) + data) == text
    assert loads(b"\x81" + fixed + b"\1") == {text: 1}


@pytest.mark.parametrize("key", [1, None, True, 1.5, b"k", [1]])
def test_keys_that_are_no_text_are_refused(key: Any) -> None:
    for data in (b"\x81" + pack(key) + b"\1", array(b"\x81" + pack(key) + b"\1")):
        with pytest.raises(ProtocolError, match="expected"):
            loads(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\1\2",
        b"\x91",
        b"\x81\xa1a",
        b"\xa2a",
        b"\xc4\2a",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xa1a\xd4\0\0",
        b"\x93\xd4\0\0\1",
        b"\x91\xd4\0",
        b"\x92\xd4\0\0\xc1",
        b"\x91\xd4\0\0\1",
        b"\x92\xd4\0\0\xc6\xff\xff\xff\xffa",
        b"\x91" * 100_000,
    ],
    ids=lambda data: data[:12].hex(),
)
def test_what_is_no_msgpack_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="expected msgpack"):
        loads(data)


def test_numbers_beyond_what_javascript_holds_come_in_as_they_are() -> None:
    for number in (2**64 - 1, -(2**63), 2**53):
        assert loads(pack([number])) == [number]


@pytest.mark.parametrize("end", [b"\1", b"\xd4\0\0", pack(math.nan)], ids=["1", "undefined", "NaN"])
@pytest.mark.parametrize("within", [b"\x91", b"\x81\xa1a"], ids=["list", "map"])
def test_data_is_as_deep_as_in_json(within: bytes, end: bytes) -> None:
    packet = b"\x81\xa4data"
    assert loads(packet + within * 100 + end)
    for depth in (101, 102, 500):
        with pytest.raises(ProtocolError, match="nested at most 100 deep"):
            loads(packet + within * depth + end)
