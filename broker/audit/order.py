"""One order that fits what everybody saw, for as long as there is one.

A view is what one client saw, in its order. Each says of two neighbours that the first came before
the second; all of it together is a graph, and an order that fits all views exists as long as the
graph has no cycle. The order is kept while the graph grows (Pearce and Kelly, "A dynamic
topological sort algorithm for directed acyclic graphs", 2006): a message that is seen in the order
there is costs one look, whoever sees it, and only what lies between two that must change places is
looked at.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

Step: TypeAlias = tuple[Hashable, Hashable, str]
"""(first, second, viewer): the viewer saw the first right before the second."""


class MergedOrder:
    """The messages that were seen, in an order that fits all views."""

    def __init__(self) -> None:
        self._rank: dict[Hashable, int] = {}
        self._after: dict[Hashable, dict[Hashable, str]] = {}
        self._before: dict[Hashable, dict[Hashable, str]] = {}
        self._last: dict[str, Hashable] = {}

    def see(self, viewer: str, message: Hashable) -> list[Step]:
        """Add a message to the end of a view.

        Returns nothing if there is an order that fits; else a cycle, which begins with what the
        others saw and ends with this viewer's step, and the message is not added.
        """
        if viewer not in self._last:
            self._add(message)
        else:
            previous = self._last[viewer]
            if message not in self._rank:
                self._add(message)
            elif message not in self._after[previous]:
                cycle = self._make_room(previous, message)
                if cycle:
                    return [*cycle, (previous, message, viewer)]
            self._after[previous].setdefault(message, viewer)
            self._before[message].setdefault(previous, viewer)
        self._last[viewer] = message
        return []

    def _add(self, message: Hashable) -> None:
        if message not in self._rank:
            self._rank[message] = len(self._rank)
            self._after[message] = {}
            self._before[message] = {}

    def _make_room(self, first: Hashable, second: Hashable) -> list[Step]:
        """Let `first` come before `second`; returns what the others saw if it cannot."""
        low, high = self._rank[second], self._rank[first]
        if high < low:
            return []
        behind, came_from = self._reachable(second, self._after, low, high)
        if first in behind:
            return self._path(second, first, came_from)
        before, _ = self._reachable(first, self._before, low, high)
        # Those that must come before take the lowest of the places that both have, in their order.
        moved = sorted(before, key=self._rank.__getitem__)
        moved += sorted(behind, key=self._rank.__getitem__)
        places = sorted(self._rank[message] for message in moved)
        for message, place in zip(moved, places, strict=True):
            self._rank[message] = place
        return []

    def _reachable(
        self, start: Hashable, edges: dict[Hashable, dict[Hashable, str]], low: int, high: int
    ) -> tuple[set[Hashable], dict[Hashable, Hashable]]:
        """Return what can be reached within these places, and from where each was reached."""
        reached, came_from = {start}, {}
        waiting = [start]
        while waiting:
            message = waiting.pop()
            for neighbour in edges[message]:
                if neighbour not in reached and low <= self._rank[neighbour] <= high:
                    reached.add(neighbour)
                    came_from[neighbour] = message
                    waiting.append(neighbour)
        return reached, came_from

    def _path(
        self, start: Hashable, end: Hashable, came_from: dict[Hashable, Hashable]
    ) -> list[Step]:
        steps: list[Step] = []
        while end != start:
            previous = came_from[end]
            steps.append((previous, end, self._after[previous][end]))
            end = previous
        return steps[::-1]
