"""Whatever is cut, and when: who comes back has had what its twin has, who was never away."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker import Broker, Recovery
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.room_actor import RoomActor
from broker.sessions.history import History

from .returning import Returning, Wire, polling

ROOMS = ("a", "b", "c")
SEEDS = range(15)


class Twins:
    """One client that is cut off time and again, one that is not, and others who emit."""

    def __init__(self, seed: int, wire: Wire, twins_wire: Wire) -> None:
        self.random = random.Random(seed)
        self.broker = Broker(
            connection_state_recovery=Recovery(), ping_interval=5.0, ping_timeout=5.0
        )
        self.cut = Returning(self.broker, wire)
        self.twin = Returning(self.broker, twins_wire)
        self.number = 0

    async def run(self) -> None:
        async with self.broker, self.twin.connection():
            for number in range(6):
                hears = self.random.choice([0, 1, 3, 1000])
                async with self.cut.connection(hears=hears):
                    assert number == 0 or self.cut.recovered
                    await self._move()
                    await self._burst()
                    await self._move()
                    if self.random.random() < 0.5:
                        await self._burst()
                if self.random.random() < 0.3:
                    await trio.sleep(20)
                if self.random.random() < 0.7:
                    await self._burst()
            async with self.cut.connection():
                assert self.cut.recovered
                await self._burst()
        assert self.cut.got == self.twin.got

    async def _move(self) -> None:
        """Let both enter or leave rooms, while nobody emits."""
        await wait_all_tasks_blocked()
        for name in ROOMS:
            change = self.random.choice(["join", "leave", None])
            for client in (self.cut, self.twin):
                if change is not None:
                    await getattr(self.broker.sockets[client.sid], change)(name)

    async def _burst(self) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(self._emit)

    async def _emit(self) -> None:
        for _ in range(self.random.randrange(5)):
            for _ in range(self.random.randrange(3)):
                await trio.lowlevel.checkpoint()
            target = self._target()
            self.number += 1
            if self.random.random() < 0.3:
                target.emit_nowait("n", self.number)
            else:
                await target.emit("n", self.number)

    def _target(self) -> Any:
        match self.random.randrange(5):
            case 0:
                return self.broker.to(self.random.choice(ROOMS))
            case 1:
                return self.broker.to(*self.random.sample(ROOMS, 2))
            case 2:
                return self.broker.except_(self.random.choice(ROOMS))
            case 3:
                return self.broker.to(*ROOMS).except_(self.random.choice(ROOMS))
            case _:
                return self.broker.to(self.cut.sid, self.twin.sid)


@pytest.mark.parametrize("seed", SEEDS)
async def test_over_a_websocket(
    seed: int, wire: Callable[..., Any], autojump_clock: MockClock
) -> None:
    await Twins(seed, wire, wire).run()


@pytest.mark.parametrize("seed", SEEDS)
async def test_over_polls_whose_answers_are_lost(
    seed: int, wire: Callable[..., Any], http: Callable[..., Any], autojump_clock: MockClock
) -> None:
    await Twins(seed, polling(http), wire).run()


# Faults, each of which must be found.


@contextmanager
def replaced(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    right = vars(owner)[name]
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


@contextmanager
def noted_in_the_order_of_encoding() -> Iterator[None]:
    """Believe that offsets tell the order in which events were pushed."""
    right = History.add

    def add(self: History, event: Any) -> None:
        right(self, event)
        texts = {each: each.offset.text for each in self._events if each.offset is not None}
        self._events = deque(sorted(texts, key=lambda each: (len(texts[each]), texts[each])))

    with replaced(History, "add", add):
        yield


@contextmanager
def resumed_with_the_last() -> Iterator[None]:
    """Send again the last event that has arrived, too."""
    right = History.resume

    def resume(self: History, offset: object) -> None:
        kept = list(self._events)
        right(self, offset)
        before = [event for event in kept if event.offset and event.offset.text == offset]
        self._events.extendleft(before)

    with replaced(History, "resume", resume):
        yield


@contextmanager
def nobody_is_away() -> Iterator[None]:
    """Forget who has gone in what goes to several rooms."""
    right = NamespaceActor._all

    def _all(self: NamespaceActor, audience: Any) -> Any:
        return {each: None for each in right(self, audience) if not each.gone}

    with replaced(NamespaceActor, "_all", _all):
        yield


@contextmanager
def nobody_is_away_from_rooms() -> Iterator[None]:
    """Forget who has gone in what goes to one room."""
    with replaced(RoomActor, "_recipients", lambda self: self.members):
        yield


@contextmanager
def the_excluded_get_it_when_away() -> Iterator[None]:
    """Except nobody who is away."""
    right = NamespaceActor._all

    def _all(self: NamespaceActor, audience: Any) -> Any:
        selected = right(self, audience)
        if audience.rooms is None:
            selected.update(dict.fromkeys(self.away.values()))
        return selected

    with replaced(NamespaceActor, "_all", _all):
        yield


@pytest.mark.parametrize(
    "fault",
    [
        noted_in_the_order_of_encoding,
        resumed_with_the_last,
        nobody_is_away,
        nobody_is_away_from_rooms,
        the_excluded_get_it_when_away,
    ],
    ids=lambda fault: str(fault.__name__),
)
def test_a_fault_is_found(fault: Any, wire: Callable[..., Any]) -> None:
    with fault():
        assert any(is_found(seed, wire) for seed in SEEDS)


def is_found(seed: int, wire: Wire) -> bool:
    found = False
    try:
        trio.run(Twins(seed, wire, wire).run, clock=MockClock(autojump_threshold=0))
    except* AssertionError:
        found = True
    return found
