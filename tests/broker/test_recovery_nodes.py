"""Recovery on one node of a cluster: what others say is missed, kept and given, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trio.testing import wait_all_tasks_blocked

from broker import Broker, Recovery, Socket
from broker.adapters import Bus

from .returning import Returning


async def test_what_other_nodes_have_said_meanwhile_is_kept(wire: Callable[..., Any]) -> None:
    bus = Bus()
    one, two = (Broker(adapter=bus, connection_state_recovery=Recovery()) for _ in range(2))

    @two.on("connection")
    async def connected(socket: Socket) -> None:
        if not socket.recovered:
            await socket.join("general")

    client = Returning(two, wire)
    stranger = Returning(one, wire)
    async with one, two:
        async with client.connection():
            sid = client.sid
            await one.emit("a")
        await wait_all_tasks_blocked()
        assert await one.fetch_sockets() == []
        assert (await one.emit_with_ack("polled")).values == {}
        await one.to("general").emit("b")
        await one.to(sid).emit("c")
        await one.except_(sid).emit("never")
        await one.to("elsewhere").emit("never")
        await one.sockets_leave("general")  # who is away is not there to be let out
        await one.to("general").emit("d")
        await wait_all_tasks_blocked()
        async with client.connection():
            assert client.recovered
            assert client.sid == sid
            assert client.names == ["a", "b", "c", "d"]
            await one.to("general").emit("e")
        assert client.names[-1] == "e"
        stranger.pid, stranger.offset = client.pid, client.offset
        async with stranger.connection():
            assert not stranger.recovered  # it was on another node
