"""The format of `createAdapter` in `@socket.io/redis-adapter` 8; and of `@socket.io/redis-emitter`.

Events go to the namespace's channel, or to a channel of the room if there is exactly one; every
node hears all of them by a pattern, and knows from the channel whether it has that room. Requests
and answers have a channel of the namespace each, and each node one for answers that are for it.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import attrs

from . import body, classic_messages, shapes
from .classic_messages import Asked, Event
from .formats import PREFIX, Published, Subscriptions, check_asks
from .messages import Answer, Broadcast, ClientAnswered, Closed, Envelope, Heartbeat, Request
from .shapes import read


@attrs.frozen
class Classic:
    """The options: a `formats.Format`.

    `answer_all`: answers go to all nodes, as Node's do unless it has
    `publishOnSpecificResponseChannel`. Nodes older than 7.1 hear no others.
    """

    prefix: str = PREFIX
    answer_all: bool = False
    max_size: int = body.MAX_SIZE
    is_sharded: ClassVar[bool] = False

    def wire(self, namespace: str, node: str) -> ClassicWire:
        """Return what a node speaks in a namespace."""
        return ClassicWire(namespace, node, self)


@attrs.frozen
class ClassicWire:
    """One node's in one namespace: a `formats.Wire`."""

    namespace: str
    node: str
    _options: Classic
    _broadcasts: str = attrs.field(init=False, repr=False)
    _requests: str = attrs.field(init=False, repr=False)
    _answers: str = attrs.field(init=False, repr=False)
    _begin_own: tuple[bytes, bytes] = attrs.field(init=False, repr=False)

    @_broadcasts.default
    def _default_broadcasts(self) -> str:
        return f"{self._options.prefix}#{self.namespace}#"

    @_requests.default
    def _default_requests(self) -> str:
        return f"{self._options.prefix}-request#{self.namespace}#"

    @_answers.default
    def _default_answers(self) -> str:
        return f"{self._options.prefix}-response#{self.namespace}#"

    @_begin_own.default
    def _default_begin_own(self) -> tuple[bytes, bytes]:
        return body.begins_own(self.node)

    @property
    def subscriptions(self) -> Subscriptions:
        """What to listen to all the time."""
        return Subscriptions(
            channels=(self._requests, self._answers, f"{self._answers}{self.node}#"),
            patterns=(_GLOB.sub(r"\\\g<0>", self._broadcasts) + "*",),
            counted=self._requests,
        )

    def room_channel(self, _room: str) -> None:
        """Return None: the pattern has all rooms."""
        return

    def room_of(self, channel: str) -> str | None:
        """Return the room that an event of this channel is for, if it is one room."""
        if channel.startswith(self._broadcasts) and channel.endswith("#"):
            return channel[len(self._broadcasts) : -1] or None
        return None

    def encode(self, request: Request) -> Published | None:
        """Return where and how a message goes out; see `formats.Wire`."""
        if isinstance(request, Heartbeat | Closed):
            return None  # Redis knows who listens
        check_asks(self.node, request)
        if isinstance(request, Broadcast) and request.request_id is None:
            return self._encode_event(request)
        said = classic_messages.write_request(request, self.node, self.namespace)
        # As Node writes all events.
        dumps = body.dumps_msgpack if isinstance(request, Broadcast) else body.dumps
        return Published(self._requests, dumps(said, request))

    def _encode_event(self, event: Broadcast) -> Published:
        channel = self._broadcasts
        if len(event.to.rooms) == 1:
            channel += f"{event.to.rooms[0]}#"
        said = [
            self.node,
            shapes.write_packet(event, self.namespace),
            shapes.write_event_options(event),
        ]
        return Published(channel, body.dumps_msgpack(said, event))

    def encode_answer(self, answer: Answer, to: str) -> Published:
        """Return where and how the answer to what the node `to` asked goes out."""
        channel = self._answers
        if to and not self._options.answer_all:
            channel += f"{to}#"
        said = classic_messages.write_answer(answer)
        # As Node writes what clients answer.
        dumps = body.dumps_msgpack if isinstance(answer, ClientAnswered) else body.dumps
        return Published(channel, dumps(said, answer))

    def decode(self, channel: str, data: bytes) -> Envelope | None:
        """Return the message that came on a channel; see `formats.Wire`."""
        if data.startswith(self._begin_own):
            return None
        body.check_size(data, self._options.max_size)
        if channel.startswith(self._broadcasts):
            return self._event(body.loads(data))
        if channel in (self._answers, f"{self._answers}{self.node}#"):
            answer = classic_messages.read_answer(body.loads(data))
            return None if answer is None else Envelope("", self.namespace, answer)
        if channel == self._requests:
            return self._request(body.loads(data))
        return None

    def _event(self, value: Any) -> Envelope | None:
        event = read(value, Event, "an event in classic, [uid, packet, opts]")
        if event.uid == self.node or event.packet.nsp != self.namespace:
            return None
        message = shapes.broadcast_of(event.packet, event.opts)
        return Envelope(event.uid or "", self.namespace, message)

    def _request(self, value: Any) -> Envelope | None:
        asked = read(value, Asked, "a request in classic")
        message = None if asked.uid == self.node else classic_messages.read_request(asked)
        return None if message is None else Envelope(asked.uid or "", self.namespace, message)


_GLOB = re.compile(r"[*?\[\]\\]")  # what a pattern of Redis takes for more than itself
