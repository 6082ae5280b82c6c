"""A room of the built-in chat: who is in it is told of who comes, who goes, and what is said."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

import attrs

from actors import Ask
from broker import Room, RoomRef, Socket


@attrs.frozen
class Say(Ask[None]):
    """Somebody in the room says something."""

    socket: Socket
    text: str


@attrs.frozen
class CountMessages(Ask[int]):
    """How many messages there have been, since somebody has been here."""


class ChatRoom(Room):
    """`roomChanged` goes to who comes, `notification` to the others, `message` to all."""

    async def on_create(self) -> None:
        """Begin without messages."""
        self._messages = 0

    async def on_join(self, socket: Socket) -> None:
        """Tell the newcomer who is here, and the others who has come."""
        socket.data["room"] = self.name
        users = sorted([*users_of(self), socket.data["name"]])
        socket.emit_nowait("roomChanged", {"room": self.name, "users": users})
        await self._announce(socket, "joined")

    async def on_leave(self, socket: Socket) -> None:
        """Tell the others who has gone."""
        await self._announce(socket, "left")

    async def receive(self, message: Say | CountMessages) -> int | None:
        """Let all hear what is said."""
        match message:
            case CountMessages():
                return self._messages
            case Say(socket=socket, text=text):
                self._messages += 1
                await self.emit("message", self._message(socket, text))
        return None

    def _message(self, socket: Socket, text: str) -> dict[str, Any]:
        return {
            "id": secrets.token_urlsafe(9),
            "user": socket.data["name"],
            "from": socket.id,
            "room": self.name,
            "text": text,
            "time": dt.datetime.now(dt.UTC),
        }

    async def _announce(self, socket: Socket, kind: str) -> None:
        name = socket.data["name"]
        await self.except_(socket.id).emit(
            "notification",
            {
                "kind": kind,
                "user": name,
                "room": self.name,
                "text": f"{name} {kind} {self.name}",
                "time": dt.datetime.now(dt.UTC),
            },
        )


def users_of(room: Room | RoomRef) -> list[str]:
    """Return the names of who is in a room now."""
    return sorted(socket.data["name"] for socket in room.members)
