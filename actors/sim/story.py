"""What a report of a run is made of: values only.

A traced run becomes one `Story`; the renderers (text, Mermaid, the page) take that and nothing
else, so they all tell the same. A lane is a task, or a link of the simulated network, by name.
"""

from __future__ import annotations

from typing import Literal

import attrs

Kind = Literal["message", "bytes", "started", "ended", "note", "net"]


@attrs.frozen
class TraceEvent:
    """One line of the trace."""

    step: int
    """The scheduler step at which it happened; a message: at which it was delivered."""
    time: float
    """Virtual seconds since the run began."""
    kind: Kind
    lane: str
    """In whose lane it stands: a message's receiver, or the task or link it happened to."""
    text: str
    """The message (its repr, shortened), the note, what happened."""
    sender: str = ""
    """Of a message or bytes: the sending lane."""
    channel: str = ""
    """Of a message or bytes: the channel's name."""
    sent_at: int = 0
    """Of a message or bytes: the step of sending; less than `step` when it waited."""
    sliced: bool = True
    """Whether it can have led to the failure: it happened before it, and is linked to it."""


@attrs.frozen
class Unreceived:
    """A message that was sent and never received."""

    channel: str
    text: str
    sender: str
    sent_at: int
    waiting: bool
    """Whether its sender still waited for a place."""


@attrs.frozen
class Blocked:
    """A task that was blocked when the run failed."""

    lane: str
    where: str
    """As `chat.py:48 in want`."""


@attrs.frozen
class Deviation:
    """A choice of the schedule that is not the plain one."""

    step: int
    """The step it decides."""
    text: str
    """As `room runs, though client#2 could go on`."""
    lane: str = ""
    """The task that runs by it, or asked for it; empty for a timer that fires early."""


@attrs.frozen
class Story:
    """All that a report shows of one run."""

    title: str
    outcome: str
    """The error, as `Deadlock: all tasks are blocked …`; or `passed`."""
    where: str
    """The user's line that raised it, as `chat.py:55 in room: assert x`; or empty."""
    failed_at: int
    """The step of the failure; 0 when the run passed."""
    found: str
    """How it was found and shrunk; or empty."""
    lanes: tuple[str, ...]
    """In order of first appearance."""
    events: tuple[TraceEvent, ...]
    unreceived: tuple[Unreceived, ...]
    blocked: tuple[Blocked, ...]
    deviations: tuple[Deviation, ...]
    faults: tuple[str, ...]
    """As `conn0: connection reset after 0/71 bytes of a send`."""
    steps: int
    seconds: float
    """How long it took, in virtual seconds."""
    replay: str
    """The line that replays it; or empty."""
