"""The adapters that pass the shared suite: one more joins with one more `Kind` in `KINDS`.

The suite has no deadline shorter than what a real network needs, and asks for absence by order
only: what a node publishes later arrives later, so what has not come before it never will.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Any

import attrs
import pytest
import trio

from broker import Broker, Namespace
from broker.adapters import Adapter, Bus, RedisAdapter
from broker.testing.client import TestClient


@attrs.frozen
class Kind:
    """An adapter to test: how to make one for each node of a cluster of its own.

    `clock`: Trio's, where it may be a virtual one; a test about time asks for the fixture.
    """

    name: str
    cluster: Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Callable[[], Adapter]]]
    clock: Callable[[], trio.abc.Clock | None] = lambda: None


@asynccontextmanager
async def on_bus(_request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], Adapter]]:
    bus = Bus()
    yield lambda: bus


_clusters = count(1)


@asynccontextmanager
async def on_redis(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], Adapter]]:
    key = f"cluster-{next(_clusters)}"
    yield lambda: RedisAdapter(request.getfixturevalue("redis").url, key=key)


KINDS = [
    Kind("bus", on_bus, lambda: trio.testing.MockClock(autojump_threshold=0)),
    Kind("redis", on_redis),
]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def clock(kind: Kind) -> trio.abc.Clock | None:
    return kind.clock()


@attrs.define
class End:
    """A node, and a client of it. `seen`: the events it has got, in order."""

    broker: Broker
    client: TestClient
    seen: list[tuple[Any, ...]] = attrs.field(factory=list)

    @property
    def id(self) -> str:
        return self.client.id

    @property
    def place(self) -> Namespace:
        return self.broker.of("/")

    async def until(self, event: str) -> list[tuple[Any, ...]]:
        """Return what has come before this event, which comes once."""
        with trio.fail_after(5):
            await self.client.expect(event)
        seen, self.seen[:] = list(self.seen), []
        assert seen[-1][0] == event, seen
        return seen[:-1]


@attrs.define
class Cluster:
    """Brokers of one cluster, in this process."""

    adapter: Callable[[], Adapter]

    def broker(self, **options: Any) -> Broker:
        return Broker(adapter=self.adapter(), **options)

    @asynccontextmanager
    async def end(self, broker: Broker, namespace: str = "/") -> AsyncIterator[End]:
        async with broker.test_client(namespace) as client:
            end = End(broker, client)
            client.watch(lambda event, args: end.seen.append((event, *args)))
            yield end

    @asynccontextmanager
    async def two(self, **options: Any) -> AsyncIterator[tuple[End, End]]:
        """Two nodes, with one client each."""
        one, two = self.broker(**options), self.broker(**options)
        async with one, two, self.end(one) as a, self.end(two) as b:
            yield a, b


@pytest.fixture
async def cluster(kind: Kind, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    async with kind.cluster(request) as adapter:
        yield Cluster(adapter)
