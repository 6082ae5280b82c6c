"""Values in: JSON of any peer, lone surrogates mended, depth bounded, attachments in place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import ProtocolError
from protocol.socketio import Decoder
from protocol.values import MAX_DEPTH, fill_placeholders, loads


@pytest.mark.parametrize(
    "text",
    [
        "null", "true", "0", "-1", "1.5", "1e3", '""', '"a"', "[]", "{}", '[1,[2,{"a":[]}]]',
        '"\\u00e9\\n\\/\\""', '"\\ud83d\\ude00"', " [1 , 2] ", '{"a":1,"a":2}',
    ],
)  # fmt: skip
def test_json_is_what_json_gives(text: str) -> None:
    value = loads(text)
    assert value == json.loads(text)
    assert type(value) is type(json.loads(text))


@pytest.mark.parametrize(
    "text", ["", " ", "nul", "NaN", "Infinity", "[1,]", "'a'", '"\ud800"', "1 2"]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected JSON: "):
        loads(text)


# Depth.


def nested(depth: int, within: str = "list") -> str:
    """Return JSON with so many containers, one within the other."""
    if within == "list":
        return "[" * depth + "]" * depth
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize("within", ["list", "dict"])
def test_nesting_a_hundred_deep_is_read(within: str) -> None:
    assert MAX_DEPTH == 100
    text = nested(100, within)
    assert loads(text) == json.loads(text)


@pytest.mark.parametrize("depth", [101, 102, 150, 300, 1024, 1025, 100_000])
@pytest.mark.parametrize("within", ["list", "dict"])
def test_nesting_deeper_than_a_hundred_is_refused(within: str, depth: int) -> None:
    with pytest.raises(ProtocolError, match="expected JSON"):
        loads(nested(depth, within))


def test_deep_nesting_is_found_behind_what_is_flat() -> None:
    with pytest.raises(ProtocolError, match="nested at most 100 deep"):
        loads(f'[1,[],{{"a":[[]]}},"[",{nested(110)},2]')


@pytest.mark.parametrize(
    "text",
    [
        "[" + ",".join(["[]"] * 500) + "]",
        "[" + ",".join(['{"a":[{}]}'] * 500) + "]",
        json.dumps("[" * 500),
        json.dumps({"{" * 500: ["[" * 500]}),
    ],
    ids=["lists", "objects", "text", "key and text"],
)
def test_many_brackets_are_not_deep(text: str) -> None:
    assert loads(text) == json.loads(text)


def test_a_packet_is_as_deep_as_its_array() -> None:
    assert Decoder().add(f'2["ev",{nested(99)}]') is not None
    with pytest.raises(ProtocolError, match="nested at most 100 deep"):
        Decoder().add(f'2["ev",{nested(100)}]')


def depth_of(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0)


# What stands beside the way down: brackets that make nothing deeper, or only a little.
BESIDE: list[list[Any]] = [[], [[]], [{}, "["], [{"{": 0}], [[[]], "{"]]


@settings(deadline=None, max_examples=100)
@given(
    depth=st.integers(95, 104),
    pattern=st.lists(st.tuples(st.booleans(), st.sampled_from(BESIDE)), min_size=1, max_size=4),
)
def test_any_shape_is_measured_right(depth: int, pattern: list[tuple[bool, list[Any]]]) -> None:
    value: Any = 1
    for step in range(depth):
        is_list, beside = pattern[step % len(pattern)]
        value = [*beside, value] if is_list else {"": beside, "a": value}
    text = json.dumps(value)
    if depth_of(value) <= MAX_DEPTH:
        assert loads(text) == value
    else:
        with pytest.raises(ProtocolError, match="nested at most 100 deep"):
            loads(text)


# Half an emoji.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud83d"', "\ufffd"),
        (r'"\ude00"', "\ufffd"),
        (r'"a\uD83Db"', "a\ufffdb"),
        (r'"\uDBFF\uDBFF"', "\ufffd\ufffd"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (r'"\ud83d\ude00\ude00"', "😀\ufffd"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"\ud83d\u0041"', "\ufffdA"),
        (r'"\ud83d\n"', "\ufffd\n"),
        (r'"\ud83d\\"', "\ufffd\\"),
        (r'"\ud83d😀"', "\ufffd😀"),
        (r'["\ud83d",{"a":"\ude00"}]', ["\ufffd", {"a": "\ufffd"}]),
        (r'{"\ud83d":1}', {"\ufffd": 1}),
        (r'{"a\ude00b":{"\ud83d\ude00":2}}', {"a\ufffdb": {"😀": 2}}),
        # A backslash that is escaped itself escapes nothing.
        (r'["\\ud83d","\ud83d"]', [r"\ud83d", "\ufffd"]),
        (r'["\\\ud83d","\\\\ud83d"]', ["\\\ufffd", r"\\ud83d"]),
        (r'["\ud83d\\ude00"]', ["\ufffd\\ude00"]),
        (r'["\"\ud83d","\\\\\ude00"]', ['"\ufffd', "\\\\\ufffd"]),
    ],
)
def test_a_lone_surrogate_comes_in_as_the_replacement_character(text: str, value: Any) -> None:
    assert loads(text) == value


def test_backslashes_before_a_u_are_no_reason_to_change_anything() -> None:
    assert loads(r'"\\ud83d"') == r"\ud83d"


def test_a_packet_with_half_an_emoji_is_read_whole() -> None:
    packet = Decoder().add(r'2/chat,1["message","half \ud83d",{"\ude00":"\\ud83d"}]')
    assert packet is not None
    assert packet.data == ["message", "half \ufffd", {"\ufffd": r"\ud83d"}]


@pytest.mark.parametrize("text", [r'["\ud83d"', r'"\ud83d\u"', r'"\ud83', r'"\ud83d\x"', r"\ud83d"])
def test_broken_json_with_half_an_emoji_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected JSON: "):
        loads(text)


def mended(value: Any) -> Any:
    """Do to what the standard parser gives what is promised: lone surrogates are replaced."""
    match value:
        case str():
            return "".join("\ufffd" if "\ud800" <= one <= "\udfff" else one for one in value)
        case list():
            return [mended(inner) for inner in value]
        case dict():
            return {mended(key): mended(inner) for key, inner in value.items()}
    return value


# Pieces of text in which escapes, halves of pairs and backslashes meet in all ways.
pieces = st.sampled_from(
    [r"\ud83d", r"\ude00", r"\uD800", r"\uDFFF", r"\\", r"\"", r"\n", r"\u0041", "u", "d83d", "é"]
)
strings = st.lists(pieces, max_size=8).map(lambda parts: '"' + "".join(parts) + '"')


@settings(deadline=None, max_examples=250)
@given(key=strings, values=st.lists(strings, max_size=3))
def test_escapes_in_any_order_are_read_as_the_standard_parser_reads_them(
    key: str, values: list[str]
) -> None:
    text = f"[{','.join(values)},{{{key}:1}}]" if values else f"{{{key}:1}}"
    assert loads(text) == mended(json.loads(text))


# Attachments.


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ({"_placeholder": True, "num": 1}, b"b"),
        ([{"_placeholder": True, "num": 0}, [{"_placeholder": True, "num": 1}]], [b"a", [b"b"]]),
        ({"x": {"_placeholder": True, "num": 0, "more": 1}}, {"x": b"a"}),
        ({"_placeholder": True, "num": 0, "x": {"_placeholder": True, "num": 9}}, b"a"),
        ([1, None, "a", True, 1.5, {"num": 0}], [1, None, "a", True, 1.5, {"num": 0}]),
    ],
)
def test_attachments_take_the_places_of_their_placeholders(value: Any, filled: Any) -> None:
    assert fill_placeholders(value, [b"a", b"b"]) == filled
