"""What a program decides of a client that has no session yet: whether it gets one, and its id.

It is asked once for each session, with the handshake, whatever the transport. It has
`middleware_timeout`, and is cancelled when the client leaves or the broker closes.
"""

from __future__ import annotations

import inspect
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import attrs
import trio

from broker.sessions.http import HttpConnection
from broker.values.errors import ConnectError, unwrapped
from broker.values.handshake import Request

from .life import Life
from .places import Place, Places
from .refusals import BAD_REQUEST, FORBIDDEN, Refusal, Refused

logger = logging.getLogger("atrio.gateway")

T = TypeVar("T")

# What needs no quoting in a URL (RFC 3986, section 2.3), nor in a cookie.
_SID = re.compile(r"[A-Za-z0-9_.~-]{1,128}")


class Door:
    """The door of one life of an engine, and who stands at it: the options' functions."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._services = life.services
        self._options = life.services.options
        self._reserved: set[str] = set()
        self._places = Places(self._options)

    async def admit(self, http: HttpConnection, request: Request) -> tuple[str, Place]:
        """Let a client in; return the id of its session, which nobody has now, and its place.

        Raises `Refused`; `trio.BrokenResourceError` when the client has left.
        """
        self._check_open()
        place = self._places.take(request.address)
        try:
            return await self._ask_for_id(http, request), place
        except BaseException:
            place.leave()
            raise

    async def _ask_for_id(self, http: HttpConnection, request: Request) -> str:
        allow, generate = self._options.allow_request, self._options.generate_id
        if allow is not None:
            answer = await self._ask(http, request, allow, _ALLOWS)
            if answer is False:
                raise _ALLOWS.refused("allow_request returned False")
            if answer is not None and answer is not True:
                raise _ALLOWS.wrong("None or a bool", answer)
        if generate is None:
            return secrets.token_urlsafe(15)  # 20 characters: as long as Node's, all of it random
        sid = await self._ask(http, request, partial(_generate, generate), _GENERATES)
        if not isinstance(sid, str) or not _SID.fullmatch(sid):
            raise _GENERATES.wrong("1 to 128 letters, digits, '_', '-', '.' or '~'", sid)
        known = (self._services.sessions, self._services.farewells, self._reserved)
        if any(sid in sids for sids in known):
            raise _GENERATES.wrong("an id that no other session has", sid)
        return sid

    @contextmanager
    def reserved(self, sid: str) -> Iterator[None]:
        """Give the id to nobody else: the session is not known by it yet."""
        self._reserved.add(sid)
        try:
            yield
        finally:
            self._reserved.discard(sid)

    def _check_open(self) -> None:
        if not self._life.admits:
            raise closing()

    async def _ask(
        self,
        http: HttpConnection,
        request: Request,
        function: Callable[[Request], Awaitable[T]],
        question: _Question,
    ) -> T:
        """Return the answer; whatever goes wrong is a refusal."""
        answers: list[T | Refused] = []
        limit = self._options.middleware_timeout
        with self._life.idle():
            async with http.while_present() as presence:
                with trio.move_on_after(limit):
                    answers.append(await question.answer(function, request))
        if presence.cancel_called:
            raise trio.BrokenResourceError("the client has left")
        self._check_open()
        if not answers:
            raise question.refused(
                f"{question.option} took longer than middleware_timeout={limit:g} s", mendable=True
            )
        if isinstance(answers[0], Refused):
            raise answers[0]
        return answers[0]


async def _generate(
    generate: Callable[[Request], str | Awaitable[str]], request: Request
) -> object:
    made = generate(request)
    return made if isinstance(made, str) or not inspect.isawaitable(made) else await made


@attrs.frozen
class _Question:
    """An option that is asked, and how a client is refused when there is no good answer."""

    option: str
    refusal: Refusal
    name: str

    def refused(self, why: str, message: str | None = None, **more: Any) -> Refused:
        said = self.refusal if message is None else attrs.evolve(self.refusal, message=message)
        return Refused(said, why, name=self.name, **more)

    def wrong(self, expected: str, seen: object) -> Refused:
        logger.error("%s: expected %s, saw %r", self.option, expected, seen)
        return self.refused(f"{self.option} failed")

    async def answer(
        self, function: Callable[[Request], Awaitable[T]], request: Request
    ) -> T | Refused:
        try:
            return await function(request)
        except Exception as raised:
            error = unwrapped(raised)
            if isinstance(error, ConnectError):
                return self.refused(f"{self.option} said so", str(error.message), error=error)
            logger.exception("%s failed for a client at %s", self.option, request.address)
            return self.refused(f"{self.option} failed", error=error)


_ALLOWS = _Question("allow_request", FORBIDDEN, "NOT_ALLOWED")
_GENERATES = _Question("generate_id", BAD_REQUEST, "ID_GENERATION_ERROR")


def closing() -> Refused:
    """Return the refusal of who comes too late."""
    return Refused(BAD_REQUEST, "the broker is closing", name="CLOSING")
