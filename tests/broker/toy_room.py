"""A room server small enough to be right, with faults that can be planted, and its audit.

Nothing runs by itself: `steps()` are what could happen next, and whoever plays it chooses. So every
interleaving of clients, connections and rooms can be had. Time passes only when nothing else can
happen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from broker.audit import AuditClient, RoomAudit

OUTBOX = 6  # messages that may wait for a client before it is cut off
MAILBOX = 50
STALL = 20.0  # seconds for which a stalled client reads nothing

Step = tuple[str, Callable[[], None]]

FAULTS = {
    "the same seq twice": {"total order", "agreement"},
    "no epoch": {"agreement"},
    "a seq too many": {"no gap"},
    "a member overtakes": {"total order", "no gap", "fifo", "membership", "one order"},
    "a full outbox drops": {"no gap", "ack"},
    "told in early": {"told"},
    "told out early": {"told", "membership"},
    "let out twice": {"balance"},
    "never let out": {"balance"},
    "a room that stays": {"nothing left"},
    "a join that is lost": {"one answer", "isolation"},
    "an ack too many": {"ack once"},
    "an ack too few": {"one answer", "isolation"},
    "one member left out": {"no gap", "ack"},
    "two paths to the room": {"fifo", "one order"},
    "said twice": {"at most once"},
    "said after the leave": {"membership"},
    "said before the join": {"membership"},
    "said in another room": {"membership", "agreement", "no gap", "total order"},
    "no limit": {"bounds"},
    "a reader that stalls all": {"isolation"},
    "no leave answered": {"one answer", "isolation", "membership"},
    "two halves of a broadcast": {"one order", "membership", "ack", "no gap"},
}
"""What can be planted, and the invariants that may show it."""


class Client:
    """One client: a script of (verb, room), which it follows, and what waits for it."""

    def __init__(self, report: AuditClient, script: Sequence[tuple[str, str]]) -> None:
        self.report = report
        self.script = deque(script)
        self.outbox: deque[tuple[Any, ...]] = deque()
        self.said = self.asked = 0
        self.wakes = 0.0  # when it reads again, if it stalls
        self.over = False  # whether the server has given it up

    @property
    def name(self) -> str:
        return self.report.name


class Room:
    def __init__(self, name: str, epoch: int) -> None:
        self.name = name
        self.epoch = epoch
        self.seq = 0
        self.members: dict[Client, None] = {}
        self.mailbox: deque[tuple[Any, ...]] = deque()
        self.late: list[Callable[[], None]] = []  # what a fault puts off


class Toy:
    """The server, its clients and their audit; `fault` is one of `FAULTS`, or none."""

    def __init__(
        self, scripts: Sequence[Sequence[tuple[str, str]]], fault: str, *, at: bool
    ) -> None:
        """`at`: whether messages carry their positions."""
        self.now = 0.0
        self.audit = RoomAudit(lambda: self.now, patience=STALL / 2)
        self.clients = [
            Client(self.audit.client(f"c{number}"), script) for number, script in enumerate(scripts)
        ]
        self.rooms: dict[str, Room] = {}
        self.fault = fault
        self.at = at
        self.lives = 0
        self.loose: list[Callable[[], None]] = []  # what a fault does in tasks of their own

    # What can happen.

    def steps(self) -> list[Step]:
        steps: list[Step] = []
        for client in self.clients:
            if client.script and not client.over and client.report.connected:
                steps.append((f"{client.name} acts", lambda client=client: self.act(client)))
            if client.report.connected and client.wakes <= self.now:
                if client.outbox:
                    steps.append((f"{client.name} reads", lambda client=client: self.read(client)))
                elif client.over:
                    steps.append((f"{client.name} ends", client.report.cut_off))
        for room in list(self.rooms.values()):
            if room.late:
                steps.append((f"{room.name} goes on", lambda room=room: room.late.pop(0)()))
            elif room.mailbox and not self.blocked(room):
                steps.append((f"{room.name} turns", lambda room=room: self.turn(room)))
        if self.loose:
            steps.append(("a task runs", self.run_loose))
        if not steps and any(client.wakes > self.now for client in self.clients):
            steps.append(("time passes", self.wait))
        return steps

    def run_loose(self) -> None:
        self.loose.pop(0)()

    def wait(self) -> None:
        self.now = min(client.wakes for client in self.clients if client.wakes > self.now)

    def blocked(self, room: Room) -> bool:
        return self.fault == "a reader that stalls all" and any(
            len(member.outbox) >= OUTBOX and not member.over for member in room.members
        )

    def play(self, choose: Callable[[int], int]) -> None:
        """Play to the end; `choose(n)` gives a number below n."""
        while steps := self.steps():
            steps[choose(len(steps))][1]()
        self.audit.finish(left={"rooms": self.rooms})

    # The clients.

    def act(self, client: Client) -> None:
        verb, name = client.script.popleft()
        report = client.report
        match verb:
            case "join" | "leave":
                client.asked += 1
                report.asked(client.asked)
                if verb == "leave":
                    report.leaving(name)
                self.post(client, name, verb, client.asked)
            case "say":
                client.said += 1
                message = (client.name, client.said)
                report.sent(name, message, ack=True)
                self.post(client, name, "say", message)
            case "stall":
                report.healthy = False
                client.wakes = self.now + STALL
            case "go":
                report.cut_off()
                self.give_up(client)

    def read(self, client: Client) -> None:
        report = client.report
        match client.outbox.popleft():
            case ("joined", room, request, at):
                report.joined(room, at)
                report.answered(request)
            case ("left", room, request):
                report.left(room)
                report.answered(request)
            case ("said", room, message, at):
                report.saw(room, message, at)
            case ("ack", message):
                report.acked(message)
            case ("no", message):
                report.rejected(message)

    # The server.

    def post(self, client: Client, name: str, *what: Any) -> None:
        room = self.rooms.get(name)
        if room is None:
            self.lives += 1
            room = self.rooms[name] = Room(name, 0 if self.fault == "no epoch" else self.lives)
            self.audit.server.opened(name, None if self.fault == "no epoch" else self.lives)
        before = room.mailbox[-1] if room.mailbox else None
        if (
            self.fault == "two paths to the room"
            and before is not None
            and before[0] is client
            and before[1] == what[0] == "say"
        ):
            room.mailbox.insert(len(room.mailbox) - 1, (client, *what))
        else:
            room.mailbox.append((client, *what))
        limit = 1 if self.fault == "no limit" else MAILBOX
        self.audit.within(f"the mailbox of {name}", len(room.mailbox), limit)

    def give_up(self, client: Client) -> None:
        if client.over:
            return
        client.over = True
        if self.fault != "never let out":
            for room in list(self.rooms.values()):
                self.post(client, room.name, "leave", 0)

    def push(self, client: Client, *what: Any) -> None:
        if client.over:
            return
        if len(client.outbox) >= OUTBOX and self.fault != "a reader that stalls all":
            if self.fault != "a full outbox drops":
                self.give_up(client)
            elif what[0] != "said":
                client.outbox.append(what)
        elif self.fault == "a member overtakes" and client.outbox and self.lives % 2:
            client.outbox.insert(len(client.outbox) - 1, what)
        else:
            client.outbox.append(what)

    def turn(self, room: Room) -> None:
        client, verb, *rest = room.mailbox.popleft()
        match verb:
            case "join":
                self.let_in(room, client, rest[0])
            case "leave":
                self.let_out(room, client, rest[0])
            case "say" if client in room.members:
                self.say(room, client, rest[0])
            case "say":
                self.push(client, "no", rest[0])
        waiting = room.mailbox and self.fault != "a join that is lost"
        if not room.members and not room.late and not waiting:
            self.close(room)

    def close(self, room: Room) -> None:
        if self.fault != "a room that stays" and self.rooms.get(room.name) is room:
            self.audit.server.closed(room.name)
            del self.rooms[room.name]

    def let_in(self, room: Room, client: Client, request: int) -> None:
        def enter() -> None:
            if client in room.members:
                return
            self.audit.server.joined(room.name, client.report)
            room.members[client] = None

        if client.over:
            return
        told = ("joined", room.name, request, (room.epoch, room.seq) if self.at else None)
        if self.fault == "told in early":
            self.push(client, *told)
            room.late.append(enter)
        elif self.fault == "said before the join":
            enter()
            room.late.append(lambda: self.push(client, *told))
            room.late.insert(0, lambda: self.say(room, client, ("server", room.epoch, room.seq)))
        else:
            enter()
            self.push(client, *told)

    def let_out(self, room: Room, client: Client, request: int) -> None:
        def leave() -> None:
            if client in room.members:
                del room.members[client]
                self.audit.server.left(room.name, client.report)
                if self.fault == "let out twice":
                    self.audit.server.left(room.name, client.report)
            if self.fault == "told out early" and not room.members and not room.mailbox:
                self.close(room)

        if self.fault == "told out early" and client in room.members:
            self.push(client, "left", room.name, request)
            room.late.append(leave)
            return
        was_in = client in room.members
        leave()
        if self.fault == "no leave answered":
            return
        self.push(client, "left", room.name, request)
        if self.fault == "said after the leave" and was_in:
            self.push(client, "said", room.name, ("server", room.epoch, room.seq + 1), None)

    def say(self, room: Room, client: Client, message: Any) -> None:
        room.seq += 1
        if self.fault == "a seq too many" and room.seq % 2 == 0:
            room.seq += 1
        seq = room.seq - (self.fault == "the same seq twice" and room.seq % 2 == 0)
        at = (room.epoch, seq) if self.at else None
        members = list(room.members)
        if self.fault == "one member left out" and seq % 2 == 0:
            members = members[:-1]
        name = room.name
        if self.fault == "said in another room":
            name = next((other for other in self.rooms if other != name), name)
        for number, member in enumerate(members):
            told = partial(self.push, member, "said", name, message, at)
            if self.fault == "two halves of a broadcast" and number % 2:
                self.loose.append(told)
            else:
                told()
            if self.fault == "said twice":
                told()
        if self.fault != "an ack too few":
            self.push(client, "ack", message)
        if self.fault == "an ack too many":
            self.push(client, "ack", message)
