"""The Engine.IO endpoint: which session does this request belong to, or why none.

The order of the checks is engine.io's (`server.ts`, `verify`): transport, origin, session, the
session's transport, method, upgrade, protocol version.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import trio

from broker.sessions.http import HttpConnection, Response
from broker.sessions.polling import Answer, PollingTransport
from broker.sessions.receiver import Receiver
from broker.sessions.session import Session
from broker.sessions.websocket import WebSocketTransport
from broker.values.handshake import Request
from broker.values.reasons import DisconnectReason
from protocol import engineio

from .door import Door, closing
from .http_hooks import HttpHooks
from .life import Life
from .origins import check_origin, cors_headers, preflight_headers
from .refusals import (
    BAD_HANDSHAKE_METHOD,
    BAD_REQUEST,
    SESSION_UNKNOWN,
    TRANSPORT_UNKNOWN,
    UNSUPPORTED_VERSION,
    Refused,
)
from .upgrade import Upgrade

logger = logging.getLogger("atrio.gateway")

_OLD_CLIENT = (
    "this client speaks EIO=3 (Socket.IO 1.x or 2.x); atrio speaks Engine.IO protocol 4: use a "
    "Socket.IO client 3.x or 4.x (for JavaScript, socket.io-client 4)"
)
_JSONP = (
    "the query parameter j asks for JSONP polling, which Socket.IO clients 3.x and 4.x do not "
    "have: leave it out; for pages of other origins there is cors_allowed_origins"
)

Serve: TypeAlias = Callable[[], Awaitable[object]]
"""Serves what a connection has become, until that ends."""


class Endpoint:
    """Engine.IO over HTTP and websocket, for one life of an engine."""

    def __init__(
        self, life: Life, receiver: Callable[[Session], Receiver], hooks: HttpHooks
    ) -> None:
        self._life = life
        self._services = life.services
        self._receiver = receiver
        self._hooks = hooks
        self._options = life.services.options
        self._door = Door(life)

    def owns(self, request: Request) -> bool:
        """Whether the request is for this endpoint, with or without the trailing slash."""
        return request.path in (self._options.path, self._options.path.rstrip("/"))

    async def serve_http(self, http: HttpConnection, request: Request) -> Response | None:
        """Return the answer; None when the client has left before there was one."""
        headers = cors_headers(request, self._options)
        try:
            if request.method == "OPTIONS" and headers:
                return Response(204, headers={**headers, **preflight_headers(request)})
            session = found = self._find(request)
            response: Response | None
            match request.method:
                case "GET" if isinstance(session, bytes):
                    response = _polled(Answer(200, session), headers)
                case "GET" if session is None:
                    session = await self._open(http, request, headers)
                    response = await self._poll(http, session, headers)
                case "GET" if isinstance(session, Session):
                    response = await self._poll(http, session, headers)
                case "POST" if isinstance(session, Session):
                    response = await self._post(http, request, session, headers)
                case _:
                    return Response(405, headers={**headers, "Allow": "GET, POST"})
        except Refused as refused:
            return self._refuse(request, refused, headers, upgrading=False)
        if response is not None:
            response = self._hooks.dress(response, request, initial=found is None)
        return response

    async def admit_websocket(self, http: HttpConnection, request: Request) -> Response | Serve:
        """Return what serves a websocket until it ends, or the refusal.

        It is to be called at once: a place is taken for it.
        """
        try:
            session = self._find(request)
            _check_websocket(request)
            new = await self._new_session(http, request) if session is None else None
        except Refused as refused:
            return self._refuse(request, refused, {}, upgrading=True)
        websocket = WebSocketTransport(
            http.stream,
            request.headers["sec-websocket-key"],
            http.unread(),
            self._options,
            self._hooks.of_websocket(request, initial=new is not None),
            request.headers.get("sec-websocket-extensions", ""),
        )
        if new is not None:
            return partial(new.run, partial(_carry, new, websocket))
        if isinstance(session, Session) and session.can_upgrade:
            return partial(Upgrade(session, websocket).run, self._options)
        # Node, too, refuses by a closing frame: its clients do not expect an HTTP error here.
        return partial(websocket.carry, websocket.close, lambda _message: None)

    async def _new_session(self, http: HttpConnection, request: Request) -> Session:
        """Return a session that is to run now: others know its id only then. Raises `Refused`."""
        sid, place = await self._door.admit(http, request)
        return Session(sid, request.handshake(), self._services, self._receiver, place.leave)

    # Checks.

    def _find(self, request: Request) -> Session | bytes | None:
        """Return the request's session, what it left to say when it ended, or None for a new one.

        Raises `Refused`.
        """
        query = request.query
        transport = query.get("transport")
        upgrading = "websocket" in request.headers.tokens("upgrade")
        if transport not in self._options.transports:
            raise Refused(
                TRANSPORT_UNKNOWN,
                f"transport={transport!r}, allowed are transports={self._options.transports}",
                transport=transport,
            )
        check_origin(request, self._options)
        if (transport == "websocket") != upgrading:
            why = f"transport={transport!r}, but the request says otherwise"
            raise Refused(BAD_REQUEST, why, name="TRANSPORT_HANDSHAKE_ERROR")
        if (sid := query.get("sid")) is not None:
            return self._find_session(sid, request, query, transport)
        if request.method != "GET":
            raise Refused(
                BAD_HANDSHAKE_METHOD, f"{request.method} without a sid", method=request.method
            )
        version = query.get("EIO")
        if version != engineio.VERSION:
            hint = _OLD_CLIENT if version == "3" else ""
            why = f"EIO={version!r}, expected {engineio.VERSION}"
            raise Refused(UNSUPPORTED_VERSION, why, hint, protocol=version)
        if "j" in query:
            raise Refused(BAD_REQUEST, f"j={query['j']!r}", _JSONP, name="JSONP")
        return None

    def _find_session(
        self, sid: str, request: Request, query: dict[str, str], transport: str
    ) -> Session | bytes:
        session = self._services.sessions.get(sid)
        if session is not None:
            session.check_alive()
        if session is None or session.ended:
            polls = transport == "polling" and request.method == "GET"
            farewell = self._services.farewells.take(sid) if polls else None
            if farewell is not None:
                return farewell
            raise Refused(SESSION_UNKNOWN, f"sid={sid!r}", sid=sid)
        version = query.get("EIO", engineio.VERSION)
        if version != engineio.VERSION:
            raise Refused(
                BAD_REQUEST,
                f"EIO={version!r}, but the session speaks EIO={engineio.VERSION}",
                name="PROTOCOL_MISMATCH",
                protocol=version,
                previous_protocol=engineio.VERSION,
            )
        if transport == "polling" and not isinstance(session.transport, PollingTransport):
            raise Refused(
                BAD_REQUEST,
                f"session {sid} is on websocket",
                name="TRANSPORT_MISMATCH",
                transport=transport,
                previous_transport="websocket",
            )
        return session

    def _refuse(
        self, request: Request, refused: Refused, headers: dict[str, str], *, upgrading: bool
    ) -> Response:
        logger.log(
            logging.WARNING if refused.mendable else logging.INFO,
            "refused %s %s from %s: %s (%s)%s",
            request.method,
            request.url,
            request.address,
            refused.refusal.message,
            refused.why,
            f"; {refused.hint}" if refused.hint else "",
        )
        self._hooks.hear_of(refused, request)
        return refused.refusal.response(
            upgrading=upgrading,
            hint=refused.hint,
            headers=headers,
            flattens=self._options.traps.upgrades_are_refused_with_400,
        )

    # Polling.

    async def _open(
        self, http: HttpConnection, request: Request, headers: dict[str, str]
    ) -> Session:
        session = await self._new_session(http, request)
        with self._door.reserved(session.id):
            await self._life.nursery.start(self._run_polling, session)
        if not self._life.admits:  # it began to close before the session was known
            session.close(DisconnectReason.SERVER_SHUTDOWN)
        if session.ended:
            raise closing()
        session.open(PollingTransport(session, self._services.timers))
        if self._options.cookie is not None:
            headers["Set-Cookie"] = (
                f"{self._options.cookie}={session.id}; Path=/; HttpOnly; SameSite=Lax"
            )
        return session

    async def _run_polling(
        self, session: Session, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with self._life.held():
            try:
                await session.run(session.over, task_status=task_status)
            except Exception:
                logger.exception("the session %s failed", session.id)

    async def _poll(
        self, http: HttpConnection, session: Session, headers: dict[str, str]
    ) -> Response | None:
        polling = session.transport
        assert isinstance(polling, PollingTransport)
        answers: list[Answer] = []
        async with http.while_present() as presence:
            try:
                answers.append(await polling.get())
            except trio.Cancelled:
                session.close(
                    DisconnectReason.TRANSPORT_ERROR
                    if presence.cancel_called
                    else DisconnectReason.SERVER_SHUTDOWN
                )
                raise
        if not answers:
            return None
        answer = answers[0]
        size, packets = answer.size, answer.packets

        def sent(error: BaseException | None) -> None:
            if error is None:
                session.outbox.written(size, packets)
            elif isinstance(error, trio.Cancelled):
                session.close(DisconnectReason.SERVER_SHUTDOWN)
            else:
                session.close(DisconnectReason.TRANSPORT_ERROR)  # these packets are lost

        return _polled(answer, headers, sent, self._options.http_compression)

    async def _post(
        self, http: HttpConnection, request: Request, session: Session, headers: dict[str, str]
    ) -> Response:
        polling = session.transport
        assert isinstance(polling, PollingTransport)
        if request.headers.get("content-type") == "application/octet-stream":
            session.close(DisconnectReason.TRANSPORT_ERROR)  # protocol 4 has no binary payload
            return Response(400, headers=headers)
        limit = self._options.max_http_buffer_size
        answer = await polling.post(partial(http.read_body, limit))
        if answer.status == 413:
            logger.warning(
                "session %s ends: its client sent more than max_http_buffer_size=%d bytes",
                session.id,
                limit,
            )
        return Response(answer.status, answer.body, "text/html", headers)


def _polled(
    answer: Answer,
    headers: dict[str, str],
    sent: Callable[[BaseException | None], None] | None = None,
    compress_from: int | None = None,
) -> Response:
    return Response(
        answer.status,
        answer.body,
        headers={"Cache-Control": "no-store", **headers},
        compress_from=compress_from if answer.compress else None,
        sent=sent,
    )


async def _carry(session: Session, websocket: WebSocketTransport) -> None:
    kept_rules = await websocket.carry(partial(session.open, websocket), session.receives)
    session.websocket_ended(kept_rules=kept_rules)


def _check_websocket(request: Request) -> None:
    """Refuse what is no websocket handshake: trio-websocket would wait for a better one."""
    headers = request.headers
    try:
        key = base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)
    except ValueError:  # no base64, or no ASCII
        key = b""
    if (
        request.method != "GET"
        or "upgrade" not in headers.tokens("connection")
        or headers.get("sec-websocket-version") != "13"
        or len(key) != 16
        or "host" not in headers
    ):
        raise Refused(
            BAD_REQUEST,
            "the websocket handshake is incomplete (RFC 6455, section 4.1)",
            name="TRANSPORT_HANDSHAKE_ERROR",
        )
