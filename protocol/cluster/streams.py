"""The format of `@socket.io/redis-streams-adapter` 0.3 and `@socket.io/redis-streams-emitter`.

Messages are entries of a stream that all nodes read from its end: nothing is lost while a node is
away from Redis for a moment, all read the same order, and what a client missed is still there when
it comes back (`recovery`). Questions and their answers are worth nothing later: they go to channels
as msgpack, sharded ones if `use_sharded` is set.

With `stream_count` a namespace has one of several streams, by a hash. Node's hash is negative for
half of all namespaces, whose messages its nodes put into streams that none of them reads
(`socket.io--2`). Here those are read, and what we send goes to a stream that Node's nodes do read.
So such a namespace works in a mixed cluster, but for two things: what Node's nodes send there has
no one order with what ours send, and a client whose last event was one of theirs is not recovered.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from protocol.errors import ProtocolError

from . import body, cluster_message
from .formats import EMITTER, PREFIX, Appended, Outgoing, Published, Subscriptions, check_asks
from .messages import Answer, Broadcast, Envelope, FetchThem, Request, ServerEvent

Fields: TypeAlias = Mapping[bytes, bytes]
"""An entry of a stream, as Redis has it."""


@attrs.frozen
class Streams:
    """The options: a `formats.Format`.

    `stream`: the name of the stream, or what the names begin with if `stream_count` is above 1.
    """

    prefix: str = PREFIX
    stream: str = "socket.io"
    stream_count: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    use_sharded: bool = False
    max_size: int = body.MAX_SIZE

    @property
    def is_sharded(self) -> bool:
        """Whether channels are sharded."""
        return self.use_sharded

    @property
    def streams(self) -> tuple[str, ...]:
        """All streams to read, each from its end on."""
        if self.stream_count == 1:
            return (self.stream,)
        numbers = range(1 - self.stream_count, self.stream_count)
        return tuple(f"{self.stream}-{number}" for number in numbers)

    def stream_of(self, namespace: str) -> str:
        """Return the stream that a namespace's messages go to."""
        if self.stream_count == 1:
            return self.stream
        return f"{self.stream}-{hash_code(namespace) % self.stream_count}"

    def wire(self, namespace: str, node: str) -> StreamsWire:
        """Return what a node speaks in a namespace."""
        return StreamsWire(namespace, node, self)


def namespace_of(entry: Fields) -> str:
    """Return which namespace an entry is about, and so whose wire decodes it; empty if none."""
    return _text(entry, b"nsp")


def hash_code(text: str) -> int:
    """Return Node's hash of a text, of 32 bits with a sign."""
    code = 0
    units = text.encode("utf-16-le", "surrogatepass")
    for at in range(0, len(units), 2):
        code = (code * 31 + int.from_bytes(units[at : at + 2], "little")) & 0xFFFFFFFF
    return code - 2**32 if code >= 2**31 else code


@attrs.frozen
class StreamsWire:
    """One node's in one namespace: a `formats.Wire`, which decodes entries as well."""

    namespace: str
    node: str
    _options: Streams
    _channel: str = attrs.field(init=False, repr=False)

    @_channel.default
    def _default_channel(self) -> str:
        return f"{self._options.prefix}#{self.namespace}#"

    @property
    def subscriptions(self) -> Subscriptions:
        """What to listen to all the time, beside the streams."""
        return Subscriptions(
            channels=(self._channel, f"{self._channel}{self.node}#"),
            patterns=(),
            counted=self._channel,
        )

    def room_channel(self, _room: str) -> None:
        """Return None: rooms have no channels."""
        return

    def room_of(self, _channel: str) -> None:
        """Return None: rooms have no channels."""
        return

    def encode(self, request: Request) -> Outgoing:
        """Return where and how a message goes out; see `formats.Wire`.

        An emitter's events for servers go to the stream, as those of Node's do.
        """
        check_asks(self.node, request)
        message = cluster_message.write(request, self.node, self.namespace)
        if _is_for_now(request) and self.node != EMITTER:
            return Published(self._channel, body.dumps_msgpack(message, request))
        fields = {name: str(message[name]).encode() for name in ("uid", "nsp", "type")}
        if "data" in message:
            data = body.dumps(message["data"], request)
            fields["data"] = data if data.startswith(b"{") else base64.b64encode(data)
        stream = self._options.stream_of(self.namespace)
        return Appended(stream, {name.encode(): value for name, value in fields.items()})

    def encode_answer(self, answer: Answer, to: str) -> Published:
        """Return where and how the answer to what the node `to` asked goes out."""
        message = cluster_message.write(answer, self.node, self.namespace)
        return Published(f"{self._channel}{to}#", body.dumps_msgpack(message, answer))

    def decode(self, channel: str, data: bytes) -> Envelope | None:
        """Return the message that came on a channel; see `formats.Wire`."""
        if not channel.startswith(self._channel):
            return None
        body.check_size(data, self._options.max_size)
        return cluster_message.read_envelope(body.loads(data), self.node, self.namespace)

    def decode_entry(self, entry: Fields, offset: str) -> Envelope | None:
        """Return the message of an entry, with its `offset`; None if it is not for us, or our own.

        Raises `ProtocolError`.
        """
        return self._read(entry, offset, self.node)

    def decode_missed(self, entry: Fields, offset: str) -> Broadcast | None:
        """Return the event that an entry holds, whoever sent it, for a client that missed it.

        None if the entry holds none of this namespace. As in Node, volatile events count. Raises
        `ProtocolError`. Whether the client was meant, `Recipients.include` says.
        """
        if _text(entry, b"type") != str(int(cluster_message.Kind.BROADCAST)):
            return None
        envelope = self._read(entry, offset, None)
        message = None if envelope is None else envelope.message
        return message if isinstance(message, Broadcast) else None

    def _read(self, entry: Fields, offset: str, own: str | None) -> Envelope | None:
        uid, namespace = _text(entry, b"uid"), _text(entry, b"nsp")
        if namespace != self.namespace or uid == own:
            return None
        kind = _text(entry, b"type")
        if not (kind.isascii() and kind.isdigit() and len(kind) < 10):
            raise ProtocolError(f"expected a number, an entry's `type`, saw {kind[:20]!r}")
        message = cluster_message.read_message(int(kind), self._data_of(entry))
        return None if message is None else Envelope(uid, namespace, message, offset)

    def _data_of(self, entry: Fields) -> Any:
        data = entry.get(b"data", b"")
        body.check_size(data, self._options.max_size)
        if not data:
            return None
        if data.startswith(b"{"):
            return body.loads(data)
        try:
            return body.loads(base64.b64decode(data, validate=True))
        except binascii.Error as error:
            raise ProtocolError(f"expected JSON, or msgpack in base64: {error}") from None


def _text(entry: Fields, name: bytes) -> str:
    return entry.get(name, b"").decode("utf-8", "replace")


def _is_for_now(request: Request) -> bool:
    if isinstance(request, Broadcast):
        return request.request_id is not None
    return isinstance(request, FetchThem | ServerEvent)
