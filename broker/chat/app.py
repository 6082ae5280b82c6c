"""Users and statistics of the built-in chat; its rooms are in `room`.

In `/chat` a client gives its name as `auth["name"]` and is put into `general`. It sends
`switchRoom(room)`, `message(text)` and `listUsers()`, and gets `roomChanged`, `notification`,
`message` and `rooms`. In `/admin` it gets `stats`, and sends `getStats()`. Refusals come back in
the ack.
"""

from __future__ import annotations

import hmac
import ipaddress
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from broker import (
    Broker,
    BrokerNotRunning,
    ConnectError,
    DisconnectReason,
    EventError,
    Options,
    RoomRef,
    Socket,
)

from .room import ChatRoom, CountMessages, Say, users_of

ROOMS = ("general", "tech", "random")
MAX_NAME = 32
MAX_TEXT = 2_000

PAGE = Path(__file__).parent / "page"

# Counts and statistics change with every user who comes or goes; people read them so often.
_REPORT_EVERY = 0.1
# … and see at least so often that the figures are alive.
_REPORT_AT_LEAST = 2.0


class Chat:
    """The chat on a broker of its own: `serve` it, and `run` what it does beside."""

    def __init__(self, options: Options | None = None, *, admin_token: str | None = None) -> None:
        """Without `admin_token`, only clients on this machine enter `/admin`."""
        self.broker = Broker(options)
        self.broker.static("/", PAGE)
        self._admin_token = admin_token
        self._changed = trio.Event()
        self._began = 0.0
        self._chat = self.broker.of("/chat")
        for name in ROOMS:
            self._chat.room_type(name)(ChatRoom)
        self._chat.use(self._check_name)
        self._chat.on("connection", self._arrive)
        self._chat.on("switchRoom", self._switch_room)
        self._chat.on("message", self._message)
        self._chat.on("listUsers", self._list_users)
        self._chat.on("disconnect", self._departed)
        self._admin = self.broker.of("/admin")
        self._admin.use(self._check_admin)
        self._admin.on("connection", self._send_stats)
        self._admin.on("getStats", self._get_stats)

    async def run(self) -> None:
        """Tell everybody of the rooms' counts, and `/admin` the statistics, while it is served."""
        self._began = trio.current_time()
        with suppress(BrokerNotRunning):
            while True:
                with trio.move_on_after(_REPORT_AT_LEAST):
                    await self._changed.wait()
                if self._changed.is_set():
                    # Forgotten before the counts are taken: what changes from here on, and while
                    # we sleep, is for the next report.
                    self._changed = trio.Event()
                    await self._chat.emit("rooms", self._counts())
                await self._admin.emit("stats", await self._stats())
                await trio.sleep(_REPORT_EVERY)

    # /chat

    async def _check_name(self, socket: Socket) -> None:
        name = socket.handshake.auth.get("name")
        if not isinstance(name, str) or not 1 <= len(name.strip()) <= MAX_NAME:
            raise ConnectError(f"A name has 1 to {MAX_NAME} characters.")
        socket.data["name"] = name.strip()

    async def _arrive(self, socket: Socket) -> None:
        await socket.emit("rooms", self._counts())
        if not socket.joined_rooms:  # else it has come back, to the room it was in
            await socket.join(ROOMS[0])
        self._changed.set()

    async def _switch_room(self, socket: Socket, room: object) -> dict[str, Any]:
        if room not in ROOMS:
            raise EventError("no_such_room", f"There are the rooms {', '.join(ROOMS)}.")
        if room != socket.data["room"]:
            await socket.leave(socket.data["room"])
            await socket.join(str(room))
            self._changed.set()
        return {"ok": True, "room": room}

    async def _message(self, socket: Socket, text: object) -> dict[str, Any]:
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_TEXT or not text.strip():
            raise EventError("bad_text", f"A message has 1 to {MAX_TEXT} characters.")
        await self._chat.room(socket.data["room"]).ask(Say(socket, text))
        self._changed.set()
        return {"ok": True}

    async def _list_users(self, socket: Socket) -> dict[str, Any]:
        room = socket.data["room"]
        return {"room": room, "users": users_of(self._chat.room(room))}

    async def _departed(self, _socket: Socket, _reason: DisconnectReason) -> None:
        self._changed.set()

    # /admin

    async def _check_admin(self, socket: Socket) -> None:
        if self._admin_token is None:
            if not _is_local(socket):
                raise ConnectError(
                    "Only this machine may look; start the server with --admin-token to let others."
                )
        elif not hmac.compare_digest(
            str(socket.handshake.auth.get("token", "")).encode(errors="replace"),
            self._admin_token.encode(),
        ):
            raise ConnectError("This is not the admin token.")

    async def _send_stats(self, socket: Socket) -> None:
        await socket.emit("stats", await self._stats())

    async def _get_stats(self, socket: Socket) -> dict[str, Any]:
        stats = await self._stats()
        await socket.emit("stats", stats)
        return stats

    # What there is.

    def _counts(self) -> list[dict[str, Any]]:
        return [{"name": name, "users": self._chat.room(name).size} for name in ROOMS]

    async def _stats(self) -> dict[str, Any]:
        statistics = self.broker.statistics()
        return {
            "uptime": trio.current_time() - self._began,
            "connections": statistics.connections,
            "sockets": statistics.sockets,
            "memberships": statistics.memberships,
            "rooms": [await self._stats_of(self._chat.room(name)) for name in ROOMS],
        }

    async def _stats_of(self, room: RoomRef) -> dict[str, Any]:
        # Nobody is there: do not wake it only to hear that nothing was said.
        messages = await room.ask(CountMessages()) if room.size else 0
        return {"name": room.name, "users": users_of(room), "messages": messages}


def _is_local(socket: Socket) -> bool:
    """Whether the client is on this machine: not merely a proxy of it."""
    if {"x-forwarded-for", "forwarded"} & set(socket.handshake.headers):
        return False
    try:
        return ipaddress.ip_address(socket.handshake.address).is_loopback
    except ValueError:
        return socket.handshake.address == ""  # a unix socket
