"""A room: an actor that owns who is in it.

Events of one turn are pushed together, which is what makes many publishers cheap; a join or leave
between two of them is a boundary: a newcomer gets no event from before it.

A client that has lost its connection is no member, but its seat is kept while it may come back: it
is `away`, and the room's events go there, too. The namespace moves it, in one step for all its
rooms: so that is all the same to the order of events.

A room of a user's type has a host besides, an actor of its own, which runs the user's code. The
room does not wait for it: while an `on_join` runs, the room's events are kept for the joiner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, assert_never, cast

from actors import Actor, ActorGone, AsyncActor, Reply
from broker.values.errors import SocketDisconnected

from .fanout import fan_out, fan_out_together
from .messages import (
    BeginJoin,
    Delivery,
    Doubt,
    Emptied,
    EndJoin,
    Evict,
    HostMessage,
    Join,
    Leave,
    Left,
    Listener,
    Member,
    Publish,
    RoomMessage,
)
from .room_events import RoomEvents


class RoomActor(Actor[RoomMessage]):
    """`members`: who is in the room, in the order they came, and each one's latest join.

    `joining`: whose `on_join` runs, and whether it is still to be in afterwards. `away`: who is not
    in and still gets the events: the seats of those who may come back, and those who have, until
    their `on_join` starts. `host`: who runs the user's code, in a room of a user's type.
    Only this actor's turns write `members` and `joining`; the namespace's, too, from and to `away`.
    """

    def __init__(
        self, name: str, retire: Callable[[RoomActor], Awaitable[bool]], events: RoomEvents
    ) -> None:
        """`retire` asks whether the room may end, now that it is empty; `events`: who listens."""
        super().__init__(name)
        self._retire = retire
        self._events = events
        self.members: dict[Member, Join] = {}
        self.joining: dict[Member, bool] = {}
        self.away: dict[Listener, Reply[bool]] = {}  # and what the latest join of each got
        self.host: AsyncActor[HostMessage] | None = None
        self._entered: dict[Member, Join] = {}  # the joins by which members have come in
        self._lane: list[Publish] = []

    @property
    def entrance(self) -> Actor[Any]:
        """Who takes joins: the host if there is one."""
        return self if self.host is None else self.host

    def receive(self, message: RoomMessage) -> None:
        """Handle one message."""
        match message:
            case Publish():
                self._lane.append(message)
            case Join(member=member, reply=reply):
                self.settle()
                if member.gone:
                    reply.fail(SocketDisconnected(member.id))
                else:
                    reply.send(self._enter(message))
            case Leave(member=member, undoes=undoes, reply=reply):
                self.settle()
                if undoes is None or self._reply_of(member) is undoes.reply:
                    self._let_out(member)
                if undoes is None and member in self.joining:
                    self.joining[member] = False
                reply.send(None)
            case BeginJoin(join=join, reply=reply):
                self.settle()
                reply.send(self._begin_join(join))
            case EndJoin(join=join, accepted=accepted, reply=reply):
                self.settle()
                reply.send(self._end_join(join, accepted))
            case Evict(reply=reply):
                self.settle()
                for member in list(self.members):
                    self._let_out(member)
                reply.send(None)
            case _:
                assert_never(message)

    def concerns(self, member: Member) -> bool:
        """Whether a leave has something to do: the member is in, or will be, or its seat is."""
        return (
            member in self.members
            or member in self.joining
            or member in self.away
            or (not member.gone and member.now in self.away)
        )

    def _enter(self, join: Join) -> bool:
        is_new = join.member not in self.members
        if is_new and self.host is not None:
            self._entered[join.member] = join
        if is_new and self._events and not self.members:
            self._events.tell("create", self.name)
        self.members[join.member] = join
        join.member.room_actors[self.name] = self
        if is_new and self._events:
            self._events.tell("join", self.name, join.member.id)
        return is_new

    def _let_out(self, listener: Listener) -> None:
        """Let out a member, or who is away; of who has gone, the one who is there instead."""
        if not self._let_out_member(listener) and not self._let_out_member(listener.now):
            self._forget_away(listener.now)

    def _let_out_member(self, listener: Listener) -> bool:
        member = cast("Member", listener)
        if self.members.pop(member, None) is None:
            return False
        del member.room_actors[self.name]
        if self.host is not None:
            with suppress(ActorGone):  # it lets everybody out by itself when it ends
                self.host.tell_surely(Left(member, self._entered.pop(member)))
        if self._events:
            self._tell_left(member)
        return True

    def _tell_left(self, member: Member) -> None:
        self._events.tell("leave", self.name, member.id)
        if not self.members:
            self._events.tell("delete", self.name)

    # Who is away.

    def keep_seat(self, member: Member, seat: Listener) -> None:
        """Have the seat of a member, or of who has not come back quite, be away instead."""
        reply = self._reply_of(member)
        if reply is None:
            return
        if not self._let_out_member(member):
            del self.away[member]
        self.away[seat] = reply
        seat.room_actors[self.name] = self

    def give_back(self, seat: Listener, member: Member) -> None:
        """Let in who comes back; in a room of a user's type, only when its `on_join` has run."""
        reply = self.away.pop(seat)
        if self.host is not None and member not in self.members and member not in self.joining:
            self.away[member] = reply
            return
        del seat.room_actors[self.name]
        if self.host is None:
            self._enter(Join(member))

    def _forget_away(self, listener: Listener) -> None:
        if self.away.pop(listener, None) is None:
            return
        if listener.seat is not None:
            del listener.seat.room_actors[self.name]
        if self.host is not None and not self.away:
            with suppress(ActorGone):
                self.host.tell_surely(Emptied())

    def _reply_of(self, listener: Listener) -> Reply[bool] | None:
        """Return the answer that the latest join of a member got, or of who is there instead."""
        for each in (listener, listener.now):
            join = self.members.get(cast("Member", each))
            if join is not None:
                return join.reply
            if each in self.away:
                return self.away[each]
        return None

    def _recipients(self) -> Iterable[Listener]:
        if not self.away:
            return self.members
        # Who is about to come back gets all at his seat, also where middleware has let him in.
        heirs = {each.heir for each in self.away}
        return [*(member for member in self.members if member not in heirs), *self.away]

    def _excluded(self, sender: Listener | None) -> Listener | None:
        """Return who is not to get what `sender` sends: himself, or who is there instead."""
        if sender is None or (sender in self.members and sender.now not in self.away):
            return sender
        return sender.now

    # Joins to a room of a user's type.

    def _begin_join(self, join: Join) -> bool:
        self._forget_away(join.member)
        if join.member in self.members:
            join.reply.send(self._enter(join))
            return False
        self.joining[join.member] = True
        return True

    def _end_join(self, join: Join, accepted: bool) -> bool:
        # In one step: a join that is cancelled behind it has happened, one before it never did.
        stays = self.joining.pop(join.member)
        happens = accepted and not join.reply.cancelled and not join.member.gone
        entered = happens and stays
        if happens:  # who has left meanwhile was let in, and is out again
            join.reply.send(entered and self._enter(join))
        join.member.resolve(self, entered=entered)
        return entered

    def settle(self) -> None:
        """Push the events of this turn."""
        lane, self._lane = self._lane, []
        if not lane:
            return
        if self.joining:
            self._keep(lane)
        recipients = self._recipients()
        while lane:
            first = lane[0]
            together = 1
            if _is_plain(first):
                while together < len(lane) and _is_plain(lane[together]):
                    together += 1
            if together == 1:
                delivery = fan_out(
                    first.encoded,
                    recipients,
                    sender=self._excluded(first.sender),
                    volatile=first.volatile,
                    survey=first.asks,
                )
                first.reply.send(delivery)
            else:
                events = [each.encoded for each in lane[:together]]
                deliveries = fan_out_together(events, recipients)
                for each, delivery in zip(lane, deliveries, strict=False):
                    each.reply.send(delivery)
            lane = lane[together:]

    def _keep(self, lane: list[Publish]) -> None:
        """Keep events for those whose `on_join` runs; volatile ones are not for them.

        One that asks comes to them as any other does, but nobody waits for their acks: they are no
        members yet, and it may be their own `on_join` that asks the members.
        """
        for publish in lane:
            if not publish.volatile:
                for member in self.joining:
                    if member is not publish.sender:
                        member.keep(publish.encoded, Doubt(via={self}))

    def disband(self) -> None:
        """Have no members any more: it has failed, or ended without them."""
        for listener in self.away:
            if listener.seat is not None:
                listener.seat.room_actors.pop(self.name, None)
        self.away.clear()
        while self.members:
            member, _ = self.members.popitem()
            member.room_actors.pop(self.name, None)
            if self._events:
                self._tell_left(member)

    async def between_turns(self) -> None:
        """End when nobody is here and nothing waits, if the namespace agrees."""
        if self.host is None and not self.members and not self.away and not len(self.mailbox):
            await self._retire(self)

    def abandon(self, message: RoomMessage) -> None:
        """Answer what a closing room leaves behind: a publish reached nobody."""
        if isinstance(message, Publish):
            message.reply.send(Delivery(0))
        else:
            super().abandon(message)


def _is_plain(publish: Publish) -> bool:
    return publish.sender is None and not publish.volatile and not publish.encoded.kept
