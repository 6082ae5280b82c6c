"""The storm of rooms of a user's type: joins that take their time, race, fail and are cancelled.

Each socket has a driver, a task of the server, and there are publishers besides. What is checked:
lives of a room are whole and never overlap, calls come one at a time, hooks are balanced, what is
cancelled has not happened. Each client sees a snapshot and then every change; it gets what was
published from the moment its `on_join` began, and nothing if that refused; all see one order.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations
from typing import Any

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from actors import ActorCycle, Ask
from actors.sim import Sim
from broker import Broker, JoinRefused, Room, Socket, SocketDisconnected

from .ground import dawdle
from .stays import Eyes, Life, Stay, Word
from .verdict import Verdict

ROOMS = ("a", "b")
_ACTIONS = (
    "join",
    "join",
    "join",
    "both",
    "leave",
    "ask",
    "tell",
    "publish",
    "cancel",
    "cross",
    "go",
)
_LINGER = (0.0, 0.0, 1.0)


@attrs.frozen(eq=False)
class Bump(Ask[int]):
    """Change the room's state; answers its version."""

    token: object = attrs.field(factory=object)


@attrs.frozen(eq=False)
class Cross(Ask[int]):
    """Ask another room from inside this one."""

    other: str


class BrokenError(Exception):
    """What rooms fail with, now and then."""


REFUSED = (JoinRefused, BrokenError, ActorCycle)


