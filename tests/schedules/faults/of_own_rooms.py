"""Faults in how rooms of a user's type are hosted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from actors import Actor, Ask, Reply
from broker.rooms import namespace_calls
from broker.rooms.messages import Asked, EndJoin, Hosted, Join, Left, Member, RoomMessage
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.room_actor import RoomActor
from broker.rooms.room_host import RoomHost
from broker.sessions.outbox import Outbox
from broker.sockets.gate import Gate
from broker.sockets.socket import Socket
from broker.values.encoded import Encoded

from .planting import replaced


@contextmanager
def events_are_not_kept_for_joiners() -> Iterator[None]:
    """Let a joiner miss what happens while its `on_join` runs."""
    with replaced(RoomActor, "_keep", lambda _self, _lane: None):
        yield


@contextmanager
def the_snapshot_waits_with_the_events() -> Iterator[None]:
    """Send what `on_join` sends behind the events that came meanwhile."""

    def send(self: Socket, encoded: Encoded) -> bool:
        return self.push(encoded)

    with replaced(Socket, "send", send):
        yield


@contextmanager
def other_events_pass_those_that_are_kept() -> Iterator[None]:
    """Keep the room's own events only: the joiner sees another order than the others."""
    right = Gate._keep_behind

    def keep_behind(self: Gate, encoded: Encoded) -> bool:
        return right(self, encoded) if self._way is None else self._way.push(encoded)

    with replaced(Gate, "_keep_behind", keep_behind):
        yield


@contextmanager
def an_on_join_passes_itself() -> Iterator[None]:
    """Let what `on_join` sends pass what it has emitted before."""

    def note_emitted(self: Gate, room: Hosted, encoded: Encoded) -> None:
        pass

    with replaced(Gate, "note_emitted", note_emitted):
        yield


@contextmanager
def what_is_kept_does_not_count() -> Iterator[None]:
    """Let senders wait for what is in the outbox only."""
    right = Outbox.room_for

    async def room_for(self: Outbox, encoded: Encoded, **_: Any) -> None:
        await right(self, encoded, passes=lambda: True)

    with replaced(Outbox, "room_for", room_for):
        yield


@contextmanager
def who_is_refused_gets_the_rooms_events() -> Iterator[None]:
    """Let through what was kept, however the join has ended."""
    right = Gate.resolve

    def resolve(self: Gate, room: Actor[RoomMessage], *, entered: bool) -> None:
        right(self, room, entered=True)

    with replaced(Gate, "resolve", resolve):
        yield


@contextmanager
def _joins_end_with(may_enter: Callable[[Join], bool]) -> Iterator[None]:
    """Let in whom an `on_join` has accepted and who `may_enter`, and look no further."""

    def end_join(self: RoomActor, join: Join, accepted: bool) -> bool:
        del self.joining[join.member]
        entered = accepted and may_enter(join)
        if entered:
            join.reply.send(self._enter(join))
        join.member.resolve(self, entered=entered)
        return entered

    with replaced(RoomActor, "_end_join", end_join):
        yield


@contextmanager
def cancelled_joins_enter() -> Iterator[None]:
    """Let in who has been cancelled while its `on_join` ended."""
    with _joins_end_with(lambda join: not join.member.gone):
        yield


@contextmanager
def who_has_gone_enters() -> Iterator[None]:
    """Let in who has gone while its `on_join` ran: a ghost."""
    with _joins_end_with(lambda join: not join.reply.cancelled):
        yield


@contextmanager
def the_next_life_does_not_wait() -> Iterator[None]:
    """Run the last hooks in a task of their own, and begin the next life at once."""
    right = RoomHost._close

    async def close(self: RoomHost, hooks: Any) -> None:
        task = trio.lowlevel.current_task()
        assert task.parent_nursery is not None
        task.parent_nursery.start_soon(right, self, hooks)

    with replaced(RoomHost, "_close", close):
        yield


@contextmanager
def leaves_are_forgotten_when_the_room_is_busy() -> Iterator[None]:
    """Drop an `on_leave` behind another message."""
    right = RoomActor._let_out

    def let_out(self: RoomActor, member: Member) -> None:
        if self.host is not None and len(self.host.mailbox):
            host, self.host = self.host, None
            right(self, member)
            self.host = host
        else:
            right(self, member)

    with replaced(RoomActor, "_let_out", let_out):
        yield


@contextmanager
def joins_undone_have_no_on_leave() -> Iterator[None]:
    """Forget that an `on_join` has returned when the socket had gone meanwhile."""
    right = RoomHost._say_goodbye

    async def say_goodbye(self: RoomHost, hooks: Any, member: Member) -> None:
        if member.gone and member not in self.room.members:
            del self._in[member]
        else:
            await right(self, hooks, member)

    with replaced(RoomHost, "_say_goodbye", say_goodbye):
        yield


@contextmanager
def a_room_ends_on_a_waiting_message() -> Iterator[None]:
    """Let an empty room go, though somebody has just come."""

    def may_retire(self: NamespaceActor, room: RoomActor) -> bool:
        self._forget(room)
        return True

    with replaced(NamespaceActor, "_may_retire", may_retire):
        yield


@contextmanager
def questions_are_withdrawn_while_they_are_answered() -> Iterator[None]:
    """Raise `Cancelled` in who asked, though it happens."""
    with replaced(Reply, "bind", lambda _self: None):
        yield


@contextmanager
def cancelled_questions_are_asked() -> Iterator[None]:
    """Handle what was withdrawn before its turn."""
    with replaced(Ask, "withdrawn", False), replaced(Asked, "withdrawn", False):
        yield


@contextmanager
def circles_are_not_found() -> Iterator[None]:
    """Let rooms wait for each other."""

    @contextmanager
    def waiting_for(_find: object, _question: object = None) -> Iterator[None]:
        yield

    with replaced(namespace_calls, "waiting_for", waiting_for):
        yield


@contextmanager
def membership_is_answered_later() -> Iterator[None]:
    """Decide that a join has succeeded before the room has made it a member."""
    right = RoomActor.receive
    turns = RoomActor.between_turns

    def receive(self: RoomActor, message: Any) -> None:
        if isinstance(message, EndJoin) and message.accepted:
            message.join.reply.send(True)
            self.__dict__.setdefault("late", []).append(message)
        else:
            right(self, message)

    async def between_turns(self: RoomActor) -> None:
        for message in self.__dict__.pop("late", []):
            await trio.lowlevel.checkpoint()
            right(self, message)
        await turns(self)

    with (
        replaced(RoomActor, "receive", receive),
        replaced(RoomActor, "between_turns", between_turns),
    ):
        yield


@contextmanager
def leaves_run_beside_the_rest() -> Iterator[None]:
    """Run `on_leave` in a task of its own, beside the room's other calls."""
    right = RoomHost._handle

    async def handle(self: RoomHost, hooks: Any, message: Any) -> None:
        if isinstance(message, Left):
            task = trio.lowlevel.current_task()
            assert task.parent_nursery is not None
            task.parent_nursery.start_soon(right, self, hooks, message)
        else:
            await right(self, hooks, message)

    with replaced(RoomHost, "_handle", handle):
        yield
