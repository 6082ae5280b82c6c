"""From a CONNECT packet to a connected socket: middleware, admission, connection hooks."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import trio

from actors import ActorGone
from broker.handlers.handler import Handler
from broker.rooms.events import Encoding
from broker.rooms.messages import Admit
from broker.values.encoded import Encoded
from broker.values.errors import ConnectError, unwrapped
from broker.values.reasons import DisconnectReason
from protocol.socketio import PacketType

from .socket import Socket

logger = logging.getLogger("atrio.socket")

_FAILED = ConnectError("internal error")  # a user's error says nothing to clients


def refusal(encoding: Encoding, message: str, data: Any = None) -> Encoded:
    """Return the packet that tells a client that it may not enter."""
    content = {"message": message} if data is None else {"message": message, "data": data}
    return encoding.control(PacketType.CONNECT_ERROR, content)


async def admit(socket: Socket) -> Encoded | None:
    """Let a socket in, and handle its events for a while; or return what refuses it.

    Whatever becomes of it, nothing of it is left behind.
    """
    admitted = False
    refused: ConnectError | None = None
    try:
        with socket.scope:
            refused = await _pass_middleware(socket)
            if refused is None:
                await socket.namespace.hears_others()
                admitted = await _enter(socket)
            if admitted:
                await _return_to_rooms(socket)
    finally:
        if not admitted:
            socket.finish(DisconnectReason.CLIENT_NAMESPACE_DISCONNECT)
            await socket.forget()
            socket.namespace.visited()
    if admitted:
        await socket.inbound.open()
    elif refused is not None and not _is_kept_silent(socket, refused):
        return _told(socket, refused)
    return None


def _is_kept_silent(socket: Socket, refused: ConnectError) -> bool:
    return refused is _FAILED and socket.namespace.traps.failed_middleware_is_silent


def _told(socket: Socket, refused: ConnectError) -> Encoded:
    try:
        return refusal(socket.namespace.encoding, refused.message, refused.data)
    except (TypeError, ValueError):
        logger.exception("%s: a ConnectError cannot be sent", socket.namespace)
        return refusal(socket.namespace.encoding, "internal error")


async def _enter(socket: Socket) -> bool:
    """Be connected, in the namespace's turn; False when the client has gone meanwhile."""
    admitted = False
    socket.prepare_welcome()
    with trio.CancelScope(shield=True), suppress(ActorGone):  # done within a turn, and then true
        admitted = await socket.namespace.running("connect").ask(Admit(socket))
    return admitted


async def _return_to_rooms(socket: Socket) -> None:
    """Join the rooms of users' types again in which its seat was kept: they may refuse it."""
    for room in list(socket.seat.room_actors) if socket.seat is not None else ():
        try:
            await socket.join(room)
        except Exception as error:  # noqa: BLE001 - what an `on_join` raises, its room has logged
            if socket.gone:
                return
            logger.info("%s: socket %s is out of %r: %s", socket.namespace, socket.id, room, error)
            await socket.leave(room)


async def _pass_middleware(socket: Socket) -> ConnectError | None:
    """Run the namespace's middleware in order; return the refusal of the first that refuses."""
    recovery = socket.namespace.options.connection_state_recovery
    if socket.recovered and recovery is not None and recovery.skip_middlewares:
        return None
    limit = socket.namespace.options.admission_timeout
    try:
        with trio.fail_after(limit):
            for middleware in socket.namespace.handlers.of_use("middleware"):
                refused = await _refusal_by(middleware, socket)
                if refused is not None:
                    return refused
    except trio.TooSlowError:
        logger.warning(
            "%s: the middleware of socket %s took longer than middleware_timeout=%g s",
            socket.namespace,
            socket.id,
            limit,
        )
        return ConnectError("the server took too long to decide")
    return None


async def _refusal_by(middleware: Handler, socket: Socket) -> ConnectError | None:
    try:
        await middleware.function(socket)
    except Exception as raised:
        error = unwrapped(raised)
        if isinstance(error, ConnectError):
            return error
        logger.exception(
            "%s: the middleware %s failed for socket %s",
            socket.namespace,
            middleware.name,
            socket.id,
        )
        socket.hooks.tell_witness(error)
        return _FAILED
    return None
