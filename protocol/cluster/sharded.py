"""The format of `createShardedAdapter` in `@socket.io/redis-adapter` 8, on sharded channels.

Everything goes to the namespace's channel, answers to the channel of the node that asked, and
events for one room to a channel of that room, if the mode has them, so that only nodes listen who
have somebody in it. The mode is the whole cluster's: `dynamic` (all rooms but sockets' own),
`dynamic-private` (these, too) or `static` (none).

Node takes any room of 20 characters for a socket's own, as sockets' ids are that long. Where they
are not, as those of Socket.IO v2's clients in a namespace (`/chat#<id>`), its nodes send to a
channel that none of its nodes listens to. Here such rooms have their channel listened to, for what
Node's nodes send, and what we send goes to the namespace's channel, which all hear. It is also
always safe to send there what one is not sure of: which rooms are another node's sockets.

Node takes all that comes on the channel of its own answers for answers. Whoever is in a room with
the name of a node's id there loses events; not here: the message says what it is.
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

import attrs

from . import body, cluster_message
from .formats import PREFIX, Published, Subscriptions, check_asks
from .messages import Answer, Broadcast, Envelope, Message, Request

Mode: TypeAlias = Literal["static", "dynamic", "dynamic-private"]


@attrs.frozen
class Sharded:
    """The options: a `formats.Format`. `mode`: which rooms have channels of their own."""

    prefix: str = PREFIX
    mode: Mode = "dynamic"
    max_size: int = body.MAX_SIZE
    is_sharded: ClassVar[bool] = True

    def wire(self, namespace: str, node: str) -> ShardedWire:
        """Return what a node speaks in a namespace."""
        return ShardedWire(namespace, node, self)


@attrs.frozen
class ShardedWire:
    """One node's in one namespace: a `formats.Wire`."""

    namespace: str
    node: str
    _options: Sharded
    _channel: str = attrs.field(init=False, repr=False)
    _begin_own: tuple[bytes, bytes] = attrs.field(init=False, repr=False)

    @_channel.default
    def _default_channel(self) -> str:
        return f"{self._options.prefix}#{self.namespace}#"

    @_begin_own.default
    def _default_begin_own(self) -> tuple[bytes, bytes]:
        return body.begins_own(self.node)

    @property
    def subscriptions(self) -> Subscriptions:
        """What to listen to all the time."""
        return Subscriptions(
            channels=(self._channel, f"{self._channel}{self.node}#"),
            patterns=(),
            counted=self._channel,
        )

    def room_channel(self, room: str) -> str | None:
        """Return the channel to listen to as long as somebody here is in `room`, or None."""
        if room == self.node or not self._has_channel(room):
            return None  # that of the node's answers is listened to anyway
        return f"{self._channel}{room}#"

    def _has_channel(self, room: str) -> bool:
        """Whether nodes of Node's send there what is for this room alone."""
        match self._options.mode:
            case "static":
                return False
            case "dynamic":
                return len(room.encode("utf-16-le", "surrogatepass")) != 2 * _ID_LENGTH
            case "dynamic-private":
                return True

    def room_of(self, channel: str) -> str | None:
        """Return the room that an event of this channel is for, if it is one room."""
        if channel.startswith(self._channel) and channel.endswith("#"):
            room = channel[len(self._channel) : -1]
            return None if room == self.node else room or None
        return None

    def encode(self, request: Request) -> Published:
        """Return where and how a message goes out; see `formats.Wire`."""
        check_asks(self.node, request)
        channel = self._channel
        if isinstance(request, Broadcast) and request.request_id is None:
            channel = self._channel_of(request.to.rooms)
        return Published(channel, self._dumps(request))

    def _channel_of(self, rooms: tuple[str, ...]) -> str:
        if len(rooms) == 1 and self._has_channel(rooms[0]):
            is_of_v2 = rooms[0].startswith(f"{self.namespace}#")
            if self._options.mode == "dynamic-private" or not is_of_v2:
                return f"{self._channel}{rooms[0]}#"
        return self._channel

    def encode_answer(self, answer: Answer, to: str) -> Published:
        """Return where and how the answer to what the node `to` asked goes out."""
        return Published(f"{self._channel}{to}#", self._dumps(answer))

    def _dumps(self, message: Message) -> bytes:
        return body.dumps(cluster_message.write(message, self.node, self.namespace), message)

    def decode(self, channel: str, data: bytes) -> Envelope | None:
        """Return the message that came on a channel; see `formats.Wire`."""
        if not channel.startswith(self._channel) or data.startswith(self._begin_own):
            return None
        body.check_size(data, self._options.max_size)
        return cluster_message.read_envelope(body.loads(data), self.node, self.namespace)


_ID_LENGTH = 20  # of a socket's id, in UTF-16, as JavaScript counts
