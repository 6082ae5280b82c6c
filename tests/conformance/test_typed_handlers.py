"""Payloads against annotations, with what the official client makes of JavaScript's values."""

from __future__ import annotations

import pytest

from .peers import Servers
from .real_clients import Client

pytestmark = pytest.mark.atrio_only


@pytest.mark.parametrize("parser", ["json", "msgpack"])
@pytest.mark.parametrize("mode", ["websocket", "polling"])
async def test_what_fits_is_handled_and_what_does_not_is_answered(
    client: Client, servers: Servers, mode: str, parser: str
) -> None:
    server = servers["typed" if parser == "json" else "msgpack-typed"]
    seen = await client.run("typed.mjs", server.url, mode, parser)
    refusals = {
        name: (answer["error"]["code"], answer["error"]["message"], answer["error"].get("data"))
        for name, answer in seen.items()
        if "error" in answer
    }
    assert refusals == {
        "noPicture": (
            "bad_arguments",
            "argument 1: Expected `bytes`, got `str` - at `$.pictures[1].data`",
            {"argument": 1, "path": "$.pictures[1].data"},
        ),
        "noDate": (
            "bad_arguments",
            "argument 1: Expected `datetime`, got `int` - at `$.pictures[0].taken`",
            {"argument": 1, "path": "$.pictures[0].taken"},
        ),
        "text": ("bad_arguments", "argument 1: Expected `int`, got `str`", {"argument": 1}),
        "missing": ("bad_arguments", "argument 2: Expected `int`, got `null`", {"argument": 2}),
        "tooMany": ("bad_arguments", "expected 1 to 2 arguments, got 3", None),
    }
    assert seen["album"] == [1, "sea", [0, 255], 1970, True]
    assert seen["moved"] == [3, 0]
    assert seen["calls"] == ["album", "move"]
