"""What a program decides of a client that has no session yet: whether it gets one.

It is asked once for each session, with the handshake, whatever the transport. It has
`middleware_timeout`, and is cancelled when the client leaves or the broker closes.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
import trio

from .errors import ConnectError, unwrapped
from .handshake import Request
from .http import HttpConnection
from .life import Life
from .refusals import BAD_REQUEST, FORBIDDEN, Refusal, Refused

logger = logging.getLogger("atrio.gateway")

T = TypeVar("T")

_NOT_ALLOWED = "NOT_ALLOWED"


class Door:
    """The door of one life of an engine, and who stands at it: the options' functions."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._options = life.services.options

    async def admit(self, http: HttpConnection, request: Request) -> None:
        """Let a client in, or raise `Refused`; `trio.BrokenResourceError` when it has left."""
        self._check_open()
        allow = self._options.allow_request
        if allow is not None:
            answer = await self._ask(http, request, "allow_request", allow, FORBIDDEN)
            if answer is False:
                raise Refused(FORBIDDEN, "allow_request returned False", name=_NOT_ALLOWED)
            if answer not in (None, True):
                logger.error("allow_request: expected None or a bool, saw %r", answer)
                raise Refused(FORBIDDEN, "allow_request failed", name=_NOT_ALLOWED)

    def _check_open(self) -> None:
        if not self._life.admits:
            raise closing()

    async def _ask(
        self,
        http: HttpConnection,
        request: Request,
        name: str,
        function: Callable[[Request], Awaitable[T]],
        refusal: Refusal,
    ) -> T:
        """Return the answer of the option `name`; what goes wrong is the `refusal`."""
        answers: list[T | Refused] = []
        limit = self._options.middleware_timeout
        with self._life.idle():
            async with http.while_present() as presence:
                with trio.move_on_after(limit):
                    answers.append(await _answer(request, name, function, refusal))
        if presence.cancel_called:
            raise trio.BrokenResourceError("the client has left")
        self._check_open()
        if not answers:
            why = f"{name} took longer than middleware_timeout={limit:g} s"
            raise Refused(refusal, why, mendable=True, name=_NOT_ALLOWED)
        if isinstance(answers[0], Refused):
            raise answers[0]
        return answers[0]


async def _answer(
    request: Request, name: str, function: Callable[[Request], Awaitable[T]], refusal: Refusal
) -> T | Refused:
    try:
        return await function(request)
    except Exception as raised:
        error = unwrapped(raised)
        if isinstance(error, ConnectError):
            said = attrs.evolve(refusal, message=str(error.message))
            return Refused(said, f"{name} said so", name=_NOT_ALLOWED, error=error)
        logger.exception("%s failed for a client at %s", name, request.address)
        return Refused(refusal, f"{name} failed", name=_NOT_ALLOWED, error=error)


def closing() -> Refused:
    """Return the refusal of who comes too late."""
    return Refused(BAD_REQUEST, "the broker is closing", name="CLOSING")
