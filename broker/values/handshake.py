"""A request, and what handlers see of the one that opened a session."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import attrs


class Headers(Mapping[str, str]):
    """HTTP headers: names in any case; several of one name are joined by a comma."""

    __slots__ = ("_values",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        """`raw`: names in lower case, as h11 gives them."""
        self._values: dict[str, str] = {}
        for name_bytes, value_bytes in raw:
            name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
            known = self._values.get(name)
            self._values[name] = value if known is None else f"{known}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"

    def tokens(self, name: str) -> list[str]:
        """Return the comma-separated tokens of a header, in lower case."""
        return [token.strip().lower() for token in self.get(name, "").split(",") if token.strip()]


@attrs.frozen
class Handshake:
    """How a client came.

    `headers`: case-insensitive; `query`: of the URL, the last of each name; `auth`: what the
    client gave for this namespace; `address`: the client's, as a proxy we trust has it; `secure`:
    whether it came by TLS; `url`: the request target; `time`: seconds since the epoch.
    """

    headers: Headers
    query: Mapping[str, str]
    address: str
    secure: bool
    url: str
    time: float
    auth: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Request:
    """A request's head.

    `url`: its target, as it was sent; `headers`: case-insensitive; `address` (the client's),
    `secure` (whether it came by TLS) and `host`: as a proxy we trust has them.
    """

    method: str
    url: str
    headers: Headers
    address: str
    secure: bool
    host: str

    @property
    def path(self) -> str:
        """The path, decoded, without the query."""
        return unquote(self.url.partition("?")[0])

    @property
    def query(self) -> dict[str, str]:
        """The query; of several values of one name, the last."""
        return dict(parse_qsl(self.url.partition("?")[2], keep_blank_values=True))

    @property
    def origin(self) -> str:
        """What the client would have to be served from to be of the server's own origin."""
        return f"{'https' if self.secure else 'http'}://{self.host}".lower()

    def handshake(self) -> Handshake:
        """Return what handlers see of the request that opened a session."""
        return Handshake(
            headers=self.headers,
            query=self.query,
            address=self.address,
            secure=self.secure,
            url=self.url,
            time=time.time(),
        )
