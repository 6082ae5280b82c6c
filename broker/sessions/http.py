"""HTTP/1.1 for the gateway: one connection's requests and answers, through h11.

While an answer is being waited for, the connection goes on being read (up to a bound), to see the
client leave; what it sends meanwhile is its next, pipelined request.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import attrs
import h11
import trio

from broker.values.handshake import Headers, Request
from broker.values.option_checks import Network
from broker.values.options import EngineOptions

from .compression import chosen_coding, compressed

_READ_SIZE = 65536
_READ_AHEAD = 65536  # a client that pipelines more than this waits


def _fields(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(headers.items() if isinstance(headers, Mapping) else headers)


@attrs.frozen
class Response:
    """An answer: a status, a body and its type ("": in the headers, if anywhere), more headers."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=UTF-8"
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=_fields)
    compress_from: int | None = None
    """The body is compressed from so many bytes on, if the client takes that; None: never."""
    sent: Callable[[BaseException | None], None] | None = None
    """Called when it has been sent, with None, or with what has stopped that."""

    def was_sent(self, error: BaseException | None = None) -> None:
        """Tell who wants to know."""
        if self.sent is not None:
            self.sent(error)


@attrs.frozen
class Peer:
    """Who is at the other end of a connection, before any header is believed."""

    address: str
    secure: bool


def read_request(event: h11.Request, peer: Peer, trusted: tuple[Network, ...]) -> Request:
    """Return a request; `X-Forwarded-*` counts only when it comes from a trusted proxy."""
    headers = Headers(event.headers)
    address, secure, host = peer.address, peer.secure, headers.get("host", "")
    if _is_in(address, trusted):
        secure = headers.get("x-forwarded-proto", "https" if secure else "http").lower() == "https"
        host = headers.get("x-forwarded-host", host)
        for hop in reversed(headers.tokens("x-forwarded-for")):
            address = hop  # the nearest hop that is no proxy of ours
            if not _is_in(hop, trusted):
                break
    return Request(
        method=event.method.decode(),
        url=event.target.decode("latin-1"),
        headers=headers,
        address=address,
        secure=secure,
        host=host,
    )


def _varying(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers, which say that the answer depends on the codings a client takes."""
    varying = [value for name, value in headers if name.lower() == "vary"]
    others = [(name, value) for name, value in headers if name.lower() != "vary"]
    return [*others, ("Vary", ", ".join([*varying, "Accept-Encoding"]))]


def _is_in(address: str, networks: Iterable[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


class HttpConnection:
    """One connection: `next_request`, then `read_body` if wanted, then `respond`, and again."""

    def __init__(self, stream: trio.abc.Stream, peer: Peer, options: EngineOptions) -> None:
        self.stream = stream
        self._peer = peer
        self._options = options
        self._h11 = h11.Connection(h11.SERVER)
        self._ahead = b""  # read while an answer was being waited for
        self._left = False  # whether the client has closed its side

    async def next_request(self) -> Request | None:
        """Return the next request's head; None when the connection is over.

        A request that is no HTTP is answered here.
        """
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        elif self._h11.our_state is not h11.IDLE:
            return None  # not to be kept alive
        with trio.move_on_after(self._options.headers_timeout):
            try:
                event = await self._next_event()
            except h11.RemoteProtocolError as error:
                await self._refuse(error)
                return None
            if isinstance(event, h11.Request):
                return read_request(event, self._peer, self._options.trusted_proxies)
        return None

    async def read_body(self, limit: int) -> bytes | None:
        """Return the request's body, or None when it is larger than `limit` bytes."""
        parts: list[bytes] = []
        size = 0
        if self._h11.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        with trio.move_on_after(self._options.request_timeout):
            while isinstance(event := await self._next_event(), h11.Data):
                size += len(event.data)
                if size > limit:
                    return None
                parts.append(bytes(event.data))
            if isinstance(event, h11.EndOfMessage):
                return b"".join(parts)
        raise trio.BrokenResourceError("the client did not finish its request")

    async def respond(self, response: Response, *, to: Request | None) -> None:
        """Send an answer. The connection is closed after it if the body was not read."""
        body, headers = response.body, list(response.headers)
        least = response.compress_from
        if to is not None and least is not None and len(body) >= least:
            headers = _varying(headers)
            coding = chosen_coding(to.headers.get("accept-encoding", ""))
            if coding is not None:
                body = await compressed(body, coding)
                headers.append(("Content-Encoding", coding))
        if response.content_type:
            headers.append(("Content-Type", response.content_type))
        headers.append(("Content-Length", str(len(body))))
        if self._h11.their_state is h11.SEND_BODY:
            with trio.move_on_after(0):  # a body that is there already is no trouble
                await self._skip_body()
        if self._h11.their_state is not h11.DONE:
            headers.append(("Connection", "close"))
        reason = HTTPStatus(response.status).phrase.encode()
        await self._send(h11.Response(status_code=response.status, headers=headers, reason=reason))
        if body and (to is None or to.method != "HEAD"):
            await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def _skip_body(self) -> None:
        while isinstance(self._h11.next_event(), h11.Data):
            pass

    @asynccontextmanager
    async def while_present(self) -> AsyncIterator[trio.CancelScope]:
        """Cancel the block, by the scope it gives, when the client leaves.

        The connection goes on being read, up to a bound: that is how it shows.
        """
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(self._cancel_when_left, scope)
                yield scope
            nursery.cancel_scope.cancel()

    async def _cancel_when_left(self, scope: trio.CancelScope) -> None:
        while not self._left and len(self._ahead) < _READ_AHEAD:
            try:
                data = await self.stream.receive_some(_READ_SIZE)
            except trio.BrokenResourceError:
                data = b""
            self._ahead += bytes(data)
            self._left = not data
        if self._left:
            scope.cancel()

    async def discard_rest(self) -> None:
        """Read and forget what the client still sends, until it is done."""
        if isinstance(self.stream, trio.abc.HalfCloseableStream):
            await self.stream.send_eof()
        while await self.stream.receive_some(_READ_SIZE):
            pass

    def unread(self) -> bytes:
        """Return what was read behind the request: it belongs to whoever takes over."""
        return self._h11.trailing_data[0] + self._ahead

    async def _next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            if self._ahead:
                data, self._ahead = self._ahead, b""
            elif self._left:
                data = b""
            else:
                data = bytes(await self.stream.receive_some(_READ_SIZE))
            self._h11.receive_data(data)
        return event

    async def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data:
            await self.stream.send_all(data)

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            text = f"expected HTTP/1.1: {error}\n".encode()
            await self.respond(Response(error.error_status_hint, text), to=None)
