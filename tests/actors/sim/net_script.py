"""Stands in for `Sim` in the tests of the network: choices come from a list, news are kept."""

from __future__ import annotations

import random
from collections.abc import Hashable
from typing import Any

import attrs

from actors.sim.faults import Faults
from actors.sim.link_end import LinkEnd
from actors.sim.net import Net


class Tale:
    """Stands in for a trace: the texts that are on each link, and all that was received."""

    def __init__(self) -> None:
        self.under_way: dict[Hashable, list[str]] = {}
        self.received_texts: list[str] = []
        self.channels: list[str] = []

    def sent(self, link: Hashable, text: str, channel: str) -> None:
        self.under_way.setdefault(link, []).append(text)
        if channel not in self.channels:
            self.channels.append(channel)

    def received(self, link: Hashable) -> None:
        self.received_texts.append(self.under_way[link].pop(0))


class Script:
    """`Script(0, 3)`: the first choice is 0, the second 3, and all others are plain."""

    def __init__(self, *choices: int, trace: Tale | None = None) -> None:
        self.choices = list(choices)
        self.trace = trace
        self.asked: list[str] = []
        self.notes: list[str] = []
        self.happenings: list[tuple[str, str, str]] = []

    def draw(self, n: int, what: str = "") -> int:
        self.asked.append(what)
        choice = self.choices.pop(0) if self.choices else 0
        assert 0 <= choice < n, f"the script has {choice} for {what!r}, of {n}"
        return choice

    def maybe(self, what: str, p: float = 0.05) -> bool:
        assert p > 0, "a fault that cannot happen is no choice"
        return bool(self.draw(2, what))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def happened(self, kind: str, who: str, text: str) -> None:
        self.happenings.append((kind, who, text))

    @property
    def kinds(self) -> list[str]:
        """What kinds of faults happened."""
        return [kind for kind, _, _ in self.happenings]


class Dice(Script):
    """Chooses at random, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)

    def draw(self, n: int, what: str = "") -> int:
        self.asked.append(what)
        return self._random.randrange(n)

    def maybe(self, what: str, p: float = 0.05) -> bool:
        self.asked.append(what)
        return self._random.random() < p


@attrs.frozen
class Line:
    """A connection of the hosts `alice` and `bob`."""

    net: Net
    script: Script
    alice: LinkEnd
    bob: LinkEnd


def line(*choices: int, trace: Tale | None = None, **faults: Any) -> Line:
    """Connect alice and bob by a link with these faults; the choices of a script decide."""
    script = Script(*choices, trace=trace)
    net = Net(script, Faults(**faults))
    return Line(net, script, *net.pair("alice", "bob"))


async def read_to_end(end: LinkEnd) -> bytes:
    """Return all that there is to read."""
    data = b""
    while piece := await end.receive_some():
        data += piece
    return data
