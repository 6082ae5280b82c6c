"""What a real client sees of the limits of its rate and of connections from one address."""

from __future__ import annotations

import pytest

from .peers import Servers
from .real_clients import MODES, Client


@pytest.mark.atrio_only
@pytest.mark.parametrize("mode", MODES)
async def test_client_is_told_which_limit_it_has_met(
    servers: Servers, client: Client, mode: str
) -> None:
    server = servers.start("limited")
    try:
        seen = await client.run("limits.mjs", server.url, mode)
        log = server.new_log()
    finally:
        server.stop()
    assert seen["gone"] == ["flood", "rate limit"]
    if mode == "polling":
        assert (seen["reason"], seen["httpStatus"]) == ("transport error", 429)
    else:
        assert seen["reason"] == "transport close"
        assert (seen["code"], seen["text"]) == (1008, "rate limit")
    if mode == "websocket":
        assert seen["refusal"] == "websocket error"
    else:
        assert seen["status"] == 429
    assert seen["again"] == seen["third"] == ["somewhere"]
    assert "max_packets_per_second=30" in log
    assert "max_connections_per_address=3" in log
