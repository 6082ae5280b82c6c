"""A bus: several brokers in one process, for tests; with all that goes wrong between nodes.

>>> bus = Bus()
>>> one, two = Broker(adapter=bus), Broker(adapter=bus)

What goes over it is copied, as if there were a network. All its times are on Trio's clock, so a
virtual one makes them free.
"""

from __future__ import annotations

import copy
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import TypeAlias

import trio

from protocol.cluster.messages import Envelope

from .contract import Adapter, Link, ThisNode

Weather: TypeAlias = Callable[[str, str, Envelope], Sequence[float]]
"""What becomes of an envelope from one node to another: the delay of each copy, in seconds.

`[0.0]` it arrives at once, `[0.5]` later, `[]` it is lost, `[0.0, 0.1]` it arrives twice.
"""


def fair(_sender: str, _receiver: str, _envelope: Envelope) -> Sequence[float]:
    """Fair weather: everything arrives, once, at once."""
    return (0.0,)


class Bus(Adapter):
    """An adapter for any number of brokers in one process.

    `weather` may be changed at any time. Whatever it is, what one node sends another arrives in
    order: a copy that is delayed delays those behind it. `named` gives a node a name by which it is
    known to `weather` and `part`; else they are `node-1`, `node-2` … in the order they begin.
    """

    def __init__(self, *, weather: Weather = fair, requests_timeout: float = 5.0) -> None:
        self.weather = weather
        self.requests_timeout = requests_timeout
        self._links: list[_BusLink] = []
        self._numbers = count(1)
        self._lives: Counter[str] = Counter()
        self._sides: dict[str, int] = {}

    def named(self, name: str) -> Adapter:
        """Return an adapter for one broker of this bus, which is known by `name`."""
        return _Named(self, name)

    def link(self, node: ThisNode) -> Link:
        """Return a link for a life that begins."""
        return self.link_of(f"node-{next(self._numbers)}", node)

    def link_of(self, name: str, node: ThisNode) -> Link:
        """Return a link for a life of the node of this name."""
        self._lives[name] += 1
        return _BusLink(self, name, f"{name}.{self._lives[name]}", node)

    def part(self, *sides: Iterable[str]) -> None:
        """Cut the bus: nodes of one side hear those of another no more, though they count them.

        Who is named in none is on a side with all others that are not. What is on its way arrives.
        """
        self._sides = {name: number for number, side in enumerate(sides, 1) for name in side}

    def mend(self) -> None:
        """Let all nodes hear each other again. What was said meanwhile is lost."""
        self._sides = {}

    # For its links.

    def join(self, link: _BusLink) -> None:
        """Have one more node."""
        self._links.append(link)

    def part_with(self, link: _BusLink) -> None:
        """Have one less."""
        self._links.remove(link)

    def nodes_of(self, namespace: str) -> list[_BusLink]:
        """Return the links of the nodes that have a namespace now."""
        return [link for link in self._links if namespace in link.namespaces]

    def send(self, sender: _BusLink, receiver: _BusLink, envelope: Envelope) -> None:
        """Carry an envelope, as the weather is."""
        if self._sides.get(sender.name, 0) != self._sides.get(receiver.name, 0):
            return
        for delay in self.weather(sender.name, receiver.name, envelope):
            receiver.expect(sender.node, delay, copy.deepcopy(envelope))


class _Named(Adapter):
    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._name = name

    @property
    def requests_timeout(self) -> float:  # type: ignore[override]  # the bus's, which may change
        return self._bus.requests_timeout

    def link(self, node: ThisNode) -> Link:
        return self._bus.link_of(self._name, node)


class _BusLink(Link):
    """`namespaces`: those it hears of, once it runs."""

    def __init__(self, bus: Bus, name: str, node: str, here: ThisNode) -> None:
        self.name = name
        self.node = node
        self.namespaces: set[str] = set()
        self._bus = bus
        self._here = here
        self._on_way: list[tuple[float, int, Envelope]] = []
        self._numbers = count()
        self._latest: dict[str, float] = {}
        self._news = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._bus.join(self)
        try:
            task_status.started()
            while True:
                self._deliver()
                self._news = trio.Event()
                at = self._on_way[0][0] if self._on_way else trio.current_time() + 1e6
                with trio.move_on_at(at):
                    await self._news.wait()
        finally:
            self._bus.part_with(self)

    def _deliver(self) -> None:
        while self._on_way and self._on_way[0][0] <= trio.current_time():
            self._here.deliver(heapq.heappop(self._on_way)[-1])

    def expect(self, sender: str, delay: float, envelope: Envelope) -> None:
        """Have an envelope on its way here, behind what the sender has sent before."""
        at = max(trio.current_time() + delay, self._latest.get(sender, 0.0))
        self._latest[sender] = at
        heapq.heappush(self._on_way, (at, next(self._numbers), envelope))
        self._news.set()

    def open(self, namespace: str) -> trio.Event:
        self.namespaces.add(namespace)
        opened = trio.Event()
        opened.set()
        return opened

    def close(self, namespace: str) -> None:
        self.namespaces.discard(namespace)

    def publish(self, envelope: Envelope) -> None:
        for link in self._bus.nodes_of(envelope.namespace):
            if link is not self:
                self._bus.send(self, link, envelope)

    def answer(self, envelope: Envelope, to_node: str) -> None:
        for link in self._bus.nodes_of(envelope.namespace):
            if link.node == to_node:
                self._bus.send(self, link, envelope)

    async def server_count(self, namespace: str) -> int:
        await trio.lowlevel.checkpoint()
        return len(self._bus.nodes_of(namespace))
