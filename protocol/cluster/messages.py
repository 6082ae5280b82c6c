"""The messages between nodes: one vocabulary for all formats, each about one namespace.

Commands are in the imperative, answers are facts. What asks has a `request_id`, which its answers
repeat. Who sent a message, and in which namespace, is said beside it: `Envelope`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias

import attrs


@attrs.frozen
class Recipients:
    """Who is meant: the members of `rooms` (none: all of the namespace), less those `excluded`.

    A socket's id counts as a room with that socket in it.
    """

    rooms: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def include(self, rooms: Collection[str]) -> bool:
        """Whether a socket that is in these rooms is meant."""
        if not self.rooms or any(room in rooms for room in self.rooms):
            return not any(room in rooms for room in self.excluded)
        return False


@attrs.frozen
class Broadcast:
    """Send this event: `data` is its name and its arguments.

    With a `request_id` it asks each who gets it for an ack: nodes answer with one `ClientCount` and
    then one `ClientAnswered` for each ack, within `timeout` seconds (None: as long as they like).
    """

    to: Recipients
    data: list[Any]
    volatile: bool = False
    compress: bool = True
    request_id: str | None = None
    timeout: float | None = None


@attrs.frozen
class LetIn:
    """Let these sockets into rooms.

    With a `request_id`, which only old nodes of classic give, who has the socket answers `Done`.
    """

    who: Recipients
    rooms: tuple[str, ...]
    request_id: str | None = None


@attrs.frozen
class LetOut:
    """Let these sockets out of rooms.

    With a `request_id`, which only old nodes of classic give, who has the socket answers `Done`.
    """

    who: Recipients
    rooms: tuple[str, ...]
    request_id: str | None = None


@attrs.frozen
class DisconnectThem:
    """Disconnect these sockets; `close`: their connections, too.

    With a `request_id`, which only old nodes of classic give, who has the socket answers `Done`.
    """

    who: Recipients
    close: bool
    request_id: str | None = None


@attrs.frozen
class FetchThem:
    """Tell which of these sockets are yours; `ids_only`, as old nodes of classic ask: their ids."""

    who: Recipients
    request_id: str
    ids_only: bool = False


@attrs.frozen
class ListRooms:
    """Tell which rooms you have. Classic only."""

    request_id: str


@attrs.frozen
class ServerEvent:
    """An event for the servers themselves; with a `request_id`, one that each answers."""

    data: list[Any]
    request_id: str | None = None


@attrs.frozen
class Heartbeat:
    """I am here; `first`: I have just come, and ask who else is. Not with Redis."""

    first: bool = False


@attrs.frozen
class Closed:
    """I am going. Not with classic."""


@attrs.frozen
class SocketFacts:
    """A socket of another node: `handshake` as Node's `socket.handshake`, in its words."""

    id: str
    handshake: dict[str, Any]
    rooms: tuple[str, ...]
    data: Any


@attrs.frozen
class SocketsFetched:
    """These are mine; `ids_only`: it says no more of them than their ids."""

    request_id: str
    sockets: tuple[SocketFacts, ...]
    ids_only: bool = False


@attrs.frozen
class Done:
    """The socket that an old node of classic gave a command for was mine."""

    request_id: str


@attrs.frozen
class RoomsListed:
    """These rooms I have. Classic only."""

    request_id: str
    rooms: tuple[str, ...]


@attrs.frozen
class ClientCount:
    """So many clients of mine were asked; `ids`: theirs, where the format has a place for them."""

    request_id: str
    count: int
    ids: tuple[str, ...] = ()


@attrs.frozen
class ClientAnswered:
    """One of my clients has answered with these values; `id`: its own, where there is a place."""

    request_id: str
    values: list[Any]
    id: str | None = None


@attrs.frozen
class ServerAnswered:
    """This is my answer to the server event."""

    request_id: str
    value: Any


Request: TypeAlias = (
    Broadcast
    | LetIn
    | LetOut
    | DisconnectThem
    | FetchThem
    | ListRooms
    | ServerEvent
    | Heartbeat
    | Closed
)
Answer: TypeAlias = (
    SocketsFetched | Done | RoomsListed | ClientCount | ClientAnswered | ServerAnswered
)
Message: TypeAlias = Request | Answer


@attrs.frozen
class Envelope:
    """A message, with the `node` that sent it and the `namespace` that it is about.

    `node`: an id that each node makes anew when it starts. That of an emitter, which is no node and
    answers nothing, is `emitter`, or empty; so is that of an answer in classic, where it is not
    said. `offset`: where in a stream the message stands, which clients tell when they come back.
    """

    node: str
    namespace: str
    message: Message
    offset: str | None = None
