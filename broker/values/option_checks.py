"""What may be the value of an option: checks and conversions, for `options`.

Each raises ValueError or TypeError that says what was expected, and what was seen.
"""

from __future__ import annotations

import inspect
import ipaddress
import math
import re
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, cast

import attrs

from protocol.parser import Parser, ParserName, parser_of

TransportName: TypeAlias = Literal["polling", "websocket"]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
COMPRESSED_FROM = 1024  # less fits into one packet of the network anyway
_COOKIE_NAME = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def at_least(minimum: float, *, above: bool = False) -> Any:
    """Return a check for a finite number of at least `minimum`, or `above` it."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if (
            not number
            or not math.isfinite(value)  # type: ignore[arg-type]
            or value < minimum  # type: ignore[operator]
            or (above and value == minimum)
        ):
            bound = "more than" if above else "at least"
            raise ValueError(f"{attribute.name}: expected {bound} {minimum:g}, saw {value!r}")

    return check


def count(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check a whole number from 1 up."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{attribute.name}: expected a whole number from 1 up, saw {value!r}")


def optional_count(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check a whole number from 1 up, or None."""
    if value is not None:
        count(None, attribute, value)


def flag(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name}: expected True or False, saw {value!r}")


def one_of(*allowed: str) -> Any:
    """Return a check for one of these words."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in allowed:
            raise ValueError(f"{attribute.name}: expected one of {allowed}, saw {value!r}")

    return check


def path(value: str) -> str:
    """Return a path, which begins and ends with a slash."""
    if not isinstance(value, str):
        raise TypeError(f"path: expected a URL path like '/socket.io/', saw {value!r}")
    return f"/{value.strip('/')}/" if value.strip("/") else "/"


def optional_path(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """Check a path, or None."""
    if value is not None and not str(value).startswith("/"):
        raise ValueError(f"{attribute.name}: expected a path like '/healthz', saw {value!r}")


def transports(value: Iterable[TransportName] | TransportName) -> tuple[TransportName, ...]:
    """Return the transports, as a tuple."""
    names = cast("tuple[TransportName, ...]", (value,) if isinstance(value, str) else tuple(value))
    if not names or set(names) - {"polling", "websocket"}:
        raise ValueError(f"transports: expected 'polling', 'websocket' or both, saw {value!r}")
    return names


def origins(value: str | Iterable[str]) -> tuple[str, ...]:
    """Return origins, as a tuple."""
    origins = (value,) if isinstance(value, str) else tuple(value)
    for origin in origins:
        if origin != "*" and ("://" not in origin or origin.endswith("/")):
            raise ValueError(
                "cors_allowed_origins: expected '*' or origins like 'https://app.example' "
                f"(scheme, host, port if unusual, no path), saw {origin!r}"
            )
    return origins


def networks(value: str | Iterable[str | Network]) -> tuple[Network, ...]:
    """Return networks, of texts like `10.0.0.0/8`."""
    entries = (value,) if isinstance(value, str) else tuple(value)
    try:
        return tuple(ipaddress.ip_network(entry) for entry in entries)
    except ValueError as error:
        raise ValueError(f"trusted_proxies: expected networks like '10.0.0.0/8': {error}") from None


def cookie(value: str | bool | None) -> str | None:
    """Return a cookie's name: True is `io`, False none."""
    name = "io" if value is True else value or None
    if name is not None and not _COOKIE_NAME.fullmatch(name):
        raise ValueError(f"cookie: expected letters, digits, '_', '-' or '.', saw {name!r}")
    return name


def async_function(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check an `async def` function, or an object that is called as one."""
    call = getattr(value, "__call__", None)  # noqa: B004 - an object may have one that is async
    if not (inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(call)):
        raise TypeError(f"{attribute.name}: expected an `async def` function, saw {value!r}")


def function(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check what can be called."""
    if not callable(value):
        raise TypeError(f"{attribute.name}: expected a function, saw {value!r}")


def threshold(value: bool | int | None) -> int | None:
    """Return a size in bytes: True is the usual one, False none."""
    if isinstance(value, bool):
        return COMPRESSED_FROM if value else None
    return value


def parser(_: object, _attribute: attrs.Attribute[Any], value: ParserName | Parser) -> None:
    """Check the name of a parser, or one."""
    parser_of(value)


seconds = at_least(0, above=True)
