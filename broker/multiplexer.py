"""One session's namespaces: reads Socket.IO packets and hands each to the socket it is for.

A client that breaks the protocol is disconnected: an undecodable packet, a CONNECT_ERROR, a second
CONNECT for a namespace, a packet for a namespace it is not in. One for a namespace that the server
has just put it out of is only ignored: the client could not know yet.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any, Protocol

import attrs
import trio

from protocol import ProtocolError
from protocol.parser import parser_of
from protocol.socketio import Packet, PacketType

from .admission import admit, refusal
from .encoded import Encoded
from .events import Encoding
from .home import Home
from .inbox import Inbox
from .options import Options
from .reasons import DisconnectReason
from .session import Session
from .socket import Socket
from .timers import Timer

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
        self._decoder = parser_of(options.parser).decoder()
        self._size = 0  # of the packet whose attachments still come
        self._sockets: dict[str, Socket] = {}
        self._sought: dict[str, _Search] = {}
        self._dismissed: set[str] = set()  # namespaces the server has put the client out of
        self._alone: Timer | None = None
        self._expect_namespace()

    # What the session calls.

    def receive(self, message: str | bytes) -> None:
        """Handle one Engine.IO message."""
        try:
            packet = self._decoder.add(message)
            self._size += _size_of(message)
            if packet is not None:
                size, self._size = self._size, 0
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
                self._dismissed.discard(packet.namespace)
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
            self._dismissed.discard(name)

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
        self._dismissed.discard(name)
        namespace = self._namespaces.known(name)
        if namespace is not None:
            socket = self._make_socket(namespace, auth)
            self._session.nursery.start_soon(self._let_in, socket, name="admission")
        else:
            search = self._sought[name] = _Search(Inbox(self._options, self._session))
            self._session.nursery.start_soon(self._look_for, name, auth, search, name="look-up")

    async def _look_for(self, name: str, auth: dict[str, Any], search: _Search) -> None:
        namespace = None
        with search.scope:
            namespace = await self._namespaces.found(name, auth)
        if search.scope.cancel_called:
            return  # the client has left it, or has gone
        del self._sought[name]
        if namespace is None:
            search.early.clear()
            self._refuse(name, refusal(Encoding.of(self._options, name), "Invalid namespace"))
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
        self._dismissed.add(name)
        self._session.outbox.push_control(refused)
        self._session.outbox.flush()

    def _make_socket(self, namespace: Home, auth: dict[str, Any]) -> Socket:
        socket = Socket(
            secrets.token_urlsafe(15),  # 20 characters, as long as Node's
            namespace,
            attrs.evolve(self._session.handshake, auth=auth),
            self._session,
            self._forget,
        )
        self._sockets[namespace.name] = socket
        if self._alone is not None:
            self._alone.cancel()
        return socket

    def _forget(self, socket: Socket) -> None:
        name = socket.namespace.name
        if self._sockets.get(name) is socket:
            del self._sockets[name]
            self._dismissed.add(name)
        if not any(other.connected for other in self._sockets.values()):
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


def _size_of(message: str | bytes) -> int:
    """Return how many bytes a message was on the wire."""
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    return len(message.encode())
