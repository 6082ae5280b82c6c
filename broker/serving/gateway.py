"""What comes in on the port: one task per connection.

It reads HTTP requests and answers each in turn; one that becomes a websocket stays with its
connection until it ends.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import h11
import trio

from broker.sessions.http import HttpConnection, Peer, Response
from broker.values.handshake import Request

from .endpoint import Endpoint, Serve
from .life import Life
from .static import Static

logger = logging.getLogger("atrio.gateway")

# How long a client may take to read our last answer and go.
_LINGER = 2.0


class Gateway:
    """The door of one life of an engine."""

    def __init__(self, life: Life, endpoint: Endpoint, statics: Sequence[Static]) -> None:
        self._life = life
        self._endpoint = endpoint
        self._statics = statics
        self._options = life.services.options

    async def serve(self, stream: trio.abc.Stream, peer: Peer) -> None:
        """Serve one connection until it ends; the stream is closed then.

        Whatever goes wrong here is this client's trouble alone.
        """
        try:
            websocket = await self._serve_requests(stream, peer)
            if websocket is not None:  # it holds nothing of what read its request
                await websocket()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass  # it has gone, or talks nonsense in the middle of a request
        except Exception:
            logger.exception("the connection of %s failed", peer.address)
        finally:
            with trio.move_on_after(_LINGER):
                await stream.aclose()

    async def _serve_requests(self, stream: trio.abc.Stream, peer: Peer) -> Serve | None:
        """Answer requests until the connection is over, or one becomes a websocket: return that."""
        http = HttpConnection(stream, peer, self._options)
        while not self._life.closing.is_set():
            request: Request | None = None
            with self._life.idle():  # cancelled when the broker closes
                request = await http.next_request()
            if request is None:
                break
            answer = await self._answer(http, request)
            if not isinstance(answer, Response):
                return answer
            await self._respond(http, request, answer)
        return None

    async def _answer(self, http: HttpConnection, request: Request) -> Response | Serve | None:
        """Return the answer; None when the client has left before there was one."""
        if not self._endpoint.owns(request):
            return self._elsewhere(request)
        if "websocket" in request.headers.tokens("upgrade"):
            return await self._endpoint.admit_websocket(http, request)
        return await self._endpoint.serve_http(http, request)

    async def _respond(self, http: HttpConnection, request: Request, response: Response) -> None:
        try:
            await http.respond(response, to=request)
        except BaseException as error:
            response.was_sent(error)
            raise
        response.was_sent()
        if response.status == 413:
            with trio.move_on_after(_LINGER):
                await http.discard_rest()  # closing on unread bytes would destroy our answer

    def _elsewhere(self, request: Request) -> Response:
        """Answer what is not for the endpoint."""
        if self._options.healthz is not None and request.path == self._options.healthz:
            trouble = self._life.trouble() if self._life.admits else "closing"
            return Response(503 if trouble else 200, f"{trouble or 'ok'}\n".encode())
        for static in self._statics:
            if (response := static.respond(request)) is not None:
                return response
        text = f"There is nothing at {request.path}; the endpoint is {self._options.path}\n"
        return Response(404, text.encode())
