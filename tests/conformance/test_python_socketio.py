"""python-socketio's AsyncClient, either parser, over each transport and the upgrade."""

from __future__ import annotations

import pytest

from .peers import Servers, require_python_socketio
from .real_clients import MODES, Client, Run


@pytest.fixture
def client() -> Client:
    """Runs a real client of Python's."""
    require_python_socketio()
    return Client()


@pytest.mark.parametrize("mode", MODES)
async def test_python_client_is_at_home(run: Run, servers: Servers, mode: str) -> None:
    seen = await run("pysio_client.py", mode)
    client_saw, (name, server_saw) = seen.pop("bob_left")
    assert client_saw == ["/", "client disconnect"]
    assert name == "bob"
    # It leaves and closes in one go, and Node notices the close first.
    reasons = {"client namespace disconnect", "transport close"}
    if servers.peer == "node":  # its msgpack refuses the nil in this client's DISCONNECT
        reasons |= {"forced close"}
    assert server_saw in reasons
    assert seen == {
        "transport": "polling" if mode == "polling" else "websocket",
        "auth": [{"name": "ann"}],
        "ids": 3,
        "back": [1, "two", {"three": [True, None]}],
        "called": {"three": [3.5]},
        "several": [1, "two"],
        "chat": "in chat",
        "asked": {"to": ["how", 1]},
        "bytes_back": True,
        "bytes_called": True,
        "bytes_asked": True,
        "joined": [["one", "two"], ["one"]],
        "told": ["to bob", True],
        "union": [["once each"], ["once each"]],
        "left": ["without ann"],
        "unheard": [0, 0],
        "kicked_from_chat": ["/chat", "server disconnect"],
        "still_in_main": "still here",
        "kicked": ["/", "server disconnect"],
        "refused": {"message": "Invalid namespace"},
    }
