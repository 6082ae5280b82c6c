"""Deflated websocket messages, with the clients that have the extension: Node's, and browsers."""

from __future__ import annotations

import pytest

from .peers import Servers, require_chromium
from .real_clients import Client

APP = "deflated-meeting"
NO_CONTEXT = {"server_no_context_takeover", "client_no_context_takeover"}


@pytest.mark.parametrize("mode", ["websocket", "upgrade"])
async def test_a_client_that_deflates_all_is_answered_in_kind(
    client: Client, servers: Servers, mode: str
) -> None:
    seen = await client.run("deflate.mjs", servers[APP].url, mode)
    assert seen["extensions"] == "permessage-deflate"
    assert seen["short"]["same"] == [True, True]
    for turn in (seen["text"], seen["again"]):
        assert turn["same"] == [True]
        assert max(turn["bytes"]) < 10_000  # of 204,000
    assert seen["bytes"]["same"] == [True, True, True]
    assert max(seen["bytes"]["bytes"]) < 10_000  # of 200,000
    assert seen["asked"] == [204_000, True]
    assert seen["reason"] in {"transport close", "transport error"}


@pytest.mark.parametrize("mode", ["websocket", "upgrade"])
async def test_bytes_go_both_ways_with_a_client_as_it_is_by_default(
    client: Client, servers: Servers, mode: str
) -> None:
    seen = await client.run("binary.mjs", servers[APP].url, mode)
    for turn in (seen["first"], seen["second"]):
        assert turn["back"] == turn["ack"] == seen["values"]
        assert turn["asked"] == {"to": seen["values"][:2]}
        assert turn["large"] == [True, "behind"]


async def test_a_browser_deflates(client: Client, servers: Servers) -> None:
    browser = require_chromium()
    seen = await client.run("deflate_browser.mjs", servers[APP].url, "websocket", browser)
    parameters = {part.strip() for part in seen.pop("extensions").split(";")}
    if servers.peer == "atrio":
        assert parameters == {"permessage-deflate", *NO_CONTEXT}
    assert "permessage-deflate" in parameters
    assert seen == {
        "opened": "0",
        "back": True,
        "event": '451-["message-back",{"_placeholder":true,"num":0}]',
        "bytes": [100_000, True],
        "closed": 1009,
    }
