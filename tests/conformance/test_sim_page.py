"""The page of a simulated run, in Chromium: what people see of it, and what their browsers say.

`clients/sim_page.mjs` drives the browser and tells what it saw; what ought to be seen is said here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from actors.sim.page import page
from actors.sim.story import Story, Unreceived

from .peers import Servers, require_chromium
from .real_clients import Client
from .sim_stories import NASTY, event, everything, large, message, nasty, story

READABLE = 4.5  # WCAG 2, level AA, for text of any size
VISIBLE = 3.0  # and for what is drawn

LARGE = 5_000  # events

# Many times what it takes on a machine that has nothing else to do.
FLUID = 200.0  # ms

Browse = Callable[..., Awaitable[dict[str, Any]]]


def _passed() -> Story:
    return story(
        [
            message(1, "a", "b", "one"),
            message(3, "b", "a", "two", sent_at=2),
            event(4, "ended", "a"),
        ]
    )


@pytest.fixture
def browse(servers: Servers, client: Client, tmp_path: Path) -> Browse:
    """`seen = await browse(scenario, name=story)`: what was seen of the pages of these runs."""
    if servers.peer != "atrio":
        pytest.skip("no server has a part in it")
    chromium = require_chromium()

    async def browse(scenario: str, **stories: Story) -> dict[str, Any]:
        for name, each in stories.items():
            (tmp_path / f"{name}.html").write_text(page(each), "utf-8")
        names = ",".join(stories)
        seen = await client.run("sim_page.mjs", scenario, tmp_path.as_uri(), chromium, names)
        # It loads nothing but itself, and the browser has nothing to complain of.
        assert seen["origins"] == ["null"]
        assert seen["complaints"] == []
        return seen

    return browse


async def test_the_head_and_the_findings_tell_all_there_is_in_words(browse: Browse) -> None:
    run = everything()
    seen = await browse("head", everything=run, passed=_passed())
    assert seen["window"] == f"{run.outcome} - {run.title}"
    assert seen["title"] == run.title
    assert seen["outcome"] == "Deadlock all tasks are blocked and no timer is pending"
    assert (seen["where"], seen["found"]) == (run.where, run.found)
    assert seen["facts"].endswith("135 steps · 0.5 s of virtual time · 7 lanes · 19 events")
    assert seen["replay"].replace("\n", "") == run.replay
    assert seen["copied"] == run.replay
    assert [" ".join(entry.split()) for entry in seen["unreceived"]] == [
        "90 client#3 → audit ('seen', 3) (waits for a place)",
        "109 registry → room ('join', 3, <send>)",
    ]
    assert seen["blocked"] == [f"{each.lane} {each.where}" for each in run.blocked]
    assert [entry.split("\n")[0] for entry in seen["deviation"]] == ["12", "13", "60", "107"]
    assert seen["net"] == list(run.faults)
    assert seen["went"]["row"].startswith("109 never received registry → room")
    # One that passed begins at its beginning, and has nothing of a failure.
    assert seen["passed"] == {
        "outcome": "Passed",
        "at": "1 of 3",
        "replay": False,
        "slice": False,
        "findings": False,
    }


@pytest.mark.parametrize("outcome", ["Error: it is\n" + "- 1\n+ 2\n" * 50, "Error: " + "so " * 999])
async def test_a_long_outcome_is_cut_off_until_it_is_unfolded(browse: Browse, outcome: str) -> None:
    run = everything()
    seen = await browse("unfold", run=run, long=attrs.evolve(run, outcome=outcome))
    assert seen["short"]["button"] is None
    assert seen["folded"]["button"] == "false"
    assert seen["folded"]["chart"] - seen["short"]["chart"] < 100
    assert seen["folded"]["end"] <= 800  # all of it in sight
    assert seen["unfolded"]["button"] == "true"
    assert seen["unfolded"]["heading"] > 3 * seen["folded"]["heading"]
    assert seen["unfolded"]["chart"] < 700
    assert seen["again"] == seen["folded"]


async def test_one_steps_through_it_with_details_of_each_event(browse: Browse) -> None:
    seen = await browse("steps", everything=everything())
    assert [stop["position"].split()[0] for stop in seen["way"]] == [
        *("23", "1", "2", "3", "4", "5", "4", "23", "22", "21", "20", "19"),
    ]
    # A failure is what one looks for, and where it begins.
    failure = "failure Deadlock: all tasks are blocked and no timer is pending"
    assert seen["way"][0]["row"] == f"135 {failure}"
    assert failure in seen["way"][0]["now"]
    assert seen["way"][1]["row"] == "1 started main"
    waited = seen["way"][-1]
    assert waited["row"] == "122 registry → room ('leave', 2, <send>) sent at 108"
    assert "in room's mailbox · sent at step 108, waited for 14 steps" in waited["now"]
    # What was sent before and not received yet is on its way.
    assert "On the way (2) client#3 → audit ('seen', 3) registry → room ('join'" in waited["now"]
    assert seen["ends"] == {"first": False, "back": False, "forward": False, "last": False}
    assert seen["clicked"] == "20 of 23"
    # Each kind says what it is.
    for tag in ("schedule", "timer", "never received", "ended", "network", "failure"):
        assert any(re.match(rf"(\d+ )?([\d.]+ s )?{tag}", row) for row in seen["rows"]), tag


async def test_it_plays_to_the_end_and_stops_there_or_when_told(browse: Browse) -> None:
    seen = await browse("plays", passed=_passed())
    assert seen["seen"] == ["1 of 3", "2 of 3", "3 of 3", "3 of 3", "3 of 3", "2 of 3"]
    assert seen["labels"] == ["Pause", "Play"]


async def test_filters_leave_out_noise_lanes_and_kinds(browse: Browse) -> None:
    seen = await browse("filters", everything=everything())
    assert seen["checked"] is True  # on by default when there is a failure
    assert not [row for row in seen["sliced"] if "ticker" in row]
    assert len(seen["all"]) == len(seen["sliced"]) + 3
    assert seen["withoutTicker"] == seen["sliced"]
    assert seen["tickerChecked"] is False
    assert seen["again"] == seen["all"]
    assert "messages\n8" in seen["kinds"]
    assert len(seen["withoutMessages"]) == len(seen["all"]) - 8
    assert "('join', 3, <send>)" in seen["revealed"]
    assert seen["none"]["said"] == "The filters leave nothing to show."
    assert seen["none"]["rows"] == []
    # What is of no lane is there without any.
    assert [row.split()[-1] for row in seen["laneless"]] == ["run", "pending"]


async def test_search_marks_what_it_finds_and_goes_from_one_to_the_next(browse: Browse) -> None:
    seen = await browse("search", everything=everything())
    assert seen["marks"] == ["leave", "leave"]
    assert seen["typed"]["hits"] == "- of 2"  # the failure, which is current, is none of them
    assert seen["next"]["hits"] == "1 of 2"
    assert seen["next"]["row"].startswith("40 note client#2 leaves")
    assert seen["round"]["hits"] == "2 of 2"
    assert seen["round"]["row"].startswith("122 registry → room ('leave'")
    assert seen["back"]["hits"] == "1 of 2"
    assert seen["special"] == "none"
    assert seen["nowhere"] == "none"
    assert seen["value"] == seen["left"]["hits"] == ""


async def test_all_of_it_works_by_keyboard_with_the_focus_in_sight(browse: Browse) -> None:
    seen = await browse("keyboard", everything=everything())
    assert [stop for stop in seen["way"] if stop.endswith("unseen")] == []
    assert {"replay", "copy", "play", "scrubber", "slice", "lanes-menu", "search", "rows"} <= set(
        seen["way"]
    )
    assert seen["active"] == "true"
    places = {key: place.split()[0] for key, place in seen["places"].items()}
    assert places == {
        "Home": "1",
        "ArrowDown": "2",
        "ArrowRight": "3",
        "ArrowUp": "2",
        "ArrowLeft": "1",
        "End": "23",
        # What its lane did before is not the event before.
        "Shift+ArrowUp": "12",
        "Shift+ArrowDown": "13",
        "PageUp": places["PageUp"],
        "PageDown": "23",
        "unsliced": "26",
        "laneHidden": places["laneHidden"],
    }
    assert int(places["PageUp"]) < 22
    assert seen["places"]["laneHidden"].endswith("of 23")  # main was in three
    assert seen["closed"] == "lanes-menu"
    assert (seen["playing"], seen["paused"]) == ("Pause", "Play")


def _numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", path)]


async def test_an_arrow_goes_from_the_step_of_sending_by_the_mailbox_to_that_of_delivery(
    browse: Browse,
) -> None:
    later = story(
        [message(1, "a", "b", "one"), *(event(n, "note", "a", "…") for n in range(3, 53))],
        unreceived=(Unreceived("b's mailbox", "two", "a", 2, waiting=False),),
    )
    seen = await browse("drawing", everything=everything(), later=later)
    registry, room = (seen["lanes"][name] for name in ("registry", "room"))
    # Sent after step 107, from the registry's lane; then it waits beside the room's; then it goes
    # in, in the middle of the row of step 122.
    x, sent, beside, back, middle, end, down, top, bottom = _numbers(seen["waited"])
    assert x == pytest.approx(registry, abs=2)
    assert sent == pytest.approx(seen["rows"]["107"] + 32)
    assert room - 32 < beside < room
    assert beside == back == down
    assert middle == bottom == seen["rows"]["122"] + 16
    assert top == sent
    assert beside < end < room
    # One that did not wait goes straight there.
    x, _, end = _numbers(seen["straight"])
    assert x == pytest.approx(room, abs=2)
    assert end == pytest.approx(registry + 6, abs=2)
    # What was never received goes to the mailbox, and down, and ends there, with a cross.
    lost = _numbers(seen["lost"])
    assert seen["rows"]["109"] + 16 in lost
    assert max(lost) > seen["rows"]["122"] + 100
    assert seen["ends"].count("l8 8") == 1  # the other one's sender still waits
    assert seen["stillLost"].count("V") == 1  # long after that, too
    assert all(seen["glyphs"].values()), seen["glyphs"]


async def test_texts_stay_texts_and_nothing_inline_would_run(browse: Browse) -> None:
    seen = await browse("markup", **{f"n{n}": nasty(text) for n, text in enumerate(NASTY)})
    for text, seen_page in zip(NASTY, seen["pages"], strict=True):
        assert seen_page["hit"] is None
        assert seen_page["made"] == 0
        shown = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        assert _alike(seen_page["title"], shown)
        assert _alike(seen_page["now"], shown or "?")
        assert "x'" in seen_page["names"]
    assert seen["blocked"] == ["script-src-attr", "script-src-elem", "style-src-attr"]
    assert seen["hit"] is None


def _alike(one: str, other: str) -> bool:
    """Whether they are the same but for halves of characters, which no browser can hand out."""
    return re.sub("[\ud800-\udfff�]+", "�", one) == re.sub("[\ud800-\udfff�]+", "�", other)


async def test_every_state_can_be_read_and_fits_a_phone(browse: Browse) -> None:
    seen = await browse(
        "looks",
        everything=everything(),
        passed=_passed(),
        nothing=story(),
        long=nasty("x" * 300),
        large=large(300, 40),
    )
    parts: set[str] = set()
    drawn: set[str] = set()
    for look in seen["looks"]:
        where = f"{look['view']}, {look['width']} px, {look['colorScheme']}"
        assert look["tooWide"] <= 0, where
        assert _poor(look["texts"], "part", READABLE) == [], where
        lines = [line for line in look["strokes"] if line["name"] != "failure-sign"]  # on red
        assert _poor(lines, "name", VISIBLE) == [], where
        parts |= {text["part"] for text in look["texts"]}
        drawn |= {line["name"] for line in look["strokes"]}
    # … and what matters was there to be measured.
    assert parts >= {"b.", "mark.", "span.tag", "bdi.who", "bdi.text", "span.waited", "pre.text"}
    assert drawn >= {"life", "arrow", "bytes", "wait", "lost", "hot", "net", "timer", "failure"}


def _poor(all_: list[dict[str, Any]], name: str, least: float) -> list[str]:
    return [f"{each[name]}: {each['contrast']:.2f}" for each in all_ if each["contrast"] < least]


async def test_thousands_of_events_stay_fluid(browse: Browse) -> None:
    run = large(LARGE, 40)
    seen = await browse("large", large=run)
    many = LARGE + len(run.deviations) + len(run.unreceived)
    assert seen["scrollHeight"] > many * 32
    # Only what is in sight exists, wherever one is.
    assert seen["nodes"] < 1_200
    assert seen["points"] < 100_000
    assert {name: ms for name, ms in seen["times"].items() if ms > FLUID} == {}
