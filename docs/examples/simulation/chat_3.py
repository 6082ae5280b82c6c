"""A chat. Each room is a task with a mailbox; the desk opens rooms and passes messages on."""

from math import inf

import trio


async def room(name, mailbox, to_desk):
    members = {}  # name -> where to send what this member is to hear
    handled = 0
    async for what, who, detail in mailbox:
        handled += 1
        if what == "join":
            members[who] = detail
            await detail.send("welcome")
        elif what == "say":
            for ears in members.values():
                await ears.send(f"{who}: {detail}")
        elif what == "leave":
            del members[who]
            if not members:
                await to_desk.send(("empty", name, None, handled))


async def desk(mailbox, to_desk, house):
    rooms = {}  # name -> the mailbox of an open room
    sent = {}  # name -> how many messages this room was sent
    async for what, name, who, detail in mailbox:
        if what == "empty":
            if detail == sent[name]:  # nothing is on its way: only the desk sends to rooms
                rooms.pop(name).close()
            continue
        if name not in rooms:
            rooms[name], room_mailbox = trio.open_memory_channel(inf)
            sent[name] = 0
            house.start_soon(room, name, room_mailbox, to_desk, name=name)
        sent[name] += 1
        await rooms[name].send((what, who, detail))


async def guest(who, to_desk, *lines):
    ears, hears = trio.open_memory_channel(inf)
    await to_desk.send(("join", "lobby", who, ears))
    assert await hears.receive() == "welcome"
    for line in lines:
        await to_desk.send(("say", "lobby", who, line))
        while await hears.receive() != f"{who}: {line}":
            pass
    await to_desk.send(("leave", "lobby", who, None))


async def evening():
    to_desk, mailbox = trio.open_memory_channel(inf)
    async with trio.open_nursery() as house:
        house.start_soon(desk, mailbox, to_desk, house)
        async with trio.open_nursery() as guests:
            guests.start_soon(guest, "ann", to_desk, "hello", name="ann")
            guests.start_soon(guest, "bob", to_desk, name="bob")
        house.cancel_scope.cancel()
