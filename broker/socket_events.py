"""What one socket's client sends, handled one at a time, in the order it came.

A task handles them, and exists only while there is something to handle: an idle socket costs no
task. Acks and pongs do not come here, so a handler may wait for the client's own answer.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import trio

from protocol.socketio import Packet, PacketType

from .dispatch import Call, ack_error, ack_values, answer_of
from .encoded import Encoded, encoded_packet
from .errors import EventError, SocketDisconnected, unwrapped
from .handlers import Handler, Handlers
from .home import Home
from .inbox import Inbox
from .session import Session

logger = logging.getLogger("atrio.socket")

_INTERNAL = EventError("internal", "internal error")  # a user's error says nothing to clients


class Subject(Protocol):
    """The socket whose events these are."""

    id: str
    namespace: Home
    handlers: Handlers
    gone: bool
    push: Callable[[Encoded], bool]


class SocketEvents:
    """The inbox of one socket, and the task that empties it."""

    def __init__(self, socket: Subject, session: Session) -> None:
        self._socket = socket
        self._session = session
        self._options = socket.namespace.options
        self._inbox: Inbox[Packet] = Inbox(self._options, session)
        self._open = False  # whether the connection hooks have finished
        self._scope: trio.CancelScope | None = None  # of the task, while there is one
        self._slow: list[trio.CancelScope] = []  # of the tasks that hear of a slow client
        self._idle = trio.Event()

    def put(self, packet: Packet, size: int) -> None:
        """Queue an event, which was `size` bytes on the wire."""
        self._inbox.put(packet, size)
        if self._open and self._scope is None:
            self._scope = trio.CancelScope()
            self._session.nursery.start_soon(self._run, name="handlers")

    def expect_opening(self) -> None:
        """Count as busy from now on: `open` is about to be called."""
        self._open = True
        self._scope = trio.CancelScope()

    async def open(self) -> None:
        """Run the connection hooks, then handle events: those that wait, and later ones."""
        await self._run(self._welcome)

    async def _welcome(self) -> None:
        late = self._session.services.timers.after(
            self._options.connect_timeout, self._warn_of_late_hooks
        )
        try:
            await self.run_hooks("connection")
        finally:
            late.cancel()

    async def _run(self, begin: Callable[[], Awaitable[None]] | None = None) -> None:
        assert self._scope is not None
        try:
            with self._scope:
                if begin is not None:
                    await begin()
                while self._inbox:
                    await self._handle(self._inbox.take())
        finally:
            self._scope = None
            self._idle.set()
            self._session.outbox.flush()  # our answers do not wait for the flusher

    async def finished(self) -> None:
        """Wait until nothing is being handled."""
        while self._scope is not None or self._slow:
            self._idle = trio.Event()
            await self._idle.wait()

    def drop(self) -> None:
        """Forget what waits; count it."""
        self._session.pressure.lost(self._inbox.clear())

    def cancel(self) -> None:
        """Cancel what is being handled, and forget what waits."""
        self.drop()
        for scope in (self._scope, *self._slow):
            if scope is not None:
                scope.cancel()

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return len(self._inbox)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes they were on the wire."""
        return self._inbox.bytes

    # One event.

    async def _handle(self, packet: Packet) -> None:
        event, *args = packet.data
        if not isinstance(event, str):
            event = f"{event:g}" if isinstance(event, float) else str(event)  # as JavaScript has it
        calls = self._calls(event)
        if not calls:
            return
        try:
            answer = await answer_of(calls, args, self._options.handler_timeout)
            values = ack_values(answer)
            if values is not None and packet.id is not None:
                self._acknowledge(packet.id, values)
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is reported
            await self._failed(unwrapped(raised), event, packet.id)

    async def _failed(self, error: Exception, event: str, id_: int | None) -> None:
        match error:
            case SocketDisconnected() if self._socket.gone:
                return
            case EventError():
                logger.info("%s refused %r of %s: %s", self._home, event, self._socket.id, error)
                refusal = error
            case _:
                await self.report(error, event)
                refusal = _INTERNAL
        if id_ is not None:
            try:
                self._acknowledge(id_, ack_error(refusal))
            except (TypeError, ValueError) as unsendable:
                await self.report(unsendable, event)
                self._acknowledge(id_, ack_error(_INTERNAL))

    def _acknowledge(self, id_: int, values: list[Any]) -> None:
        packet = Packet(PacketType.ACK, self._home.name, values, id_)
        self._socket.push(encoded_packet(packet))

    def _calls(self, event: str) -> list[Call]:
        own = self._socket.handlers.of_event(event)
        if event in ("connect", "connection", "error"):  # the namespace's are hooks
            return [Call(handler) for handler in own]
        of_all = self._home.handlers.of_event(event)
        return [
            *(Call(handler, (self._socket,)) for handler in of_all),
            *(Call(handler) for handler in own),
        ]

    @property
    def _home(self) -> Home:
        return self._socket.namespace

    # Hooks.

    async def run_hooks(self, name: str, *args: object) -> None:
        """Run all hooks of a name, one after the other; an exception in one stops no other."""
        for call in self._hooks(name):
            await self._run_hook(call, name, *args)

    async def _run_hook(self, call: Call, name: str, *args: object) -> None:
        try:
            await call.handler.function(*call.lead, *args)
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is reported
            error = unwrapped(raised)
            if not (isinstance(error, SocketDisconnected) and self._socket.gone):
                await self.report(error, name)

    def _hooks(self, name: str) -> Iterable[Call]:
        # Lists may grow while hooks run: a connection hook registers others.
        return [
            *(Call(hook, (self._socket,)) for hook in self._home.handlers.of_hook(name)),
            *(Call(hook) for hook in self._socket.handlers.of_hook(name)),
        ]

    def tell_slow(self) -> None:
        """Tell who wants to hear it that the client reads too little, each in a task of its own."""
        for handler in self._home.handlers.slow:
            scope = trio.CancelScope()
            self._slow.append(scope)
            self._session.nursery.start_soon(self._run_slow, handler, scope, name="slow")

    async def _run_slow(self, handler: Handler, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await self._run_hook(Call(handler, (self._socket,)), "slow")
        finally:
            self._slow.remove(scope)
            self._idle.set()

    async def report(self, error: Exception, event: str | None) -> None:
        """Log an exception of a user's code, and give it to the `error` hooks."""
        logger.error(
            "%s: the handler of %r for socket %s failed",
            self._home,
            event,
            self._socket.id,
            exc_info=error,
        )
        hooks = self._home.handlers.of_hook("error")
        for hook in hooks:
            try:
                await hook.function(self._socket, error, event)
            except Exception as second:
                logger.exception("%s: the error hook %s failed", self._home, hook.name)
                self.tell_witness(second)
        self.tell_witness(error, handled=bool(hooks))

    def tell_witness(self, error: Exception, *, handled: bool = False) -> None:
        """Tell who watches this client, if anybody does, of an exception of a user's code."""
        if self._session.witness is not None:
            self._session.witness.failed(error, handled=handled)

    def _warn_of_late_hooks(self) -> None:
        names = ", ".join(call.handler.name for call in self._hooks("connection"))
        logger.warning(
            "%s: the connection hooks (%s) of socket %s have lasted longer than connect_timeout="
            "%g s; its events wait for them",
            self._home,
            names,
            self._socket.id,
            self._options.connect_timeout,
        )
