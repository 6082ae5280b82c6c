"""Faults in what cancelled calls leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from actors import Ask
from broker.rooms.messages import Audience, Delivery, Join, Leave, Member
from broker.rooms.namespace_calls import NamespaceCalls
from broker.rooms.namespace_routes import NamespaceRoutes
from broker.sockets.membership import Membership
from broker.sockets.socket import Socket
from broker.values.encoded import Encoded

from .planting import replaced


@contextmanager
def cancelled_questions_are_asked() -> Iterator[None]:
    """Handle a join or an event whose caller was cancelled while it waited for its turn."""
    with replaced(Ask, "withdrawn", False):
        yield


@contextmanager
def cancelled_leave_is_withdrawn() -> Iterator[None]:
    """Skip a leave whose caller was cancelled: it stays in the room."""
    with replaced(Leave, "binding", False):
        yield


@contextmanager
def leave_looks_for_cancellation_first() -> Iterator[None]:
    """Raise `Cancelled` before a leave is posted."""
    right = Membership.leave

    async def leave(self: Membership, *rooms: str) -> None:
        await trio.lowlevel.checkpoint()
        await right(self, *rooms)

    with replaced(Membership, "leave", leave):
        yield


@contextmanager
def join_of_two_keeps_the_first() -> Iterator[None]:
    """Cancelled in the second room, stay in the first."""

    async def join(self: Membership, *rooms: str) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        for room in rooms:
            await self._actor.join(self._as_member, room)
        await trio.lowlevel.cancel_shielded_checkpoint()

    with replaced(Membership, "join", join):
        yield


@contextmanager
def join_raises_though_it_happened() -> Iterator[None]:
    """Look for cancellation behind the join, too: it raises, and the socket is in the room."""
    right = NamespaceCalls.join

    async def join(self: NamespaceCalls, member: Member, name: str) -> Join | None:
        join = await right(self, member, name)
        await trio.lowlevel.checkpoint()
        return join

    with replaced(NamespaceCalls, "join", join):
        yield


@contextmanager
def emit_raises_though_it_happened() -> Iterator[None]:
    """Look for cancellation behind the fan-out, too: it raises, and all have the event."""
    right = NamespaceRoutes.publish

    async def publish(
        self: NamespaceRoutes, audience: Audience, encoded: Encoded, *, volatile: bool = False
    ) -> Delivery:
        delivery = await right(self, audience, encoded, volatile=volatile)
        await trio.lowlevel.checkpoint()
        return delivery

    with replaced(NamespaceRoutes, "publish", publish):
        yield


@contextmanager
def emit_to_one_raises_though_it_happened() -> Iterator[None]:
    """Look for cancellation behind the push: `socket.emit` raises, and the event is sent."""
    right = Socket.emit

    async def emit(self: Socket, event: str, *args: Any) -> None:
        await right(self, event, *args)
        await trio.lowlevel.checkpoint()

    with replaced(Socket, "emit", emit):
        yield


@contextmanager
def disconnect_looks_for_cancellation_first() -> Iterator[None]:
    """Raise `Cancelled` before the socket is dismissed."""
    right = Socket.disconnect

    async def disconnect(self: Socket, close: bool = False) -> None:
        await trio.lowlevel.checkpoint()
        await right(self, close)

    with replaced(Socket, "disconnect", disconnect):
        yield


@contextmanager
def joined_does_not_leave_when_cancelled() -> Iterator[None]:
    """Leave on the way out of `joined` only when the block ends well."""

    @contextmanager
    def nothing() -> Iterator[None]:
        yield

    class Joined:
        def __init__(self, socket: Membership, *rooms: str) -> None:
            self.socket, self.rooms = socket, rooms

        async def __aenter__(self) -> None:
            await self.socket.join(*self.rooms)

        async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
            if error is None:
                await self.socket.leave(*self.rooms)

    with replaced(
        Membership,
        "joined",
        lambda *call: Joined(*call),  # noqa: PLW0108 - a function binds, a class does not
    ):
        yield
