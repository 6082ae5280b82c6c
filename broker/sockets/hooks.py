"""The hooks of one socket, and what becomes of an exception in a user's code."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

import trio

from broker.handlers.dispatch import Call
from broker.handlers.handler import Handler
from broker.handlers.listeners import Handlers
from broker.rooms.home import Home
from broker.sessions.session import Session
from broker.values.errors import SocketDisconnected, unwrapped

logger = logging.getLogger("atrio.socket")


class Subject(Protocol):
    """The socket whose hooks these are."""

    id: str
    namespace: Home
    handlers: Handlers
    gone: bool


class Hooks:
    """Those of its namespace, then its own."""

    __slots__ = ("_idle", "_session", "_slow", "_socket")

    def __init__(self, socket: Subject, session: Session) -> None:
        self._socket = socket
        self._session = session
        self._slow: list[trio.CancelScope] = []  # of the tasks that hear of a slow client
        self._idle: trio.Event | None = None

    async def run(self, name: str, *args: object) -> None:
        """Run all hooks of a name, one after the other; an exception in one stops no other."""
        for call in self._of(name):
            await self._run(call, name, *args)

    async def run_last(self, name: str, deadline: float, *args: object) -> bool:
        """Run all hooks of a name until `deadline`, shielded; return whether that was enough.

        Each is called, though those before it have used up the time: what it does before it waits
        for something is done.
        """
        in_time = True
        for call in self._of(name):
            with trio.CancelScope(shield=True, deadline=deadline) as scope:
                await self._run(call, name, *args)
            in_time &= not scope.cancelled_caught
        return in_time

    async def _run(self, call: Call, name: str, *args: object) -> None:
        try:
            await call.handler.function(*call.lead, *args)
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is reported
            error = unwrapped(raised)
            if not (isinstance(error, SocketDisconnected) and self._socket.gone):
                await self.report(error, name)

    def _of(self, name: str) -> Iterable[Call]:
        # Lists may grow while hooks run: a connection hook registers others.
        return [
            *(
                Call(hook, (self._socket,))
                for hook in self._socket.namespace.handlers.of_hook(name)
            ),
            *(Call(hook) for hook in self._socket.handlers.of_hook(name)),
        ]

    def tell_slow(self) -> None:
        """Tell who wants to hear it that the client reads too little, each in a task of its own."""
        for handler in self._socket.namespace.handlers.of_use("on_slow"):
            scope = trio.CancelScope()
            self._slow.append(scope)
            self._session.nursery.start_soon(self._run_slow, handler, scope, name="slow")

    async def _run_slow(self, handler: Handler, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await self._run(Call(handler, (self._socket,)), "slow")
        finally:
            self._slow.remove(scope)
            if self._idle is not None:
                self._idle.set()

    async def finished(self) -> None:
        """Wait until those have ended."""
        while self._slow:
            self._idle = trio.Event()
            await self._idle.wait()

    def end(self) -> None:
        """Cancel them."""
        for scope in self._slow:
            scope.cancel()

    async def report(self, error: Exception, event: str | None) -> None:
        """Log an exception of a user's code, and give it to the `error` hooks."""
        logger.error(
            "%s: %s for socket %s failed",
            self._socket.namespace,
            "a task" if event is None else f"the handler of {event!r}",
            self._socket.id,
            exc_info=error,
        )
        handled = await self.tell(error, event)
        self.tell_witness(error, handled=handled)

    def report_soon(self, error: Exception, event: str) -> None:
        """Report an exception of a user's code that must not be waited for here."""
        self._session.nursery.start_soon(self.report, error, event, name="report")

    async def tell(self, error: Exception, event: str | None) -> bool:
        """Give an error to the `error` hooks; return whether there are some."""
        hooks = self._socket.namespace.handlers.of_hook("error")
        for hook in hooks:
            try:
                await hook.function(self._socket, error, event)
            except Exception as second:
                logger.exception("%s: the error hook %s failed", self._socket.namespace, hook.name)
                self.tell_witness(second)
        return bool(hooks)

    def tell_witness(self, error: Exception, *, handled: bool = False) -> None:
        """Tell who watches this client, if anybody does, of an exception of a user's code."""
        if self._session.witness is not None:
            self._session.witness.failed(error, handled=handled)

    def warn_of_late(self) -> None:
        """Say which `connection` hooks keep the events waiting."""
        names = ", ".join(call.handler.name for call in self._of("connection"))
        logger.warning(
            "%s: the connection hooks (%s) of socket %s have lasted longer than connect_timeout="
            "%g s; its events wait for them",
            self._socket.namespace,
            names,
            self._socket.id,
            self._socket.namespace.options.connect_timeout,
        )
