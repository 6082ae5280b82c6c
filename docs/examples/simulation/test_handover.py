from math import inf

import trio
from chat import desk, guest

from actors.sim import exhaust


async def handover(sim):
    """Bob is the last one in the lobby, and leaves while Ann comes."""
    to_desk, mailbox = trio.open_memory_channel(inf)
    sim.name(to_desk, "desk")  # for reports: else it is "channel 1"
    ears, hears = trio.open_memory_channel(inf)
    async with trio.open_nursery() as house:
        house.start_soon(desk, mailbox, to_desk, house)
        await to_desk.send(("join", "lobby", "bob", ears))
        assert await hears.receive() == "welcome"
        async with trio.open_nursery() as guests:
            guests.start_soon(guest, "ann", to_desk, "hello", name="ann")
            await to_desk.send(("leave", "lobby", "bob", None))
        house.cancel_scope.cancel()


def test_every_handover():
    report = exhaust(handover, bound=2)
    assert report.failure is None, report.failure.text()
    assert report.exhausted
    print(f"{report.runs} schedules, {report.distinct} distinct message orders")
