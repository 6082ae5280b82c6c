"""All planted bugs, and what the simulation is held to: how soon, and how simple."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import attrs

from actors.sim import Sim

from . import ghost_join, lost_update, needle, room_clients, slow_writer, stale_leave
from .room_broker import FAULTS

Program = Callable[[Sim], Awaitable[object]]

_FEW = 4
_MANY = 9


@attrs.frozen
class Planted:
    """One bug: it is found within so many schedules, and shrunk to so few decisions.

    `breaks`: which invariants of the audit; none, where nothing is audited.
    """

    name: str
    program: Program = attrs.field(repr=False)
    within: int = 200
    decisions: int = _FEW
    breaks: tuple[str, ...] = ()


PROGRAMS = (
    Planted("lost_update", lost_update.broken),
    Planted("ghost_join", ghost_join.broken, decisions=_MANY),
    Planted("stale_leave", stale_leave.broken),
    Planted("slow_writer", slow_writer.broken),
    Planted("needle", needle.broken, within=10_000),
)

_VISITS = {
    "no_epoch": ("agreement",),
    "task_per_delivery": ("no gap", "total order", "ack"),
    "ack_before_member": ("told",),
    "leave_ack_first": ("told",),
    "double_leave": ("balance",),
    "room_leak": ("nothing left",),
    "lost_join": ("isolation",),
    "seq_race": ("total order",),
    "ack_twice": ("ack once",),
    "two_paths": ("fifo",),
    "no_cleanup": ("balance",),
}
_SLOW_READER = {
    "silent_drop": ("no gap", "deadlock"),  # an answer may be dropped, too
    "session_leak": ("nothing left",),
    "snapshot_await": ("isolation",),
}
_RESETS = {"no_shield": ("balance", "nothing left")}  # the room of a ghost stays open
assert {*_VISITS, *_SLOW_READER, *_RESETS} == set(FAULTS)

ROOMS = tuple(
    Planted(fault, partial(story, fault=fault), breaks=breaks)
    for story, faults in (
        (room_clients.visits, _VISITS),
        (room_clients.slow_reader, _SLOW_READER),
        (room_clients.resets, _RESETS),
    )
    for fault, breaks in faults.items()
)
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
