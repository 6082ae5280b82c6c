"""Where Redis is. This needs no library, so a program's mistakes are told when it is written."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

import attrs

URL: Final = "redis://127.0.0.1:6379"
SCHEMES: Final = ("redis", "rediss", "unix")


def _checked(_: object, attribute: attrs.Attribute[str], url: object) -> None:
    if not isinstance(url, str):
        raise TypeError(f"{attribute.name}: expected a URL of Redis as text, saw {type(url)}")
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in SCHEMES and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError(
            f"{attribute.name}: expected redis://host:port, rediss://host:port or unix:///path, "
            f"saw {shown(url)!r}"
        )


def shown(url: str) -> str:
    """Return a URL without its password."""
    head, _, rest = url.rpartition("@")
    scheme, slashes, user = head.partition("://")
    place = rest.partition("?")[0]
    return f"{scheme}{slashes}{user.partition(':')[0]}@{place}" if head else place


@attrs.frozen
class RedisServer:
    """`url`: `redis://user:password@host:port/db`, `rediss://…` with TLS, or `unix:///path`.

    `timeout`: how long it may take to answer anything, in seconds.
    """

    url: str = attrs.field(repr=False, validator=_checked)
    timeout: float

    @property
    def name(self) -> str:
        """The URL without its password, to be shown."""
        return shown(self.url)


def require_coredis(what: str) -> None:
    """Raise ImportError when the library for Redis is not there."""
    if find_spec("coredis") is None:
        raise ImportError(f"{what} needs coredis: pip install atrio[redis]")
