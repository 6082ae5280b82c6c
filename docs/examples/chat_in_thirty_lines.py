"""A chat with rooms. `python chat_in_thirty_lines.py`, then connect any Socket.IO client."""

from broker import Broker, ConnectError, DisconnectReason, EventError, Socket

ROOMS = ("general", "tech", "random")
broker = Broker()
chat = broker.of("/chat")


@chat.use
async def authenticate(socket: Socket) -> None:
    name = socket.handshake.auth.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 32:
        raise ConnectError("a name has 1 to 32 characters")
    socket.data["name"] = name


@chat.on("switchRoom")
async def switch_room(socket: Socket, room: object) -> list[str]:
    if room not in ROOMS:
        raise EventError("no_such_room", f"there are {', '.join(ROOMS)}")
    await socket.leave(*socket.joined_rooms)
    await socket.join(str(room))
    await socket.to(str(room)).emit("notification", f"{socket.data['name']} joined {room}")
    return sorted(other.data["name"] for other in await chat.in_(str(room)).fetch_sockets())


@chat.on("message")
async def message(socket: Socket, text: str) -> bool:
    await chat.to(*socket.joined_rooms).emit("message", socket.data["name"], text)
    return True


@chat.on("disconnecting")
async def leaving(socket: Socket, reason: DisconnectReason) -> None:
    for room in socket.joined_rooms:
        await socket.to(room).emit("notification", f"{socket.data['name']} left: {reason}")


if __name__ == "__main__":
    broker.run("127.0.0.1", 3000)
