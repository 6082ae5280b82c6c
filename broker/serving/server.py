"""Serving: listeners, lives, and their end. What `Engine` and `Broker` have in common."""

from __future__ import annotations

import signal
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs
import trio

from broker.sessions.http import Peer
from broker.sessions.receiver import Receiver
from broker.sessions.session import Session
from broker.values.errors import BrokerNotRunning
from broker.values.options import Drain, EngineOptions

from .endpoint import Endpoint
from .gateway import Gateway
from .http_hooks import H, HttpHooks, sync_hook
from .life import Life
from .static import Static


@attrs.frozen
class Address:
    """Where a server listens. A unix socket has its path as `host` and no port (0)."""

    host: str
    port: int
    url: str


class Server:
    """Serves Engine.IO; what lives above its sessions is for the classes derived from it.

    `addresses`: where it listens now.
    """

    options: EngineOptions

    def __init__(self) -> None:
        self.addresses: list[Address] = []
        self._statics: list[Static] = []
        self._http_hooks = HttpHooks()
        self._life: Life | None = None
        self._gateway: Gateway | None = None
        self._stack: AsyncExitStack | None = None

    def _receiver(self, session: Session) -> Receiver:
        """Return what lives above a new session."""
        raise NotImplementedError

    async def _keep(self, life: Life, begun: trio.Event) -> None:
        """Keep what must be there as long as there are sessions, until `life.deserted`.

        `begun`: that it is there.
        """
        begun.set()
        await life.deserted.wait()

    async def _ready(self) -> None:
        """Wait until that may let clients in; raises what keeps it from that."""

    def static(self, url: str, root: str | Path) -> None:
        """Serve a file, or a directory with its `index.html`, at a URL path.

        Raises FileNotFoundError when there is none. The endpoint's own path comes first.
        """
        self._statics.append(Static.of(url, root))

    def on_initial_headers(self, function: H) -> H:
        """Register `function(headers, request)`, for the answer that opens a session.

        It may change the headers: that of a poll, and those that a websocket's 101 has besides its
        own. It is not async. What it raises is logged, and then it has changed nothing.
        """
        self._http_hooks.initial_headers.append(sync_hook(function))
        return function

    def on_headers(self, function: H) -> H:
        """Register `function(headers, request)`, for every answer of a session.

        As `on_initial_headers`, and called behind it; refusals are `on_connection_error`'s.
        """
        self._http_hooks.headers.append(sync_hook(function))
        return function

    def on_connection_error(self, function: H) -> H:
        """Register `function(failure)`, which hears of each request that the endpoint refuses.

        `failure` is a `ConnectionFailure`. It is not async; what it raises is logged.
        """
        self._http_hooks.connection_error.append(sync_hook(function))
        return function

    # Its life.

    async def __aenter__(self) -> Self:
        if self._life is not None:
            raise RuntimeError("it is open already: only one `async with` at a time")
        self._stack = AsyncExitStack()
        await self._stack.enter_async_context(self._open())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._stack is not None
        stack, self._stack = self._stack, None
        return await stack.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Life]:
        life = self._life = Life(self.options)
        self._gateway = Gateway(
            life, Endpoint(life, self._receiver, self._http_hooks), self._statics
        )
        failure: Exception | None = None
        try:
            async with trio.open_nursery() as background:
                await self._begin_keeping(life, background)
                background.start_soon(life.services.timers.run, name="timers")
                background.start_soon(life.services.flusher.run, name="flusher")
                try:
                    async with trio.open_nursery() as life.nursery:
                        background.start_soon(life.hear_cancellation, name="cancellation")
                        try:
                            with life.idle():
                                await self._ready()
                            yield life
                            life.shut()
                        except Exception as error:  # noqa: BLE001 - raised below, in no group
                            failure = error
                            life.kill()
                    await life.released()
                    life.settled = True
                finally:
                    life.kill()
                    with trio.CancelScope(shield=True):  # hooks have their own deadline
                        await life.released()
                    life.deserted.set()
                background.cancel_scope.cancel()
        finally:
            self._life = self._gateway = None
        if failure is not None:
            raise failure

    async def _begin_keeping(self, life: Life, background: trio.Nursery) -> None:
        # Not by `start`: cancelled, that would wait for this task, which ends only when it is told.
        begun = trio.Event()
        background.start_soon(self._keep_shielded, life, begun, name="keeper")
        with trio.CancelScope(shield=True):  # it waits for nothing
            await begun.wait()

    async def _keep_shielded(self, life: Life, begun: trio.Event) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self._keep(life, begun)
        finally:
            begun.set()

    @asynccontextmanager
    async def living(self) -> AsyncIterator[Life]:
        """The life there is, or one that is opened for the block; raises `BrokerNotRunning`."""
        if self._life is not None and self._life.closing.is_set():
            raise BrokerNotRunning("to serve", closing=True)
        if self._life is None:
            async with self._open() as life:
                yield life
        else:
            with self._life.idle():
                await self._ready()  # who opens it may still wait for that
            yield self._life

    async def close(self) -> None:
        """End gracefully: nobody new, tell clients, wait up to `grace` for what they have begun.

        Returns when all of it has ended; at once when nothing runs.
        """
        life = self._life
        if life is not None:
            life.shut()
            await life.released()
            await self._settled(life)
        await trio.lowlevel.checkpoint()

    async def _settled(self, life: Life) -> None:
        """Wait until what lives above the sessions has ended, once nobody holds the life."""

    async def drain(self, batch: int = 100, interval: float = 1.0) -> None:
        """End gracefully and gradually, as for a deploy: not all clients come back at once.

        From the call on nobody new is let in, and the health check answers 503. The clients go in
        waves of `batch` sessions, one wave every `interval` seconds, the first one now, oldest
        first, for the reason `server shutting down`: they connect again by themselves. Behind the
        last wave it closes, as by `close`. To `close` meanwhile hurries it.

        Cancelled between waves, it makes no more of them: those who are left stay, and others are
        let in again. Cancelled later, the closing goes on, as when a `close` is cancelled.

        Returns when all of it has ended; at once when nothing runs. Raises ValueError.
        """
        drain = Drain(batch, interval)
        await trio.lowlevel.checkpoint_if_cancelled()
        life = self._life
        if life is not None:
            await life.drain(drain)
            await life.released()
            await self._settled(life)
        await trio.lowlevel.checkpoint()

    # Serving.

    async def serve(
        self,
        host: str | None = None,
        port: int = 0,
        *,
        ssl_context: ssl.SSLContext | None = None,
        unix: str | Path | None = None,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] | None = None,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen and serve until cancelled or closed.

        On `host` (None: all interfaces) and `port` (0: any that is free), on a unix socket, or on
        `listeners` that are open already. Started, it tells the address of the first listener.
        Raises OSError when it cannot listen.
        """
        async with self.living() as life, AsyncExitStack() as stack:
            if listeners is None and unix is not None:
                listeners = [await stack.enter_async_context(_open_unix(Path(unix)))]
            elif listeners is None:
                listeners = list(await trio.open_tcp_listeners(port, host=host))
            if ssl_context is not None:
                listeners = [
                    trio.SSLListener(listener, ssl_context, https_compatible=True)
                    for listener in listeners
                ]
            addresses = [_address_of(listener, host) for listener in listeners]
            with life.held():
                async with trio.open_nursery() as connections, trio.open_nursery() as accepting:
                    try:
                        await accepting.start(self._accept, listeners, connections)
                        self.addresses += addresses
                        task_status.started(addresses[0])
                        await life.closing.wait()
                        accepting.cancel_scope.cancel()
                    finally:
                        for address in addresses:
                            with suppress(ValueError):
                                self.addresses.remove(address)

    async def _accept(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        connections: trio.Nursery,
        *,
        task_status: trio.TaskStatus[object],
    ) -> None:
        await trio.serve_listeners(
            self._serve_connection,
            list(listeners),
            handler_nursery=connections,
            task_status=task_status,
        )

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one accepted connection; the stream is closed then, also when this raises.

        Raises `BrokerNotRunning` while the broker is closed.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(trio.aclose_forcefully, stream)
            life = await stack.enter_async_context(self.living())
            with life.held():
                await self._serve_connection(stream)

    async def _serve_connection(self, stream: trio.abc.Stream) -> None:
        assert self._gateway is not None
        await self._gateway.serve(stream, _peer_of(stream))

    def run(self, host: str | None = "127.0.0.1", port: int = 3000) -> None:
        """Serve in a `trio.run` of its own until SIGINT or SIGTERM; a second one cancels."""
        trio.run(self.serve_until_signalled, host, port)

    async def serve_until_signalled(
        self,
        host: str | None,
        port: int,
        *,
        drain: Drain | None = None,
        task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until SIGINT or SIGTERM closes it gracefully; a second one cancels.

        `drain`: it is drained first, by these waves.
        """
        failure: OSError | None = None
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    signalled = False
                    async for _ in signals:
                        life = self._life
                        if signalled or life is None or life.closing.is_set():
                            nursery.cancel_scope.cancel()
                        elif drain is None:
                            life.shut()
                        else:
                            nursery.start_soon(life.drain, drain)
                        signalled = True

                nursery.start_soon(watch)
                try:
                    await self.serve(host, port, task_status=task_status)
                except OSError as error:
                    failure = error
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure


