"""Faults in how connections and the broker end, and in how a client goes to its websocket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from broker.serving.life import Life
from broker.sessions.heartbeat import Heartbeat
from broker.sessions.session import Session
from broker.sessions.websocket import WebSocketTransport
from broker.sockets import ending, socket
from broker.sockets.ending import Leaver
from broker.sockets.membership import Membership
from broker.sockets.socket import Socket
from broker.sockets.socket_nursery import SocketNursery
from broker.values.reasons import DisconnectReason

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

    async def run_last_hooks(who: Leaver, name: str, reason: DisconnectReason, _: float) -> None:
        await who.hooks.run(name, reason)

    with replaced(ending, "_run_last_hooks", run_last_hooks):
        yield


@contextmanager
def hooks_have_no_limit() -> Iterator[None]:
    """Give the hooks of a socket that goes all the time they want."""
    right = ending._run_last_hooks

    async def run_last_hooks(who: Leaver, name: str, reason: DisconnectReason, _: float) -> None:
        await right(who, name, reason, float("inf"))

    with replaced(ending, "_run_last_hooks", run_last_hooks):
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


@contextmanager
def a_second_cause_runs_the_hooks_again() -> Iterator[None]:
    """End a socket that is just ending once more."""
    right = Socket.finish

    def finish(self: Socket, reason: DisconnectReason) -> None:
        again = self.gone and not self._forgotten
        right(self, reason)
        if again:
            self._session.nursery.start_soon(ending.end, self, reason)

    with replaced(Socket, "finish", finish):
        yield


@contextmanager
def a_second_reason_overwrites_the_first() -> Iterator[None]:
    """Tell the hooks the last reason there is, not the one for which the socket went."""
    right_finish, right_hooks = Socket.finish, ending._run_last_hooks
    reasons: dict[Leaver, DisconnectReason] = {}

    def finish(self: Socket, reason: DisconnectReason) -> None:
        reasons[self] = reason
        right_finish(self, reason)

    async def run_last_hooks(who: Leaver, name: str, _: DisconnectReason, deadline: float) -> None:
        await right_hooks(who, name, reasons[who], deadline)

    with replaced(Socket, "finish", finish), replaced(ending, "_run_last_hooks", run_last_hooks):
        yield


@contextmanager
def rooms_are_left_first() -> Iterator[None]:
    """Leave the rooms before the `disconnecting` hooks."""
    right = ending.end

    async def end(who: Leaver, reason: DisconnectReason) -> None:
        await who.forget()
        await right(who, reason)

    with replaced(socket, "end", end):
        yield


@contextmanager
def rooms_are_not_left() -> Iterator[None]:
    """Let a socket go that stays in its rooms, and in its namespace."""

    async def forget(self: Membership) -> None:
        await trio.lowlevel.checkpoint()
        self._forgotten = True

    with replaced(Membership, "forget", forget):
        yield


@contextmanager
def an_ending_can_be_cancelled_before_it_begins() -> Iterator[None]:
    """Wait in the task of an ending before anything there is shielded."""
    right = ending.end

    async def end(who: Leaver, reason: DisconnectReason) -> None:
        await trio.lowlevel.checkpoint()
        await right(who, reason)

    with replaced(socket, "end", end):
        yield


@contextmanager
def the_heart_waits_from_the_ping_on() -> Iterator[None]:
    """Count the timeout from when the ping is sent, by a timer of its own: it is late by then."""
    right = Heartbeat._ask

    def ask(self: Heartbeat) -> None:
        self._deadline = trio.current_time() + self._timeout + 0.01
        right(self)

    with replaced(Heartbeat, "_ask", ask):
        yield


@contextmanager
def tasks_of_a_socket_go_on() -> Iterator[None]:
    """Refuse new tasks of a socket that has gone, and leave the others as they are."""

    def cancel(self: SocketNursery) -> None:
        self._cancelled = True

    with replaced(SocketNursery, "cancel", cancel):
        yield


@contextmanager
def a_closed_session_keeps_its_sockets() -> Iterator[None]:
    """Forget to end the sockets of a session that a cancelled broker ends."""
    right = Session.close

    def close(self: Session, reason: DisconnectReason) -> None:
        if reason is DisconnectReason.SERVER_SHUTDOWN:
            self._receiver = None
        right(self, reason)

    with replaced(Session, "close", close):
        yield
