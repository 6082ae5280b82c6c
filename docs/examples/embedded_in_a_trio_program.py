"""A broker inside a program that has something else to do: it measures, and tells who listens.

The broker is one more task in the program's own nursery. It installs no signal handlers and no
log handlers, and ends when the nursery does.
"""

import datetime as dt
import random

import trio

from broker import Broker, Socket

broker = Broker()
sensors = broker.of("/sensors")


@sensors.on("subscribe")
async def subscribe(socket: Socket, sensor: str) -> bool:
    await socket.join(f"sensor:{sensor}")
    return True


@sensors.on("unsubscribe")
async def unsubscribe(socket: Socket, sensor: str) -> bool:
    await socket.leave(f"sensor:{sensor}")
    return True


async def measure(sensor: str) -> None:
    """Publish a value each second. A room nobody is in costs nothing and is no error."""
    while True:
        value = {"sensor": sensor, "value": random.gauss(20, 1), "time": dt.datetime.now(dt.UTC)}
        await sensors.to(f"sensor:{sensor}").emit("value", value)
        await trio.sleep(1)


async def main() -> None:
    # The broker lives as long as this block; without it `emit` would raise BrokerNotRunning.
    async with broker, trio.open_nursery() as nursery:
        address = await nursery.start(broker.serve, "127.0.0.1", 3000)
        print(f"clients connect to {address.url}/sensors")
        nursery.start_soon(measure, "kitchen")
        nursery.start_soon(measure, "cellar")


if __name__ == "__main__":
    trio.run(main)
