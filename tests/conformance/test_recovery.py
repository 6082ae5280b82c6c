"""The official client comes back through connection state recovery, whatever has been cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from broker import Broker, Recovery, Socket
from protocol.parser import ParserName

from .peers import require_node
from .proxy import Proxy, proxy_to
from .real_clients import Client, Running

pytestmark = pytest.mark.atrio_only

MODES = ["polling", "websocket"]


@attrs.define
class Scene:
    """A broker, the official client, and the proxy between them."""

    broker: Broker
    proxy: Proxy
    running: Running
    sid: str = ""

    async def comes(self) -> bool:
        """Let it connect, and wait until it has; return whether it says that it was recovered."""
        self.proxy.refuses = self.proxy.swallows = False
        while True:
            seen = await self.running.next_line()
            if "connect" in seen:
                self.sid = seen["connect"]
                return bool(seen["recovered"])
            assert "disconnect" in seen, seen

    async def cut(self, *, server_hears: bool = True) -> None:
        """Cut its connection, and wait until it has seen that; it cannot come back yet.

        Its HTTP library tries a request once more when a connection that it kept has ended.
        """
        self.proxy.refuses = True
        await self.proxy.cut(server_hears=server_hears)
        assert "disconnect" in await self.running.next_line()

    async def event(self) -> list[Any]:
        """Return the next event that it has had."""
        seen = await self.running.next_line()
        return [seen["event"], *seen["args"]]

    @property
    def socket(self) -> Socket:
        return self.broker.sockets[self.sid]

    async def gone(self) -> None:
        """Wait until the server has seen it go."""
        with trio.fail_after(10):
            while self.sid in self.broker.sockets:  # noqa: ASYNC110 - its hooks run in real time
                await trio.sleep(0.01)


@asynccontextmanager
async def scene(
    client: Client,
    mode: str,
    recovery: Recovery | None = None,
    *,
    parser: ParserName = "json",
    **options: Any,
) -> AsyncIterator[Scene]:
    require_node()
    broker = Broker(
        connection_state_recovery=recovery or Recovery(),
        cors_allowed_origins="*",
        parser=parser,
        **options,
    )

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        if not socket.recovered:
            await socket.join("room")
            socket.data["name"] = "ann"

    async with trio.open_nursery() as nursery:
        address = await nursery.start(broker.serve, "127.0.0.1", 0)
        async with (
            proxy_to(address.port) as proxy,
            client.start("recovery.mjs", f"http://127.0.0.1:{proxy.port}", mode, parser) as run,
        ):
            here = Scene(broker, proxy, run)
            assert not await here.comes()
            yield here
            await broker.emit("end")
            assert await run.next_line() == {"disconnect": "io client disconnect"}
            assert await run.next_line() == {"end": True}
            await run.end()
        nursery.cancel_scope.cancel()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_it_comes_back_with_no_event_received(client: Client, mode: str) -> None:
    async with scene(client, mode) as here:
        sid = here.sid
        await here.cut()
        await here.broker.to("room").emit("missed", 1)
        assert await here.comes()
        assert here.sid == sid
        assert await here.event() == ["missed", 1]
        assert here.socket.recovered
        assert here.socket.joined_rooms == {"room"}
        assert here.socket.data == {"name": "ann"}


async def test_it_comes_back_again_and_again(client: Client, mode: str) -> None:
    async with scene(client, mode) as here:
        sid = here.sid
        for number in range(4):
            await here.broker.to("room").emit("here", number)
            assert await here.event() == ["here", number]
            await here.cut()
            await here.broker.emit("away", number, b"\x00")
            await here.broker.to(sid).emit("own")
            assert await here.comes()
            assert here.sid == sid
            assert (await here.event())[:2] == ["away", number]
            assert await here.event() == ["own"]


async def test_it_comes_back_with_msgpack(client: Client, mode: str) -> None:
    async with scene(client, mode, parser="msgpack") as here:
        sid = here.sid
        await here.broker.to("room").emit("here", 1)
        assert await here.event() == ["here", 1]
        await here.cut()
        await here.broker.to("room").emit("away", b"\x00")
        await here.broker.to(sid).emit("own")
        assert await here.comes()
        assert (here.sid, here.socket.joined_rooms) == (sid, {"room"})
        assert await here.event() == ["away", {"type": "Buffer", "data": [0]}]
        assert await here.event() == ["own"]


async def test_what_was_written_and_never_arrived_comes_once(client: Client, mode: str) -> None:
    """An answer to a poll, or frames, that the server has got rid of."""
    async with scene(client, mode) as here:
        await here.broker.emit("a")
        assert await here.event() == ["a"]
        here.proxy.swallows = True
        await here.broker.emit("b")
        await here.broker.emit("c")
        await trio.sleep(0.1)
        await here.socket.leave("room")
        await here.broker.to("room").emit("never")
        await here.socket.join("late")
        await here.broker.to("late").emit("d")
        await trio.sleep(0.1)
        await here.cut()
        assert await here.comes()
        await here.broker.emit("e")
        assert [(await here.event())[0] for _ in range(4)] == ["b", "c", "d", "e"]


async def test_the_old_connection_dies_after_the_new_one_took_over(
    client: Client, mode: str
) -> None:
    """And again: in Node, the second time is not recovered."""
    async with scene(client, mode, ping_interval=0.4, ping_timeout=0.4) as here:
        sid = here.sid
        for number in range(3):
            await here.broker.emit("a", number)
            assert await here.event() == ["a", number]
            old = here.socket
            await here.cut(server_hears=False)
            assert await here.comes()
            assert here.sid == sid
            assert not old.connected
            assert here.socket is not old
            await trio.sleep(1.0)  # longer than the old one had lasted
            assert here.socket.connected


async def test_it_comes_back_until_the_window_has_passed(client: Client, mode: str) -> None:
    expired: list[object] = []
    options: dict[str, Any] = {"ping_interval": 0.3, "ping_timeout": 0.3}
    async with scene(client, mode, Recovery(max_disconnection=2.0), **options) as here:

        @here.broker.on_expired
        async def note(sid: str, data: dict[str, Any], rooms: frozenset[str]) -> None:
            expired.append((sid, data, rooms))

        await here.broker.emit("a")
        assert await here.event() == ["a"]
        sid = here.sid
        await here.cut()
        await here.gone()
        await here.broker.emit("b")
        await trio.sleep(1.2)
        assert await here.comes()
        assert await here.event() == ["b"]
        assert expired == []
        await here.cut()
        await here.gone()
        await here.broker.emit("never")
        await trio.sleep(2.3)
        assert expired == [(sid, {"name": "ann"}, frozenset({"room"}))]
        assert not await here.comes()
        assert here.sid != sid
        # It tells the offset of its earlier life now, for it has had nothing in this one.
        await here.cut()
        await here.gone()
        await here.broker.emit("c")
        assert await here.comes()
        assert await here.event() == ["c"]


async def test_texts_that_are_no_offsets_do_not_cost_it_its_seat(client: Client, mode: str) -> None:
    async with scene(client, mode) as here:
        await here.broker.emit("a")
        assert await here.event() == ["a"]
        await trio.sleep(0.2)
        await here.broker.volatile.emit("tick", "text")
        assert await here.event() == ["tick", "text"]
        assert await here.socket.emit_with_ack("question", "text") == "text"
        assert await here.event() == ["question", "text"]
        await here.cut()
        await here.broker.emit("b")
        assert await here.comes()
        assert await here.event() == ["b"]


async def test_more_than_is_kept_is_not_recovered(client: Client, mode: str) -> None:
    async with scene(client, mode, Recovery(max_packets=3)) as here:
        await here.cut()
        for number in range(4):
            await here.broker.emit("never", number)
        assert not await here.comes()
        await here.broker.emit("a")
        assert await here.event() == ["a"]
