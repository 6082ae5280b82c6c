"""An emitter: a program that is no node, has no sockets, and still speaks to those of a cluster.

>>> async with Emitter("redis://127.0.0.1:6379") as io:
...     await io.of("/chat").to("general").emit("news", 1)
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Protocol, Self

import attrs
import trio

from protocol.cluster.classic import Classic
from protocol.cluster.formats import EMITTER, PREFIX, Published, Wire
from protocol.cluster.messages import (
    Broadcast,
    DisconnectThem,
    LetIn,
    LetOut,
    Recipients,
    Request,
    ServerEvent,
)
from protocol.socketio import RESERVED_EVENTS
from protocol.values import plain

from .redis_server import URL, RedisServer, require_coredis, shown


class Speaker(Protocol):
    """The emitter, as its targets see it."""

    async def send(self, wire: Wire, request: Request) -> None:
        """Send a request, and wait until Redis has it."""


@attrs.frozen
class EmitterTarget:
    """Recipients in one namespace, on all nodes. Each choice returns a new one.

    Each call returns when Redis has it: so what one task says arrives in that order. Nobody answers
    an emitter, and nobody may be there. Cancelled, it may have been said. Raises ConnectionError
    when Redis is away, or refuses it, and TypeError or ValueError for what cannot be sent.
    """

    _speaker: Speaker
    _wire: Wire = attrs.field(repr=False)
    _rooms: frozenset[str] | None = None
    _excluded: frozenset[str] = frozenset()
    _volatile: bool = False
    _compress: bool = True

    def to(self, *rooms: str) -> EmitterTarget:
        """Choose rooms, or sockets by their ids: the union of all calls. `to()` means nobody."""
        chosen = self._rooms
        names = _checked(rooms, "to")
        if chosen is not None:
            names = chosen | names if chosen else chosen
        return attrs.evolve(self, rooms=names)

    def in_(self, *rooms: str) -> EmitterTarget:
        """Choose rooms: another word for `to`."""
        return self.to(*rooms)

    def except_(self, *rooms: str) -> EmitterTarget:
        """Leave out the members of rooms, or sockets by their ids."""
        return attrs.evolve(self, excluded=self._excluded | _checked(rooms, "except_"))

    @property
    def volatile(self) -> EmitterTarget:
        """Those who can be written to at once."""
        return attrs.evolve(self, volatile=True)

    def compress(self, compress: bool) -> EmitterTarget:
        """Say whether the event is worth compressing."""
        return attrs.evolve(self, compress=compress)

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to the sockets of the target."""
        data = plain([_named(event), *args], lead=1)
        await self._say(Broadcast(self._who, data, self._volatile, self._compress))

    async def sockets_join(self, *rooms: str) -> None:
        """Let them into rooms."""
        _checked(rooms, "sockets_join")
        await self._say(LetIn(self._who, rooms))

    async def sockets_leave(self, *rooms: str) -> None:
        """Let them out of rooms."""
        _checked(rooms, "sockets_leave")
        await self._say(LetOut(self._who, rooms))

    async def disconnect_sockets(self, close: bool = False) -> None:
        """Disconnect them from the namespace, or `close` their connections."""
        await self._say(DisconnectThem(self._who, close))

    async def server_side_emit(self, event: str, *args: Any) -> None:
        """Tell the programs of all nodes something, whatever the target."""
        await self._speaker.send(self._wire, ServerEvent(plain([_named(event), *args], lead=1)))

    @property
    def _who(self) -> Recipients:
        return Recipients(tuple(sorted(self._rooms or ())), tuple(sorted(self._excluded)))

    async def _say(self, request: Request) -> None:
        if self._rooms == frozenset():
            await trio.lowlevel.checkpoint()
        else:
            await self._speaker.send(self._wire, request)


class Emitter:
    """Speaks to all nodes on a Redis, ours and Node's; as `@socket.io/redis-emitter` does.

    An async context manager. Options as those of `RedisAdapter`; `key` must be that of the nodes.
    Entering it raises ConnectionError when Redis is not there. Later it connects again by itself.
    """

    def __init__(self, url: str = URL, *, key: str = PREFIX, timeout: float = 5.0) -> None:
        self._server = RedisServer(url, timeout)
        self._format = Classic(key)
        self._commands: Any = None
        self._nursery: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._scope = trio.CancelScope()
        require_coredis("Emitter")

    def __repr__(self) -> str:
        return f"Emitter({shown(self._server.url)!r})"

    def of(self, namespace: str) -> EmitterTarget:
        """Return everybody in a namespace; as in Node it may lack its slash."""
        name = namespace if namespace.startswith("/") else f"/{namespace}"
        return EmitterTarget(self, self._format.wire(name, EMITTER))

    def to(self, *rooms: str) -> EmitterTarget:
        """Choose rooms in the namespace `/`."""
        return self.of("/").to(*rooms)

    def except_(self, *rooms: str) -> EmitterTarget:
        """Choose everybody in the namespace `/` but the members of these rooms."""
        return self.of("/").except_(*rooms)

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to everybody in the namespace `/`."""
        await self.of("/").emit(event, *args)

    async def __aenter__(self) -> Self:
        from .redis_connection import Commands  # noqa: PLC0415 - it needs the extra

        if self._nursery is not None:
            raise RuntimeError(f"{self!r} is entered already")
        self._commands = Commands(self._server, max_waiting=0)  # each waits for its own
        self._nursery = trio.open_nursery()
        nursery = await self._nursery.__aenter__()
        self._scope = nursery.cancel_scope
        try:
            await nursery.start(self._commands.run)
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self._leave()

    async def _leave(self) -> None:
        """End the connection. What the block raises is not the nursery's affair."""
        nursery, self._nursery = self._nursery, None
        assert nursery is not None
        self._scope.cancel()
        await nursery.__aexit__(None, None, None)

    async def send(self, wire: Wire, request: Request) -> None:
        """Send a request, and wait until Redis has it."""
        if self._nursery is None:
            raise RuntimeError(f"{self!r} is not entered: `async with Emitter(...) as io`")
        published = wire.encode(request)
        assert isinstance(published, Published)
        await self._commands.do(b"PUBLISH", published.channel.encode(), published.data)


def _named(event: str) -> str:
    if not isinstance(event, str):
        raise TypeError(f"expected an event's name, a str, saw {event!r}")
    if event in RESERVED_EVENTS:
        raise ValueError(f"{event!r} is reserved: only servers and their clients emit it")
    return event


def _checked(rooms: tuple[str, ...], method: str) -> frozenset[str]:
    for room in rooms:
        if not isinstance(room, str):
            raise TypeError(f"{method}(): expected names of rooms (str), saw {room!r}")
    return frozenset(rooms)
