"""A link over Redis' channels: what one node publishes, those that listen hear.

There are two connections: one that sends, and one that listens.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any, Final

import trio
from coredis.connection import BaseConnection

from protocol.cluster.formats import Format, Published, Subscriptions, Wire
from protocol.cluster.messages import Envelope
from protocol.errors import ProtocolError

from .contract import Link, ThisNode
from .redis_connection import Commands, MendedConnection
from .redis_server import RedisServer

logger = logging.getLogger("atrio.adapter")

Hear = Callable[[bytes, bytes, bytes], None]
"""Takes a message: the channel or pattern that is listened to, the channel it came on, its data."""

_CHANNEL: Final = b"SUBSCRIBE"
_PATTERN: Final = b"PSUBSCRIBE"
_SHARDED: Final = b"SSUBSCRIBE"
_END: Final = {_CHANNEL: b"UNSUBSCRIBE", _PATTERN: b"PUNSUBSCRIBE", _SHARDED: b"SUNSUBSCRIBE"}

Name = tuple[bytes, bytes]
"""What is listened to: the command for it, and the channel or pattern."""


class Listener(MendedConnection):
    """Hears the channels that are wanted, again and again, whatever becomes of the connection."""

    def __init__(self, server: RedisServer, hear: Hear, *, is_sharded: bool) -> None:
        super().__init__(server, "listens")
        self._hear = hear
        self._is_sharded = is_sharded
        self._wanted: dict[Subscriptions, trio.Event] = {}
        self._active: set[Name] = set()
        self._stir = trio.lowlevel.ParkingLot()

    def begin(self, subscriptions: Subscriptions) -> trio.Event:
        """Listen to these soon; set is the event when it is so for the first time."""
        opened = self._wanted[subscriptions] = trio.Event()
        self._stir.unpark_all()
        return opened

    def end(self, subscriptions: Subscriptions) -> None:
        """Listen to them no more."""
        self._wanted.pop(subscriptions, None)
        self._stir.unpark_all()

    async def hears(self, subscriptions: Subscriptions) -> None:
        """Wait until these are listened to; that may be never."""
        while not (self.up and self._names([subscriptions]) <= self._active):
            await self._stir.park()

    async def settle(self) -> None:
        """Wait until no more is listened to than is wanted, or Redis has gone."""
        while self.up and self._active != self._names(self._wanted):
            await self._stir.park()

    def _names(self, wanted: Iterable[Subscriptions]) -> set[Name]:
        kind = _SHARDED if self._is_sharded else _CHANNEL
        return {
            (command, name.encode())
            for each in wanted
            for command, names in ((kind, each.channels), (_PATTERN, each.patterns))
            for name in names
        }

    async def prepare(self, connection: BaseConnection) -> None:
        """Listen to all that is wanted."""
        await self._follow(connection)
        await super().prepare(connection)

    async def serve(self, connection: BaseConnection) -> None:
        """Hear, and follow what is wanted."""
        self._stir.unpark_all()  # who waits for it to be up
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, connection)
            while True:
                await self._follow(connection)
                with trio.move_on_after(self._server.timeout) as scope:
                    await self._stir.park()
                if scope.cancelled_caught:
                    await self.alive(connection)

    async def _follow(self, connection: BaseConnection) -> None:
        """Tell Redis until it knows what is wanted now."""
        while (names := self._names(self._wanted)) != self._active:
            events = list(self._wanted.values())
            for command, end in _END.items():
                begun = [name for kind, name in names - self._active if kind == command]
                ended = [name for kind, name in self._active - names if kind == command]
                if begun:
                    connection.send_command(command, *begun)
                if ended:
                    connection.send_command(end, *ended)
            await self.alive(connection)
            self._active = names
            for event in events:
                event.set()
            self._stir.unpark_all()

    async def _receive(self, connection: BaseConnection) -> None:
        async with aclosing(connection.push_messages) as messages:
            while True:
                self._take(await anext(messages))
                # What has been read is taken before more is: Redis, which has a bound, keeps it.
                async with self.reading:
                    while not connection.reusable:  # there is more
                        self._take(await anext(messages))

    def _take(self, message: Any) -> None:
        match message:
            case [b"pmessage", pattern, channel, data]:
                self._hear(pattern, channel, data)
            case [b"message" | b"smessage", channel, data]:
                self._hear(channel, channel, data)

    def on_lost(self) -> None:
        """Listen to nothing, so to all anew."""
        self._active = set()
        self._stir.unpark_all()


class PubSubLink(Link):
    """One node's part, in any format over channels."""

    def __init__(
        self, format_: Format, server: RedisServer, max_waiting: int, here: ThisNode
    ) -> None:
        self.node = secrets.token_hex(8)
        self._format = format_
        self._here = here
        self._wires: dict[str, Wire] = {}
        self._heard: dict[bytes, Wire] = {}  # by channel and pattern
        self._dropped = 0
        self._commands = Commands(server, max_waiting)
        self._listener = Listener(server, self._hear, is_sharded=format_.is_sharded)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry envelopes until cancelled."""
        failed: Exception | None = None
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(self._listener.run)
                await nursery.start(self._commands.run)
            except ConnectionError as error:
                failed = error
                nursery.cancel_scope.cancel()
            else:
                task_status.started()
        if failed is not None:
            raise failed

    def open(self, namespace: str) -> trio.Event:
        """Listen to what the format says."""
        wire = self._wires[namespace] = self._format.wire(namespace, self.node)
        for name in _all_of(wire.subscriptions):
            self._heard[name] = wire
        return self._listener.begin(wire.subscriptions)

    def close(self, namespace: str) -> None:
        """Listen no more."""
        wire = self._wires.pop(namespace, None)
        if wire is not None:
            for name in _all_of(wire.subscriptions):
                self._heard.pop(name, None)
            self._listener.end(wire.subscriptions)

    def publish(self, envelope: Envelope) -> None:
        """Send it to who listens."""
        wire = self._wire(envelope.namespace)
        self._send(envelope, wire.encode)

    def answer(self, envelope: Envelope, to_node: str) -> None:
        """Send it to the channel of who has asked."""
        wire = self._wire(envelope.namespace)
        self._send(envelope, lambda message: wire.encode_answer(message, to_node))

    def _send(self, envelope: Envelope, encode: Callable[[Any], Any]) -> None:
        try:
            published = encode(envelope.message)
            if published is None:
                return
            assert isinstance(published, Published)
            channel = published.channel.encode()
        except (TypeError, ValueError) as error:
            self._dropped += 1
            logger.error(  # noqa: TRY400 - the traceback says no more
                "%s: other nodes are not told: %s", envelope.namespace, error
            )
        else:
            command = b"SPUBLISH" if self._format.is_sharded else b"PUBLISH"
            self._commands.send(command, channel, published.data)

    def _wire(self, namespace: str) -> Wire:
        return self._wires.get(namespace) or self._format.wire(namespace, self.node)

    def _hear(self, name: bytes, channel: bytes, data: bytes) -> None:
        wire = self._heard.get(name)
        if wire is None:
            return  # it was closed
        try:
            envelope = wire.decode(channel.decode(errors="replace"), data)
        except ProtocolError as error:
            self._here.refuse("", error)
        else:
            if envelope is not None:
                self._here.deliver(envelope)

    async def server_count(self, namespace: str) -> int:
        """Ask Redis how many listen."""
        subscriptions = self._wire(namespace).subscriptions
        if namespace in self._wires:
            await self._listener.hears(subscriptions)
        command = b"PUBSUB SHARDNUMSUB" if self._format.is_sharded else b"PUBSUB NUMSUB"
        counted = await self._commands.ask(command, subscriptions.counted.encode())
        return int(next(iter(counted.values())) if isinstance(counted, dict) else counted[1])

    async def flush(self) -> None:
        """Wait until Redis has what was published, and counts this node only where it is."""
        await self._commands.drain()
        await self._listener.settle()

    @property
    def healthy(self) -> bool:
        """Whether both connections are there."""
        return self._commands.up and self._listener.up

    @property
    def dropped(self) -> int:
        """How many envelopes were not sent, or were lost on their way to Redis."""
        return self._dropped + self._commands.dropped


def _all_of(subscriptions: Subscriptions) -> list[bytes]:
    return [name.encode() for name in (*subscriptions.channels, *subscriptions.patterns)]
