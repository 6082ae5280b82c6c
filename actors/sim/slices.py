"""The causal slice: the lines of a trace that can have led to its failure.

Backwards from the failure, in the lanes it concerns: a message that reached such a lane makes its
sender's lane one up to the step of sending; so does a wake-up. What concerned lanes sent is kept,
too. (What tasks tell each other through shared variables leaves no line, and is not followed.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from .story import TraceEvent

_TOO_FEW = 3  # then the slice says nothing, and all lines are shown

Wake = tuple[int, str, str]
"""At which step, who woke whom."""


def sliced(
    events: Sequence[TraceEvent], wakes: Sequence[Wake], concerned: Iterable[str], failed_at: int
) -> list[TraceEvent]:
    """Return the events, marked by whether they belong to the slice."""
    until = dict.fromkeys(concerned, failed_at)
    kept = _kept(events, wakes, until)
    if sum(events[index].kind == "message" for index in kept) < _TOO_FEW:
        return list(events)
    return [attrs.evolve(event, sliced=index in kept) for index, event in enumerate(events)]


def _kept(events: Sequence[TraceEvent], wakes: Sequence[Wake], until: dict[str, int]) -> set[int]:
    """Return which events are linked to the lanes in `until`, which grows."""
    kept: set[int] = set()
    moments: list[tuple[int, int, int]] = [
        *((event.step, 1, index) for index, event in enumerate(events)),
        *((step, 0, index) for index, (step, _, _) in enumerate(wakes)),
    ]
    for step, is_event, index in sorted(moments, reverse=True):
        if not is_event:
            _, waker, woken = wakes[index]
            if step <= until.get(woken, -1):
                until[waker] = max(until.get(waker, -1), step)
            continue
        event = events[index]
        reached = step <= until.get(event.lane, -1)
        if reached and event.sender:
            until[event.sender] = max(until.get(event.sender, -1), event.sent_at)
        if reached or (event.sender and event.sent_at <= until.get(event.sender, -1)):
            kept.add(index)
    return kept
