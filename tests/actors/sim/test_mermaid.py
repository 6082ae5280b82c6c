"""The Mermaid diagram of a run: what is drawn, where, and what is left out.

That Mermaid accepts it whatever the texts are is shown in the conformance tests, with Mermaid.
"""

from __future__ import annotations

from typing import Any

import pytest

from actors.sim.mermaid import mermaid
from actors.sim.story import Blocked, Deviation, Story, TraceEvent, Unreceived


def _event(step: int, kind: Any, lane: str, text: str = "", **rest: Any) -> TraceEvent:
    return TraceEvent(step=step, time=0.0, kind=kind, lane=lane, text=text, **rest)


def _message(step: int, sender: str, lane: str, text: str, **rest: Any) -> TraceEvent:
    return _event(step, "message", lane, text, sender=sender, **({"sent_at": step} | rest))


def _story(*events: TraceEvent, **rest: Any) -> Story:
    fields: dict[str, Any] = {
        "title": "",
        "outcome": "passed",
        "where": "",
        "failed_at": 0,
        "found": "",
        "lanes": tuple(
            dict.fromkeys(e for event in events for e in (event.sender, event.lane) if e)
        ),
        "events": events,
        "unreceived": (),
        "blocked": (),
        "deviations": (),
        "faults": (),
        "steps": 99,
        "seconds": 0.0,
        "replay": "",
    }
    return Story(**(fields | rest))


def _lines(story: Story, **options: Any) -> list[str]:
    first, *lines = mermaid(story, **options).split("\n")
    assert first == "sequenceDiagram"
    assert all(line.startswith("    ") for line in lines)
    return [line.strip() for line in lines]


def test_messages_are_arrows_at_delivery_with_the_step_of_sending_if_they_waited() -> None:
    assert _lines(
        _story(
            _message(3, "client", "room", "join"),
            _message(9, "client", "room", "leave", sent_at=4),
            _message(9, "room", "room", "close"),
            title="test_rooms",
        )
    ) == [
        "title test_rooms",
        "participant p1 as client",
        "participant p2 as room",
        "p1->>p2: join @3",
        "p1->>p2: leave @9 (sent @4)",
        "p2->>p2: close @9",
    ]


def test_bytes_are_dashed_arrows() -> None:
    assert "p1-->>p2: b'x' @3" in _lines(_story(_event(3, "bytes", "b", "b'x'", sender="a")))


def test_a_message_of_an_unknown_sender_is_a_note() -> None:
    assert "Note over p1: got join @3" in _lines(_story(_event(3, "message", "room", "join")))


def test_what_happened_to_a_lane_is_a_note_over_it() -> None:
    lines = _lines(
        _story(
            _message(1, "a", "b", "x"),
            _event(1, "started", "b"),
            _event(2, "note", "b", "thinks"),
            _event(3, "net", "b", "a reset"),
            _event(4, "ended", "b"),
        )
    )
    assert lines[3:] == [
        "Note over p2: thinks @2",
        "Note over p2: ⚡ a reset @3",
        "Note over p2: ended @4",
    ]


def test_a_deviation_stands_in_its_lane_before_what_came_of_it() -> None:
    lines = _lines(
        _story(
            _message(5, "a", "b", "x"),
            _message(7, "b", "a", "y"),
            deviations=(
                Deviation(7, "b runs, though a could go on", "b"),
                Deviation(9, "a timer fires 5 s early"),
            ),
        )
    )
    assert lines[2:] == [
        "p1->>p2: x @5",
        "Note over p2: ◇ step 7: b runs, though a could go on",
        "p2->>p1: y @7",
        "Note over p1,p2: ⏱ step 9: a timer fires 5 s early",
    ]


def test_a_message_that_was_never_received_is_lost_on_its_way_to_who_got_the_others() -> None:
    lines = _lines(
        _story(
            _message(2, "client", "room", "join", channel="lobby"),
            _message(9, "room", "client", "bye", channel="c"),
            unreceived=(
                Unreceived("lobby", "join again", "client", 4, waiting=False),
                Unreceived("lobby", "and again", "client", 5, waiting=True),
                Unreceived("audit", "seen", "client", 6, waiting=False),
            ),
        )
    )
    assert lines[2:] == [
        "p1->>p2: join @2",
        "p1-xp2: join again never received (sent @4)",
        "p1-xp2: and again still waits for a place (sent @5)",
        "Note over p1: ✗ in audit: seen never received (sent @6)",
        "p2->>p1: bye @9",
    ]


