"""What is measured: the scenarios for all servers, and what the figures mean.

A figure is a number of one server in one round. A ratio says how many times as good atrio is as
another server: where less is better (memory, latency) it is turned round, so that more than 1 is
always good news.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import attrs


@attrs.frozen
class Figure:
    """One line of a table: what it is, its unit, and what it should be.

    `goals`: at least so many times as good as that server. `limit`: no more than this.
    """

    title: str
    unit: str
    less: bool = False
    goals: Mapping[str, float] = attrs.field(factory=dict)
    limit: float = math.inf


@attrs.frozen
class Scenario:
    """What the load generator does to a server."""

    mode: Literal["fanout", "echo", "idle"]
    clients: int
    payload: int = 64
    outstanding: int = 1
    publishers: int = 1

    def small(self) -> Scenario:
        """Return the same with so few clients that it takes no time: for a try."""
        clients = min(self.clients, 20)
        return attrs.evolve(self, clients=clients, publishers=min(self.publishers, clients))


SCENARIOS: Mapping[str, Scenario] = {
    # First, while the server is fresh: what it holds is what the clients cost.
    "memory": Scenario("idle", 3000),
    "connect": Scenario("idle", 2000),
    "fanout1000x1": Scenario("fanout", 1000),
    "fanout1000x4": Scenario("fanout", 1000, outstanding=4),
    "fanout1000p16": Scenario("fanout", 1000, publishers=16),
    "fanout100x8": Scenario("fanout", 100, outstanding=8),
    "fanout10x4": Scenario("fanout", 10, outstanding=4),
    "fanout1000x4-4k": Scenario("fanout", 1000, outstanding=4, payload=4096),
    "echo1": Scenario("echo", 1),
    "echo100": Scenario("echo", 100),
    "echo100x4": Scenario("echo", 100, outstanding=4),
}

COMPARED: Mapping[str, Figure] = {
    "fanout1000x4": Figure(
        "fan-out, 1,000 members, 4 outstanding", "events/s", goals={"node": 5, "uws": 0.9}
    ),
    "fanout1000x1": Figure(
        "fan-out, 1,000 members, 1 outstanding", "events/s", goals={"node": 1.8, "uws": 0.9}
    ),
    "fanout1000p16": Figure(
        "fan-out, 1,000 members, 16 publishers", "events/s", goals={"node": 20, "uws": 1}
    ),
    "fanout100x8": Figure(
        "fan-out, 100 members, 8 outstanding", "events/s", goals={"node": 6, "uws": 0.65}
    ),
    "fanout10x4": Figure("fan-out, 10 members, 4 outstanding", "events/s", goals={"node": 1.5}),
    "fanout1000x4-4k": Figure(
        "fan-out, 1,000 members, 4 outstanding, 4 kB", "events/s", goals={"node": 3}
    ),
    "echo100": Figure("echo with ack, 100 clients", "echoes/s", goals={"node": 1, "pysio": 4}),
    "echo100-p50": Figure("the same, median", "ms", less=True),
    "echo100-p99": Figure("the same, 99th percentile", "ms", less=True),
    "echo100x4": Figure(
        "echo with ack, 100 clients, 4 outstanding", "echoes/s", goals={"node": 1.5}
    ),
    "echo100x4-p50": Figure("the same, median", "ms", less=True),
    "echo100x4-p99": Figure("the same, 99th percentile", "ms", less=True),
    "echo1": Figure("echo with ack, 1 client", "echoes/s", goals={"node": 1.1}),
    "echo1-p50": Figure("the same, median", "ms", less=True),
    "echo1-p99": Figure("the same, 99th percentile", "ms", less=True, goals={"node": 1}),
    "connect": Figure("connections accepted", "per s", goals={"node": 2}),
    "memory": Figure("memory of an idle websocket client", "bytes", less=True, goals={"node": 1}),
}

# What a doubling may cost at the most where the cost grows with what is doubled, and where it does
# not: 2 and 1, with some room for the caches of the processor.
_LINEAR = 2.3
_CONSTANT = 1.3


def _of_a_client(doubled: str) -> dict[str, Figure]:
    """Return what one client's calls may cost while there is more of something else."""
    return {
        f"{doubled}-{name}": Figure(
            f"{work}, {doubled} doubled: cost", "times", less=True, limit=_CONSTANT
        )
        for name, work in (
            ("join", "join and leave"),
            ("disconnect", "disconnect from ten rooms"),
            ("count", "`size` of a room"),
        )
    }


INSIDE: Mapping[str, Mapping[str, Figure]] = {
    "wait": {
        "wait-median": Figure(
            "room of 10,000, one broadcast: longest wait of another task, median", "ms", less=True
        ),
        "wait-worst": Figure("the same, worst of 20 broadcasts", "ms", less=True, limit=5),
        "wait-without": Figure("the same without a broadcast, worst of 20", "ms", less=True),
    },
    "plain-rooms": {
        "plain-rooms": Figure("an idle room, of 10,000", "bytes", less=True, limit=6_000)
    },
    "typed-rooms": {
        "typed-rooms": Figure("an idle room of a type, of 10,000", "bytes", less=True, limit=9_000)
    },
    "ticks": {
        "busy-median": Figure(
            "from emit to the first byte, beside 100 runnable tasks of 50 µs, median",
            "ticks",
            less=True,
            limit=2,
        ),
        "busy-p99": Figure("the same, 99th percentile", "ticks", less=True, limit=3),
        "steps-median": Figure(
            "from emit to the first byte, beside a task with steps of 20 ms, median",
            "ticks",
            less=True,
            limit=2,
        ),
        "steps-p99": Figure("the same, 99th percentile", "ticks", less=True, limit=3),
    },
    "start": {
        "start": Figure("import and start of `atrio serve`", "s", less=True, limit=0.5),
        "import": Figure("of this, the import", "s", less=True),
    },
    "slope-members": {
        "broadcast": Figure("broadcast, members doubled: cost", "times", less=True, limit=_LINEAR)
    },
    "slope-rooms": _of_a_client("rooms"),
    "slope-namespaces": _of_a_client("namespaces"),
}
"""What is measured inside of a process with atrio alone: see `inside.py` and `startup.py`."""

NAMES = (*SCENARIOS, *INSIDE)
FIGURES: Mapping[str, Figure] = COMPARED | {
    name: figure for figures in INSIDE.values() for name, figure in figures.items()
}
