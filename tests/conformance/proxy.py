"""A TCP proxy that a test can cut, between a real client and a server in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio


class Proxy:
    """`port` is where clients connect.

    `swallows`: what the server sends gets lost, its closing too. `refuses`: who connects is cut.
    """

    port: int

    def __init__(self, server_port: int) -> None:
        self.swallows = False
        self.refuses = False
        self._server_port = server_port
        self._clients: list[trio.abc.Stream] = []
        self._servers: list[trio.abc.Stream] = []

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_tcp, self._serve, 0, host="127.0.0.1", handler_nursery=nursery)
            )
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started()

    async def _serve(self, client: trio.SocketStream) -> None:
        if self.refuses:
            await client.aclose()
            return
        self._clients.append(client)
        server = await trio.open_tcp_stream("127.0.0.1", self._server_port)
        self._servers.append(server)
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass, client, server, False)
            nursery.start_soon(self._pass, server, client, True)

    async def _pass(
        self, source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, from_server: bool
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for piece in source:
                if not (from_server and self.swallows):
                    await sink.send_all(piece)
            if not (from_server and self.swallows):
                await sink.aclose()

    async def cut(self, *, server_hears: bool = True) -> None:
        """Cut all connections; if not `server_hears`, for the clients alone."""
        gone, self._clients = self._clients, []
        if server_hears:
            gone += self._servers
            self._servers = []
        for stream in gone:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def proxy_to(server_port: int) -> AsyncIterator[Proxy]:
    """Have a proxy for the block."""
    proxy = Proxy(server_port)
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        yield proxy
        nursery.cancel_scope.cancel()
