"""One session's namespaces: reads Socket.IO packets and hands each to the socket it is for.

A client that breaks the protocol is disconnected: an undecodable packet, a CONNECT_ERROR, a second
CONNECT for a namespace, a packet for a namespace it is not in. One for a namespace that the server
has just put it out of is only ignored: the client could not know yet.

What passes a limit is refused where the client can be told, and goes on: a CONNECT is. An event
whose name is too long breaks the protocol.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any, Protocol

import attrs
import trio

from broker.rooms.events import Encoding
from broker.rooms.home import Home
from broker.rooms.seat import Seat
from broker.sessions.inbox import Inbox
from broker.sessions.session import Session
from broker.sessions.timers import Timer
from broker.values.encoded import Encoded
from broker.values.options import Options
from broker.values.reasons import DisconnectReason
from protocol import ProtocolError
from protocol.engineio import size_of
from protocol.parser import parser_of
from protocol.socketio import Packet, PacketType

from .admission import admit, refusal
from .socket import Socket

logger = logging.getLogger("atrio.session")


class Namespaces(Protocol):
    """Who knows which namespaces there are."""

    def known(self, name: str) -> Home | None:
        """Return the namespace if it exists already."""

    async def found(self, name: str, auth: dict[str, Any]) -> Home | None:
        """Return the namespace, which may come to be now, or None."""


@attrs.frozen(eq=False)
class _Search:
    """A namespace that is being looked for, and the events (with their sizes) that wait for it."""

    early: Inbox[tuple[Packet, int]]
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def give_up(self) -> None:
        self.early.clear()
        self.scope.cancel()


class Multiplexer:
    """What lives above one session: its sockets by namespace."""

    def __init__(self, session: Session, namespaces: Namespaces, options: Options) -> None:
        self._session = session
        self._namespaces = namespaces
        self._options = options
        parser = parser_of(
            options.parser,
            options.max_attachments,
            lenient=options.traps.bare_packets_are_accepted,
        )
        self._decoder = parser.decoder()
        self._longest_name = options.max_name_length
        self._size = 0  # of the packet whose attachments still come
        self._sockets: dict[str, Socket] = {}
        self._sought: dict[str, _Search] = {}
        # Namespaces the server has put the client out of: the latest, for it may go on asking.
        self._dismissed: dict[str, None] = {}
        self._logged: list[str] = []  # limits that are worth one line
        self._waits_once = options.traps.connect_timeout_is_one_shot
        self._alone: Timer | None = None
        self._expect_namespace()

    # What the session calls.

    def receive(self, message: str | bytes) -> None:
        """Handle one Engine.IO message."""
        try:
            packet = self._decoder.add(message)
            self._size += size_of(message)
            if packet is not None:
                size, self._size = self._size, 0
                if size > self._longest_name:
                    self._check_event_name(packet)
                self._route(packet, size)
        except ProtocolError as error:
            logger.info("session %s: %s", self._session.id, error)
            self._session.close(DisconnectReason.FORCED_CLOSE)

    def slow(self) -> None:
        """Tell the sockets' namespaces that the client reads too little."""
        for socket in self._sockets.values():
            if socket.connected:
                socket.hooks.tell_slow()

    def ended(self, reason: DisconnectReason) -> None:
        """Let all sockets go."""
        if self._alone is not None:
            self._alone.cancel()
        for search in self._sought.values():
            search.give_up()
        by_server = reason is DisconnectReason.SERVER_NAMESPACE_DISCONNECT
        for socket in list(self._sockets.values()):
            if by_server:
                socket.dismiss(reason)
            else:
                socket.finish(reason)

    # Packets.

    def _check_event_name(self, packet: Packet) -> None:
        name = packet.data[0] if packet.type is PacketType.EVENT else ""
        if isinstance(name, str) and len(name) > self._longest_name:
            raise ProtocolError(
                f"expected an event's name of at most max_name_length={self._longest_name} "
                f"characters, saw {len(name)}: {name[:20]!r}…"
            )

    def _route(self, packet: Packet, size: int) -> None:
        socket = self._sockets.get(packet.namespace)
        if socket is None:
            self._route_without_socket(packet, size)
            return
        match packet.type:
            case PacketType.EVENT:
                socket.inbound.put(packet, size)
            case PacketType.ACK:
                if packet.id is not None:
                    socket.acks.answer(packet.id, packet.data)
            case PacketType.DISCONNECT:
                socket.finish(DisconnectReason.CLIENT_NAMESPACE_DISCONNECT)
                self._dismissed.pop(packet.namespace, None)
            case _:
                raise ProtocolError(f"{packet.type.name} for {packet.namespace}, where it is")

    def _route_without_socket(self, packet: Packet, size: int) -> None:
        name = packet.namespace
        search = self._sought.get(name)
        if search is not None:
            self._route_early(packet, size, search)
        elif packet.type is PacketType.CONNECT:
            self._connect(name, packet.data or {})
        elif packet.type is PacketType.CONNECT_ERROR or name not in self._dismissed:
            raise ProtocolError(f"{packet.type.name} for {name}, where it is not")
        elif packet.type is PacketType.DISCONNECT:
            self._dismissed.pop(name, None)

    def _route_early(self, packet: Packet, size: int, search: _Search) -> None:
        match packet.type:
            case PacketType.EVENT:
                search.early.put((packet, size), size)
            case PacketType.DISCONNECT:
                del self._sought[packet.namespace]  # it may ask again at once
                search.give_up()
            case _:
                raise ProtocolError(f"{packet.type.name} for {packet.namespace}, not yet entered")

    # Coming and going.

    def _connect(self, name: str, auth: dict[str, Any]) -> None:
        self._dismissed.pop(name, None)
        if len(name) > self._longest_name:
            self._log_limit("max_name_length", f"a namespace's name of {len(name)} characters")
            self._send_now(self._refusal(name))  # and its name is not remembered
            return
        most = self._options.max_namespaces_per_connection
        if len(self._sockets) + len(self._sought) >= most:
            self._log_limit("max_namespaces_per_connection", "one more")
            why = f"too many namespaces: max_namespaces_per_connection={most}"
            self._refuse(name, self._refusal(name, why))
            return
        namespace = self._namespaces.known(name)
        if namespace is not None and _seat_of(namespace, auth) is None:
            socket = self._make_socket(namespace, auth)
            self._session.nursery.start_soon(self._let_in, socket, name="admission")
        else:
            search = self._sought[name] = _Search(Inbox(self._options, self._session))
            self._session.nursery.start_soon(
                self._look_for, name, namespace, auth, search, name="look-up"
            )

    def _refusal(self, name: str, why: str = "Invalid namespace") -> Encoded:
        return refusal(Encoding.of(self._options, name), why)

    async def _look_for(
        self, name: str, namespace: Home | None, auth: dict[str, Any], search: _Search
    ) -> None:
        with search.scope:
            if namespace is None:
                namespace = await self._namespaces.found(name, auth)
            if namespace is not None and (seat := _seat_of(namespace, auth)) is not None:
                await seat.vacated()
        if search.scope.cancel_called:
            return  # the client has left it, or has gone
        del self._sought[name]
        if namespace is None:
            search.early.clear()
            self._refuse(name, self._refusal(name))
            return
        socket = self._make_socket(namespace, auth)
        while search.early:
            socket.inbound.put(*search.early.take())
        await self._let_in(socket)

    async def _let_in(self, socket: Socket) -> None:
        refused = await admit(socket)
        if refused is not None:
            self._refuse(socket.namespace.name, refused)

    def _refuse(self, name: str, refused: Encoded) -> None:
        self._dismiss(name)
        self._send_now(refused)

    def _send_now(self, refused: Encoded) -> None:
        self._session.outbox.push_control(refused)
        self._session.outbox.flush()

    def _dismiss(self, name: str) -> None:
        self._dismissed[name] = None
        if len(self._dismissed) > self._options.max_namespaces_per_connection:
            del self._dismissed[next(iter(self._dismissed))]

    def _log_limit(self, option: str, seen: str) -> None:
        """Log, once, that the client has met a limit that does not end its session."""
        if option not in self._logged:
            self._logged.append(option)
            logger.warning(
                "session %s: a CONNECT is refused by %s=%d: its client asked for %s",
                self._session.id,
                option,
                getattr(self._options, option),
                seen,
            )

    def _make_socket(self, namespace: Home, auth: dict[str, Any]) -> Socket:
        namespace.running("a socket")  # it may have rested
        seat = None
        if namespace.seats is not None:
            timers = self._session.services.timers
            seat = namespace.seats.claim(auth) or namespace.seats.new(auth, timers)
        socket = Socket(
            secrets.token_urlsafe(15) if seat is None else seat.id,  # as long as Node's: 20
            namespace,
            attrs.evolve(self._session.handshake, auth=auth),
            self._session,
            self._forget,
            seat,
        )
        self._sockets[namespace.name] = socket
        if self._alone is not None and not self._waits_once:
            self._alone.cancel()
        return socket

    def _forget(self, socket: Socket) -> None:
        name = socket.namespace.name
        if self._sockets.get(name) is socket:
            del self._sockets[name]
            self._dismiss(name)
        if self._waits_once:
            if socket.was_connected and self._alone is not None:
                self._alone.cancel()
        elif not any(other.connected for other in self._sockets.values()):
            self._expect_namespace()

    def _expect_namespace(self) -> None:
        """Give the client `connect_timeout` to be in a namespace, from now on."""
        if self._alone is not None:
            self._alone.cancel()
        if not self._session.ended:
            self._alone = self._session.services.timers.after(
                self._options.connect_timeout, self._end_if_alone
            )

    def _end_if_alone(self) -> None:
        if any(socket.connected for socket in self._sockets.values()):
            return
        logger.info(
            "session %s is in no namespace after connect_timeout=%g s",
            self._session.id,
            self._options.connect_timeout,
        )
        self._session.close(DisconnectReason.CONNECT_TIMEOUT)


def _seat_of(namespace: Home, auth: dict[str, Any]) -> Seat | None:
    """Return the seat that a client wants to come back to, and may."""
    return None if namespace.seats is None else namespace.seats.of(auth)
