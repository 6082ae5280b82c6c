"""What the gateway answers instead of a session: one table.

Source: engine.io 6.6, `server.ts` (codes, messages and statuses), probed with curl. The bodies are
Node's, so that clients and load balancers find what they know.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import orjson

from broker.sessions.http import Response
from broker.values.handshake import Request


@attrs.frozen
class Refusal:
    """One row: Engine.IO's error code and message, the HTTP status."""

    code: int
    message: str
    status: int = 400

    def response(
        self,
        *,
        upgrading: bool,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        flattens: bool = False,
    ) -> Response:
        """Return the answer; `upgrading`: to a websocket handshake, which gets plain text.

        `hint` is added for people where the message alone does not help; `flattens`: websocket
        handshakes are told no other status than 400.
        """
        if upgrading and (self.status == 400 or flattens):
            text = self.message + (f". {hint}" if hint else "")
            return Response(400, text.encode(), "text/html")
        body: dict[str, object] = {"code": self.code, "message": self.message}
        if hint:
            body["hint"] = hint
        return Response(self.status, orjson.dumps(body), "application/json", headers or {})


TRANSPORT_UNKNOWN = Refusal(0, "Transport unknown")
SESSION_UNKNOWN = Refusal(1, "Session ID unknown")
BAD_HANDSHAKE_METHOD = Refusal(2, "Bad handshake method")
BAD_REQUEST = Refusal(3, "Bad request")
FORBIDDEN = Refusal(4, "Forbidden", 403)
TOO_MANY_CONNECTIONS = Refusal(4, "Too many connections", 429)
FULL = Refusal(4, "Too many connections", 503)
UNSUPPORTED_VERSION = Refusal(5, "Unsupported protocol version")


@attrs.frozen
class ConnectionFailure:
    """A request that was refused.

    `code` and `message` are what the client is told, of the table of refusals. `context` is for
    logs and counters: `why`, what the log says of it; for code 3 and 4, a `name` for programs; and
    what was wrong, such as `transport`, `sid`, `method`, `protocol` or `origin`.
    """

    request: Request
    code: int
    message: str
    context: Mapping[str, object]


class Refused(Exception):  # noqa: N818 - it is the refusal that is raised
    """Raised where a request turns out to be refused.

    `why` is for the log, `hint` for people; `mendable`: whoever runs the server can mend it;
    `context`: for programs, in Node's words.
    """

    def __init__(
        self,
        refusal: Refusal,
        why: str,
        hint: str = "",
        *,
        mendable: bool = False,
        **context: object,
    ) -> None:
        super().__init__(why)
        self.refusal = refusal
        self.why = why
        self.hint = hint
        self.mendable = mendable or bool(hint)
        self._context = context

    def of(self, request: Request) -> ConnectionFailure:
        """Return what a program hears of it."""
        context = {**self._context, "why": self.why, **({"hint": self.hint} if self.hint else {})}
        return ConnectionFailure(request, self.refusal.code, self.refusal.message, context)
