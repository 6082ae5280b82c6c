"""What a format is: how the nodes of a cluster put their messages into Redis.

A `Format` holds the options of the whole cluster. Its `wire` is one node's in one namespace: which
channels to listen to, a message's place and bytes, and back. There are `classic.Classic`,
`sharded.Sharded` and `streams.Streams`, each in the format of a package of Node's.

Rules that all of them share:

- **Who sends a command carries it out itself, at once,** and passes over its own message: `decode`
  returns None for it. (Nodes of classic in Node wait for their own joins, leaves and disconnects to
  come back. From outside that looks the same.)
- **Answers go to the node that asked,** `Envelope.node`. What an emitter sends asks for none.
- **Of what a client answers, the first value** goes to who asked: Node has no place for more. It
  has none for whose answer that is, either: our nodes say that, `ids` and `id`, in keys of their
  own, which Node's pass over.
- **What is no honest message is a `ProtocolError`,** which says what was expected and seen. Nothing
  that is read becomes anything but plain data. A message of a kind that is not known is None.
- **Rooms are text here.** What Node lets be a room besides, a number or null, comes in as the text
  that JavaScript has for it. So a room `"1"` here and a room `1` in Node are not one when it is we
  who send.
- **Values** are those of `protocol.values`: times are ISO text, NaN and the infinities null. A
  message with bytes in it goes out as msgpack, which every node reads, so they arrive as bytes.
  Node's classic nodes write JSON all the same: their bytes come in as it has them, a dict
  `{"type": "Buffer", "data": [...]}`. `undefined` comes in as None, or as an absent key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

import attrs

from .messages import Answer, Envelope, Request

EMITTER: Final = "emitter"
"""The node of who only sends: its wire encodes what asks for no answer."""

PREFIX: Final = "socket.io"
"""What all channels begin with, unless the cluster's option says otherwise."""


def check_asks(node: str, request: Request) -> None:
    """Raise ValueError if `node`, an emitter, asks for answers."""
    if node == EMITTER and getattr(request, "request_id", None) is not None:
        raise ValueError("an emitter gets no answers, so it cannot ask")


@attrs.frozen
class Published:
    """Goes to a channel: by SPUBLISH if the format's channels are sharded, or by PUBLISH."""

    channel: str
    data: bytes


@attrs.frozen
class Appended:
    """Goes to a stream, by XADD."""

    stream: str
    fields: Mapping[bytes, bytes]


Outgoing: TypeAlias = Published | Appended


@attrs.frozen
class Subscriptions:
    """What a node listens to all the time, for one namespace.

    `channels` and `patterns` for SUBSCRIBE and PSUBSCRIBE, or `channels` for SSUBSCRIBE. `counted`
    is that channel which has one subscriber for each node (PUBSUB NUMSUB or SHARDNUMSUB).
    """

    channels: tuple[str, ...]
    patterns: tuple[str, ...]
    counted: str


class Wire(Protocol):
    """One node's in one namespace."""

    @property
    def namespace(self) -> str:
        """The namespace that the messages are about."""

    @property
    def node(self) -> str:
        """The id of this node."""

    @property
    def subscriptions(self) -> Subscriptions:
        """What to listen to all the time."""

    def room_channel(self, room: str, /) -> str | None:
        """Return the channel to listen to as long as somebody here is in `room`, if there is one.

        A socket's id counts as a room.
        """

    def room_of(self, channel: str, /) -> str | None:
        """Return the room that a message of this channel is for, if the channel says that.

        If nobody here is in it, the message need not be read.
        """

    def encode(self, request: Request, /) -> Outgoing | None:
        """Return where and how a message goes out; the emitter's node asks for no answer.

        None for what the format has no message for, nor need of: in classic, that a node is here
        or goes. Raises TypeError or ValueError, with the path, for values that cannot be sent, and
        ValueError for a question that this format cannot ask.
        """

    def encode_answer(self, answer: Answer, to: str, /) -> Published:
        """Return the same of an answer to what the node `to` asked."""

    def decode(self, channel: str, data: bytes, /) -> Envelope | None:
        """Return the message that came on a channel; None if it is not for us, or is our own.

        Raises `ProtocolError`.
        """


class Format(Protocol):
    """A cluster's format, with its options. All its nodes must have the same."""

    @property
    def is_sharded(self) -> bool:
        """Whether channels are sharded: SPUBLISH, SSUBSCRIBE, SHARDNUMSUB."""

    def wire(self, namespace: str, node: str, /) -> Wire:
        """Return what a node speaks in a namespace."""
