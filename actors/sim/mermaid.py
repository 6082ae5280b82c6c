"""A run as a Mermaid sequence diagram, for where Markdown is read.

Arrows stand where a message was delivered and name its step, and the step of sending when it
waited. Whatever the texts are, the diagram parses and shows them: what means something to Mermaid
goes in as a code of the character. Only what can have led to the failure is drawn, unless that is
next to nothing, and only the end of it: the diagram is for a glance, the page for the rest.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Literal

import attrs

from .story import Deviation, Story, TraceEvent, Unreceived

# With fewer events than that, the causes alone explain nothing: all are drawn.
_FEW = 4
# What is drawn whatever the limit of events: beyond, it is counted only.
_MOST_UNRECEIVED = 12
_MOST_BLOCKED = 12
# Mermaid itself refuses more characters than that (`maxTextSize`).
_LONGEST_DIAGRAM = 50_000

_LONGEST_NAME = 32
_LONGEST_LABEL = 64
_LONGEST_NOTE = 240
_NOTE_WIDTH = 44  # characters in a line of a note

_JOINERS = "\u200c\u200d"  # inside emoji, and in the scripts that need them

_Shape = Literal["->>", "-->>", "-x", "note"]

# Started tasks are seen by what they do.
_SHAPES: dict[str, _Shape] = {
    "message": "->>",
    "bytes": "-->>",
    "ended": "note",
    "note": "note",
    "net": "note",
}


@attrs.frozen
class _Line:
    """One line of the diagram: an arrow from the first lane to the second, or a note."""

    step: int
    shape: _Shape
    lanes: tuple[str, ...]  # of a note: the one it is about, or none when it is about all
    text: str


def mermaid(story: Story, *, last: int = 60) -> str:
    """Return `story` as a sequence diagram, with the `last` events that are worth drawing.

    It is as long as Mermaid accepts at most: of a story with longer texts there are fewer events.
    """
    drawn = _lines(story, last)
    diagram = "\n".join(_written(story, drawn))
    if len(diagram) > _LONGEST_DIAGRAM and last > 1:
        return mermaid(story, last=last // 2)
    return diagram


def _lines(story: Story, last: int) -> list[_Line]:
    events = [event for event in story.events if event.kind in _SHAPES]
    if len(causes := [event for event in events if event.sliced]) >= _FEW:
        events = causes
    lines = [*map(_of_deviation, story.deviations), *map(_of_event, events)]
    lines.sort(key=lambda line: line.step)  # stable: what was chosen comes before what came of it
    earlier = max(0, len(lines) - last)
    lines = lines[earlier:]
    lost = story.unreceived[-_MOST_UNRECEIVED:]
    lines += [_of_unreceived(each, story) for each in lost]
    lines.sort(key=lambda line: line.step)  # stable: a message is lost after what came with it
    if earlier:
        lines.insert(0, _Line(0, "note", (), f"… {earlier} earlier events"))
    if uncounted := len(story.unreceived) - len(lost):
        lines.append(_Line(0, "note", (), f"… and {uncounted} more were never received"))
    return lines + _closing(story, lines)


def _of_deviation(deviation: Deviation) -> _Line:
    sign, lanes = ("◇", (deviation.lane,)) if deviation.lane else ("⏱", ())
    text = f"{sign} step {deviation.step}: {deviation.text}"
    return _Line(deviation.step, "note", lanes, text)


def _of_event(event: TraceEvent) -> _Line:
    shape = _SHAPES[event.kind]
    if shape == "note" or not event.sender:
        return _Line(event.step, "note", (event.lane,) if event.lane else (), _said(event))
    waited = 0 < event.sent_at < event.step
    steps = f"@{event.step}" + (f" (sent @{event.sent_at})" if waited else "")
    return _Line(event.step, shape, (event.sender, event.lane), f"{_cut(event.text)} {steps}")


def _said(event: TraceEvent) -> str:
    match event.kind:
        case "ended":
            how = "" if event.text.strip() in {"", "ended"} else f": {event.text}"
            return f"ended{how} @{event.step}"
        case "message" | "bytes":  # nobody knows from whom
            return f"got {event.text} @{event.step}"
    sign = "⚡ " if event.kind == "net" else ""
    return f"{sign}{event.text} @{event.step}"


def _of_unreceived(lost: Unreceived, story: Story) -> _Line:
    """Draw it to where that channel's messages went; a note if none ever arrived."""
    came = [event for event in story.events if event.channel == lost.channel and event.sender]
    to = came[-1].lane if came else ""
    how = "still waits for a place" if lost.waiting else "never received"
    text = f"{_cut(lost.text)} {how} (sent @{lost.sent_at})"
    if not lost.channel or not to:
        return _Line(lost.sent_at, "note", (lost.sender,), f"✗ in {lost.channel}: {text}")
    return _Line(lost.sent_at, "-x", (lost.sender, to), text)


def _closing(story: Story, lines: Sequence[_Line]) -> list[_Line]:
    there = {lane for line in lines for lane in line.lanes}
    closing = [
        _Line(story.failed_at, "note", (blocked.lane,), f"waits at {blocked.where}")
        for blocked in story.blocked
        if blocked.lane in there
    ][:_MOST_BLOCKED]
    if story.outcome != "passed":
        where = f" — {story.where}" if story.where else ""
        text = f"✗ step {story.failed_at}: {story.outcome}{where}"
        closing.append(_Line(story.failed_at, "note", (), text))
    elif not lines:
        closing.append(_Line(0, "note", (), "passed: nothing to draw"))
    return closing


def _written(story: Story, drawn: Sequence[_Line]) -> Iterable[str]:
    yield "sequenceDiagram"
    if title := _escaped(_cut(story.title)):
        yield f"    title {title}"
    there = dict.fromkeys(lane for line in drawn for lane in line.lanes)
    known = [lane for lane in story.lanes if lane in there]
    names = [*known, *(lane for lane in there if lane not in known)] or ["the run"]
    ids = {name: f"p{number}" for number, name in enumerate(names, 1)}
    for name, each in ids.items():
        yield f"    participant {each} as {_escaped(_cut(name, _LONGEST_NAME)) or '(no name)'}"
    every = "p1" if len(ids) == 1 else f"p1,p{len(ids)}"
    for line in drawn:
        if line.shape == "note":
            over = ids[line.lanes[0]] if line.lanes else every
            rows = textwrap.wrap(_cut(line.text, _LONGEST_NOTE), _NOTE_WIDTH)
            yield f"    Note over {over}: {'<br/>'.join(map(_escaped, rows))}"
        else:
            sender, receiver = line.lanes
            yield f"    {ids[sender]}{line.shape}{ids[receiver]}: {_escaped(line.text)}"


def _cut(text: str, most: int = _LONGEST_LABEL) -> str:
    """Bring it into one line of at most `most` characters, all of which can be shown."""
    text = " ".join(text.split())
    text = "".join(each if each.isprintable() or each in _JOINERS else "�" for each in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


# What Mermaid would take for a comment, the end of a statement, markup, an entity, a directive,
# mathematics, or the marks it puts in for entities itself; words that it looks for in whole lines;
# and what begins an order to wrap the text.
_SPECIAL = re.compile(
    r"""[\#;<>&¶ﬂ] | (?<=%)% | (?<=\$)\$ | s(?=tyle) | c(?=lassDef) | ^: | (?<=^wrap): """
    r"""| (?<=^nowrap):""",
    re.VERBOSE,
)
_NAMED = {"<": "lt", ">": "gt", "&": "amp"}


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"#{_NAMED.get(found[0], ord(found[0]))};", text)
