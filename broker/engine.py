"""Engine.IO alone: sessions and messages, for protocols other than Socket.IO.

>>> engine = Engine(path="/engine.io/")
>>> @engine.on_session
... async def echo(session):
...     async for message in session:
...         await session.send(message)
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import trio

from .serving.server import Server
from .sessions.inbox import Inbox
from .sessions.session import Session as EngineSession
from .values.handshake import Handshake
from .values.option_checks import TransportName
from .values.options import EngineOptions
from .values.reasons import DisconnectReason

__all__ = ["Engine", "Session"]

logger = logging.getLogger("atrio.engine")


class Session:
    """One client of an `Engine`: iterate over it for its messages, `send` it yours."""

    def __init__(self, session: EngineSession) -> None:
        self._session = session
        self._inbox: Inbox[str | bytes] = Inbox(session.services.options, session)
        self._arrived = trio.Event()
        self.scope = trio.CancelScope()
        """Cancelled when the session ends."""

    @property
    def id(self) -> str:
        """Its sid."""
        return self._session.id

    @property
    def handshake(self) -> Handshake:
        """The request that opened it."""
        return self._session.handshake

    @property
    def transport(self) -> TransportName:
        """What carries it now."""
        assert self._session.transport is not None
        return self._session.transport.name

    @property
    def reason(self) -> DisconnectReason | None:
        """Why it ended; None while it has not."""
        return self._session.reason

    async def send(self, message: str | bytes) -> None:
        """Send a message: str as text, bytes as binary. Ignored after the end.

        Waits while more than half of the outbox's limit waits for the client to read.
        """
        if not isinstance(message, str | bytes):
            raise TypeError(f"expected str or bytes, saw {type(message).__name__}")
        await self._session.send(message)

    async def close(self) -> None:
        """End the session; what was sent before still goes out."""
        self._session.close(DisconnectReason.SERVER_NAMESPACE_DISCONNECT)
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    async def __anext__(self) -> str | bytes:
        while not self._inbox:
            self._session.outbox.flush()
            if self.reason is not None:
                raise StopAsyncIteration
            self._arrived = trio.Event()
            await self._arrived.wait()
        await trio.lowlevel.checkpoint_if_cancelled()
        return self._inbox.take()

    # For the layer below.

    def receive(self, message: str | bytes) -> None:
        """Queue a message for the iteration."""
        self._inbox.put(message, len(message))
        self._arrived.set()

    def slow(self) -> None:
        """Do nothing: `send` waits, and there is nobody else to tell."""

    def ended(self, _reason: DisconnectReason) -> None:
        """End the iteration, and cancel the handler."""
        self._arrived.set()
        self.scope.cancel()


Handler = TypeVar("Handler", bound=Callable[[Session], Awaitable[object]])


class Engine(Server):
    """An Engine.IO server: `Engine(path="/engine.io/", ping_interval=25.0)`."""

    def __init__(self, options: EngineOptions | None = None, /, **changes: Any) -> None:
        """Take `EngineOptions`, or the ones to change by name; raises TypeError or ValueError."""
        super().__init__()
        if options is not None and changes:
            raise TypeError("expected EngineOptions or options by name, saw both")
        self.options = options or EngineOptions(**changes)
        self._handler: Callable[[Session], Awaitable[object]] | None = None

    def on_session(self, handler: Handler) -> Handler:
        """Register what runs for the life of each session; cancelled when the session ends.

        When it returns, or raises (that is logged), the session is closed.
        """
        self._handler = handler
        return handler

    def statistics(self) -> Mapping[str, int]:
        """Return how many `sessions` there are, and what waits in their outboxes."""
        sessions = self._life.services.sessions.values() if self._life is not None else ()
        return {
            "sessions": len(sessions),
            "outbox_bytes": sum(session.outbox.bytes for session in sessions),
            "outbox_packets": sum(session.outbox.packets for session in sessions),
        }

    def _receiver(self, session: EngineSession) -> Session:
        public = Session(session)
        session.nursery.start_soon(self._handle, session, public)
        return public

    async def _handle(self, session: EngineSession, public: Session) -> None:
        reason = DisconnectReason.SERVER_NAMESPACE_DISCONNECT
        with public.scope:
            try:
                if self._handler is not None:
                    await self._handler(public)
            except Exception:
                logger.exception("the handler of session %s failed", session.id)
                reason = DisconnectReason.SERVER_ERROR
        session.close(reason)
