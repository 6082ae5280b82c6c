"""What other nodes say of one namespace, done here in the order in which it came.

It is done by the same functions as what this node's program calls, with `local` targets. The next
waits for the one before it, so a join counts for the event behind it. That waits for rooms' turns,
but for no client, nor for the `on_join` of a room of a user's type: its start is the boundary. Only
events do not wait for each other: they are posted one behind the other, and all else waits for the
last of them. That is twice as quick.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import closing
from typing import Any, Protocol, cast

import trio

from actors import ActorGone, AsyncActor, Reply, Restart, Supervisor
from broker.handlers.listeners import Handlers
from broker.rooms.messages import Audience, Delivery
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.room import RoomTypes
from broker.rooms.survey import Respondent, Survey
from broker.rooms.target import Publisher, Target
from broker.values.encoded import Encoded
from broker.values.errors import BrokerNotRunning
from broker.values.options import Options
from protocol.cluster.messages import (
    Answer,
    Broadcast,
    ClientAnswered,
    ClientCount,
    DisconnectThem,
    Envelope,
    FetchThem,
    LetIn,
    LetOut,
    ListRooms,
    Recipients,
    RoomsListed,
    ServerEvent,
    SocketsFetched,
)

from .remote_socket import LocalSocket, facts_of
from .server_events import ServerEvents

logger = logging.getLogger("atrio.adapter")

MOST = 10_000
"""How many requests may wait here. A second's worth of what one process can do."""


class Place(Publisher, Protocol):
    """A namespace, as far as others act on it."""

    actor: NamespaceActor | None
    handlers: Handlers
    room_types: RoomTypes
    options: Options


class Speaker(Protocol):
    """The node, as far as it answers."""

    def answer(self, to: Envelope, message: Answer) -> None:
        """Answer a request."""

    def refuse(self, node: str, reason: object) -> None:
        """Note that a request made no sense."""


class Inbound(AsyncActor[Envelope]):
    """The requests that wait for one namespace."""

    def __init__(self, place: Place, node: Speaker, supervisor: Supervisor) -> None:
        super().__init__(f"inbound of {place.name}", capacity=MOST)
        self._place = place
        self._node = node
        self._supervisor = supervisor
        self._latest: Reply[Delivery] | None = None  # of an event that nothing has waited for
        self.server_events = ServerEvents(place, node.answer, supervisor)

    async def handle(self, message: Envelope) -> None:
        """Do what another node asks; what makes no sense is refused, and harms nobody."""
        if self._place.actor is None:  # the broker, or the namespace, has ended
            return
        try:
            await self._do(message, self._place.actor)
        except (ActorGone, BrokerNotRunning):
            pass  # it has ended meanwhile
        except (TypeError, ValueError) as error:
            self._node.refuse(message.node, error)
        except Exception:
            logger.exception("%s: what node %s asks failed", self._place.name, message.node)

    async def _do(self, request: Envelope, actor: NamespaceActor) -> None:
        if isinstance(request.message, Broadcast) and request.message.request_id is None:
            encoded, volatile = self._encoded(request.message)
            audience = _audience(request.message.to)
            self._latest = actor.publish_surely(audience, encoded, volatile=volatile)
            return
        latest, self._latest = self._latest, None
        if latest is not None:
            await latest.wait()
        match request.message:
            case Broadcast() as broadcast:
                await self._survey(request, broadcast, actor)
            case LetIn(who=who, rooms=rooms):
                await self._let_in(self._target(who), rooms)
            case LetOut(who=who, rooms=rooms):
                await self._target(who).sockets_leave(*rooms)
            case DisconnectThem(who=who, close=close):
                await self._target(who).disconnect_sockets(close is True)
            case FetchThem(who=who, request_id=id_):
                sockets = cast("list[LocalSocket]", await self._target(who).fetch_sockets())
                facts = tuple(facts_of(socket) for socket in sockets)
                self._node.answer(request, SocketsFetched(id_, facts))
            case ListRooms(request_id=id_):
                listed = [name for name, room in actor.rooms.items() if room.members]
                self._node.answer(request, RoomsListed(id_, (*listed, *actor.sockets)))
            case ServerEvent(data=data):
                _event(data)
                self.server_events.take(request)
            case _:
                raise TypeError(f"{type(request.message).__name__} is no request to a namespace")

    def _target(self, who: Recipients) -> Target:
        """Return who is meant of those here."""
        return Target(self._place, _audience(who))

    def _encoded(self, broadcast: Broadcast, id_: int | None = None) -> tuple[Encoded, bool]:
        """Return an event, and whether it is volatile."""
        event, *args = _event(broadcast.data)
        volatile = broadcast.volatile is True
        encoded = self._place.encoding.event(
            event, tuple(args), id_, compress=broadcast.compress is True, volatile=volatile
        )
        return encoded, volatile

    async def _let_in(self, target: Target, rooms: tuple[str, ...]) -> None:
        if any(self._place.room_types.of(room) is not None for room in _names(rooms)):
            self._supervisor.start_soon(
                target.sockets_join, *rooms, name=f"joins of {self.name}", restart=Restart.DROP
            )
        else:
            await target.sockets_join(*rooms)

    async def _survey(self, request: Envelope, broadcast: Broadcast, actor: NamespaceActor) -> None:
        survey = _PassedOn(actor.next_ack_id(), self._node, request)
        encoded, volatile = self._encoded(broadcast, survey.id)
        limit = broadcast.timeout
        if not isinstance(limit, int | float) or not limit >= 0:
            limit = self._place.ack_timeout
        deadline = trio.current_time() + limit
        await actor.publish(_audience(broadcast.to), encoded, volatile=volatile, asks=survey)
        self._node.answer(request, survey.count())
        self._supervisor.start_soon(_see_through, survey, deadline, name=f"answers of {self.name}")


class _PassedOn(Survey):
    """A survey of another node: it gets the answers."""

    __slots__ = ("_node", "_request", "_request_id")

    def __init__(self, id_: int, node: Speaker, request: Envelope) -> None:
        super().__init__(id_)
        self._node = node
        self._request = request
        self._request_id = cast("Broadcast", request.message).request_id or ""

    def count(self) -> ClientCount:
        """Return who has been asked."""
        return ClientCount(self._request_id, len(self.asked), self.asked)

    def take(self, respondent: Respondent, values: list[Any]) -> None:
        """Pass on the answer of one who was asked."""
        self._node.answer(self._request, ClientAnswered(self._request_id, values, respondent.id))
        super().take(respondent, values)


async def _see_through(survey: Survey, deadline: float) -> None:
    with closing(survey):
        await survey.answered(deadline)


def _event(data: object) -> list[Any]:
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise TypeError(f"expected an event's name and arguments, saw {data!r}")
    return data


def _audience(who: Recipients) -> Audience:
    """Return who is meant; no rooms: everybody."""
    if not isinstance(who, Recipients):
        raise TypeError(f"expected who is meant, saw {who!r}")
    return Audience(frozenset(_names(who.rooms)) or None, frozenset(_names(who.excluded)))


def _names(rooms: Iterable[object]) -> list[str]:
    if not isinstance(rooms, tuple | list) or not all(isinstance(room, str) for room in rooms):
        raise TypeError(f"expected names of rooms, saw {rooms!r}")
    return cast("list[str]", list(rooms))
