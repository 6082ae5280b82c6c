"""Swarms: each run does without some of the kinds of things, so that the others come thick.

Groce et al., "Swarm Testing", ISSTA 2012: a bug that needs many of one kind close together is
hardly ever met by runs that have all kinds in them.
"""

from __future__ import annotations

from collections.abc import Mapping

from actors.sim import Sim


class Swarm:
    """What one run draws from: `kinds` with their weights, the first always among them.

    `what` is for the report.
    """

    def __init__(self, sim: Sim, what: str, kinds: Mapping[str, int]) -> None:
        self._sim = sim
        self._what = what
        left_out = 2 * sim.draw(2 ** (len(kinds) - 1), f"left out of {what}")
        kept = [kind for bit, kind in enumerate(kinds) if not left_out >> bit & 1]
        self._kinds = [kind for kind in kept for _ in range(kinds[kind])]

    def draw(self) -> str:
        """Return a kind."""
        return self._kinds[self._sim.draw(len(self._kinds), self._what)]
