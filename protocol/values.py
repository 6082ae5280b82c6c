"""What an event's arguments may be, and their JSON.

Out: None, bool, int, float, str, bytes-like, list, tuple, dict with str keys, aware datetime
(ISO 8601 with milliseconds and `Z`, as `Date` has it), attrs classes, dataclasses and msgspec
Structs, anywhere inside. NaN and infinities become null, as `JSON.stringify` makes them. bytes-like
values become placeholders, and their bytes attachments, in the order they stand in.

In: what JSON gives. JavaScript writes half an emoji as a lone surrogate escape; it comes in as
U+FFFD. Nesting deeper than `MAX_DEPTH` is an error of the peer.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import marshal
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import attrs
import msgspec
import orjson

from .errors import ProtocolError

MAX_DEPTH = 100  # no honest payload comes near it; deep nesting is how parsers are attacked
MAX_INT = 2**53 - 1  # what a JavaScript number holds exactly

_OPTIONS = (
    orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def dumps(value: Any, *, lead: int = 0) -> tuple[bytes, list[bytes]]:
    """Return the JSON of `value` and its attachments.

    Raises `TypeError` or `ValueError` with the path of what cannot be sent, as in
    `args[0].user.when`. `lead` is how many values stand before the arguments (an event's name).
    """
    attachments: list[bytes] = []

    def default(inner: Any) -> Any:
        if isinstance(inner, bytes | bytearray | memoryview):
            attachments.append(bytes(inner))
            return {"_placeholder": True, "num": len(attachments) - 1}
        return _plain(inner)

    if not _is_builtin(value) and (fault := fault_of(value, lead=lead)) is not None:
        raise fault
    try:
        return orjson.dumps(value, default, _OPTIONS), attachments
    except orjson.JSONEncodeError as error:
        raise fault_of(value, lead=lead) or TypeError(str(error)) from None


def _is_builtin(value: Any) -> bool:
    """Whether `value` is made of nothing but Python's own kinds.

    orjson lets an Enum and a UUID through without asking, so other kinds are looked at one by one.
    marshal refuses them, too, and does so in C: a quarter of a microsecond for a small event.
    """
    try:
        marshal.dumps(value)
    except ValueError:
        return False
    return True


_CONTAINERS = frozenset({list, tuple, dict})
_TEXT = frozenset({str})


def is_plain(value: Any, max_depth: int = MAX_DEPTH) -> bool:
    """Whether `value` is what JSON can say, and bytes, in Python's own kinds.

    That is None, bool, int within ±`MAX_INT`, float but for NaN and infinities, str, bytes, and
    list, tuple, dict with str keys of these, nested at most so deep. Text is not looked into.
    """
    level: list[Any] = [(value,)]
    for _ in range(max_depth + 1):
        inside: list[Any] = []
        for outer in level:
            if type(outer) is dict and not _TEXT.issuperset(map(type, outer)):
                return False
            for inner in outer.values() if type(outer) is dict else outer:
                kind = type(inner)
                if kind is str or inner is None or kind is bool or kind is bytes:
                    continue
                if kind is int:
                    if not -MAX_INT <= inner <= MAX_INT:
                        return False
                elif kind is float:
                    if not math.isfinite(inner):
                        return False
                elif kind in _CONTAINERS:
                    inside.append(inner)
                else:
                    return False
        if not inside:
            return True
        level = inside
    return False


def plain(value: Any, *, lead: int = 0) -> Any:
    """Return what stands for `value` and `is_plain` (but for its depth); raises as `dumps`."""
    if (fault := fault_of(value, lead=lead)) is not None:
        raise fault
    return _as_plain(value)


def _as_plain(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, str, bytes):
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is list or kind is tuple:
        return [_as_plain(inner) for inner in value]
    if kind is dict:
        return {key: _as_plain(inner) for key, inner in value.items()}
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return _as_plain(value.value if isinstance(value, enum.Enum) else _plain(value))


def _plain(value: Any) -> Any:
    """Return what JSON has for `value`, one level deep; raises TypeError or ValueError."""
    try:
        return _read(value)
    except (TypeError, ValueError):
        raise
    except Exception as error:  # an attribute that is not set yet, a date beyond the calendar
        raise ValueError(f"{type(value).__name__} cannot be read: {error}") from error


def _read(value: Any) -> Any:
    match value:
        case dt.datetime():
            if value.utcoffset() is None:
                raise ValueError("a datetime without a time zone; give it one (datetime.UTC?)")
            utc = value.astimezone(dt.UTC)
            return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case msgspec.Struct():
            return _read_struct(value)
        case _ if attrs.has(type(value)):
            return attrs.asdict(value, recurse=False)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    bases: tuple[Callable[[Any], Any], ...] = (str, int, float, list, tuple, dict)
    for base in bases:
        if isinstance(value, cast("type", base)):  # a subclass goes out as what it is based on
            return base(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _read_struct(value: msgspec.Struct) -> Any:
    """Return what msgspec reads it from again: fields by their names on the wire, and its tag."""
    config = value.__struct_config__
    names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
    fields = {sent: getattr(value, name) for sent, name in names}
    if config.array_like:
        return [*fields.values()] if config.tag is None else [config.tag, *fields.values()]
    sent = {name: field for name, field in fields.items() if field is not msgspec.UNSET}
    return sent if config.tag_field is None else {config.tag_field: config.tag} | sent


def fault_of(value: Any, *, lead: int = 0) -> Exception | None:
    """Return the error, with its path, of what cannot be sent in `value`, or None; see `dumps`."""
    for path, error in _faults(value[lead:] if lead else value, "", 0):
        return type(error)(f"args{path}: {error}")
    return None


def _faults(value: Any, path: str, depth: int) -> Iterator[tuple[str, Exception]]:
    if depth > 2 * MAX_DEPTH:
        yield path, ValueError("nested too deeply, or within itself")
        return
    match value:
        case enum.Enum() if not isinstance(value, str | int | float):  # a StrEnum is a str
            yield path, TypeError(f"{type(value).__name__} cannot be sent; send its value")
        case None | bool() | bytes() | bytearray() | memoryview():
            return
        case int():
            if abs(value) > MAX_INT:
                yield path, ValueError(f"{value} is beyond ±(2^53 - 1), what JavaScript can hold")
        case float():
            return
        case str():
            if any("\ud800" <= character <= "\udfff" for character in value):
                yield path, ValueError("a lone surrogate is no text")
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from _faults(inner, f"{path}[{index}]", depth + 1)
        case dict():
            for key, inner in value.items():
                if type(key) is not str:
                    yield path, TypeError(f"the key {key!r} is {type(key).__name__}, expected str")
                    continue
                inside = f"{path}.{key.encode('utf-8', 'backslashreplace').decode()}"
                yield from _faults(key, inside, depth + 1)
                yield from _faults(inner, inside, depth + 1)
        case _:
            try:
                plain = _plain(value)
            except (TypeError, ValueError) as error:
                yield path, error
            else:
                yield from _faults(plain, path, depth + 1)


def loads(text: str, max_depth: int = MAX_DEPTH) -> Any:
    """Read JSON from a peer, nested at most so deep; raises `ProtocolError`."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        mended = _LONE_SURROGATE.sub(_replacement, text)
        if mended == text:
            raise ProtocolError(f"expected JSON: {error}") from None
        try:
            value = orjson.loads(mended)
        except orjson.JSONDecodeError as second:
            raise ProtocolError(f"expected JSON: {second}") from None
    # The brackets bound the depth, and counting them is nothing beside measuring it.
    if text.count("[") + text.count("{") > max_depth and _is_too_deep(value, max_depth):
        raise ProtocolError(f"expected JSON nested at most {max_depth} deep")
    return value


# Escapes, in this order: a whole pair, half of one, any other. `\\` is one of the last, so that
# what it escapes is never taken for an escape itself.
_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\.",
    re.DOTALL,
)


def _replacement(match: re.Match[str]) -> str:
    return "\\ufffd" if match["half"] else match[0]


def _is_too_deep(value: Any, max_depth: int) -> bool:
    level = [value]
    for _ in range(max_depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is list or type(inner) is dict
        ]
        if not level:
            return False
    return True


def fill_placeholders(value: Any, attachments: list[bytes]) -> Any:
    """Return `value` with each attachment in its place; raises `ProtocolError`."""
    if type(value) is list:
        return [fill_placeholders(inner, attachments) for inner in value]
    if type(value) is not dict:
        return value
    if value.get("_placeholder") is not True:
        return {key: fill_placeholders(inner, attachments) for key, inner in value.items()}
    number = value.get("num")
    if type(number) is not int or not 0 <= number < len(attachments):
        raise ProtocolError(f"expected a placeholder of {len(attachments)}, saw {number!r}")
    return attachments[number]
