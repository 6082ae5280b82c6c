"""A story as text, for a terminal: what failed, where, in which schedule, after which messages."""

from __future__ import annotations

from collections.abc import Iterator

from .story import Story, TraceEvent

_SHORT = 30  # lines of a trace that fit a screen
_QUIET = frozenset({"started", "ended"})


def text(story: Story, *, full: bool = False) -> str:
    """Return the story in lines; `full`: with every line of the trace."""
    return "\n".join(_lines(story, full=full))


def _lines(story: Story, *, full: bool) -> Iterator[str]:
    yield story.outcome
    if story.where:
        yield f"  at {story.where}"
    elif story.blocked:
        width = max(len(one.lane) for one in story.blocked)
        for task in story.blocked:
            yield f"  {task.lane:{width}}  at {task.where}"
    if story.found:
        yield ""
        yield story.found
    yield from _schedule(story)
    yield from _trace(story, full=full)
    if story.unreceived:
        yield ""
        yield "never received:"
        for one in story.unreceived:
            waits = ", still waits for a place" if one.waiting else ""
            channel = f"{one.channel}: " if one.channel else ""
            yield f"  {channel}{one.text} from {one.sender} (sent at step {one.sent_at}{waits})"
    if story.replay:
        yield ""
        yield f"replay:   {story.replay}"


def _schedule(story: Story) -> Iterator[str]:
    count = len(story.deviations)
    if count:
        but = f", but for {count} decision{'s' if count > 1 else ''}:"
        yield f"the schedule: every task keeps its turn until it blocks{but}"
    else:
        yield "the schedule is the plain one: every task keeps its turn until it blocks"
    for one in story.deviations[:_SHORT]:
        yield f"  step {one.step}: {one.text}"
    if count > _SHORT:
        yield f"  … and {count - _SHORT} more"


def _trace(story: Story, *, full: bool) -> Iterator[str]:
    events = list(story.events)
    if not full:
        events = [event for event in events if event.sliced and event.kind not in _QUIET]
        messages = [event for event in events if event.kind != "bytes"]
        if any(event.kind == "message" for event in messages):
            events = messages  # the bytes only carry what the messages say
    if not events:
        return
    yield ""
    yield "what happened (step, virtual time, from ─channel→ to):"
    if not full and len(events) > _SHORT:
        yield f"  … {len(events) - _SHORT} earlier lines"
        events = events[-_SHORT:]
    width = max(len(event.sender or event.lane) for event in events)
    for event in events:
        yield f"  {event.step:5d} {event.time:9.3f}s  {_line(event, width)}"
    if story.failed_at:
        yield f"  {story.failed_at:5d} {'':10}  {'':{width}} ✗ {story.outcome.splitlines()[0]}"


def _line(event: TraceEvent, width: int) -> str:
    match event.kind:
        case "message" | "bytes":
            waited = f"   [sent at step {event.sent_at}]" if event.sent_at < event.step - 1 else ""
            arrow = f"─{event.channel}→" if event.channel else "─→"
            return f"{event.sender:>{width}} {arrow} {event.lane}  {event.text}{waited}"
        case "net":
            return f"{event.lane:>{width}} ~ {event.text}"
        case _:
            return f"{event.lane:>{width}} · {event.text}"
