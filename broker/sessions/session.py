"""One connected client, below Socket.IO: its id, its heartbeat, its transport, its outbox.

A session is a nursery, not an actor: what it reads is one stream already, and what it sends goes
into its outbox. It ends once, for one reason, in `close`: the first reason counts. `close` is
sync, so whoever finds that a session must end can end it, even in the middle of a turn.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable

import attrs
import trio

from broker.values.encoded import CLOSE, NOOP, PING, Kept, encoded_message
from broker.values.handshake import Handshake
from broker.values.options import EngineOptions
from broker.values.reasons import DisconnectReason
from broker.values.statistics import Tally
from protocol import ProtocolError, engineio

from .farewells import Farewells
from .flusher import Flusher
from .heartbeat import Heartbeat
from .idlers import Idlers
from .latch import Latch
from .outbox import Outbox
from .polling import PollingTransport
from .pressure import Pressure
from .rates import Rates
from .receiver import Receiver, Witness
from .timers import Timers
from .websocket import Goodbye, Receive, WebSocketTransport

logger = logging.getLogger("atrio.session")

# What the server decided: what it pushed before is still sent.
_SENDS_THE_REST = frozenset(
    {
        DisconnectReason.SERVER_NAMESPACE_DISCONNECT,
        DisconnectReason.FORCED_CLOSE,
        DisconnectReason.CONNECT_TIMEOUT,
        DisconnectReason.RATE_LIMIT,
        DisconnectReason.SERVER_ERROR,
        DisconnectReason.SERVER_SHUTDOWN,
    }
)
# The client does not read, so there is no use in a goodbye.
_ABORTS = frozenset({DisconnectReason.PING_TIMEOUT, DisconnectReason.SLOW_CLIENT})
# Where a websocket says more than goodbye: a policy of ours was violated.
_GOODBYES = {DisconnectReason.RATE_LIMIT: Goodbye(1008, DisconnectReason.RATE_LIMIT)}
# A client whose inbox is full time and again is worth a line so often.
_PAUSE_LOG_INTERVAL = 60.0


@attrs.frozen
class Services:
    """What all sessions of one life of an engine share."""

    options: EngineOptions
    timers: Timers = attrs.field(factory=Timers)
    flusher: Flusher = attrs.field(
        default=attrs.Factory(lambda self: Flusher(self.options.flush_delay), takes_self=True)
    )
    idlers: Idlers = attrs.field(
        default=attrs.Factory(lambda self: Idlers(self.timers), takes_self=True)
    )
    tally: Tally = attrs.field(factory=Tally)
    sessions: dict[str, Session] = attrs.field(factory=dict)
    """Those that have not ended, by sid."""
    farewells: Farewells = attrs.field(
        default=attrs.Factory(
            lambda self: Farewells(self.timers, self.options.ping_timeout), takes_self=True
        )
    )


class Session:
    """One Engine.IO session.

    `id` is its sid, `handshake` the request that opened it, `reason` why it ended (None: it has
    not), `nursery` where its tasks live, `witness` who watches it (None: nobody), `pressure` what
    becomes of a full outbox.
    """

    nursery: trio.Nursery

    def __init__(
        self,
        sid: str,
        handshake: Handshake,
        services: Services,
        receiver: Callable[[Session], Receiver],
        ended: Callable[[], None],
    ) -> None:
        """`receiver` is called when the session opens, `ended` when it ends."""
        self.id = sid
        self.handshake = handshake
        self.services = services
        self.reason: DisconnectReason | None = None
        self.pressure = Pressure(
            sid,
            services.options,
            services.timers,
            services.tally,
            warn=self._warn,
            end=lambda: self.close(DisconnectReason.SLOW_CLIENT),
        )
        self.outbox = Outbox(services.options, services.flusher, self.pressure)
        self.transport: PollingTransport | WebSocketTransport | None = None
        self.witness: Witness | None = None
        self._options = services.options
        self._make_receiver = receiver
        self._receiver: Receiver | None = None
        self._tell_ended = ended
        self._rates = Rates.of(
            services.options, sid, end=lambda: self.close(DisconnectReason.RATE_LIMIT)
        )
        self._over = Latch()
        self._finished = Latch()
        self._probe: WebSocketTransport | None = None
        self._heartbeat = Heartbeat(
            services.options,
            services.timers,
            self._ping,
            self._silent,
            self._is_read,
            self._is_stuck,
        )
        self._full: list[object] = []  # inboxes that are full: then nothing is read
        self._readable: trio.Event | None = None
        self._pause_logged = -math.inf

    # Its life.

    async def run(
        self,
        carry: Callable[[], Awaitable[None]],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Live as long as `carry` runs, and until all tasks for this client have ended."""
        try:
            async with trio.open_nursery() as self.nursery:
                self.services.sessions[self.id] = self
                task_status.started()
                try:
                    await carry()
                except* trio.Cancelled:  # alone, or out of the nursery of a websocket
                    self.close(DisconnectReason.SERVER_SHUTDOWN)
                    self.outbox.close(keep=False)
                    raise
                finally:
                    self.close(DisconnectReason.TRANSPORT_CLOSE)
        finally:
            self._finished.set()

    async def over(self) -> None:
        """Wait until the session has ended."""
        await self._over.wait()

    async def finished(self) -> None:
        """Wait until all tasks for this client have ended, too: its last hooks have run."""
        await self._finished.wait()

    def open(self, transport: PollingTransport | WebSocketTransport) -> None:
        """Begin on `transport`: send the open packet, let the heart beat."""
        options = self._options
        upgrades = transport.name == "polling" and options.allow_upgrades
        self._use(transport)
        if self.reason is not None:  # the broker began to close during the handshake
            self._leave_transport(self.reason)
            return
        packet = engineio.open_packet(
            self.id,
            upgrades=[name for name in options.transports if upgrades and name != "polling"],
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            max_payload=options.max_http_buffer_size,
        )
        self.outbox.push_control(Kept(str(engineio.encode(packet)).encode()))
        self.outbox.flush()
        self._heartbeat.rest()
        self._receiver = self._make_receiver(self)

    def close(self, reason: DisconnectReason) -> None:
        """End, for this reason unless there is one already."""
        if self.reason is not None:
            return
        self.reason = reason
        self.services.sessions.pop(self.id, None)
        self._tell_ended()
        logger.debug("session %s ends: %s", self.id, reason)
        self._heartbeat.stop()
        self.pressure.stop()
        if self._receiver is not None:
            self._receiver.ended(reason)
        self.outbox.close(keep=reason in _SENDS_THE_REST)
        if self._readable is not None:
            self._readable.set()
        if self._probe is not None:
            self._probe.close(abort=True)
        self._leave_transport(reason)
        self._over.set()

    def websocket_ended(self, *, kept_rules: bool) -> None:
        """End, as the websocket that carries it has; `kept_rules`: whether its client has."""
        reason = (
            DisconnectReason.TRANSPORT_CLOSE if kept_rules else DisconnectReason.TRANSPORT_ERROR
        )
        if isinstance(self.transport, WebSocketTransport) and self.transport.too_large:
            reason = DisconnectReason.MESSAGE_TOO_LARGE
            logger.warning(
                "session %s ends: its client sent more than max_http_buffer_size=%d bytes",
                self.id,
                self._options.max_http_buffer_size,
            )
        self.close(reason)
        self.outbox.close(keep=False)  # who keeps a socket keeps nothing of what was not read

    def _leave_transport(self, reason: DisconnectReason) -> None:
        match self.transport:
            case WebSocketTransport() as websocket:
                websocket.close(abort=reason in _ABORTS, goodbye=_GOODBYES.get(reason))
            case PollingTransport() as polling if reason is DisconnectReason.RATE_LIMIT:
                polling.refuse()
            case PollingTransport() as polling:
                left = reason is DisconnectReason.TRANSPORT_CLOSE
                unheard = polling.farewell(NOOP if left else CLOSE)
                if unheard and (left or reason in _SENDS_THE_REST):
                    self.services.farewells.leave(self.id, unheard)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.reason is not None

    # What the client sends.

    @property
    def receives(self) -> Receive:
        """What is to be called with each websocket message."""
        return self.receive if self._rates is None else self._receive_within_rates

    def _receive_within_rates(self, message: str | bytes) -> trio.Event | None:
        return self.receive(message) if self.admits(message) else self._readable

    def admits(self, data: str | bytes) -> bool:
        """Whether the client may send this packet, too, now. Ends the session if not."""
        return self._rates is None or self.reason is not None or self._rates.admit(data)

    def receive(self, message: str | bytes) -> trio.Event | None:
        """Handle one websocket message; returns an event to wait for before reading on, or None."""
        if self.reason is None and self._receiver is not None:
            if isinstance(message, str) and message[:1] == "4":
                if self._heartbeat.doubting:
                    self._heartbeat.heard()
                self._receiver.receive(message[1:])
            else:
                try:
                    self.receive_packet(engineio.decode(message))
                except ProtocolError as error:
                    logger.info("session %s: %s", self.id, error)
                    self.close(DisconnectReason.PARSE_ERROR)
        return self._readable

    def receive_packet(self, packet: engineio.Packet) -> None:
        """Handle one packet."""
        if self.reason is not None or self._receiver is None:
            return
        if self._heartbeat.doubting and packet.type is not engineio.PacketType.PONG:
            self._heartbeat.heard()
        match packet.type:
            case engineio.PacketType.MESSAGE:
                self._receiver.receive(packet.data)
            case engineio.PacketType.PONG:
                self._heartbeat.rest()
            case engineio.PacketType.CLOSE:
                self.close(DisconnectReason.TRANSPORT_CLOSE)
            case engineio.PacketType.PING:  # in protocol 4 it is the server who asks
                self.close(DisconnectReason.TRANSPORT_ERROR)
            case _:
                pass  # as in Node: out of place, but harmless

    def pause(self, inbox: object) -> None:
        """Read nothing more until `resume` for the same inbox."""
        self._full.append(inbox)
        if self._readable is None and self.reason is None:
            self._readable = trio.Event()
            self._log_pause()
            if self._rates is not None:
                self._rates.pause()
            if self.witness is not None:
                self.witness.paused()

    def _log_pause(self) -> None:
        now = trio.current_time()
        if now - self._pause_logged >= _PAUSE_LOG_INTERVAL:
            self._pause_logged = now
            logger.info(
                "session %s is not read until its handlers have caught up: its inbox has reached "
                "max_inbox_packets=%d or max_inbox_bytes=%d",
                self.id,
                self._options.max_inbox_packets,
                self._options.max_inbox_bytes,
            )

    def resume(self, inbox: object) -> None:
        """Read again. While we did not, the client's silence was not its fault."""
        self._full = [full for full in self._full if full is not inbox]
        if not self._full and self._readable is not None:
            self._readable.set()
            self._readable = None
            if self._rates is not None:
                self._rates.resume()
            if self.reason is None:
                self._heartbeat.postpone()

    @property
    def is_paused(self) -> bool:
        """Whether nothing more is read for now."""
        return self._readable is not None

    async def readable(self) -> None:
        """Wait while nothing more is to be read."""
        if self._readable is not None:
            await self._readable.wait()

    # What the client gets.

    async def send(self, message: str | bytes) -> None:
        """Send one Engine.IO message; waits while much waits already. Ignored after the end."""
        encoded = encoded_message(message)
        await trio.lowlevel.checkpoint_if_cancelled()
        await self.outbox.room_for(encoded)
        self.outbox.push(encoded)
        await trio.lowlevel.cancel_shielded_checkpoint()

    def outbox_full(self) -> None:
        """End: too much waits for the client to be let in."""
        self.pressure.end_full("what waits until it is let in")

    def _warn(self) -> None:
        if self._receiver is not None:
            self._receiver.slow()

    # Its heartbeat.

    def _ping(self) -> None:
        self.outbox.push_first(PING)

    def _silent(self) -> None:
        logger.info(
            "session %s ends: no pong within ping_timeout=%g s", self.id, self._options.ping_timeout
        )
        self.close(DisconnectReason.PING_TIMEOUT)

    def _is_read(self) -> bool:
        return not self.is_paused

    def _is_stuck(self) -> bool:
        return self.outbox.age >= self._options.ping_interval + self._options.ping_timeout

    def check_alive(self) -> None:
        """End now if the client has been silent for too long, though no timer has said so yet."""
        self._heartbeat.check()

    # Its upgrade.

    def probed_by(self, websocket: WebSocketTransport | None) -> None:
        """Note who probes (None: nobody any more)."""
        self._probe = websocket

    @property
    def can_upgrade(self) -> bool:
        """Whether a websocket may probe now."""
        return (
            self._probe is None
            and self.reason is None
            and self._options.allow_upgrades
            and isinstance(self.transport, PollingTransport)
        )

    def upgrade(self, websocket: WebSocketTransport) -> None:
        """Go over to the websocket; what waits is sent there."""
        assert isinstance(self.transport, PollingTransport)
        self._probe = None
        self.transport.upgraded()
        self._use(websocket)
        self.outbox.flush()

    def _use(self, transport: PollingTransport | WebSocketTransport) -> None:
        self.transport = transport
        self.outbox.transport = transport
        if isinstance(transport, WebSocketTransport):
            transport.carries(self.outbox)
