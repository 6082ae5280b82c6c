"""All planted bugs, and what the simulation is held to: how soon, and how simple."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import attrs

from actors.sim import Sim

from . import ghost_join, lost_update, needle, room_clients, slow_writer, stale_leave
from .room_broker import FAULTS

Program = Callable[[Sim], Awaitable[object]]

_SLOW = {"silent_drop", "session_leak", "snapshot_await"}
_DECISIONS = 6


@attrs.frozen
class Planted:
    """One bug: it is found within so many schedules, and shrunk to so few decisions."""

    name: str
    program: Program = attrs.field(repr=False)
    within: int = 200
    decisions: int = _DECISIONS


def _planted_room(fault: str) -> Planted:
    if fault == "no_shield":
        story = room_clients.resets
    else:
        story = room_clients.slow_reader if fault in _SLOW else room_clients.visits
    return Planted(fault, partial(story, fault=fault))


PROGRAMS = (
    Planted("lost_update", lost_update.broken),
    Planted("ghost_join", ghost_join.broken),
    Planted("stale_leave", stale_leave.broken),
    Planted("slow_writer", slow_writer.broken),
    Planted("needle", needle.broken, within=10_000, decisions=9),
)
ROOMS = tuple(map(_planted_room, FAULTS))
PLANTED = {planted.name: planted for planted in (*PROGRAMS, *ROOMS)}

CORRECT: dict[str, Program] = {
    "lost_update": lost_update.correct,
    "ghost_join": ghost_join.correct,
    "stale_leave": stale_leave.correct,
    "slow_writer": slow_writer.correct,
    "visits": room_clients.visits,
    "slow_reader": room_clients.slow_reader,
    "resets": room_clients.resets,
}
"""The same without a bug; the needle has no such variant."""
