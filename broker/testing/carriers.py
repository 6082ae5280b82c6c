"""What carries a test client's bytes to its broker: memory, a loopback socket, a network.

A carrier is only asked for streams; everything above is the same for all. Memory is `instant`: what
is written has arrived as soon as nothing runs. With any other, bytes may be on their way while all
tasks wait.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Literal, Protocol, TypeAlias

import trio

from broker.serving.life import Life
from broker.serving.server import Server
from broker.values.errors import BrokerNotRunning

from .trios import trio_testing

_HARBOUR = "broker"  # where the broker listens on a network, for its test clients


class Network(Protocol):
    """Names that streams lead to; a `Net` of `actors.sim` is one, or whatever has these two."""

    def listen(self, name: str) -> trio.abc.Listener[trio.abc.Stream]:
        """Let streams lead to this name."""

    async def connect(self, name: str, *, who: str) -> trio.abc.Stream:
        """Return the client's end of a new stream to this name; raises OSError."""


Carrier: TypeAlias = (
    Literal["memory", "socket"] | Network | Callable[[], Awaitable[trio.abc.Stream]]
)
"""How a test client reaches its broker.

`"memory"`: a pair of streams in memory. `"socket"`: a TCP connection on the loopback interface, at
a free port. A network: the broker listens there as `broker`, for the rest of its life. Or an async
function that returns a stream to this broker, however that came about.
"""


class Carriers:
    """What one broker has set up for its test clients; `open` is all of it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listening: list[tuple[Life, Network]] = []

    async def open(
        self, carrier: Carrier, who: str, life: Life, nursery: trio.Nursery
    ) -> trio.abc.Stream:
        """Return the client's end of a new stream, whose other end is served.

        What serves it alone lives in `nursery`. Raises OSError, or ValueError for what is no
        carrier.
        """
        match carrier:
            case "memory":
                ours: trio.abc.Stream
                ours, theirs = trio_testing().memory_stream_pair()
                nursery.start_soon(self._server.serve_stream, theirs)
                return ours
            case "socket":
                return await self._open_socket(nursery)
            case str():
                raise ValueError(f"expected 'memory', 'socket' or a network, saw {carrier!r}")
        if callable(carrier):
            return await carrier()
        self._listen(carrier, life)
        return await carrier.connect(_HARBOUR, who=who)

    async def _open_socket(self, nursery: trio.Nursery) -> trio.abc.Stream:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with AsyncExitStack() as undo:
            async with listener:
                connect = trio_testing().open_stream_to_socket_listener
                ours: trio.SocketStream = await connect(listener)
                undo.push_async_callback(trio.aclose_forcefully, ours)
                nursery.start_soon(self._server.serve_stream, await listener.accept())
            undo.pop_all()
        return ours

    def _listen(self, network: Network, life: Life) -> None:
        self._listening = [
            (other, known)
            for other, known in self._listening
            if other is life  # others are over
        ]
        if not any(known is network for _, known in self._listening):
            listener = network.listen(_HARBOUR)
            self._listening.append((life, network))
            life.nursery.start_soon(self._serve, listener, name="serve a network")

    async def _serve(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        async with listener:
            with suppress(BrokerNotRunning):  # it has begun to close meanwhile
                await self._server.serve(listeners=[listener])


def is_instant(carrier: Carrier) -> bool:
    """Whether nothing can be on its way when nothing runs."""
    return carrier == "memory"
