"""A room: an actor that owns who is in it.

Events of one turn are pushed together, which is what makes many publishers cheap; a join or leave
between two of them is a boundary: a newcomer gets no event from before it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import assert_never

from actors import Actor

from .encoded import Batch
from .errors import SocketDisconnected
from .fanout import fan_out
from .messages import Delivery, Join, Leave, Member, Publish, RoomMessage


class RoomActor(Actor[RoomMessage]):
    """`members`: who is in the room, in the order they came; only this actor's turns write it."""

    def __init__(self, name: str, retire: Callable[[RoomActor], Awaitable[bool]]) -> None:
        """`retire` asks whether the room may end, now that it is empty."""
        super().__init__(name)
        self._retire = retire
        self.members: dict[Member, None] = {}
        self._lane: list[Publish] = []

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
                    self.members[member] = None
                    member.room_actors[self.name] = self
                    reply.send(None)
            case Leave(member=member, reply=reply):
                self.settle()
                self.members.pop(member, None)
                member.room_actors.pop(self.name, None)
                reply.send(None)
            case _:
                assert_never(message)

    def settle(self) -> None:
        """Push the events of this turn."""
        lane, self._lane = self._lane, []
        while lane:
            first = lane[0]
            together = 1
            if first.sender is None and not first.volatile:
                while together < len(lane) and _is_plain(lane[together]):
                    together += 1
            if together == 1:
                first.reply.send(
                    fan_out(
                        first.encoded, self.members, sender=first.sender, volatile=first.volatile
                    )
                )
            else:
                delivery = fan_out(Batch([each.encoded for each in lane[:together]]), self.members)
                for each in lane[:together]:
                    each.reply.send(delivery)
            lane = lane[together:]

    async def between_turns(self) -> None:
        """End when nobody is here and nothing waits, if the namespace agrees."""
        if not self.members and not len(self.mailbox):
            await self._retire(self)

    def abandon(self, message: RoomMessage) -> None:
        """Answer what a closing room leaves behind: a publish reached nobody."""
        if isinstance(message, Publish):
            message.reply.send(Delivery(0))
        else:
            super().abandon(message)


def _is_plain(publish: Publish) -> bool:
    return publish.sender is None and not publish.volatile
