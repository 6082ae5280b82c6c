"""Values out: every accepted kind, anywhere inside, and the path of what is refused."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import uuid
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest

from protocol.values import MAX_INT, dumps


@attrs.frozen
class Seat:
    row: int
    tag: Any = None


@attrs.define
class Slotted:
    x: Any


@dataclasses.dataclass
class Song:
    title: str
    data: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: Any


class Score(msgspec.Struct):
    points: int
    by: Any = None


class Circle(msgspec.Struct, tag="circle", rename="camel"):
    line_width: int
    filled_with: str | msgspec.UnsetType = msgspec.UNSET


class Place(msgspec.Struct, array_like=True):
    row: int


class Pair(NamedTuple):
    one: Any
    two: Any


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Colour(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))
NOON = dt.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=dt.UTC)

ACCEPTED: list[tuple[Any, str]] = [
    (None, "null"),
    (True, "true"),
    (False, "false"),
    (Word.RED, '"red"'),  # a str, as a DisconnectReason is
    (Level.LOW, "1"),
    (0, "0"),
    (MAX_INT, "9007199254740991"),
    (-MAX_INT, "-9007199254740991"),
    (1.5, "1.5"),
    (1e300, "1e+300"),
    (math.nan, "null"),
    (math.inf, "null"),
    (-math.inf, "null"),
    ("", '""'),
    ('a"\\\n\x1e', '"a\\"\\\\\\n\\u001e"'),
    ("é😀", '"é😀"'),
    ([], "[]"),
    ((), "[]"),
    ((1, [2, (3,)]), "[1,[2,[3]]]"),
    ({}, "{}"),
    ({"b": 1, "a": {"": 2}}, '{"b":1,"a":{"":2}}'),
    (NOON, '"2024-02-29T12:30:15.123Z"'),
    (NOON.replace(microsecond=0), '"2024-02-29T12:30:15.000Z"'),
    (NOON.astimezone(EAST), '"2024-02-29T12:30:15.123Z"'),
    (dt.datetime(33, 1, 2, tzinfo=dt.UTC), '"0033-01-02T00:00:00.000Z"'),
    (Seat(1), '{"row":1,"tag":null}'),
    (Seat(1, Seat(2, NOON)), '{"row":1,"tag":{"row":2,"tag":"2024-02-29T12:30:15.123Z"}}'),
    (Slotted((1,)), '{"x":[1]}'),
    (Song("a", Point(Score(1))), '{"title":"a","data":{"x":{"points":1,"by":null}}}'),
    (Circle(1), '{"type":"circle","lineWidth":1}'),
    ([Circle(1, "red"), Place(3)], '[{"type":"circle","lineWidth":1,"filledWith":"red"},[3]]'),
    (Score(1, [Seat(2)]), '{"points":1,"by":[{"row":2,"tag":null}]}'),
    (Pair(1, Seat(2)), '[1,{"row":2,"tag":null}]'),
    (Text("a"), '"a"'),
    (Whole(1), "1"),
    (Real(1.5), "1.5"),
    (collections.OrderedDict(a=1), '{"a":1}'),
    (collections.defaultdict(list, a=[1]), '{"a":[1]}'),
]

REFUSED: list[tuple[Any, type[Exception], str]] = [
    (MAX_INT + 1, ValueError, "9007199254740992 is beyond"),
    (-MAX_INT - 1, ValueError, "-9007199254740992 is beyond"),
    (2**64, ValueError, "18446744073709551616 is beyond"),
    (Whole(2**60), ValueError, "1152921504606846976 is beyond"),
    ("\ud83d", ValueError, "a lone surrogate is no text"),
    (dt.datetime(2024, 2, 29), ValueError, "a datetime without a time zone"),  # noqa: DTZ001
    (dt.date(2024, 2, 29), TypeError, "date cannot be sent"),
    (dt.time(12), TypeError, "time cannot be sent"),
    (dt.timedelta(1), TypeError, "timedelta cannot be sent"),
    ({1}, TypeError, "set cannot be sent"),
    (frozenset("a"), TypeError, "frozenset cannot be sent"),
    (1j, TypeError, "complex cannot be sent"),
    (decimal.Decimal(1), TypeError, "Decimal cannot be sent"),
    # The JSON library would let these through without asking.
    (Colour.RED, TypeError, "Colour cannot be sent"),
    (uuid.UUID(int=1), TypeError, "UUID cannot be sent"),
    (range(2), TypeError, "range cannot be sent"),
    (object(), TypeError, "object cannot be sent"),
    (collections.deque([1]), TypeError, "deque cannot be sent"),
    (ValueError("x"), TypeError, "ValueError cannot be sent"),
    (Song, TypeError, "type cannot be sent"),
    (Seat, TypeError, "type cannot be sent"),
    (len, TypeError, "builtin_function_or_method cannot be sent"),
    ({1: 2}, TypeError, "the key 1 is int, expected str"),
    ({None: 2}, TypeError, "the key None is NoneType, expected str"),
    ({b"a": 2}, TypeError, "the key b'a' is bytes, expected str"),
]


def inside(value: Any) -> list[tuple[Any, str]]:
    """Return `value` within each kind of container, and the path to it there."""
    return [
        ([value], "args[0]"),
        ([0, value], "args[1]"),
        ([(value,)], "args[0][0]"),
        ([{"user": {"when": value}}], "args[0].user.when"),
        ([Seat(1, value)], "args[0].tag"),
        ([{"list": [1, Slotted(value)]}], "args[0].list[1].x"),
        ([Song("a", Point(value))], "args[0].data.x"),
        ([Score(1, [value])], "args[0].by[0]"),
        ([Pair(1, value)], "args[0][1]"),
        ([collections.OrderedDict(x=value)], "args[0].x"),
    ]


@pytest.mark.parametrize(("value", "text"), ACCEPTED)
def test_each_kind_has_its_json(value: Any, text: str) -> None:
    assert dumps(value) == (text.encode(), [])


@pytest.mark.parametrize(("value", "text"), ACCEPTED)
def test_each_kind_may_stand_anywhere_inside(value: Any, text: str) -> None:
    for container, path in inside(value):
        encoded, attachments = dumps(container)
        assert attachments == []
        assert text in encoded.decode(), path
        json.loads(encoded)


@pytest.mark.parametrize("data", [b"", b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_bytes_anywhere_inside_are_attachments(data: bytes | bytearray | memoryview) -> None:
    for container, path in inside(data):
        encoded, attachments = dumps(container)
        assert b'{"_placeholder":true,"num":0}' in encoded, path
        assert attachments == [bytes(data)]


@pytest.mark.parametrize(("value", "error", "text"), REFUSED)
def test_what_cannot_be_sent_is_refused_with_its_exact_path(
    value: Any, error: type[Exception], text: str
) -> None:
    for container, path in inside(value):
        with pytest.raises(error) as caught:
            dumps(container)
        assert str(caught.value).startswith(f"{path}: {text}")
        assert type(caught.value) is error


def test_the_path_counts_from_the_first_argument() -> None:
    with pytest.raises(TypeError, match=r"^args\[1\]\.a: set cannot be sent"):
        dumps(["ev", 1, {"a": {1}}], lead=1)


def test_the_first_of_several_faults_is_named() -> None:
    with pytest.raises(TypeError, match=r"^args\[1\]: set"):
        dumps([{"fine": [1, b"", NOON]}, {1}, 2**60])


def test_what_contains_itself_is_refused() -> None:
    mine: list[Any] = [1]
    mine.append({"again": mine})
    with pytest.raises(ValueError, match="nested too deeply, or within itself"):
        dumps(mine)


def test_what_is_nested_very_deeply_is_refused() -> None:
    value: Any = Seat(1)
    for _ in range(400):
        value = Slotted(value)
    with pytest.raises(ValueError, match="nested too deeply, or within itself"):
        dumps([value])


@pytest.mark.parametrize(
    "accepted",
    [*(value for value, _ in ACCEPTED), b""],
    ids=lambda value: type(value).__name__,
)
def test_the_path_never_names_what_could_be_sent(accepted: Any) -> None:
    """Either a kind is refused, or a fault behind it has its own path."""
    try:
        dumps([accepted])
    except TypeError:
        blamed = "args[0]: "
    else:
        blamed = "args[1]: set"
    with pytest.raises(TypeError) as caught:
        dumps([accepted, {1}])
    assert str(caught.value).startswith(blamed)