@asynccontextmanager
async def _open_unix(path: Path) -> AsyncIterator[trio.SocketListener]:
    """Listen on a unix socket, whose file goes when the listener does."""
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    try:
        await listener.bind(str(path))
        listener.listen(1024)
        try:
            yield trio.SocketListener(listener)
        finally:
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - as quick as closing the socket
    finally:
        listener.close()


def _address_of(listener: trio.abc.Listener[trio.abc.Stream], host: str | None) -> Address:
    scheme = "http"
    inner: object = listener
    if isinstance(inner, trio.SSLListener):
        scheme, inner = "https", inner.transport_listener
    if not isinstance(inner, trio.SocketListener):
        return Address(host or "", 0, "")
    name = inner.socket.getsockname()
    if isinstance(name, str):
        return Address(name, 0, f"unix:{name}")
    shown = f"[{name[0]}]" if ":" in name[0] else name[0]
    return Address(name[0], name[1], f"{scheme}://{shown}:{name[1]}")


def _peer_of(stream: trio.abc.Stream) -> Peer:
    secure = isinstance(stream, trio.SSLStream)
    inner: object = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if isinstance(inner, trio.SocketStream):
        with suppress(OSError):  # it may have gone already
            name = inner.socket.getpeername()
            return Peer(name[0] if isinstance(name, tuple) else "", secure)
    return Peer("", secure)
