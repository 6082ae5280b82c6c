"""What is pushed to clients: encoded once, shared by all who get it.

An `Encoded` is one event (or control packet) in both wire forms: websocket frames, made at once
since nearly everybody has them, and the polling form, made when a poll asks. Attachments lie
directly behind their event in the same bytes, so nothing can get between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import attrs

from protocol import deflate, engineio, websocket
from protocol.parser import Parser
from protocol.socketio import Packet, PacketType

_MESSAGE = b"4"
_SHOWN = 60  # bytes of a packet that a repr shows


@attrs.frozen
class Offset:
    """What a client that comes back tells of the last event it has got.

    `text`: as it stands in the event, behind the last argument. `lasting`: whether the event is
    sent again to who has not got it. A volatile one is not; it has an offset only so that the
    client does not take the last thing in it for one.
    """

    text: str
    lasting: bool


class Encoded:
    """One event or control packet.

    `wire`: its websocket frames; `packets`: how many they are; `compress`: whether it is worth
    compressing, in a polling answer or as frames; `offset`: that of an event that a client may miss
    (None: of no other).
    """

    __slots__ = (
        "_attachments",
        "_deflated",
        "_event",
        "_text",
        "compress",
        "offset",
        "packets",
        "wire",
    )

    _event: list[Any] | None
    kept: ClassVar[bool] = False
    """Whether no policy may drop it."""

    def __init__(self, text: bytes | None, attachments: Sequence[bytes] = ()) -> None:
        """`text`: an Engine.IO packet (None: there are only attachments)."""
        self._text = text
        self._attachments = attachments
        self._deflated: bytes | None = None
        self.compress = True
        self.offset: Offset | None = None
        self.packets = (text is not None) + len(attachments)
        frames = [] if text is None else [websocket.text_frame(text)]
        frames += [websocket.binary_frame(data) for data in attachments]
        self.wire = b"".join(frames) if len(frames) > 1 else frames[0]

    def __repr__(self) -> str:
        parts = [] if self._text is None else [self._text[:_SHOWN].decode(errors="replace")]
        parts += [f"{len(self._attachments)} attachments"] if self._attachments else []
        return f"<Encoded {' and '.join(parts)}>"

    @property
    def payload(self) -> bytes:
        """The packets as a polling response holds them."""
        binary = map(engineio.binary_in_payload, self._attachments)
        text = () if self._text is None else (self._text,)
        return engineio.SEPARATOR.join((*text, *binary))

    def deflated(self, threshold: int) -> bytes:
        """Return its frames for who inflates, made once: those of so many bytes are deflated.

        They are never more bytes than `wire`.
        """
        if self._deflated is None:
            self._deflated = self._deflate(threshold)
        return self._deflated

    def _deflate(self, threshold: int) -> bytes:
        if not self.compress or len(self.wire) < threshold:
            return self.wire
        text = () if self._text is None else (deflate.deflated_text_frame(self._text, threshold),)
        binary = [deflate.deflated_binary_frame(data, threshold) for data in self._attachments]
        return b"".join((*text, *binary))

    @property
    def parts(self) -> Sequence[Encoded]:
        """What it is made of: itself, or the events of a batch."""
        return (self,)

    def event(self, parser: Parser) -> list[Any] | None:
        """Return the event's name and arguments as its clients' handlers get them; None: none.

        It is read when somebody asks, and then known: one broadcast has many who may. `parser` is
        the one it was encoded with.
        """
        try:
            return self._event
        except AttributeError:
            self._event = self._decoded(parser)
            return self._event

    def _decoded(self, parser: Parser) -> list[Any] | None:
        decoder = parser.decoder()
        packet = None
        if self._text is not None:
            if not self._text.startswith(_MESSAGE):
                return None
            packet = decoder.add(self._text[1:].decode())
        for attachment in self._attachments:
            packet = decoder.add(attachment)
        if packet is None or packet.type is not PacketType.EVENT:
            return None
        event: list[Any] = packet.data
        return event if self.offset is None else event[:-1]


class Kept(Encoded):
    """What no policy drops: control packets, acks, and events that ask for an ack.

    Without one of these somebody would wait for ever, or not know where he is.
    """

    __slots__ = ()

    kept = True


class Batch(Encoded):
    """Several events that are pushed together, in order; none of them is `kept`.

    `missed`: for each event, how many clients it was dropped for when it was pushed.
    """

    __slots__ = ("events", "missed")

    def __init__(self, events: Sequence[Encoded]) -> None:
        self.events = events
        self.missed = [0] * len(events)
        self.wire = b"".join([event.wire for event in events])
        self.packets = sum(event.packets for event in events)
        self._deflated = None
        self.compress = True  # `parts` know better
        self.offset = None

    def push_each(self, push: Callable[[Encoded], bool]) -> None:
        """Push each event by itself, and note those that are dropped."""
        for number, event in enumerate(self.events):
            if not push(event):
                self.missed[number] += 1

    def __repr__(self) -> str:
        return f"<Batch {list(self.events)}>"

    @property
    def payload(self) -> bytes:
        """The packets as a polling response holds them."""
        return engineio.SEPARATOR.join(event.payload for event in self.events)

    def _deflate(self, threshold: int) -> bytes:
        return b"".join([event.deflated(threshold) for event in self.events])

    @property
    def parts(self) -> Sequence[Encoded]:
        """Its events."""
        return self.events


def encoded_message(message: str | bytes) -> Encoded:
    """Return an Engine.IO message."""
    if isinstance(message, bytes):
        return Encoded(None, (message,))
    return Encoded(_MESSAGE + message.encode())


def encoded_packet(packet: Packet, parser: Parser) -> Encoded:
    """Return a Socket.IO packet; raises TypeError or ValueError for what cannot be sent."""
    text, attachments = parser.encode(packet)
    kind = Encoded if packet.type is PacketType.EVENT and packet.id is None else Kept
    return kind(None if text is None else _MESSAGE + text, attachments)


CLOSE = Kept(b"1")
PING = Kept(b"2")
NOOP = Kept(b"6")
