"""The room broker behind trio-websocket, on the simulated network: real handshakes, real frames."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import attrs
import trio
import trio_websocket

from actors.sim import CALM, Faults, Sim
from broker.audit import RoomAudit

from .planted.room_broker import Broker
from .planted.room_clients import PATIENCE, Client, regular
from .planted.room_lines import pack, unpack

_HANDSHAKE = 60.0  # virtual seconds

Connected = trio_websocket.WebSocketConnection


class WebSocketLine:
    """One end of a line over a websocket; a message is one of the websocket's."""

    def __init__(self, name: str, websocket: Connected) -> None:
        self.name = name
        self._websocket = websocket

    async def receive(self) -> Any:
        try:
            return unpack(await self._websocket.get_message())
        except trio_websocket.ConnectionClosed:
            return None

    async def send(self, message: attrs.AttrsInstance) -> None:
        try:
            await self._websocket.send_message(pack(message))
        except trio_websocket.ConnectionClosed:
            raise trio.BrokenResourceError from None

    async def aclose(self) -> None:
        await self._websocket.aclose()


def websocket_visits(clients: int = 2, faults: Faults = CALM) -> Callable[[Sim], Awaitable[None]]:
    """Return a program: so many clients come twice, and talk, over such links."""

    async def program(sim: Sim) -> None:
        audit = RoomAudit(trio.current_time, patience=PATIENCE)
        net = sim.net(faults)
        async with trio.open_nursery() as nursery:
            broker = Broker(nursery, audit.server)

            async def handle(request: trio_websocket.WebSocketRequest) -> None:
                with suppress(trio_websocket.ConnectionClosed):
                    line = WebSocketLine(request.path, await request.accept())
                    await broker.serve(line)

            async def visit(name: str) -> None:
                stream: Any = await net.connect("broker", who=name)
                async with trio.open_nursery() as connection:
                    websocket = None
                    with trio.move_on_after(_HANDSHAKE):  # a reset in it is not noticed
                        websocket = await trio_websocket.wrap_client_stream(
                            connection, stream, "broker", f"/{name}"
                        )
                    if websocket is not None:
                        await Client(WebSocketLine(f"/{name}", websocket), audit).visit(regular)
                    connection.cancel_scope.cancel()

            listeners: Any = [net.listen("broker")]
            nursery.start_soon(trio_websocket.WebSocketServer(handle, listeners).run)
            async with trio.open_nursery() as visiting:
                for number in range(clients):
                    visiting.start_soon(visit, f"client{number}")
            await sim.quiesce(600)
            audit.finish(left={"rooms": broker.rooms, "sessions": broker.sessions})
            nursery.cancel_scope.cancel()

    return program
