"""A server that stops, or dies, and comes back: the official client returns by itself."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from .peers import Servers
from .real_clients import MODES, Client


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_client_returns_when_the_server_does(
    servers: Servers, client: Client, mode: str, end: str
) -> None:
    """A graceful stop must not tell the client to stay away, as a DISCONNECT packet would."""
    server = await trio.to_thread.run_sync(servers.start, "meeting")
    try:
        async with client.start("reconnect.mjs", server.url, mode) as running:
            assert await running.next_line() == {"connected": True}
            await trio.to_thread.run_sync(server.stop if end == "stop" else server.kill)
            server = await trio.to_thread.run_sync(servers.start, "meeting", server.port)
            seen = await running.next_line()
            await running.end()
    finally:
        server.kill()
    _check_return(seen)


@pytest.mark.atrio_only
@pytest.mark.parametrize("mode", MODES)
async def test_clients_return_after_a_drain(servers: Servers, client: Client, mode: str) -> None:
    """The first goes half a second before the second, is refused meanwhile, and returns."""
    server = await trio.to_thread.run_sync(servers.start, "drained-meeting")
    try:
        async with (
            client.start("reconnect.mjs", server.url, mode) as first,
            client.start("reconnect.mjs", server.url, mode) as second,
        ):
            assert await first.next_line() == {"connected": True}
            assert await second.next_line() == {"connected": True}
            await trio.to_thread.run_sync(server.stop)
            server = await trio.to_thread.run_sync(servers.start, "meeting", server.port)
            for running in (first, second):
                seen = await running.next_line()
                # The last one that polls may find nobody where it would have been told.
                assert mode == "polling" or seen["reason"] == "transport close"
                _check_return(seen)
                await running.end()
    finally:
        server.kill()


def _check_return(seen: dict[str, Any]) -> None:
    assert seen.pop("reason") in {"transport close", "transport error"}
    assert seen == {
        "active": True,
        "auth": [{"name": "returns"}],
        "answer": "sent into the void",
        "newId": True,
        "recovered": False,
        "rooms": [],
    }
