"""The tutorial's rows on rooms: entering, leaving, and asking for it. See docs/tutorial.md."""

from __future__ import annotations

import pytest

from broker import Broker, DisconnectReason, EventError, Socket


async def test_tutorial_join_one_room() -> None:
    broker = Broker()
    chat = broker.of("/chat")

    @chat.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join("general")
        await socket.emit("welcome")

    async with broker.test_client("/chat") as ann:
        await ann.expect("welcome")
        assert chat.rooms["general"] == {ann.id}


async def test_tutorial_join_several_rooms() -> None:
    broker = Broker()
    chat = broker.of("/chat")

    @chat.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join("general", "announcements", "vip")
        await socket.emit("welcome")

    async with broker.test_client("/chat") as ann:
        await ann.expect("welcome")
        assert set(chat.rooms) == {"general", "announcements", "vip"}
        await chat.to("vip").emit("news", 1)
        assert await ann.expect("news") == (1,)


async def test_tutorial_leave_a_room() -> None:
    broker = Broker()
    chat = broker.of("/chat")

    @chat.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join("general", "vip")

    @chat.on("goOut")
    async def go_out(socket: Socket) -> list[str]:
        await socket.leave("general")
        return sorted(socket.joined_rooms)

    async with broker.test_client("/chat") as ann:
        assert await ann.call("goOut") == ["vip"]
        assert "general" not in chat.rooms
        delivery = await chat.to("general").emit("news", 1)
        assert delivery.recipients == 0
        await ann.expect_nothing()


async def test_tutorial_socket_rooms() -> None:
    broker = Broker()
    chat = broker.of("/chat")

    @chat.on("connection")
    async def connected(socket: Socket) -> None:
        await socket.join("general", "announcements", "vip")
        await socket.leave("general")

    @chat.on("whereAmI")
    async def where_am_i(socket: Socket) -> dict[str, list[str]]:
        assert socket.rooms == socket.joined_rooms | {socket.id}
        assert "general" not in socket.rooms
        return {"rooms": sorted(socket.joined_rooms)}

    async with broker.test_client("/chat") as ann:
        assert await ann.call("whereAmI") == {"rooms": ["announcements", "vip"]}
        assert chat.sockets[ann.id].rooms == {ann.id, "announcements", "vip"}


async def test_tutorial_client_requested_join_and_leave_with_validation() -> None:
    broker = Broker()
    chat = broker.of("/chat")
    open_rooms = {"general", "tech", "random"}

    def checked(room: object) -> str:
        """Return the room a client asked for: what a client sends may be anything."""
        if not isinstance(room, str) or room not in open_rooms:
            raise EventError("no_such_room", f"There are {', '.join(sorted(open_rooms))}.")
        return room

    @chat.on("joinRoom")
    async def join_room(socket: Socket, room: object) -> dict[str, object]:
        name = checked(room)
        await socket.join(name)
        await socket.to(name).emit("userJoined", socket.id)
        return {"ok": True, "room": name}

    @chat.on("leaveRoom")
    async def leave_room(socket: Socket, room: object) -> dict[str, object]:
        name = checked(room)
        await socket.leave(name)
        await socket.to(name).emit("userLeft", socket.id)
        return {"ok": True, "room": name}

    async with broker.test_client("/chat") as ann, broker.test_client("/chat") as bob:
        assert await ann.call("joinRoom", "tech") == {"ok": True, "room": "tech"}
        assert await bob.call("joinRoom", "tech") == {"ok": True, "room": "tech"}
        assert await ann.expect("userJoined") == (bob.id,)

        for wrong in ("staff", ann.id, "", None, ["tech"], {"room": "tech"}):
            refused = await bob.call("joinRoom", wrong)
            assert refused["error"]["code"] == "no_such_room"
        refused = await bob.call("joinRoom")
        assert refused["error"]["code"] == "bad_arguments"
        assert chat.sockets[bob.id].joined_rooms == {"tech"}

        assert await bob.call("leaveRoom", "tech") == {"ok": True, "room": "tech"}
        assert await ann.expect("userLeft") == (bob.id,)
        assert chat.rooms == {"tech": {ann.id}}


