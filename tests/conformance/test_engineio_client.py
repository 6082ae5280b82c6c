"""The official engine.io-client against the echo, over polling, websocket, and both."""

from __future__ import annotations

import pytest

from .peers import Servers
from .real_clients import MODES, Client

SPECIAL = ["first", "", "\u00e9\u20ac\U0001f600\n", "0x000102ff", "0x"]
NUMBERS = [str(i) if i % 2 else f"0x{i:02x}" for i in range(100)]


@pytest.mark.parametrize("mode", MODES)
async def test_client_lives_and_closes(servers: Servers, client: Client, mode: str) -> None:
    server = servers["lenient-engine"]
    seen = await client.run("engine.mjs", server.url, mode)
    assert seen["startedOn"] == ("websocket" if mode == "websocket" else "polling")
    assert seen["endedOn"] == ("polling" if mode == "polling" else "websocket")
    assert seen["received"] == [*SPECIAL, *NUMBERS, "alive"]
    assert seen["heartbeats"] >= 4
    assert seen["reason"] == "forced close"
    answer = await server.endpoint.request("GET", server.endpoint.target(sid=seen["id"]))
    assert answer.json == {"code": 1, "message": "Session ID unknown"}
