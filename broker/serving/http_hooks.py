"""What a program may see and change of the gateway's answers.

Its hooks are sync: they are called while an answer is made. One that fails is logged, and what it
changed is forgotten: the client gets the answer that it would have got without it.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Self, TypeAlias, TypeVar

import attrs

from broker.sessions.http import Response
from broker.values.handshake import Request

from .refusals import ConnectionFailure, Refused

logger = logging.getLogger("atrio.gateway")

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?|")
# How an answer is framed, and what becomes of its connection.
_OWN = re.compile(
    r"connection|content-encoding|content-length|transfer-encoding|upgrade|sec-websocket-.*"
)


class ResponseHeaders(MutableMapping[str, str]):
    """The headers of an answer, by names in any case.

    What would break the answer raises ValueError: a name or value that HTTP does not allow, such
    as one with a line break, and the headers that are the server's own.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, list[tuple[str, str]]] = {}
        for name, value in fields:
            self._fields.setdefault(name.lower(), []).append((name, value))

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for _, value in self._fields[name.lower()])

    def __setitem__(self, name: str, value: str) -> None:
        self._fields[_checked(name, value).lower()] = [(name, value)]

    def __delitem__(self, name: str) -> None:
        del self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return (fields[0][0] for fields in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __repr__(self) -> str:
        return f"ResponseHeaders({self.fields()!r})"

    def add(self, name: str, value: str) -> None:
        """Add one more of a name, beside those there are: a second cookie."""
        self._fields.setdefault(_checked(name, value).lower(), []).append((name, value))

    def fields(self) -> list[tuple[str, str]]:
        """Return all there are, as (name, value)."""
        return [field for fields in self._fields.values() for field in fields]

    def copy(self) -> Self:
        """Return another with the same headers."""
        return type(self)(self.fields())


def _checked(name: str, value: str) -> str:
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"expected a header's name and value, two str, saw {name!r}, {value!r}")
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(
            f"expected a header in visible ASCII, on one line, saw {name!r}: {value!r}"
        )
    if _OWN.fullmatch(name.lower()):
        raise ValueError(f"the header {name} is the server's own")
    return name


HeadersHook: TypeAlias = Callable[[ResponseHeaders, Request], object]
FailureHook: TypeAlias = Callable[[ConnectionFailure], object]
H = TypeVar("H", bound=Callable[..., object])


@attrs.define
class HttpHooks:
    """The hooks of one server, in order of registration."""

    initial_headers: list[HeadersHook] = attrs.field(factory=list)
    headers: list[HeadersHook] = attrs.field(factory=list)
    connection_error: list[FailureHook] = attrs.field(factory=list)

    def dress(self, response: Response, request: Request, *, initial: bool) -> Response:
        """Return the answer as the program wants it; `initial`: it opens a session."""
        if not (self.headers or (initial and self.initial_headers)):
            return response
        typed = [("Content-Type", response.content_type)] if response.content_type else []
        headers = self._changed(ResponseHeaders([*typed, *response.headers]), request, initial)
        return attrs.evolve(response, content_type="", headers=headers.fields())

    def of_websocket(self, request: Request, *, initial: bool) -> list[tuple[str, str]]:
        """Return what goes into the answer to a websocket handshake besides its own headers."""
        if not (self.headers or (initial and self.initial_headers)):
            return []
        return self._changed(ResponseHeaders(), request, initial).fields()

    def _changed(
        self, headers: ResponseHeaders, request: Request, initial: bool
    ) -> ResponseHeaders:
        for hook in [*(self.initial_headers if initial else ()), *self.headers]:
            changed = headers.copy()
            if _succeeds(hook, changed, request):
                headers = changed
        return headers

    def hear_of(self, refused: Refused, request: Request) -> None:
        """Tell the program that a request is refused."""
        for hook in self.connection_error:
            _succeeds(hook, refused.of(request))


def sync_hook(function: H) -> H:
    """Return the function; raises TypeError for one that cannot be called here."""
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise TypeError(f"expected a function that is not async, saw {function!r}")
    return function


def _succeeds(hook: Callable[..., object], *args: object) -> bool:
    try:
        hook(*args)
    except Exception:
        logger.exception("the hook %s failed", getattr(hook, "__qualname__", repr(hook)))
        return False
    return True
