"""Values out: what is refused where a value's own code fails; and the order of attachments."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.values import MAX_INT, dumps


class Undecided(dt.tzinfo):
    """A time zone that does not know its offset: its datetimes are naive, as Python has it."""

    def utcoffset(self, _moment: dt.datetime | None) -> dt.timedelta | None:
        return None

    def dst(self, _moment: dt.datetime | None) -> dt.timedelta | None:
        return None

    def tzname(self, _moment: dt.datetime | None) -> str | None:
        return None


@dataclasses.dataclass
class Unfinished:
    later: int = dataclasses.field(init=False)


@attrs.define
class AlsoUnfinished:
    later: int = attrs.field(init=False)


WEST = dt.timezone(-dt.timedelta(hours=5))


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime.max.replace(tzinfo=WEST),
        dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=5))),
        dt.datetime(2024, 2, 29, tzinfo=Undecided()),
        Unfinished(),
        AlsoUnfinished(),
    ],
    ids=["beyond the last year", "before the first", "naive", "dataclass", "attrs"],
)
def test_a_value_that_cannot_be_read_is_refused_with_its_path(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^args\[0\]\.x: "):
        dumps([{"x": value}])


@pytest.mark.parametrize("value", [{"\ud800": 1}, {"a": {"\udfff": {1}}}, ["\ud800"]])
def test_a_refusal_can_be_written_to_a_log(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        dumps([value])
    assert str(caught.value).startswith("args[0]")
    assert str(caught.value).encode()


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INT, MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=4)
    return lists | lists.map(tuple) | st.dictionaries(st.text(max_size=3), inner, max_size=4)


def in_order(value: Any, json_value: Any) -> list[tuple[bytes, int]]:
    """Return each bytes in `value` with the number that its place in the JSON has."""
    match value:
        case bytes():
            assert json_value == {"_placeholder": True, "num": json_value["num"]}
            return [(value, json_value["num"])]
        case list() | tuple():
            pairs = zip(value, json_value, strict=True)
        case dict():
            assert list(value) == list(json_value)
            pairs = zip(value.values(), json_value.values(), strict=True)
        case _:
            assert json_value == value
            return []
    return [found for one, other in pairs for found in in_order(one, other)]


@settings(deadline=None, max_examples=100)
@given(value=st.recursive(scalars | st.binary(), containers, max_leaves=20))
def test_attachments_are_in_the_order_of_their_places(value: Any) -> None:
    text, attachments = dumps(value)
    found = in_order(value, json.loads(text))
    assert found == [(data, number) for number, data in enumerate(attachments)]


# What nobody can send, to stand anywhere in what can be sent.
refused = st.sampled_from([2**60, object(), {1}, "\ud800", 1j, {1: 2}])


def paths(value: Any, path: str = "args") -> list[str]:
    """Return the path of each thing in `value` that cannot be sent."""
    match value:
        case list() | tuple():
            return [
                found
                for index, inner in enumerate(value)
                for found in paths(inner, f"{path}[{index}]")
            ]
        case dict() if all(isinstance(key, str) for key in value):
            return [found for key in value for found in paths(value[key], f"{path}.{key}")]
        case None | bool() | float() | bytes():
            return []
        case int():
            return [path] if abs(value) > MAX_INT else []
        case str():
            return [path] if value == "\ud800" else []
    return [path]


@settings(deadline=None, max_examples=100)
@given(value=st.lists(st.recursive(scalars | st.binary() | refused, containers, max_leaves=15)))
def test_any_value_is_sent_or_refused_with_the_path_of_its_first_fault(value: list[Any]) -> None:
    faults = paths(value)
    if not faults:
        dumps(value)
        return
    with pytest.raises((TypeError, ValueError)) as caught:
        dumps(value)
    assert str(caught.value).startswith(f"{faults[0]}: ")