async def test_tutorial_switching_rooms() -> None:
    broker = Broker()
    chat = broker.of("/chat")

    async def enter(socket: Socket, room: str) -> None:
        await socket.join(room)
        socket.data["room"] = room
        await socket.emit("roomChanged", room)
        await socket.to(room).emit("notification", f"{socket.data['name']} joined {room}")

    @chat.on("connection")
    async def connected(socket: Socket) -> None:
        socket.data["name"] = socket.handshake.auth["name"]
        await enter(socket, "general")

    @chat.on("switchRoom")
    async def switch_room(socket: Socket, room: object) -> None:
        if room not in ("general", "tech", "random"):
            raise EventError("no_such_room", "There are general, tech and random.")
        old = socket.data["room"]
        await socket.leave(old)
        await socket.to(old).emit("notification", f"{socket.data['name']} left {old}")
        await enter(socket, str(room))

    @chat.on("message")
    async def message(socket: Socket, text: str) -> None:
        await chat.to(socket.data["room"]).emit("message", socket.data["name"], text)

    async with (
        broker.test_client("/chat", auth={"name": "Ann"}) as ann,
        broker.test_client("/chat", auth={"name": "Bob"}) as bob,
    ):
        assert await ann.expect("roomChanged") == ("general",)
        assert await bob.expect("roomChanged") == ("general",)
        assert await ann.expect("notification") == ("Bob joined general",)

        await bob.call("switchRoom", "tech")
        assert await bob.expect("roomChanged") == ("tech",)
        assert await ann.expect("notification") == ("Bob left general",)

        await bob.call("message", "is anybody here?")
        assert await bob.expect("message") == ("Bob", "is anybody here?")
        await ann.expect_nothing()  # she is in another room
        assert chat.rooms == {"general": {ann.id}, "tech": {bob.id}}


async def test_tutorial_cleaning_up_when_users_disconnect() -> None:
    broker = Broker()
    chat = broker.of("/chat")
    topics: dict[str, str] = {}  # of each room that has anybody in it

    @chat.on("enter")
    async def enter(socket: Socket, room: str, topic: str) -> None:
        await socket.join(room)
        topics.setdefault(room, topic)

    @chat.on("disconnecting")  # the rooms are still there: say goodbye
    async def leaving(socket: Socket, reason: DisconnectReason) -> None:
        for room in socket.joined_rooms:
            await socket.to(room).emit("userLeft", socket.id, str(reason))

    @chat.on("disconnect")  # the rooms have been left: forget the empty ones
    async def gone(socket: Socket, reason: DisconnectReason) -> None:
        assert socket.rooms == frozenset()
        for room in topics.keys() - chat.rooms.keys():
            del topics[room]

    async with broker:
        before = broker.statistics()
        async with broker.test_client("/chat") as ann:
            await ann.call("enter", "tech", "Computers")
            async with broker.test_client("/chat") as bob:
                await bob.call("enter", "tech", "Gardens")
                await bob.call("enter", "random", "Anything")
                assert topics == {"tech": "Computers", "random": "Anything"}
            assert await ann.expect("userLeft") == (bob.id, "transport close")
            assert topics == {"tech": "Computers"}
            assert chat.rooms == {"tech": {ann.id}}
        assert topics == {}
        assert broker.statistics() == before


@pytest.mark.parametrize("ending", ["client", "server", "connection"])
async def test_the_hooks_run_once_however_a_user_goes(ending: str) -> None:
    broker = Broker()
    seen: list[tuple[str, str]] = []

    @broker.on("disconnecting")
    async def leaving(socket: Socket, reason: DisconnectReason) -> None:
        seen.append(("disconnecting", reason))

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: DisconnectReason) -> None:
        seen.append(("disconnect", reason))

    async with broker.test_client() as ann:
        if ending == "client":
            await ann.disconnect()
        elif ending == "server":
            await broker.sockets[ann.id].disconnect()
    reason = {
        "client": "client namespace disconnect",
        "server": "server namespace disconnect",
        "connection": "transport close",
    }[ending]
    assert seen == [("disconnecting", reason), ("disconnect", reason)]
