"""HTTP long-polling: one GET waits for what the server has, one POST brings what the client has.

Source: the Engine.IO protocol document, revision 4, and engine.io 6.6 (`transports/polling.ts`).
A second GET while one waits, or a second POST, ends the session: the client is confused, or two
clients share a session, and either would lose packets unseen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs
import trio

from broker.values.encoded import CLOSE, NOOP, Encoded
from broker.values.option_checks import TransportName
from broker.values.reasons import DisconnectReason
from protocol import ProtocolError, engineio

from .flusher import settled
from .outbox import Outbox
from .timers import Timer, Timers

# How long a poll may wait once the upgrade's probe has come. As in Node: the client must end its
# poll before it may send `5`, and one that has not yet heard of the probe may poll once more.
_PROBING_POLL = 0.1

_TOO_MANY = 429  # the status that says: you send too much


@attrs.frozen
class Answer:
    """An HTTP answer to a poll or post.

    `packets` and `size` leave the outbox once it is sent; `compress`: whether some of it is worth
    compressing.
    """

    status: int
    body: bytes = b""
    size: int = 0
    packets: int = 0
    compress: bool = False


class PolledSession(Protocol):
    """What polling needs of its session."""

    outbox: Outbox

    def admits(self, data: str | bytes) -> bool:
        """Whether the client may send this, too; ends the session if not."""

    def receive_packet(self, packet: engineio.Packet) -> None:
        """Handle one packet."""

    def close(self, reason: DisconnectReason) -> None:
        """End the session."""

    @property
    def ended(self) -> bool:
        """Whether it has ended."""

    async def readable(self) -> None:
        """Wait while nothing more may be read of this client."""


class _Poll:
    """A GET that waits."""

    __slots__ = ("_answer", "_answered")

    def __init__(self) -> None:
        self._answered = trio.Event()
        self._answer: Answer | None = None

    def answer(self, answer: Answer) -> None:
        if self._answer is None:
            self._answer = answer
            self._answered.set()

    async def wait(self) -> Answer:
        await self._answered.wait()
        assert self._answer is not None
        return self._answer


class PollingTransport:
    """Carries one session over GETs and POSTs."""

    name: TransportName = "polling"

    def __init__(self, session: PolledSession, timers: Timers) -> None:
        self._session = session
        self._timers = timers
        self._poll: _Poll | None = None
        self._posting = False
        self._noop: Timer | None = None
        self._probing = False

    # HTTP.

    async def get(self) -> Answer:
        """Wait for packets; the body holds all there are. Cancelled, it has taken none."""
        if self._poll is not None:
            self._answer_poll([CLOSE])
            self._session.close(DisconnectReason.TRANSPORT_ERROR)
            return Answer(400)
        poll = self._poll = _Poll()
        if not self._session.outbox.empty:
            self._session.outbox.touch()
        if self._probing:
            self._noop = self._timers.after(_PROBING_POLL, self._end_poll)
        try:
            return await poll.wait()
        finally:
            if self._poll is poll:
                self._poll = None

    async def post(self, read: Callable[[], Awaitable[bytes | None]]) -> Answer:
        """Read a body with `read` (None: it is too large) and handle the packets in it.

        The answer waits until handlers that do not wait have answered, so that one poll brings
        all they have to say.
        """
        if self._posting:
            self._session.close(DisconnectReason.TRANSPORT_ERROR)
            return Answer(400)
        self._posting = True
        try:
            try:
                body = await read()
            except Exception:
                self._session.close(DisconnectReason.TRANSPORT_ERROR)  # half of it is lost
                raise
            if body is None:
                self._session.close(DisconnectReason.MESSAGE_TOO_LARGE)
                return Answer(413)
            return await self._receive(body)
        finally:
            self._posting = False

    async def _receive(self, body: bytes) -> Answer:
        try:
            packets = engineio.decode_payload(body)
        except ProtocolError:
            self._session.close(DisconnectReason.PARSE_ERROR)
            return Answer(400)
        for packet in packets:
            if not self._session.admits(packet.data):
                return Answer(_TOO_MANY)
            self._session.receive_packet(packet)
        await settled(self._session.outbox)
        await self._session.readable()
        return Answer(200, b"ok")

    # What a session calls.

    @property
    def writable(self) -> bool:
        """Whether a poll waits."""
        return self._poll is not None

    def flush(self) -> None:
        """Answer the poll with what waits in the outbox."""
        if self._poll is not None:
            self._answer_poll(self._session.outbox.take())

    def probe(self, *, probing: bool) -> None:
        """Note that an upgrade's probe has come, or has failed: polls are ended soon, or wait."""
        self._probing = probing
        if probing:
            self._end_poll()
        elif self._noop is not None:
            self._noop.cancel()

    def upgraded(self) -> None:
        """Refuse a poll that still waits: its session has gone over to the websocket."""
        if self._poll is not None:
            self._poll.answer(Answer(400))
            self._poll = None

    def farewell(self, last: Encoded) -> list[bytes]:
        """Say what is left, then `last`, each in a poll of its own; one may wait already.

        Returns what the client's next polls should hear. The official client handles a close at
        once and the packets beside it in its next turn, when it no longer listens to them.
        """
        left = self._session.outbox.take()
        polls = [poll for poll in (left, [last]) if poll]
        if self._poll is not None:
            self._answer_poll(polls.pop(0))
        return [_body(poll) for poll in polls]

    def refuse(self) -> None:
        """End without a goodbye, as the client sends too much: its post is answered 429.

        The poll that waits brings what is left to say, or else the same. A close packet could
        reach the client before that answer, and hide why.
        """
        if self._poll is not None and (left := self._session.outbox.take()):
            self._answer_poll(left)
        elif self._poll is not None:
            self._poll.answer(Answer(_TOO_MANY))
            self._poll = None

    def _end_poll(self) -> None:
        if self._poll is not None:
            self._answer_poll([*self._session.outbox.take(), NOOP])

    def _answer_poll(self, events: list[Encoded]) -> None:
        assert self._poll is not None
        own = [event for event in events if event not in (CLOSE, NOOP)]
        self._poll.answer(
            Answer(
                200,
                _body(events),
                sum(len(event.wire) for event in own),
                sum(event.packets for event in own),
                compress=any(part.compress for event in own for part in event.parts),
            )
        )
        self._poll = None


def _body(events: list[Encoded]) -> bytes:
    return engineio.SEPARATOR.join(event.payload for event in events)
