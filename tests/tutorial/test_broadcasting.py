"""The tutorial's rows on broadcasts, and on who is in a room. See docs/tutorial.md."""

from __future__ import annotations

from broker import Broker, Socket


def make_broker() -> Broker:
    """A broker whose clients enter the rooms they name in `auth`."""
    broker = Broker()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        socket.data["name"] = socket.handshake.auth["name"]
        await socket.join(*socket.handshake.auth["rooms"])
        await socket.emit("ready")

    return broker


ANN = {"name": "Ann", "rooms": ["general"]}
BOB = {"name": "Bob", "rooms": ["general", "vip"]}
CAT = {"name": "Cat", "rooms": []}


async def test_tutorial_broadcast_to_a_room() -> None:
    broker = make_broker()
    async with broker.test_client(auth=ANN) as ann, broker.test_client(auth=CAT) as cat:
        await ann.expect("ready")
        await cat.expect("ready")

        delivery = await broker.to("general").emit("message", "hello", {"from": "the server"})

        assert delivery.recipients == 1
        assert await ann.expect("message") == ("hello", {"from": "the server"})
        await cat.expect_nothing()


async def test_tutorial_broadcast_to_several_rooms_each_socket_once() -> None:
    broker = make_broker()
    async with broker.test_client(auth=ANN) as ann, broker.test_client(auth=BOB) as bob:
        await ann.expect("ready")
        await bob.expect("ready")

        delivery = await broker.to("general").to("vip").emit("announcement", "hi")

        assert delivery.recipients == 2
        assert await ann.expect("announcement") == ("hi",)
        assert await bob.expect("announcement") == ("hi",)
        await bob.expect_nothing()  # he is in both rooms, and got it once


async def test_tutorial_broadcast_except_the_sender() -> None:
    broker = make_broker()

    @broker.on("typing")
    async def typing(socket: Socket) -> None:
        await socket.to("general").emit("typing", socket.data["name"])

    async with broker.test_client(auth=ANN) as ann, broker.test_client(auth=BOB) as bob:
        await ann.expect("ready")
        await bob.expect("ready")

        await ann.call("typing")

        assert await bob.expect("typing") == ("Ann",)
        await ann.expect_nothing()


async def test_tutorial_broadcast_including_the_sender() -> None:
    broker = make_broker()

    @broker.on("message")
    async def message(socket: Socket, text: str) -> None:
        await broker.to("general").emit("message", socket.data["name"], text)

    async with broker.test_client(auth=ANN) as ann, broker.test_client(auth=BOB) as bob:
        await ann.expect("ready")
        await bob.expect("ready")

        await ann.call("message", "hello")

        assert await ann.expect("message") == ("Ann", "hello")
        assert await bob.expect("message") == ("Ann", "hello")


async def test_tutorial_fetch_sockets() -> None:
    broker = make_broker()
    async with broker.test_client(auth=ANN) as ann, broker.test_client(auth=BOB) as bob:
        await ann.expect("ready")
        await bob.expect("ready")

        sockets = await broker.in_("general").fetch_sockets()

        assert {socket.id: socket.data["name"] for socket in sockets} == {
            ann.id: "Ann",
            bob.id: "Bob",
        }
        assert await broker.in_("nowhere").fetch_sockets() == []
        (only,) = await broker.in_("vip").fetch_sockets()
        assert only.rooms == {bob.id, "general", "vip"}
        await only.emit("hello")
        await bob.expect("hello")


async def test_tutorial_all_room_names() -> None:
    broker = make_broker()
    async with broker.test_client(auth=BOB) as bob:
        await bob.expect("ready")
        assert sorted(broker.rooms) == ["general", "vip"]  # his own id is not among them


async def test_tutorial_room_size() -> None:
    broker = make_broker()
    async with broker.test_client(auth=ANN) as ann, broker.test_client(auth=BOB) as bob:
        await ann.expect("ready")
        await bob.expect("ready")
        assert len(broker.rooms["general"]) == 2
        assert len(broker.rooms.get("nowhere", ())) == 0


async def test_tutorial_room_exists() -> None:
    broker = make_broker()
    async with broker.test_client(auth=ANN) as ann:
        await ann.expect("ready")
        assert "general" in broker.rooms
        assert "vip" not in broker.rooms
        await broker.in_(ann.id).sockets_leave("general")
        assert "general" not in broker.rooms  # the last member has left
