"""A counter for each client, in a local variable of the function that accompanies its socket."""

from broker import Broker, Socket

broker = Broker()
counters = broker.of("/counter")


@counters.on_socket
async def count(socket: Socket) -> None:
    """Run for the life of one socket; cancelled when its client goes."""
    total = 0
    async for received in socket.events("add", "reset"):
        match received:
            case ("add", int(number)):
                total += number
            case ("reset",):
                total = 0
            case _:  # a client may send anything
                received.ack({"error": "expected a whole number"})
                continue
        received.ack(total)


if __name__ == "__main__":
    broker.run("127.0.0.1", 3000)
