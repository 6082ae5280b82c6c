"""Those who listen to what goes to one socket.

A socket that somebody listens to has another way to its outbox, which passes the listeners; that is
decided when the first is registered, so all others pay nothing. They are called in the step that
hands an event out, to thousands maybe: so they are sync, and what they raise hurts nobody.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from broker.handlers.handler import check_listener
from broker.values.encoded import Batch, Encoded
from protocol.parser import Parser

from .gate import Way

Listener: TypeAlias = Callable[..., object]
L = TypeVar("L", bound=Listener)


class Outgoing:
    """The listeners of one socket, in order, and the way that passes them."""

    def __init__(self, way: Way, parser: Parser, report: Callable[[Exception, str], None]) -> None:
        """`way` leads to the outbox; `report` says what a listener has failed with.

        `parser` is what events are encoded with.
        """
        self.listeners: list[Listener] = []
        self._way = way
        self._parser = parser
        self._report = report

    def push(self, encoded: Encoded) -> bool:
        """Put an event into the outbox, and tell the listeners, if it is in."""
        if not self.listeners:
            return self._way.push(encoded)
        if isinstance(encoded, Batch):
            return self._push_each(encoded)
        pushed = self._way.push(encoded)
        if pushed:
            self._tell(encoded)
        return pushed

    def release(self, encoded: Encoded) -> None:
        """Put in what the outbox has held until now, and tell the listeners."""
        self._way.release(encoded)
        self._tell(encoded)

    def _push_each(self, batch: Batch) -> bool:
        missed = list(batch.missed)
        pushed = self._way.push(batch)
        if pushed:
            for event, before, after in zip(batch.events, missed, batch.missed, strict=True):
                if before == after:
                    self._tell(event)
        return pushed

    def _tell(self, encoded: Encoded) -> None:
        for listener in list(self.listeners):
            event = ""
            try:
                heard = encoded.event(self._parser)
                if heard is None:
                    return  # an ack
                event = heard[0]
                listener(*heard)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
                self._report(error, event)


class OutgoingRegistry(abc.ABC):
    """Where they are registered: a socket."""

    @property
    @abc.abstractmethod
    def _outgoing(self) -> Outgoing:
        """Its listeners, and the way past them."""

    def on_any_outgoing(self, function: L) -> L:
        """Register a listener to what goes to this client: `def heard(event, *args)`.

        It hears what is emitted to the socket, and broadcasts that reach it, with the arguments as
        the client gets them; not acks, nor what was dropped. To change them changes nothing of what
        goes out, but what the event's other listeners hear, who share them. It is called in the
        step that hands the event out, so it is no `async def`, and must be quick. An exception goes
        to the `error` hook and hurts nobody. Raises TypeError for what cannot be called so.
        """
        return self._listen(function, len(self._outgoing.listeners))

    def prepend_any_outgoing(self, function: L) -> L:
        """Register a listener as `on_any_outgoing` does, before the others."""
        return self._listen(function, 0)

    def _listen(self, function: L, place: int) -> L:
        check_listener("on_any_outgoing", function, ("event", "*args"))
        self._outgoing.listeners.insert(place, function)
        return function

    def off_any_outgoing(self, function: Listener | None = None) -> None:
        """Take away a listener of `on_any_outgoing`, or all of them."""
        listeners = self._outgoing.listeners
        if function is None:
            listeners.clear()
        elif function in listeners:
            listeners.remove(function)

    def listeners_any_outgoing(self) -> list[Listener]:
        """Return the listeners of `on_any_outgoing`, in order."""
        return list(self._outgoing.listeners)
