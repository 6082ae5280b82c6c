"""Classes that could not work as rooms are refused when they are registered, and told why."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import pytest

from actors import Ask
from broker import Broker, Room


class NeedsAnArgument(Room):
    def __init__(self, database: str) -> None:
        self.database = database


@attrs.define
class NeedsAnAttribute(Room):
    database: str


@attrs.frozen
class Frozen(Room):
    pass


@dataclasses.dataclass(frozen=True)
class FrozenDataclass(Room):
    pass


class HasItsName(Room):
    @property
    def name(self) -> str:  # type: ignore[override]
        return "mine"


class Coroutine(Room):
    async def lifespan(self) -> None:  # type: ignore[override]
        pass


class Undecorated(Room):
    async def lifespan(self) -> AsyncIterator[None]:  # type: ignore[override]
        yield


class Sync(Room):
    @contextmanager
    def lifespan(self) -> Iterator[None]:  # type: ignore[override]
        yield


class Generator(Room):
    def lifespan(self) -> Iterator[None]:  # type: ignore[override]
        yield


class WithAnArgument(Room):
    @asynccontextmanager
    async def lifespan(self, database: str) -> AsyncIterator[None]:  # type: ignore[override]
        yield


class SyncHook(Room):
    def on_create(self) -> None:  # type: ignore[override]
        pass


class GeneratingHook(Room):
    async def receive(self, message: object) -> AsyncIterator[int]:  # type: ignore[override]
        yield 1


@pytest.mark.parametrize(
    ("room", "told"),
    [
        (NeedsAnArgument, "missing a required argument: 'database'"),
        (NeedsAnAttribute, "missing a required argument: 'database'"),
        (Frozen, "Frozen is frozen"),
        (FrozenDataclass, "FrozenDataclass is frozen"),
        (HasItsName, "cannot have a `name`"),
        (Coroutine, "lifespan: expected an async context manager"),
        (Undecorated, "`@asynccontextmanager`"),
        (Sync, "lifespan: expected an async context manager"),
        (Generator, "lifespan: expected an async context manager"),
        (WithAnArgument, "lifespan is called without arguments"),
        (SyncHook, "on_create: expected an `async def`"),
        (GeneratingHook, "receive: expected an `async def`"),
    ],
)
def test_a_class_that_could_have_no_life_is_refused(room: type[Room], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        Broker().room_type("r")(room)


@pytest.mark.parametrize("of", ["broker", "namespace", "pattern"])
def test_room_type_without_a_glob_says_how(of: str) -> None:
    broker = Broker()
    home: Any = {
        "broker": broker,
        "namespace": broker.of("/chat"),
        "pattern": broker.of(re.compile("x")),
    }[of]
    with pytest.raises(TypeError, match=r"@room_type\('table:\*'\) above the class"):

        @home.room_type
        class Table(Room):
            pass


async def test_classes_with_defaults_and_lifespans_of_other_kinds_are_accepted() -> None:
    broker = Broker()
    opened: list[str] = []

    class Opened:
        async def __aenter__(self) -> None:
            opened.append("open")

        async def __aexit__(self, *_: object) -> None:
            opened.append("shut")

    @broker.room_type("r")
    @attrs.define
    class Defaults(Room):
        database: str = "none"

        def lifespan(self) -> Any:
            return Opened()

        async def receive(self, message: object) -> str:
            return f"{self.name} {self.database}"

    async with broker:
        assert await broker.room("r").ask(Ask[str]()) == "r none"
    assert opened == ["open", "shut"]
