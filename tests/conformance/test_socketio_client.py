"""The official socket.io-client, with either parser, on each transport and upgrading."""

from __future__ import annotations

from typing import Any

import pytest

from .real_clients import MODES, Run

modes = pytest.mark.parametrize("mode", MODES)

# What a client ends on, by mode.
LAST = {"polling": "polling", "websocket": "websocket", "upgrade": "websocket"}


@modes
async def test_events_and_acks_go_both_ways(run: Run, mode: str) -> None:
    seen = await run("echo.mjs", mode)
    assert seen["transport"] == LAST[mode]
    assert seen["auth"] == [{"name": "echo", "token": "123"}]
    assert seen["unknown"] == "operation has timed out"
    assert seen["acks"] == list(range(200))
    for turn in (seen["first"], seen["second"]):
        assert turn["back"] == seen["values"]
        assert turn["ack"] == seen["values"]
        assert turn["asked"] == {"to": ["how", ["much"]]}


@modes
async def test_bytes_go_both_ways(run: Run, mode: str) -> None:
    seen = await run("binary.mjs", mode)
    values = seen["values"]
    assert values == ["0x000102ff", {"a": ["0x000102ff", {"b": "0x"}], "c": "text"}, "0x0708"]
    for turn in (seen["first"], seen["second"]):
        assert turn["back"] == values
        assert turn["ack"] == values
        assert turn["asked"] == {"to": values[:2]}
        assert turn["large"] == [True, "behind"]


@modes
async def test_namespaces_share_a_connection(run: Run, mode: str) -> None:
    seen = await run("namespaces.mjs", mode)
    assert seen["auths"] == {"main": [{"token": "main"}], "custom": [{"token": "custom"}]}
    assert seen["oneConnection"]
    assert seen["differentIds"] == 4
    assert seen["answers"] == ["to main", "to chat"]
    assert seen["heard"]["main"] == [["message-back", "heard in main only"]]
    assert seen["heard"]["chat"] == []
    assert seen["left"] == [False, True, True, "open"]
    assert seen["back"] == [True, True]


@modes
async def test_unknown_namespace_is_told_so(run: Run, mode: str) -> None:
    seen = await run("namespaces.mjs", mode)
    assert seen["error"] == "Invalid namespace"
    assert not seen["nowhere"]


@modes
async def test_both_sides_know_why_they_part(run: Run, mode: str) -> None:
    seen = await run("endings.mjs", mode)
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
async def test_server_may_end_one_namespace_or_all(run: Run, mode: str) -> None:
    seen = await run("endings.mjs", mode)
    assert seen["oneOfTwo"] == {
        "client": "io server disconnect",
        "main": "still here",
        "connection": "open",
        "back": "back",
    }
    assert seen["bothOfTwo"] == ["io server disconnect", "io server disconnect"]


@modes
async def test_rooms_reach_whom_they_should(run: Run, mode: str) -> None:
    seen = await run("rooms.mjs", mode)

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
async def test_a_room_is_asked(run: Run, mode: str) -> None:
    seen = await run("answers.mjs", mode)

    def ann(question: str) -> dict[str, Any]:
        return {"name": "ann", "question": question, "bytes": True}

    for turn in (seen["all"], seen["again"]):
        assert turn["values"] == [ann("all"), "bob", ["cid", 1]]
        assert not turn["missing"]
        assert turn["took"] < 10
    assert (seen["some"]["values"], seen["some"]["missing"]) == ([ann("some")], True)
    assert 0.5 <= seen["some"]["took"] < 10
    assert (seen["oneGoes"]["values"], seen["oneGoes"]["missing"]) == ([ann("go")], True)
    assert (seen["nobody"]["values"], seen["nobody"]["missing"]) == ([], False)
    assert seen["nobody"]["took"] < 10


@pytest.mark.atrio_only
async def test_nobody_waits_for_who_has_gone(run: Run) -> None:
    seen = await run("answers.mjs", "websocket")
    assert seen["oneGoes"]["took"] < 1.9  # of the 2 s that it might take


@modes
async def test_no_message_is_lost_or_out_of_turn(run: Run, mode: str) -> None:
    """In mode upgrade the transport changes under the traffic."""
    seen = await run("upgrade.mjs", mode)
    assert seen["startedOn"] == ("websocket" if mode == "websocket" else "polling")
    assert seen["endedOn"] == LAST[mode]
    assert seen["echoes"] == list(range(seen["sent"]))
    assert seen["numbers"] == list(range(seen["total"]))
    if mode == "upgrade":  # messages went before it as well as after it, in both directions
        before = seen["atUpgrade"]
        assert 50 <= before["echoes"] < seen["sent"]
        assert 50 <= before["numbers"] < seen["total"]


@pytest.mark.atrio_only  # with Node's parser a server sees more than with JSON, or less
@modes
async def test_handlers_get_the_same_values_with_either_parser(run: Run, mode: str) -> None:
    seen = await run("values.mjs", mode)
    assert seen["values"] == [
        None,
        [None, 1],
        {"there": 1},
        None,
        [None, None],
        "1970-01-01T00:00:00.000Z",
        {
            "when": "1969-12-31T23:59:59.999Z",
            "far": "+275760-09-13T00:00:00.000Z",
            "before": "-271821-04-20T00:00:00.000Z",
            "late": "2001-09-09T01:46:40.000Z",
        },
        "0x00",
        {"a": ["0x00", "0x0000000000000008"]},
        "0x0102",
        "x" * 40 + "😀",
        0,
        "as JSON",
    ]