class OwnRooms:
    """One run."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.verdict = Verdict()
        self.verdict.expected_logs = ("BrokenError", "ActorCycle")
        self.hold = self.verdict.hold
        self.broker = Broker()
        self.lives: dict[str, list[Life]] = {name: [] for name in ROOMS}
        self.handled: set[object] = set()
        self.withdrawn: set[object] = set()
        self.eyes: dict[str, Eyes] = {}
        self.came = trio.Event()
        self.stays: list[Stay] = []
        self.words: list[Word] = []
        self.turns: dict[str, int] = {}
        self.closes = sim.maybe("errors close rooms", 0.3)
        self.broker.room_type("*")(self._type())

    def _type(self) -> type[Room]:
        storm, sim, hold = self, self.sim, self.hold

        class Table(Room):
            linger = _LINGER[sim.draw(3, "how long rooms linger")]
            on_error = "close" if storm.closes else "keep"
            life: Life

            async def on_create(self) -> None:
                lives = storm.lives[self.name]
                hold(all(life.closed for life in lives), "one life after the other", self.name)
                self.life = Life(self.name, len(lives))
                lives.append(self.life)
                with storm.busy(self.life):
                    await dawdle(sim, 2)

            async def on_join(self, socket: Socket) -> None:
                stay = Stay(socket.id, self.name, len(storm.stays))
                storm.stays.append(stay)
                with storm.busy(self.life):
                    try:
                        await self.let_in(socket, stay)
                    except BaseException:
                        stay.entered = False
                        raise
                    hold(socket not in self.life.inside, "in once", socket)
                    self.life.inside.append(socket)

            async def let_in(self, socket: Socket, stay: Stay) -> None:
                life = self.life
                await dawdle(sim, 2)
                await socket.emit("snapshot", self.name, life.number, life.version, stay.number)
                await dawdle(sim, 5)
                if sim.maybe("a refusal", 0.15):
                    raise JoinRefused("no")
                if sim.maybe("a broken join", 0.05):
                    raise BrokenError
                with trio.CancelScope(shield=True):  # as one that must not be cut in two
                    await dawdle(sim, 8)

            async def on_leave(self, socket: Socket) -> None:
                storm.over(socket, self.name)
                with storm.busy(self.life):
                    await dawdle(sim, 2)
                    hold(socket in self.life.inside, "out once for each who came in", socket)
                    self.life.inside.remove(socket)

            async def on_close(self) -> None:
                with storm.busy(self.life):
                    hold(not self.life.inside, "nobody is in when it closes", self.life)
                    hold(not self.members, "and nobody is a member", self.members)
                    await dawdle(sim, 3)
                self.life.closed = True

            async def receive(self, message: object) -> int:
                with storm.busy(self.life):
                    await dawdle(sim, 2)
                    if isinstance(message, Cross):
                        return await storm.broker.room(message.other).ask(Bump())
                    if sim.maybe("a broken message", 0.05):
                        raise BrokenError
                    if isinstance(message, Bump):
                        storm.handled.add(message.token)
                    self.life.version += 1
                    await self.emit("change", self.name, self.life.number, self.life.version)
                    return self.life.version

        return Table

    def busy(self, life: Life) -> Any:
        """Count as one call of a life, which must be the only one."""
        storm = self

        class Busy:
            def __enter__(self) -> None:
                storm.hold(not life.busy, "one call at a time", life)
                storm.hold(not life.closed, "no call behind the last", life)
                life.busy = True

            def __exit__(self, *_: object) -> None:
                life.busy = False

        return Busy()

    # Who drives it.

    async def run(self) -> None:
        """Let clients come, be driven, and go; then look what is left."""
        with self.verdict.given(), trio.fail_after(300.0):  # hearts beat on while rooms hang
            async with self.broker:
                await wait_all_tasks_blocked()
                tasks = self.broker.statistics().tasks
                async with trio.open_nursery() as nursery:
                    for number in range(3):
                        nursery.start_soon(self.visit, f"client {number}")
                    nursery.start_soon(self.publish_some, "publisher")
                    nursery.start_soon(self.publish_some, "publisher 2")
                    if self.sim.maybe("somebody is put out", 0.5):
                        nursery.start_soon(self.put_one_out)
                await trio.sleep(5.0)
                await wait_all_tasks_blocked()
                self.look_behind(tasks)
        for lives in self.lives.values():
            for life in lives:
                assert life.closed, life

    async def visit(self, name: str) -> None:
        """Be one client, and its driver."""
        with suppress(SocketDisconnected):
            async with self.broker.test_client(name=name) as client:
                eyes = self.eyes[client.id] = Eyes(name, client.id, self.hold)
                client.watch(eyes.see)
                self.came.set()
                socket = self.broker.sockets.get(client.id)
                if socket is None:
                    return  # it was put out at once
                for _ in range(3 + self.sim.draw(3, "more to do")):
                    await dawdle(self.sim, 3)
                    if not await self.drive(socket, name):
                        break
                await wait_all_tasks_blocked()
                if not socket.gone:
                    eyes.stayed = True
                    self.compare(socket, eyes)
                self.over(socket, *ROOMS)

    async def drive(self, socket: Socket, task: str) -> bool:
        """Do one thing with a socket; False when it has gone."""
        room = ROOMS[self.sim.draw(len(ROOMS), "the room")]
        action = _ACTIONS[self.sim.draw(len(_ACTIONS), "what a driver does")]
        with suppress(*REFUSED):
            match action:
                case "join":
                    await socket.join(room)
                    self.entered(socket, room)
                    self.hold(self.closes or room in socket.rooms or socket.gone, "joined", socket)
                case "both":
                    await socket.join(*ROOMS)
                case "leave":
                    self.over(socket, room)
                    await socket.leave(room)
                    self.hold(room not in socket.rooms, "left", socket)
                case "ask":
                    await self.broker.room(room).ask(Bump())
                case "tell":
                    await self.broker.room(room).tell("bump")
                case "cross":
                    other = ROOMS[1 - ROOMS.index(room)]
                    await self.broker.room(room).ask(Cross(other))
                case "publish":
                    await self.publish(task)
                case "cancel":
                    await self.be_cancelled(socket, room)
                case _:
                    if self.sim.maybe("it goes", 0.3):
                        self.over(socket, *ROOMS)
                        await socket.disconnect(close=self.sim.maybe("with its connection"))
                        return False
        return True

    async def be_cancelled(self, socket: Socket, room: str) -> None:
        """Join, or ask, and be cancelled at some moment."""
        before = socket.joined_rooms
        bump = Bump()
        joins = self.sim.maybe("a join is cancelled", 0.6)
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:

                @nursery.start_soon
                async def cancel() -> None:
                    await dawdle(self.sim, 20)
                    scope.cancel()

                try:
                    if joins:
                        await socket.join(*ROOMS)
                    else:
                        await self.broker.room(room).ask(bump)
                except trio.Cancelled:
                    if joins:
                        now = socket.joined_rooms
                        self.hold(now <= before, "a cancelled join has not happened", socket)
                    else:
                        self.withdrawn.add(bump.token)
                    raise
                except (*REFUSED, SocketDisconnected):
                    pass

    async def publish_some(self, task: str) -> None:
        """Publish to rooms, unions and exceptions, one after the other."""
        await self.came.wait()
        for _ in range(10):
            await dawdle(self.sim, 8)
            await self.publish(task)

    async def publish(self, task: str) -> None:
        """Publish one event."""
        broker = self.broker
        turn = self.turns[task] = self.turns.get(task, -1) + 1
        if self.sim.maybe("to one room", 0.6):
            room = ROOMS[self.sim.draw(len(ROOMS), "the room")]
            stays = [stay for stay in self.stays if stay.room == room and not stay.over]
            await broker.to(room).emit("word", task, turn)
            stays = [stay for stay in stays if not stay.over]
            self.words.append(Word((task, turn), room, stays))
        else:
            targets = (broker.to("a", "b"), broker.except_("b"), broker.local)
            await targets[self.sim.draw(len(targets), "the target")].emit("word", task, turn)

    async def put_one_out(self) -> None:
        """Disconnect somebody who is being let in, or whoever is there."""
        await self.came.wait()
        await dawdle(self.sim, 60)
        joining = [stay.sid for stay in self.stays if stay.entered is None and not stay.over]
        socket = self.broker.sockets.get(joining[-1] if joining else next(iter(self.eyes)))
        if socket is not None:
            self.over(socket, *ROOMS)
            await socket.disconnect()

    def entered(self, socket: Socket, room: str) -> None:
        """Note that the latest stay of a socket in a room is one, unless it is over already."""
        stays = [stay for stay in self.stays if (stay.sid, stay.room) == (socket.id, room)]
        if stays and not stays[-1].over:
            stays[-1].entered = True

    def over(self, socket: Socket, *rooms: str) -> None:
        """Note that a socket leaves rooms from now on."""
        for stay in self.stays:
            if stay.sid == socket.id and stay.room in rooms:
                stay.over = True

    # What is seen.

    def compare(self, socket: Socket, eyes: Eyes) -> None:
        """Check, while nothing moves, that a member knows its rooms as they are."""
        for name in socket.joined_rooms:
            life = self.lives[name][-1]
            known = eyes.at.get(name)
            self.hold(known == (life.number, life.version), "up to date", f"{known} {life}")

    def look_behind(self, tasks: int) -> None:
        """Check that nothing is left, and that all have seen one order."""
        statistics = self.broker.statistics()
        self.hold(statistics.tasks == tasks, "no task is left", statistics)
        self.hold(not statistics.rooms and not self.broker.rooms, "no room is left", statistics)
        self.hold(not statistics.mailbox_messages, "no message is left", statistics)
        for lives in self.lives.values():
            for life in lives:
                self.hold(life.closed and not life.inside, "every life has ended", life)
        self.hold(not self.handled & self.withdrawn, "a cancelled question was not asked")
        for word in self.words:
            self.look_for(word)
        for one, other in combinations(self.eyes.values(), 2):
            shared = set(one.seen) & set(other.seen)
            ours, theirs = (
                [event for event in eyes.seen if event in shared] for eyes in (one, other)
            )
            self.hold(ours == theirs, "one order for all", f"{ours} {theirs}")

    def look_for(self, word: Word) -> None:
        """Check who has got what was published to one room."""
        for stay in word.stays:
            eyes = self.eyes.get(stay.sid)
            if eyes is not None and eyes.stayed and stay.entered and not self.closes:
                self.hold(word.key in eyes.seen, "from where it began", f"{stay} {word}")
                keys = [each for each in eyes.seen if each in (("snapshot", stay.number), word.key)]
                self.hold(keys[-1] == word.key, "the snapshot first", f"{stay} {word}")
        for eyes in self.eyes.values():
            stays = [stay for stay in self.stays if (stay.sid, stay.room) == (eyes.sid, word.room)]
            if all(stay.entered is False for stay in stays):
                self.hold(word.key not in eyes.seen, "nothing for who is not in", f"{word}")


async def storm(sim: Sim) -> None:
    """Run one storm."""
    await OwnRooms(sim).run()
