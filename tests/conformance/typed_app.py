"""Handlers that say what they expect of a client: an app for `apps.py`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import msgspec

from broker import Broker, Socket


class Picture(msgspec.Struct):
    name: str
    data: bytes
    taken: dt.datetime


@dataclasses.dataclass
class Album:
    pictures: list[Picture]
    public: bool = False


def note(socket: Socket, event: str) -> None:
    socket.data.setdefault("calls", []).append(event)


def make_typed(**options: Any) -> Broker:
    broker = Broker(**options)

    @broker.on("album")
    async def album(socket: Socket, album: Album) -> list[object]:
        note(socket, "album")
        first = album.pictures[0]
        return [len(album.pictures), first.name, first.data, first.taken.year, album.public]

    @broker.on("move")
    async def move(socket: Socket, x: int, y: int = 0) -> list[int]:
        note(socket, "move")
        return [x, y]

    @broker.on("calls")
    async def tell_calls(socket: Socket) -> list[str]:
        return list(socket.data["calls"])

    return broker
