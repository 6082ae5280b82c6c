"""What a program registers, as far as a client can tell: an app for `apps.py`."""

from __future__ import annotations

import re
from typing import Any

from broker import Broker, EventError, NamespaceHandlers, Socket


class Classes(NamespaceHandlers):
    def __init__(self) -> None:
        self.here = 0

    async def on_connect(self, socket: Socket) -> None:
        self.here += 1

    async def on_disconnect(self, socket: Socket, reason: str) -> None:
        self.here -= 1

    async def on_how_many(self, socket: Socket) -> int:
        return self.here


def see_every_event(socket: Socket) -> None:
    seen: list[str] = []

    @socket.use
    async def check(event: str, args: list[Any]) -> None:
        seen.append(f"use {event}")
        if event == "muted":
            raise EventError("muted", "be quiet")
        if event == "change":
            args[0] = "after"

    @socket.on_any
    async def second(event: str, *args: object) -> None:
        seen.append(f"any {event}")

    @socket.prepend_any
    async def first(event: str, *args: object) -> None:
        seen.append(f"first {event}")

    @socket.on("order")
    async def order(text: str) -> list[str]:
        return [*seen, f"on {text}"]

    @socket.on("change")
    async def change(text: str) -> str:
        return text


def add_handlers(broker: Broker) -> None:
    namespace = broker.of("/handlers")
    org = broker.of(re.compile(r"^/org-\w+$"))
    broker.of("/classes").register(Classes())
    rooms: list[str] = []
    namespace.on_room("create")(lambda room: rooms.append(f"create {room}"))
    namespace.on_room("join")(lambda room, _: rooms.append(f"join {room}"))
    namespace.on_room("leave")(lambda room, _: rooms.append(f"leave {room}"))
    namespace.on_room("delete")(lambda room: rooms.append(f"delete {room}"))

    @namespace.on("error")
    async def error(socket: Socket, raised: Exception, event: str) -> None:
        socket.data["errors"].append(str(raised))

    @namespace.on("connection")
    async def connected(socket: Socket) -> None:
        heard: list[list[object]] = []
        socket.data["errors"] = []
        see_every_event(socket)

        @socket.on("errors")
        async def errors() -> list[str]:
            return list(socket.data["errors"])

        async def late() -> str:
            return "on"

        @socket.once("once")
        async def once() -> str:
            socket.on("once", late)
            return "once"

        @socket.on("off")
        async def off() -> str:
            socket.off("off", off)
            socket.on("off", late)
            return "off"

        @socket.on("outgoing")
        async def outgoing(text: str) -> None:
            socket.on_any_outgoing(lambda event, *args: heard.append([event, *args]))
            await namespace.emit("told", text)

        @socket.on("heard")
        async def tell_heard() -> list[list[object]]:
            return heard

        @socket.on("rooms")
        async def tell_rooms() -> list[str]:
            rooms.clear()
            await socket.join("tea")
            await socket.leave("tea")
            return rooms

        @socket.on("tell")
        async def tell(room: str) -> None:
            await org.to(room).emit("staff", "staff")
            await org.emit("all", "all")

    @org.on("join")
    async def join(socket: Socket, room: str) -> None:
        await socket.join(room)

    @org.on_unhandled
    async def fallback(socket: Socket, event: str, *args: object) -> list[object]:
        return [event, *args]
