"""A socket: one client in one namespace, as handlers get it.

Its states: connecting (in middleware; what is emitted to it waits for the CONNECT packet, which is
the first of a namespace), connected, gone. It goes once, for one reason, in `finish`, which is
sync. What follows is in `ending`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import trio

from actors.async_actor import circle_with, handling_actor
from broker.handlers.handler import F
from broker.handlers.listeners import Handlers
from broker.handlers.registry import Registry
from broker.rooms.acks import Acks, value_of
from broker.rooms.home import Home
from broker.rooms.messages import Audience, Doubt, Hosted
from broker.rooms.room_host import RoomHost
from broker.rooms.seat import Seat
from broker.rooms.target import Target, Targets
from broker.sessions.recorder import Recorder
from broker.sessions.session import Session
from broker.values.encoded import Encoded
from broker.values.errors import SocketDisconnected, unwrapped
from broker.values.handshake import Handshake
from broker.values.option_checks import TransportName
from broker.values.reasons import DisconnectReason
from broker.values.statistics import SocketStatistics
from protocol.socketio import PacketType

from .ending import end
from .gate import Gate, Way
from .hooks import Hooks
from .loops import Loop
from .membership import Membership
from .outgoing import Outgoing, OutgoingRegistry
from .socket_events import SocketEvents
from .socket_nursery import SocketNursery
from .socket_seat import SocketSeat

logger = logging.getLogger("atrio.socket")


class Socket(Targets, SocketSeat, Membership, Registry, OutgoingRegistry):
    """One client in one namespace.

    `id` is unique to it, `namespace` where it is, `data` the user's own, `handshake` how it came,
    `connected` whether it is there, `recovered` whether its client had lost its connection and has
    come back to this id, its rooms and data, and what it had missed.

    `on` registers a handler for it alone, which is called without it; `disconnecting` and
    `disconnect` are called with (reason).

    As a target (`to`, `except_`, `broadcast` …) it means the others: itself excluded. A flag
    alone (`volatile`, `compress`, `timeout`) means this socket, as in Node; with rooms, others.
    """

    def __init__(
        self,
        sid: str,
        namespace: Home,
        handshake: Handshake,
        session: Session,
        on_gone: Callable[[Socket], None],
        seat: Seat | None = None,
    ) -> None:
        """`seat`: where its client may come back to, or has; None: it cannot."""
        Membership.__init__(self, sid, namespace.running("a socket"), namespace.max_name_length)
        self.namespace = namespace
        self.handshake = handshake
        self.data: dict[str, Any] = {}
        self.connected = False
        self.recovered = False
        self.was_connected = False
        self.handlers = Handlers(of_socket=True)
        self.seat = seat
        outbox = session.outbox
        self._exit: Way = outbox if seat is None else Recorder(outbox, seat.history)
        self._gate = Gate(outbox)
        self.push: Callable[[Encoded], bool] = self._gate.push
        self._sends_ahead = namespace.traps.middleware_emits_at_once
        self.hooks = Hooks(self, session)
        self.inbound = SocketEvents(self, session, self.hooks)
        self.scope = trio.CancelScope()
        """Cancelled when it goes: for what happens before it is connected."""
        self._session = session
        self._on_gone = on_gone
        self._nursery: SocketNursery | None = None
        self._welcome: Encoded | None = None  # the CONNECT packet, until it goes out
        self._heard: Outgoing | None = None  # none: nobody has ever listened
        self.acks = Acks()
        self._take_seat()
        namespace.visit()

    # What it is.

    @property
    def transport(self) -> TransportName:
        """What carries it now: `"polling"` or `"websocket"`."""
        transport = self._session.transport
        return "polling" if transport is None else transport.name

    @property
    def writable(self) -> bool:
        """Whether what is emitted now would be written at once, as far as is known."""
        return self._session.outbox.writable and not self._gate.keeps

    def statistics(self) -> SocketStatistics:
        """Return what waits for it, and what of it waits; cheap enough for every event.

        Its connection has one outbox for all its namespaces.
        """
        outbox = self._session.outbox
        return SocketStatistics(
            outbox_bytes=outbox.bytes,
            outbox_packets=outbox.packets,
            outbox_age=outbox.age,
            slow=outbox.high,
            inbox_events=self.inbound.count,
            inbox_bytes=self.inbound.bytes,
            pending_acks=len(self.acks),
            dropped=self._session.pressure.dropped,
        )

    @property
    def nursery(self) -> SocketNursery:
        """For tasks that live as long as the socket: `socket.nursery.start_soon(async_fn, …)`.

        An exception in one goes to the `error` hook and ends the socket.
        """
        if self._nursery is None:
            self._nursery = SocketNursery(self.id, self._session.nursery, self._task_failed)
            if self.gone:
                self._nursery.cancel()
        return self._nursery

    async def _task_failed(self, error: Exception) -> None:
        if self.gone and isinstance(unwrapped(error), SocketDisconnected):
            return
        await self.hooks.report(error, None)
        self.dismiss(DisconnectReason.SERVER_ERROR)

    # Events to it.

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to this client. Once it has gone, nothing happens, unless it may come back.

        Waits while more than half of its outbox's limit waits to be read, or it does not fit.
        Raises TypeError or ValueError for what cannot be sent.
        """
        encoded = self._encoded(event, args)
        await self._room_for(encoded)
        self.send(encoded)
        await trio.lowlevel.cancel_shielded_checkpoint()

    def emit_nowait(self, event: str, *args: Any) -> None:
        """Send an event without ever waiting: a full outbox does as the option `overflow` says."""
        self.send(self._encoded(event, args))

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event and return what the client acknowledges it with.

        None for no values, the value, or a tuple of several. Raises trio.TooSlowError after
        `timeout` seconds (None: the option `ack_timeout`), or at once when the client is not read
        since an inbox of it is full: the ack could not come. `SocketDisconnected` when it goes.
        """
        self._check_answerable()
        id_ = self._actor.next_ack_id()
        encoded = self._encoded(event, args, id_)
        limit = self.namespace.options.socket_ack_timeout if timeout is None else timeout
        with trio.move_on_after(limit):
            await self._room_for(encoded)
            self._check_answerable()
            with self.acks.awaited(id_) as reply:
                self.send(encoded)
                return value_of(await reply.wait())
        name = "ack_timeout" if timeout is None else "timeout"
        raise trio.TooSlowError(f"no ack of {event!r} from socket {self.id} in {name}={limit:g} s")

    def _check_answerable(self) -> None:
        """Raise when no ack can come."""
        if self.gone:
            raise SocketDisconnected(self.id)
        if self._session.is_paused:
            options = self.namespace.options
            raise trio.TooSlowError(
                f"no ack can come from socket {self.id}: its client is not read until its handlers "
                f"have caught up, an inbox of it has reached max_inbox_packets="
                f"{options.max_inbox_packets} or max_inbox_bytes={options.max_inbox_bytes}; await "
                "acks in socket.nursery, or set a higher limit"
            )

    async def _room_for(self, encoded: Encoded) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._session.outbox.room_for(
            encoded, given_up=lambda: self.gone, passes=self._is_awaited
        )

    def _is_awaited(self) -> bool:
        """Whether what is kept back waits for who calls, and so he must not wait for it."""
        if not self.connected:
            return True  # it waits for the middleware
        return any(circle_with(room.host) is not None for room in self._gate.waits_for)

    def send(self, encoded: Encoded) -> bool:
        """Push what is for this client alone: what its `on_join` sends passes what is kept."""
        if self._sends_ahead:  # of the CONNECT packet
            return self._way.push(encoded)
        if self._gate.keeps:
            host = handling_actor()
            if isinstance(host, RoomHost) and host.joiner is self:
                return self._gate.push_before(host.room, encoded)
        return self.push(encoded)

    def _encoded(self, event: str, args: tuple[Any, ...], id_: int | None = None) -> Encoded:
        return self.namespace.encoding.event(event, args, id_)

    # Events from it.

    def events(self, *names: str) -> Loop:
        """Loop over the client's events: `async for event, *args in socket.events():`.

        With names, over these; without, over all that have no handler of `on`. It yields
        `ReceivedEvent`s, in the order they came. From this call on the events are the loop's, until
        it is left and nothing refers to it, or `aclose` ends it.

        Events of one socket are handled one at a time, by handlers and loops together. What a loop
        has taken is handled when its function (or any task in the nurseries of that) asks for more,
        in this loop or in another, or when the loop ends. Until then later events wait, whoever
        they are for: the body may wait for an ack of its client, and what takes long goes into
        `socket.nursery`. An event that nobody wants is dropped, unless an `on_socket` function runs
        that asks for none at the moment: then it waits, `connect_timeout` at most, for the loop
        that may want it.

        When the client goes, a loop outside of `socket.nursery` ends when the events that had
        arrived are taken, within `handler_grace`. To cancel the waiting loses no event.

        Raises ValueError for an event that has a handler, RuntimeError for one that another loop of
        this socket takes; when iterated, RuntimeError in a handler or hook of this socket: events
        wait for those.
        """
        return self.inbound.loop(names)

    def use(self, function: F) -> F:
        """Register packet middleware: `async def check(event, args)`, in order of registration.

        It sees every event of this client before its handlers, or a loop, and may change the list
        `args`. Raising drops the event: the error goes to the `error` hook, and answers the ack as
        in a handler. Raises TypeError for what is not async or cannot be called so.
        """
        self.handlers.add_as("packet middleware", function)
        return function

    @property
    def _outgoing(self) -> Outgoing:
        if self._heard is None:
            self._heard = Outgoing(
                self._exit, self.namespace.encoding.parser, self.hooks.report_soon
            )
            if self.connected:
                self._open_gate()
        return self._heard

    # As a target.

    def _target(self) -> Target:
        return self.namespace.target_type(self.namespace, self._others)

    @property
    def _others(self) -> Audience:
        if self.connected and self.namespace.traps.own_rooms_are_rooms:
            return Audience(excluded=frozenset({self.id}))  # whoever is in that room, or nobody
        return Audience(sender=self)

    @property
    def broadcast(self) -> Target:
        """Everybody in the namespace but this socket."""
        return self._target()

    def _flagged(self) -> Target:
        return self.namespace.target_type(self.namespace, self._others, own=self)

    # Its end.

    async def disconnect(self, close: bool = False) -> None:
        """Put it out of its namespace; `close`: end the connection, with all its namespaces.

        Events of it that wait are dropped. Returns at once: its hooks run in a task of their own.
        """
        self.expel(close)
        await trio.lowlevel.checkpoint()

    def expel(self, close: bool) -> None:
        """Do what `disconnect` does, without its checkpoint."""
        self.dismiss(DisconnectReason.SERVER_NAMESPACE_DISCONNECT)
        if close:
            self._session.close(DisconnectReason.SERVER_NAMESPACE_DISCONNECT)

    def dismiss(self, reason: DisconnectReason) -> None:
        """Go because the server wants it: tell the client, drop what it has sent."""
        if self.connected:
            self._gate.empty()  # what was emitted before is told before
            goodbye = self.namespace.encoding.control(PacketType.DISCONNECT)
            self._session.outbox.push_control(goodbye)
            self.inbound.drop()
        self.finish(reason)

    def finish(self, reason: DisconnectReason) -> None:
        """Go, for this reason unless there was one."""
        if self.gone:
            return
        self.gone = True
        self._sends_ahead = False
        self._let_go(reason)
        self.scope.cancel()
        self.acks.fail(SocketDisconnected(self.id))
        self._session.outbox.stir()
        if self._nursery is not None:
            self._nursery.cancel()
        if self.connected:
            self.connected = False
            self._session.nursery.start_soon(end, self, reason, name="ending")
        else:
            self.inbound.end()
        self._on_gone(self)

    # For those who connect it, and let it into rooms.

    def missed(self) -> None:
        """Count a volatile event that did not go to it."""
        self._session.pressure.lost(1)

    def prepare_welcome(self) -> None:
        """Encode the CONNECT packet: a parser that fails must not do so in the namespace's turn."""
        told = {"sid": self.id}
        if self.seat is not None:
            told["pid"] = self.seat.pid
        self._welcome = self.namespace.encoding.control(PacketType.CONNECT, told)

    def admitted(self) -> None:
        """Be connected: called in the namespace's turn."""
        self.connected = self.was_connected = True
        self._sends_ahead = False
        self.inbound.expect_opening()
        missed: Iterable[Encoded] = () if self.seat is None else self.seat.entered(self)
        # CONNECT first: a client keeps what comes before it, and had it twice if it came twice.
        outbox = self._session.outbox
        assert self._welcome is not None
        outbox.push_control(self._welcome)
        self._welcome = None
        for event in missed:
            outbox.push_control(event)
        self._open_gate()

    def _open_gate(self) -> None:
        """Let events through, or through another way."""
        self._gate.open(self._way)
        self._follow_gate()

    @property
    def _way(self) -> Way:
        return self._heard or self._exit

    def keep(self, encoded: Encoded, doubt: Doubt) -> None:
        """Keep an event back, and what comes behind it, until joins that run have ended."""
        if not self.gone:
            self._gate.keep(encoded, doubt)
            self._follow_gate()
        elif doubt.sure:  # they end without it
            self.push(encoded)

    def resolve(self, room: Hosted, *, entered: bool) -> None:
        """Hear how a join has ended: called in the room's turn."""
        self._gate.resolve(room, entered=entered)
        self._follow_gate()

    def gets_behind_caller(self, encoded: Encoded) -> bool:
        """Whether this event is kept back for it by an `on_join` that waits for the caller."""
        return self._gate.has(encoded) and self._is_awaited()

    def note_emitted(self, room: Hosted, encoded: Encoded) -> None:
        """Note that the `on_join` of this room for it has emitted this event."""
        self._gate.note_emitted(room, encoded)

    def tell_witness(self, error: Exception) -> None:
        """Tell who watches this socket, if anybody does, of an error in a room's hook for it."""
        self.hooks.tell_witness(error)

    def __repr__(self) -> str:
        return f"<Socket {self.id} of {self.namespace.name!r}>"
