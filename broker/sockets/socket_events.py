"""What one socket's client sends, handled one at a time, in the order it came.

A task calls the handlers, and exists only while there is something to handle, and a little longer:
an idle socket costs no task. An event that has no handler is for a loop, if there is one or may
come to be. The oldest event waits for whom it is for, and those behind it wait with it.

Acks and pongs do not come here, so a handler may wait for the client's own answer.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

import trio

from broker.handlers.handler import Handler
from broker.handlers.listeners import Handlers, check_receivable
from broker.rooms.home import Home
from broker.sessions.inbox import Inbox
from broker.sessions.session import Session
from broker.sessions.timers import Timer
from protocol.socketio import Packet

from .event_handling import Eventful, EventHandling, name_of
from .hooks import Hooks
from .loops import Claim, Companion, Loop, Loops
from .received import ReceivedEvent
from .worker import Worker

logger = logging.getLogger("atrio.socket")


class SocketEvents:
    """The inbox of one socket, and the task that empties it."""

    def __init__(self, socket: Eventful, session: Session, hooks: Hooks) -> None:
        self._worker = Worker(session, self._handle_all, self._rested)
        self._socket = socket
        self._session = session
        self._hooks = hooks
        self._options = socket.namespace.options
        self._handling = EventHandling(socket, hooks, self._options)
        self._inbox: Inbox[Packet] = Inbox(self._options, session)
        self._seen: Packet | None = None  # the oldest event, once it may be taken
        self._open = False  # whether the connection hooks have finished
        self._idle: trio.Event | None = None  # for who waits until it is
        self._loops = Loops(self)
        self._late: tuple[Timer, Packet] | None = None  # the event that waits for a loop to come
        self._context = contextvars.copy_context()

    def put(self, packet: Packet, size: int) -> None:
        """Queue an event, which was `size` bytes on the wire."""
        self._inbox.put(packet, size)
        if self._open and not self._worker.busy and self._next_is_handled():
            self._worker.begin()

    def expect_opening(self) -> None:
        """Count as busy from now on: `open` is about to be called."""
        self._open = True
        self._worker.reserve()

    async def open(self) -> None:
        """Run the connection hooks, then handle events: those that wait, and later ones."""
        await self._worker.work_here(self._welcome)

    async def _welcome(self) -> None:
        late = self._session.services.timers.after(
            self._options.connect_timeout, self._hooks.warn_of_late
        )
        try:
            await self._hooks.run("connection")
        finally:
            late.cancel()
        if not self._socket.gone:
            for handler in self._home.handlers.of_use("on_socket"):
                accompany = partial(self._accompany, self._loops.begin(handler.name), handler)
                self._socket.nursery.start_soon(accompany, name=handler.function)

    async def _accompany(self, companion: Companion, handler: Handler) -> None:
        with self._loops.running(companion):
            await handler.function(self._socket)

    async def _handle_all(self) -> None:
        while self._next_is_handled():
            if self._is_unseen():
                await self._show()
            else:
                await self._handling.handle(self._inbox.take())

    def _rested(self) -> None:
        self._is_idle()
        self.flush()

    def _is_idle(self) -> None:
        if self._idle is not None:
            self._idle.set()

    @property
    def worker(self) -> trio.lowlevel.Task | None:
        """The task that runs handlers or hooks now."""
        return self._worker.task

    def _is_unseen(self) -> bool:
        """Whether the oldest event has yet to pass listeners and middleware."""
        return self._handling.screens and self._inbox.oldest is not self._seen

    async def _show(self) -> None:
        """Let the oldest event pass listeners and middleware, which may drop it."""
        packet = self._inbox.oldest
        passes = await self._handling.passes(packet)
        if self._inbox and self._inbox.oldest is packet:  # else all was dropped meanwhile
            if passes:
                self._seen = packet
            else:
                self._inbox.take()

    def flush(self) -> None:
        """Send our answers now: they do not wait for the flusher."""
        self._session.outbox.flush()

    async def finished(self) -> None:
        """Wait until nothing is being handled, and nobody is left who will handle anything.

        For a socket that has gone, so nothing more arrives.
        """
        self.advance()
        self._worker.leave()
        while self._worker.busy or self._inbox or self._loops.handled or self._loops.companions:
            self._idle = trio.Event()
            await self._idle.wait()

    def drop(self) -> None:
        """Forget what waits; count it."""
        self._session.pressure.lost(self._inbox.clear())
        self._is_idle()

    def end(self) -> None:
        """Cancel what is being handled, and forget what waits; loops end."""
        self.drop()
        self._loops.end()
        if self._late is not None:
            self._late[0].cancel()
        self._worker.cancel()

    # Who is next.

    @property
    def waiting(self) -> bool:
        """Whether there are events that nobody has taken."""
        return bool(self._inbox)

    @property
    def count(self) -> int:
        """How many events wait."""
        return len(self._inbox)

    @property
    def bytes(self) -> int:
        """How many bytes they were on the wire."""
        return self._inbox.bytes

    def advance(self) -> None:
        """Let the oldest event go where it belongs, if it can go now."""
        if self._open and not self._worker.busy:
            if self._next_is_handled():
                self._context.run(
                    self._worker.begin
                )  # not with the context variables of a loop's task
            self._is_idle()

    def _next_is_handled(self) -> bool:
        """Whether the oldest event is for handlers, and can be handled now.

        Those that nobody will take are dropped on the way.
        """
        while self._inbox and self._loops.handled is None:
            if not self._loops or self._is_unseen():
                return True  # `handle` drops what has no handler
            packet = self._inbox.oldest
            event = name_of(packet)
            if self._handling.calls(event):
                return True
            if self._waits(packet, event):
                return False
            if self._handling.falls_back:
                return True
            self._inbox.take()
        return False

    def _waits(self, packet: Packet, event: str) -> bool:
        """Whether the oldest event, which has no handler, waits for a loop; one that asks is told.

        If not, it counts as dropped when somebody may have wanted it.
        """
        loops, gone = self._loops, self._socket.gone
        claim, absent = loops.over(event), loops.absent()
        if claim is not None:
            claim.wake()
            waits = claim.asking or not loops.cannot_come(claim)
        else:
            waits = not gone and any(companion.expected for companion in absent)
            if waits:
                self._be_patient(packet)
        missed = claim is not None or absent or gone
        if not waits and missed and not self._handling.falls_back:
            self._session.pressure.lost(1)
        return waits

    def _be_patient(self, packet: Packet) -> None:
        """Let an event that nobody wants yet wait for a loop, for a while."""
        if self._late is not None:
            timer, waiting = self._late
            if waiting is packet:
                return
            timer.cancel()
        timer = self._session.services.timers.after(
            self._options.connect_timeout, partial(self._lose_patience, packet)
        )
        self._late = timer, packet

    def _lose_patience(self, packet: Packet) -> None:
        if self._worker.busy or not self._inbox or self._inbox.oldest is not packet:
            return
        absent = self._loops.absent()
        logger.warning(
            "%s: the event %r of socket %s is dropped, with those to come: it has no handler, and "
            "%s asked for no event within connect_timeout=%g s. Handle it with `on`, or loop over "
            "`socket.events()`; what takes no events belongs into `socket.nursery`",
            self._home,
            name_of(packet),
            self._socket.id,
            ", ".join(companion.name for companion in absent),
            self._options.connect_timeout,
        )
        for companion in absent:
            companion.expected = False
        self.advance()

    # Loops.

    def loop(self, names: tuple[str, ...]) -> Loop:
        """Begin a loop; see `Socket.events`."""
        for name in names:
            check_receivable(name)
            if self._handling.calls(name):
                raise ValueError(
                    f"{name!r} has a handler, which takes these events: an event has either "
                    f"on({name!r}) or a loop, so take one of them away"
                )
        return self._loops.open(frozenset(names))

    def claim(self, names: Iterable[str]) -> None:
        """Let no handler be registered for these events, until `release`."""
        for table in self._tables:
            table.claim(names)

    def release(self, names: Iterable[str]) -> None:
        """Undo a `claim`."""
        for table in self._tables:
            table.release(names)

    @property
    def _tables(self) -> tuple[Handlers, Handlers]:
        return self._home.handlers, self._socket.handlers

    def take_for(self, claim: Claim) -> ReceivedEvent | None:
        """Take the oldest event if this loop is to have it now."""
        loops = self._loops
        if not self._open or self._worker.busy or loops.handled is not None:
            return None
        if not self._inbox or self._is_unseen():
            return None
        event = name_of(self._inbox.oldest)
        if self._handling.calls(event) or loops.over(event) is not claim:
            return None
        packet = self._inbox.take()
        loops.take(claim)
        answer = None if packet.id is None else partial(self._answer, packet.id)
        return ReceivedEvent(event, packet.data[1:], answer)

    def _answer(self, id_: int, values: list[Any]) -> None:
        if not self._socket.gone:
            self._handling.acknowledge(id_, values)

    @property
    def _home(self) -> Home:
        return self._socket.namespace
