"""A run as a story: it is replayed with a trace, up to its failure."""

from __future__ import annotations

from functools import partial

import trio

from .errors import BadStrategy, Deadlock, Escaped, TooManySteps, words
from .options import Options
from .places import leaf, leaves, place_of_error
from .record import Program, Record, record
from .slices import sliced
from .story import Story
from .tape import Tape
from .trace import Trace


def tell(
    program: Program,
    told: Record,
    options: Options,
    *,
    title: str = "",
    found: str = "",
    replay: str = "",
) -> Story:
    """Replay a record and return its story.

    `title`, `found` and `replay` are for the story's head: what it is a story of, how it was
    found, and the line that replays it.
    """
    trace = Trace()
    task = ""
    again = record(program, Tape(None, told.choices), options, trace=trace)
    failed_at = again.failed_at
    error = again.error
    if error is not None and not failed_at:
        # The program failed by itself. Which step that was is known now; so once more, to see what
        # was there at that step, before all was unwound.
        lane = trace.lane_of(leaf(error))
        failed_at = trace.ended.get(lane, len(again.history))
        task = f" (task {lane})"
        trace = Trace(fails_at=failed_at)
        trace.concerned.add(lane)
        record(program, Tape(None, told.choices), options, trace=trace)
        trace.failed()  # if that step was the last one
    elif error is not None:
        trace.concerned.update(one.lane for one in trace.blocked if one.lane != "main")
    if again.signature != told.signature:
        # What is told is that failure; the trace, and all else, is of the replay.
        error = told.error
        reason = "it has no strategy" if isinstance(error, BadStrategy) else _UNCONTROLLED
        found = f"{found}; a replay went another way: {reason}".lstrip("; ")
    events = trace.lines()
    if error is not None:
        events = sliced(events, trace.wakes, trace.concerned, failed_at)
    lanes = dict.fromkeys(
        lane
        for event in events
        for lane in (event.sender, event.lane)
        if lane and event.kind not in ("started", "ended")
    )
    outcome = _outcome(error)
    return Story(
        title=title or _name(program),
        outcome=outcome,
        where="" if error is None or told.failed_at else f"{place_of_error(leaf(error))}{task}",
        failed_at=failed_at,
        found=found,
        lanes=tuple(lanes) or ("main",),
        events=tuple(events),
        unreceived=trace.unreceived,
        blocked=trace.blocked,
        deviations=tuple(trace.deviations),
        faults=tuple(trace.faults),
        steps=len(again.history),
        seconds=again.seconds,
        replay=replay,
    )


def _name(program: object) -> str:
    while isinstance(program, partial):
        program = program.func
    return str(getattr(program, "__name__", type(program).__name__))


_UNCONTROLLED = "the program is not deterministic"


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "passed"
    first = leaf(error)
    said = words(first)
    if isinstance(first, Deadlock | TooManySteps | Escaped):
        said = said.partition("\n")[0].removesuffix(
            ":"
        )  # where the tasks are is a part of the story
    others = sum(not isinstance(one, trio.Cancelled) for one in leaves(error)) - 1
    return f"{said} (and {others} more error{'s' if others > 1 else ''})" if others > 0 else said
