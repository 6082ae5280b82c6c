"""The official socket.io-client, over polling, over websocket, and from one to the other."""

from __future__ import annotations

from typing import Any

import pytest

from .peers import Server
from .real_clients import MODES, Client

modes = pytest.mark.parametrize("mode", MODES)

# What a client ends on, by mode.
LAST = {"polling": "polling", "websocket": "websocket", "upgrade": "websocket"}


@modes
async def test_events_and_acks_go_both_ways(client: Client, meeting: Server, mode: str) -> None:
    seen = await client.run("echo.mjs", meeting.url, mode)
    assert seen["transport"] == LAST[mode]
    assert seen["auth"] == [{"name": "echo", "token": "123"}]
    assert seen["unknown"] == "operation has timed out"
    assert seen["acks"] == list(range(200))
    for turn in (seen["first"], seen["second"]):
        assert turn["back"] == seen["values"]
        assert turn["ack"] == seen["values"]
        assert turn["asked"] == {"to": ["how", ["much"]]}


@modes
async def test_bytes_go_both_ways(client: Client, meeting: Server, mode: str) -> None:
    seen = await client.run("binary.mjs", meeting.url, mode)
    values = seen["values"]
    assert values == ["0x000102ff", {"a": ["0x000102ff", {"b": "0x"}], "c": "text"}, "0x0708"]
    for turn in (seen["first"], seen["second"]):
        assert turn["back"] == values
        assert turn["ack"] == values
        assert turn["asked"] == {"to": values[:2]}
        assert turn["large"] == [True, "behind"]


@modes
async def test_namespaces_share_a_connection(client: Client, meeting: Server, mode: str) -> None:
    seen = await client.run("namespaces.mjs", meeting.url, mode)
    assert seen["auths"] == {"main": [{"token": "main"}], "custom": [{"token": "custom"}]}
    assert seen["oneConnection"]
    assert seen["differentIds"] == 4
    assert seen["answers"] == ["to main", "to chat"]
    assert seen["heard"]["main"] == [["message-back", "heard in main only"]]
    assert seen["heard"]["chat"] == []
    assert seen["left"] == [False, True, True, "open"]
    assert seen["back"] == [True, True]


@modes
async def test_unknown_namespace_is_told_so(client: Client, meeting: Server, mode: str) -> None:
    seen = await client.run("namespaces.mjs", meeting.url, mode)
    assert seen["error"] == "Invalid namespace"
    assert not seen["nowhere"]


@modes
async def test_both_sides_know_why_they_part(client: Client, meeting: Server, mode: str) -> None:
    seen = await client.run("endings.mjs", meeting.url, mode)
    assert seen["clientLeaves"] == {
        "client": "io client disconnect",
        "server": ["leaves", "client namespace disconnect"],
        "active": False,
    }
    assert seen["clientCloses"]["client"] == "forced close"
    assert seen["clientCloses"]["server"] == ["closes", "transport close"]
    for case, name in (("serverKicks", "kicked"), ("serverCloses", "closed")):
        assert seen[case] == {
            "client": "io server disconnect",
            "server": [name, "server namespace disconnect"],
            "active": False,
        }


@modes
async def test_server_may_end_one_namespace_or_all(
    client: Client, meeting: Server, mode: str
) -> None:
    seen = await client.run("endings.mjs", meeting.url, mode)
    assert seen["oneOfTwo"] == {
        "client": "io server disconnect",
        "main": "still here",
        "connection": "open",
        "back": "back",
    }
    assert seen["bothOfTwo"] == ["io server disconnect", "io server disconnect"]


@modes
async def test_rooms_reach_whom_they_should(client: Client, meeting: Server, mode: str) -> None:
    seen = await client.run("rooms.mjs", meeting.url, mode)

    def heard(text: str, *names: str, more: tuple[Any, ...] = ()) -> dict[str, Any]:
        return {name: [[text, *more]] if name in names else [] for name in ("ann", "bob", "cid")}

    for turn in (seen["first"], seen["second"]):
        assert turn == {
            "joined": [["one", "two"], ["one"], ["two"]],
            "others": heard("for the others", "bob", more=({"in": "one"},)),
            "fromOutside": heard("from outside", "ann", "bob"),
            "all": heard("for all", "ann", "bob"),
            "union": heard("once each", "ann", "bob", "cid"),
            "except": heard("not in two", "bob"),
            "nobody": heard("in vain"),
            "left": ["two"],
            "afterwards": heard("without ann", "bob"),
            "leftAll": [[], [], []],
            "empty": heard("in vain"),
        }
    assert seen["sameName"] == heard("in main", "bob")
    assert seen["heardInChat"] == 0
    assert seen["gone"] == heard("bob has gone")


@modes
async def test_no_message_is_lost_or_out_of_turn(
    client: Client, meeting: Server, mode: str
) -> None:
    """In mode upgrade the transport changes under the traffic."""
    seen = await client.run("upgrade.mjs", meeting.url, mode)
    assert seen["startedOn"] == ("websocket" if mode == "websocket" else "polling")
    assert seen["endedOn"] == LAST[mode]
    assert seen["echoes"] == list(range(seen["sent"]))
    assert seen["numbers"] == list(range(seen["total"]))
    if mode == "upgrade":  # messages went before it as well as after it, in both directions
        before = seen["atUpgrade"]
        assert 50 <= before["echoes"] < seen["sent"]
        assert 50 <= before["numbers"] < seen["total"]