def test_the_failure_closes_it_after_who_is_blocked() -> None:
    lines = _lines(
        _story(
            _message(2, "client", "room", "join"),
            outcome="Deadlock: all are blocked",
            where="chat.py:3 in main",
            failed_at=8,
            blocked=(Blocked("room", "chat.py:48 in want"), Blocked("bystander", "chat.py:1")),
        )
    )
    assert lines[3:] == [
        "Note over p2: waits at chat.py:48 in want",
        "Note over p1,p2: ✗ step 8: Deadlock: all are blocked —<br/>chat.py:3 in main",
    ]


def test_only_what_can_have_led_to_the_failure_is_drawn() -> None:
    story = _story(
        *(_message(step, "a", "b", "cause") for step in range(4)),
        *(_message(step, "c", "d", "noise", sliced=False) for step in range(4)),
    )
    assert "noise" not in mermaid(story)
    assert "participant p3" not in mermaid(story)


def test_with_next_to_no_causes_all_is_drawn() -> None:
    story = _story(
        _message(1, "a", "b", "cause"),
        *(_message(step, "c", "d", "noise", sliced=False) for step in range(2, 9)),
    )
    assert mermaid(story).count("noise") == 7


def test_of_many_events_the_last_are_drawn_and_the_others_counted() -> None:
    story = _story(
        *(_message(step, "a", "b", f"number {step}") for step in range(1, 101)),
        unreceived=(Unreceived("x", "lost", "a", 1, waiting=False),),
    )
    lines = _lines(story, last=10)
    assert lines[2] == "Note over p1,p2: … 90 earlier events"
    assert "lost" in lines[3]  # what was lost is the point, however early
    assert lines[4] == "p1->>p2: number 91 @91"
    assert lines[-1] == "p1->>p2: number 100 @100"
    assert len(_lines(story)) == 2 + 1 + 1 + 60


def test_of_many_messages_that_were_never_received_some_are_drawn_and_the_others_counted() -> None:
    lost = tuple(Unreceived("x", f"lost {n}", "a", n, waiting=False) for n in range(1, 41))
    lines = _lines(_story(_message(1, "a", "b", "x"), unreceived=lost))
    assert sum("never received (sent" in line for line in lines) == 12
    assert lines[-1] == "Note over p1,p2: … and 28 more were never received"


def test_a_run_without_events_is_a_diagram_too() -> None:
    assert _lines(_story()) == [
        "participant p1 as the run",
        "Note over p1: passed: nothing to draw",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a;b", "a#59;b"),
        ("client#2", "client#35;2"),
        ("<b> & 'c'", "#lt;b#gt; #amp; 'c'"),
        ("100%% %%{x}%%", "100%#37; %#37;{x}%#37;"),
        ("two\nlines\t", "two lines"),
        ("\x00\ud800", "��"),
        ("style: x", "#115;tyle: x"),
        ("wrap: x", "wrap#58; x"),
        ("x" * 300, "x" * 63 + "…"),
        ("don't [touch] {'this': \"text\"}, ever!", "don't [touch] {'this': \"text\"}, ever!"),
    ],
)
def test_what_means_something_to_mermaid_is_written_as_a_code(text: str, shown: str) -> None:
    assert _lines(_story(_message(1, "a", "b", text)))[2] == f"p1->>p2: {shown} @1".rstrip()


def test_names_are_written_as_codes_too_and_a_blank_one_is_said_to_be_none() -> None:
    lines = _lines(_story(_message(1, "end; #", " ", "x")))
    assert lines[:2] == ["participant p1 as end#59; #35;", "participant p2 as (no name)"]


def test_it_is_never_longer_than_mermaid_accepts() -> None:
    events = [_message(step, "a", "b", "#" * 200) for step in range(1, 2001)]
    diagram = mermaid(_story(*events), last=2000)
    assert 20_000 < len(diagram) <= 50_000
    assert "@2000" in diagram


def test_it_can_be_written_as_utf_8_whatever_the_texts_are() -> None:
    mermaid(_story(_message(1, "\udc80", "b", "\ud800"), title="\udfff")).encode()
