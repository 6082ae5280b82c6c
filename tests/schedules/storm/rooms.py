"""The storm of rooms: everybody joins, leaves, publishes, and goes, at any moment.

Clients and tasks of the server do what the run draws. What is checked is in the ledger, and: events
are handled in order, and only when the connection hooks have finished; hooks run once.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial

import trio

from actors.sim import Sim
from broker import Broker, Socket, SocketDisconnected
from broker.rooms.target import Target

from .client import Client, Line, Presence, Refused
from .ground import WEATHERS, Ground, dawdle, pause
from .hurry import hurried
from .leaving import leave_somehow
from .ledger import Ledger
from .swarm import Swarm

ROOMS = ("a", "b")
_FIRST_ROOMS = (ROOMS, ("a",), ("b",), ())
_HANDLER = {"publish": 4, "join": 2, "leave": 1, "joined": 1, "ask": 1, "tell": 1, "kick": 1}
_TASK = {"publish": 5, "join": 1, "leave": 1, "all join": 1, "all leave": 1, "kick": 1}
_CROSS = {"publish": 4, "join": 3, "leave": 3, "all join": 1, "all leave": 1}
_HURRIED = {
    "publish": 3,
    "join": 2,
    "leave": 2,
    "both": 2,
    "joined": 1,
    "ask": 1,
    "tell": 1,
    "kick": 1,
}
_FIRE = {"a room": 2, "union": 2, "all": 1, "a but b": 1, "but one room": 1}
_TARGETS = {
    "a room": 3,
    "union": 2,
    "all": 2,
    "a but b": 1,
    "but one room": 1,
    "one": 1,
    "the room's others": 1,
    "others": 1,
}
SILENCE = 100.0  # longer than any heartbeat waits
PATIENCE = 200.0

Audience = tuple[Iterable[str] | None, tuple[str, ...], str]


class Rooms:
    """One run.

    `crossfire`: the clients only listen, and tasks of the server publish and move them about, all
    at once. `hurry`: calls are cancelled at any moment.
    """

    def __init__(self, sim: Sim, *, crossfire: bool = False, hurry: bool = False) -> None:
        self.sim = sim
        self.crossfire = crossfire
        self.hurry = hurry
        self.broker = Broker()
        weathers = WEATHERS[:2] if crossfire else WEATHERS
        self.ground = Ground(sim, self.broker, weathers[sim.draw(len(weathers), "the weather")])
        self.hold = self.ground.hold
        self.ledger = Ledger(self.ground.verdict)
        self.crowd = 2 + sim.draw(2, "one more client")
        self.tasks: dict[str, str] = {}  # sockets' names as tasks, by id
        self.resting: set[str] = set()
        self.handler = Swarm(sim, "what a handler does", _HANDLER)
        tasks = _HURRIED if hurry else _CROSS if crossfire else _TASK
        self.task = Swarm(sim, "what a task does", tasks)
        self.targets = Swarm(sim, "targets", _FIRE if crossfire else _TARGETS)
        self.rest = trio.Event()
        self.came = 0
        self.full = trio.Event()
        self.curtain = trio.Event()
        self._register()

    # The server.

    def _register(self) -> None:
        broker = self.broker
        broker.use(self.met)
        broker.on("connection", self.connected)
        broker.on("do", self.do)
        broker.on("fence", self.fence)
        broker.on("disconnecting", self.disconnecting)
        broker.on("disconnect", self.disconnected)

    async def met(self, socket: Socket) -> None:
        self.ground.sockets.append(socket)
        self.ledger.meet(socket)
        self.tasks[socket.id] = f"socket {len(self.tasks)}"
        socket.data["done"] = -1
        if self.sim.maybe("emit in middleware", 0.2):
            await self.tell(socket, self.tasks[socket.id])
        await dawdle(self.sim, 3)

    def stamp(self, socket: Socket) -> tuple[str, int]:
        """Return the next turn of what happens for this socket, one after the other."""
        task = self.tasks[socket.id]
        return task, self.ledger.turn(task)

    async def connected(self, socket: Socket) -> None:
        try:
            for room in _FIRST_ROOMS[self.sim.draw(len(_FIRST_ROOMS), "its first rooms")]:
                await self.join(socket, room)
            await dawdle(self.sim, 4)
        finally:
            socket.data["ready"] = True
            self.came += 1
            if self.came == self.crowd:
                self.full.set()

    async def fence(self, socket: Socket) -> None:
        self.ledger.fences[socket.id] = self.ledger.tick()

    async def do(self, socket: Socket, number: int) -> tuple[list[object]]:
        """Handle an event of a client: do what the run draws, and say which turn it was."""
        sim = self.sim
        self.hold(socket.data.get("ready"), "events wait for the connection hooks", socket)
        self.hold(number == socket.data["done"] + 1, "events in order", f"{number} of {socket}")
        socket.data["done"] = number
        room = ROOMS[sim.draw(len(ROOMS), "the room")]
        match self.handler.draw():
            case "publish":
                await self.publish(socket, self.tasks[socket.id])
            case "join":
                await self.join(socket, room)
                await self.tell(socket, self.tasks[socket.id])
            case "leave":
                await self.leave(socket, room)
                await self.tell(socket, self.tasks[socket.id])
            case "joined":
                await self.visit_room(socket, room)
            case "ask":
                await self.ask(socket, self.tasks[socket.id])
            case "tell":
                await self.tell(socket, self.tasks[socket.id])
            case _:
                if sim.maybe("a kick", 0.3):
                    await self.kick(socket)
        return (list(self.stamp(socket)),)

    async def disconnecting(self, socket: Socket, reason: str) -> None:
        self.hold("gone" not in socket.data, "disconnecting once", socket)
        socket.data["gone"] = 1
        self.hold(socket.id in socket.rooms, "rooms are still there", socket)
        if self.sim.draw(2, "says goodbye"):
            await self.publish(socket, self.tasks[socket.id])

    async def disconnected(self, socket: Socket, reason: str) -> None:
        self.hold(socket.data.get("gone") == 1, "disconnect once, after disconnecting", socket)
        socket.data["gone"] = 2
        self.hold(socket.rooms == frozenset(), "rooms are gone", socket.rooms)

    # What handlers and tasks of the server do.

    async def join(self, socket: Socket, room: str) -> None:
        async def call() -> None:
            with self.ledger.move(socket.id, room, joins=True):
                await socket.join(room)

        await self._call(call)

    async def join_both(self, socket: Socket) -> None:
        """Join two rooms in one call; cancelled, it is in neither, unless it was before."""
        ledger = self.ledger

        async def call() -> None:
            moves = [ledger.begin_move(socket.id, room, joins=True) for room in ROOMS]
            try:
                await socket.join(*ROOMS)
            except BaseException:
                for move in moves:
                    move.sure = False  # it is undone, and nothing else is
                raise
            for move in moves:
                move.ended = ledger.tick()

        before = socket.joined_rooms
        others = list(ledger.moves[socket.id])
        alone = all(move.ended < math.inf for move in others)
        whole = await self._call(call)
        if not whole and alone and len(ledger.moves[socket.id]) <= len(others) + len(ROOMS):
            kept = socket.gone or socket.joined_rooms == before
            self.hold(kept, "cancelled means not joined", socket)

    async def visit_room(self, socket: Socket, room: str) -> None:
        """Be in a room for the length of a block, and leave it, unless it was in before."""
        ledger = self.ledger

        async def call() -> None:
            alone = all(move.ended < math.inf for move in ledger.moves[socket.id])
            enters = alone and room not in socket.joined_rooms
            join = ledger.begin_move(socket.id, room, joins=True)
            leave = None
            try:
                async with socket.joined(room):
                    join.ended = ledger.tick()
                    try:
                        await dawdle(self.sim, 3)
                    finally:
                        leave = ledger.begin_move(socket.id, room, joins=False)
                        leave.sure = enters
            except trio.Cancelled:
                join.cancelled = leave is None
                if leave is not None:
                    leave.cancelled = True
                raise
            assert leave is not None
            leave.ended = ledger.tick()

        await self._call(call)

    async def leave(self, socket: Socket, room: str) -> None:
        async def call() -> None:
            with self.ledger.move(socket.id, room, joins=False):
                await socket.leave(room)

        await self._call(call)

    async def kick(self, socket: Socket) -> None:
        close = bool(self.sim.draw(2, "close"))
        await self._call(lambda: socket.disconnect(close))
        self.hold(not socket.connected, "disconnect disconnects", socket)

    async def _call(self, call: Callable[[], Awaitable[object]]) -> bool:
        if self.hurry:
            return await hurried(self.sim, call)
        await call()
        return True

    async def tell(self, socket: Socket, task: str) -> None:
        """Emit to the client alone."""

        async def call() -> None:
            with self.ledger.emission(task, [socket.id]) as emission:
                await socket.emit("e", emission.number, task, emission.turn)

        await self._call(call)

    async def ask(self, socket: Socket, task: str) -> None:
        """Ask the client, which answers with the event's number, or not at all."""
        answer = None

        async def call() -> None:
            nonlocal answer
            with self.ledger.emission(task, [socket.id]) as emission:
                try:
                    answer = await socket.emit_with_ack(
                        "e", emission.number, task, emission.turn, timeout=2.0
                    )
                except trio.TooSlowError:
                    emission.may_miss = True
                    return
            self.hold(answer == emission.number, "an ack is that of its event", answer)

        number = len(self.ledger.emissions)
        if not await self._call(call) and len(self.ledger.emissions) > number:
            emission = self.ledger.emissions[number]
            emission.cancelled, emission.may_miss = False, True  # it may have been sent

    def draw_target(self, socket: Socket | None) -> tuple[Target, Audience]:
        """Return a target, and what it is to mean: rooms, exceptions, sender."""
        sim, broker = self.sim, self.broker
        room = ROOMS[sim.draw(len(ROOMS), "the room")]
        match self.targets.draw():
            case "union":
                return broker.to(*ROOMS), (ROOMS, (), "")
            case "but one room":
                return broker.except_(room), (None, (room,), "")
            case "a but b":
                return broker.to("a").except_("b"), (["a"], ("b",), "")
            case "all":
                return broker.local, (None, (), "")
            case "one" if (sid := self.draw_sid()) is not None:
                return broker.to(sid), ([sid], (), "")
            case "the room's others" if socket is not None:
                return socket.to(room), ([room], (), socket.id)
            case "others" if socket is not None:
                return socket.broadcast, (None, (), socket.id)
        return broker.to(room), ([room], (), "")

    def draw_sid(self) -> str | None:
        sids = list(self.broker.sockets)
        return sids[self.sim.draw(len(sids), "the socket")] if sids else None

    async def publish(self, socket: Socket | None, task: str) -> None:
        target, audience = self.draw_target(socket)
        if not self.hurry and self.sim.maybe("emit_nowait", 0.15):
            with self.ledger.emission(f"{task}, {audience}, at once", *audience) as emission:
                target.emit_nowait("e", emission.number, emission.task, emission.turn)
            emission.ended = math.inf
            emission.there = frozenset()
            return

        async def call() -> None:
            with self.ledger.emission(task, *audience) as emission:
                emission.delivery = await target.emit(
                    "e", emission.number, emission.task, emission.turn
                )

        await self._call(call)

    async def publisher(self, number: int) -> None:
        """Publish, and move people about, as a task of the server."""
        sim = self.sim
        task = f"task {number}"
        with trio.move_on_after(1.0):
            await self.full.wait()
        for _ in range(1 + self.crossfire * 2 + sim.draw(6, "more turns of a task")):
            if not self.crossfire and sim.draw(5, "whether it waits") == 1:
                await pause(sim, 0.2)
            kind = self.task.draw()
            if kind == "publish":
                await self.publish(None, task)
            elif kind in {"all join", "all leave"}:
                await self.move_all(joins=kind == "all join")
            elif (sid := self.draw_sid()) is not None:
                await self.move_one(kind, self.broker.sockets[sid], task)

    async def move_one(self, kind: str, socket: Socket, task: str) -> None:
        room = ROOMS[self.sim.draw(len(ROOMS), "the room")]
        if kind == "join":
            try:
                await self.join(socket, room)
            except SocketDisconnected:
                self.hold(not socket.connected, "only who has gone cannot join")
        elif kind == "leave":
            await self.leave(socket, room)
        elif kind in {"joined", "both", "ask"}:
            with suppress(SocketDisconnected):
                if kind == "joined":
                    await self.visit_room(socket, room)
                elif kind == "both":
                    await self.join_both(socket)
                else:
                    await self.ask(socket, task)
        elif kind == "tell":
            await self.tell(socket, task)
        elif self.sim.maybe("a kick", 0.3):
            await self.kick(socket)

    async def move_all(self, *, joins: bool) -> None:
        """Let all sockets of a target into a room, or out."""
        target, audience = self.draw_target(None)
        room = ROOMS[self.sim.draw(len(ROOMS), "the room they are moved to")]
        with self.ledger.moves_of_all(audience, room, joins=joins):
            await (target.sockets_join if joins else target.sockets_leave)(room)

    # The clients.

    async def machine(self, client: Client) -> None:
        """Run a client, whose power may be cut: then it is silent, and its connection stays."""
        sim = self.sim
        async with trio.open_nursery() as power:
            power.start_soon(self.live, client, name=client.name)
            if not self.crossfire and sim.maybe("a power cut", 0.1):
                await pause(sim, 0.5)
                if power.child_tasks:
                    frozen = sim.freeze(power)
                    sim.sometimes("a client lost its power")
                    self.at_rest(client)
                    await self.curtain.wait()
                    await trio.sleep(SILENCE)
                    power.cancel_scope.cancel()
                    sim.thaw(frozen)

    async def live(self, client: Client) -> None:
        if self.crossfire:
            await client.visit(partial(self.listen, client))
        else:
            for _ in range(1 + self.sim.draw(2, "visits")):
                await pause(self.sim, 0.1)
                await client.visit(partial(self.visit, client))
        self.at_rest(client)

    def at_rest(self, client: Client) -> None:
        self.resting.add(client.name)
        if len(self.resting) == self.crowd:
            self.rest.set()

    async def visit(self, client: Client, line: Line) -> None:
        """Do what the run draws, stay until the curtain, unless it goes before, and go."""
        sim = self.sim
        await line.ask()
        sent = 0
        for _ in range(sim.draw(3, "early events")):
            await line.emit("/", "do", sent)
            sent += 1  # noqa: SIM113 - it counts on below
        try:
            await line.entered()
        except Refused:  # early timers: it took too long
            return
        for _ in range(sim.draw(5, "what a client does")):
            if "/" not in line.here:
                await line.enter()
                sent = 0
                sim.sometimes("a client that was put out came back")
            match sim.draw(8, "what the client does"):
                case 0 | 1 | 2 | 3:
                    for _ in range(1 + sim.draw(3, "more events at once")):
                        await line.emit("/", "do", sent)
                        sent += 1
                case 4:
                    id_ = await line.begin_call("/", "do", sent)
                    sent += 1
                    await line.acked("/", id_)
                case 5:
                    await pause(sim, 0.2)
                case _:
                    if sim.maybe("the client goes", 0.3):
                        await leave_somehow(sim, line)
                        return
        await self.end(client, line)

    async def listen(self, client: Client, line: Line) -> None:
        try:
            await line.enter()
        except Refused:
            return
        await self.end(client, line)

    async def end(self, client: Client, line: Line) -> None:
        """Stay until the curtain, hear everything, and go."""
        self.at_rest(client)
        await self.curtain.wait()
        presence = line.here.get("/")
        if presence is not None:
            id_ = await line.begin_call("/", "fence")
            presence.fenced = await line.acked("/", id_)
        if not self.crossfire:
            await leave_somehow(self.sim, line)

    # The storm.

    async def blow(self) -> None:
        async with trio.open_nursery() as crowd:
            for number in range(self.crowd):
                client = self.ground.client("abcdef"[number])
                client.answers = partial(self.answer, client)
                crowd.start_soon(self.machine, client)
            async with trio.open_nursery() as tasks:
                more = self.sim.draw(2, "one more task of the server")
                for number in range(2 + self.crossfire + more):
                    tasks.start_soon(self.publisher, number)
            await self.rest.wait()
            await self.sim.quiesce(within=1.0)
            self.ledger.settle()
            self.curtain.set()
        presences = [presence for client in self.ground.clients for presence in client.presences]
        self.ledger.close(presences)
        self.cover(presences)

    def answer(self, client: Client, presence: Presence, args: list[object]) -> list[object] | None:
        return None if self.sim.maybe("no ack", 0.1) else [args[1]]

    def cover(self, presences: list[Presence]) -> None:
        """Say which of the places that matter were reached."""
        sim, ledger = self.sim, self.ledger
        sim.sometimes("two heard the same", len(presences) > 1)
        sim.sometimes("all was heard", any(presence.fenced for presence in presences))
        for emission in ledger.emissions:
            if emission.delivery is not None:
                sim.sometimes("an event for several", emission.delivery.recipients > 1)


async def storm(sim: Sim) -> None:
    rooms = Rooms(sim)
    await rooms.ground.run(rooms.blow, patience=PATIENCE)


async def crossfire(sim: Sim) -> None:
    rooms = Rooms(sim, crossfire=True)
    await rooms.ground.run(rooms.blow, patience=PATIENCE)


async def hurry(sim: Sim) -> None:
    rooms = Rooms(sim, crossfire=True, hurry=True)
    await rooms.ground.run(rooms.blow, patience=PATIENCE)
