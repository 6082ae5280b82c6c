"""What a server decides at the handshake, and its answers, as the real client sees them."""

from __future__ import annotations

import pytest

from .peers import Servers
from .real_clients import MODES, Client


@pytest.mark.parametrize("mode", MODES)
async def test_client_is_let_in_or_refused_by_its_request(
    servers: Servers, client: Client, mode: str
) -> None:
    server = servers.start("door")
    try:
        seen = await client.run("door.mjs", server.url, mode)
    finally:
        server.stop()
    first = "websocket" if mode == "websocket" else "polling"
    assert seen["id"].startswith("door-")
    assert (seen["initial"], seen["every"]) == (first, first)
    assert seen["cookie"] == "seen=yes"
    assert seen["asked"] is True
    assert seen["failures"] == [4]
    if mode == "polling":
        assert seen["transport"] == "polling"
        assert seen["codings"] == ["gzip"]
        assert set(map(tuple, seen["later"])) == {(None, "polling")}
    else:
        assert seen["transport"] == "websocket"
    if mode == "websocket":
        assert seen["refusal"] == "websocket error"
    else:
        assert seen["status"] == 403
        assert seen["body"] == {"code": 4, "message": "you are banned"}
