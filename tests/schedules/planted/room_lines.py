"""Lines between a client of the room broker and its session: in memory, or over a stream.

Both ends of a line are alike: `receive`, which returns None at the end, `send`, which raises
`trio.BrokenResourceError` when nobody is there, and `aclose`.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
import trio

from actors import ActorGone, Mailbox

from .room_broker import Ack, Join, Joined, Leave, Left, Said, Say

_KINDS = {kind.__name__: kind for kind in (Ack, Join, Joined, Leave, Left, Said, Say)}
_IN_FLIGHT = 2  # messages, each way, in memory


def pack(message: attrs.AttrsInstance) -> str:
    """Return a message as one line of JSON."""
    return json.dumps([type(message).__name__, *attrs.astuple(message)])


def unpack(line: str | bytes | bytearray) -> Any:
    """Return the message."""
    kind, *fields = json.loads(line)
    return _KINDS[kind](*fields)


class MemoryLine:
    """One end of a line in memory; `name` is the client's."""

    def __init__(self, name: str, incoming: Mailbox[Any], outgoing: Mailbox[Any]) -> None:
        self.name = name
        self._incoming = incoming
        self._outgoing = outgoing

    @classmethod
    def pair(cls, name: str) -> tuple[MemoryLine, MemoryLine]:
        """Return the ends of the client and of the session."""
        up, down = Mailbox[Any](f"{name} says", _IN_FLIGHT), Mailbox[Any](name, _IN_FLIGHT)
        return cls(name, down, up), cls(name, up, down)

    async def receive(self) -> Any:
        return await self._incoming.take()

    async def send(self, message: object) -> None:
        try:
            await self._outgoing.post(message)
        except ActorGone:
            raise trio.BrokenResourceError from None

    async def aclose(self) -> None:
        self._outgoing.close()
        self._incoming.discard()


class StreamLine:
    """One end of a line over a stream; a line of JSON is a message. `name` is the client's."""

    def __init__(self, name: str, stream: trio.abc.Stream) -> None:
        self.name = name
        self._stream = stream
        self._buffer = bytearray()

    async def receive(self) -> Any:
        while b"\n" not in self._buffer:
            try:
                data = await self._stream.receive_some()
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return unpack(line)

    async def send(self, message: attrs.AttrsInstance) -> None:
        await self._stream.send_all(pack(message).encode() + b"\n")

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)
