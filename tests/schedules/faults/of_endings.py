"""Faults in how connections and the broker end, and in how a client goes to its websocket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from broker.life import Life
from broker.reasons import DisconnectReason
from broker.session import Session
from broker.socket import Socket
from broker.websocket import WebSocketTransport

from .planting import replaced


@contextmanager
def grace_is_no_limit() -> Iterator[None]:
    """Wait for all clients when the broker closes, however long they take."""

    def shut(self: Life) -> None:
        self.closing.set()
        for scope in self._idle:
            scope.cancel()
        for session in list(self.services.sessions.values()):
            session.close(DisconnectReason.SERVER_SHUTDOWN)

    with replaced(Life, "shut", shut):
        yield


@contextmanager
def last_hooks_can_be_cancelled() -> Iterator[None]:
    """Run the hooks of a socket that goes without a shield: a cancelled broker skips them."""

    async def run_last_hooks(self: Socket, name: str, reason: DisconnectReason, _: float) -> None:
        await self.events.run_hooks(name, reason)

    with replaced(Socket, "_run_last_hooks", run_last_hooks):
        yield


@contextmanager
def hooks_have_no_limit() -> Iterator[None]:
    """Give the hooks of a socket that goes all the time they want."""
    right = Socket._run_last_hooks

    async def run_last_hooks(self: Socket, name: str, reason: DisconnectReason, _: float) -> None:
        await right(self, name, reason, float("inf"))

    with replaced(Socket, "_run_last_hooks", run_last_hooks):
        yield


@contextmanager
def an_upgrade_forgets_what_waits() -> Iterator[None]:
    """Drop, at the upgrade, what the last poll has not taken."""
    right = Session.upgrade

    def upgrade(self: Session, websocket: WebSocketTransport) -> None:
        for encoded in self.outbox.take():
            self.outbox.written(len(encoded.wire), encoded.packets)
        right(self, websocket)

    with replaced(Session, "upgrade", upgrade):
        yield
