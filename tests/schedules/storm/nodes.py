"""The storm of nodes: tasks on several nodes emit, ask and move sockets, in weather of the bus.

Two nodes have clients that stay; a third comes and goes. Each event has a number, and is known to
be for some clients and no others. What is checked: each of them gets it, once, unless the bus loses
words, and nobody else; what was withdrawn nobody gets; any two clients have the events of one node
in one order, and that of each of its tasks; questions are whole, or say what is missing, and return
in time; then nothing is left of anything.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeAlias

import attrs
import trio

from actors.sim import Sim
from broker import Answers, Broker
from broker.adapters import Bus
from broker.rooms.target import Target
from broker.testing.client import TestClient
from broker.values.statistics import Statistics
from protocol.cluster.messages import Envelope

from .ground import dawdle, pause
from .hurry import hurried
from .swarm import Swarm
from .verdict import Verdict

_NODES = ("one", "two")
_TASKS = 2
_DEEDS = 6
_DELAYS = (0.0, 0.0, 0.0, 0.01, 0.1, 1.0)
_CALM = 60.0  # virtual seconds after which all that was under way has arrived
_TIMEOUT = 30.0
_SOON = 10.0  # a question, its answers, and those of who is counted and has gone
_KINDS = {
    "all": 2,
    "a room": 3,
    "both rooms": 2,
    "except a room": 2,
    "local": 2,
    "an id": 2,
    "from a socket": 2,
    "moved in": 3,
    "moved out": 2,
    "fetch": 2,
    "poll": 2,
    "servers": 2,
}

Event: TypeAlias = tuple[str, int, int]
"""Its node, its task, its number in that."""


@attrs.define
class Meant:
    """Whom an event is for: names of clients, and whether it was awaited, and not withdrawn."""

    node: str
    names: frozenset[str]
    awaited: bool = True
    withdrawn: bool = False


class Nodes:
    """One run."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.verdict = Verdict()
        self.hold = self.verdict.hold
        self.loses = sim.maybe("the bus loses words", 0.2)
        self.bus = Bus(weather=self.weather)
        self.brokers = {name: Broker(adapter=self.bus.named(name)) for name in (*_NODES, "comet")}
        self.clients: dict[str, TestClient] = {}
        self.homes: dict[str, str] = {}
        self.rooms: dict[str, set[str]] = {"r": set(), "s": set()}
        self.meant: dict[Event, Meant] = {}
        self.got: defaultdict[str, list[Event]] = defaultdict(list)
        self.comet_ends = math.inf
        self.kinds = Swarm(sim, "a deed", _KINDS)

    def weather(self, _sender: str, _receiver: str, _envelope: Envelope) -> Sequence[float]:
        if self.loses and self.sim.maybe("it is lost", 0.1):
            return ()
        return (_DELAYS[self.sim.draw(len(_DELAYS), "its delay")],)

    # The play.

    async def play(self) -> None:
        with self.verdict.given():
            async with AsyncExitStack() as stack:
                for name in _NODES:
                    broker = await stack.enter_async_context(self.brokers[name])
                    broker.on_server("count")(partial(self.count, name))
                for number, name in enumerate((*_NODES, *_NODES)):
                    await self.come(stack, f"c{number}", name, "rs"[number // 2])
                await trio.sleep(_CALM)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.come_and_go)
                    for name in _NODES:
                        for task in range(_TASKS):
                            nursery.start_soon(self.do, name, task)
                await trio.sleep(_CALM)
                self.check_events()
                for name in _NODES:
                    self.check_rest(self.brokers[name].statistics())
            for broker in self.brokers.values():
                self.hold(broker.statistics() == Statistics(), "all figures are zero in the end")
        self.sim.expect_idle()

    async def come(self, stack: AsyncExitStack, who: str, home: str, room: str) -> None:
        broker = self.brokers[home]
        client = await stack.enter_async_context(broker.test_client(name=who))
        client.watch(partial(self.heard, who))
        client.answer("poll", lambda: who)
        self.clients[who], self.homes[who] = client, home
        await broker.sockets[client.id].join(room)
        self.rooms[room].add(who)

    def heard(self, who: str, event: str, args: tuple[Any, ...]) -> None:
        if event == "event":
            self.got[who].append(tuple(args))  # type: ignore[arg-type]

    async def count(self, name: str) -> str:
        await dawdle(self.sim)
        return name

    async def come_and_go(self) -> None:
        comet = self.brokers["comet"]
        await pause(self.sim, 1.0)
        async with comet:
            for number in range(2):
                event = ("comet", 0, number)
                self.meant[event] = Meant("comet", frozenset(self.clients))
                await comet.emit("event", *event)
                await pause(self.sim, 1.0)
        self.comet_ends = trio.current_time()

    # What a task does.

    async def do(self, home: str, task: int) -> None:
        inside = False
        for number in range(_DEEDS):
            await pause(self.sim, 0.2)
            kind = self.kinds.draw()
            if kind in ("fetch", "poll", "servers"):
                await self.ask(kind, self.brokers[home])
                continue
            if kind in ("moved in", "moved out"):
                inside = await self.move(home, task, inward=kind == "moved in")
                target, names = self.own_room(home, task, inside=inside)
            else:
                target, names = self.choose(kind, home)
            event = (home, task, number)
            meant = self.meant[event] = Meant(home, frozenset(names))
            if self.sim.maybe("it does not wait", 0.2):
                meant.awaited = False
                target.emit_nowait("event", *event)
            else:
                meant.withdrawn = not await hurried(self.sim, partial(target.emit, "event", *event))

    async def move(self, home: str, task: int, *, inward: bool) -> bool:
        target = self.brokers[home].to("r")
        if inward:
            await target.sockets_join(f"{home}-{task}")
        else:
            await target.sockets_leave(f"{home}-{task}")
        return inward

    def own_room(self, home: str, task: int, *, inside: bool) -> tuple[Target, set[str]]:
        here = {who for who in self.rooms["r"] if self.homes[who] == home}
        inmates = self.rooms["r"] if inside else set()
        target = self.brokers[home].to(f"{home}-{task}")
        # Where words are lost, it is not known who is in on other nodes.
        return (target.local, inmates & here) if self.loses else (target, inmates)

    def choose(self, kind: str, home: str) -> tuple[Target, set[str]]:
        broker, everybody = self.brokers[home], set(self.clients)
        here = {who for who in everybody if self.homes[who] == home}
        match kind:
            case "a room":
                return broker.to("r"), self.rooms["r"]
            case "both rooms":
                return broker.to("r", "s"), everybody
            case "except a room":
                return broker.except_("r"), self.rooms["s"]
            case "local":
                return broker.local.to("s"), self.rooms["s"] & here
            case "an id":
                who = sorted(everybody)[self.sim.draw(len(everybody), "whose id")]
                return broker.to(self.clients[who].id), {who}
            case "from a socket":
                who = sorted(here)[self.sim.draw(len(here), "which socket")]
                return broker.sockets[self.clients[who].id].broadcast, everybody - {who}
        return broker.to("r").to("s"), everybody

    async def ask(self, kind: str, broker: Broker) -> None:
        begun = trio.current_time()
        calls: dict[str, Callable[[], Any]] = {
            "fetch": partial(self.fetch, broker),
            "poll": partial(self.poll, broker),
            "servers": partial(self.ask_servers, broker),
        }
        await hurried(self.sim, calls[kind])
        spent = trio.current_time() - begun
        limit = _TIMEOUT + 0.001 if self.loses else _SOON
        self.hold(spent <= limit, "it waits no longer than it must", f"{kind} {spent}")

    async def fetch(self, broker: Broker) -> None:
        try:
            fetched = await broker.to("r", "s").timeout(_TIMEOUT).fetch_sockets()
        except trio.TooSlowError:
            self.hold(self.loses, "a fetch is whole in time, if nothing is lost")
        else:
            ids = Counter(each.id for each in fetched)
            expected = Counter(client.id for client in self.clients.values())
            self.hold(ids == expected, "a fetch is whole", f"{ids} {expected}")

    async def poll(self, broker: Broker) -> None:
        begun = trio.current_time()
        answers: Answers = await broker.to("r").timeout(_TIMEOUT).emit_with_ack("poll")
        expected = {self.clients[who].id: who for who in self.rooms["r"]}
        if self.loses or begun <= self.comet_ends <= trio.current_time():
            self.hold(answers.values.items() <= expected.items(), "only who is asked answers")
            whole = answers.values == expected
            told = answers.missing or answers.unnamed or answers.missing_nodes
            self.hold(whole or told, "it says what is missing", answers)
        else:
            self.hold(answers.values == expected, "all answer who are asked", answers)
            self.hold(not answers.missing, "nobody is missing who answers", answers)

    async def ask_servers(self, broker: Broker) -> None:
        answers = await broker.server_side_emit_with_ack("count", timeout=_TIMEOUT)
        values = sorted(answers)
        other = [name for name in _NODES if self.brokers[name] is not broker]
        if not self.loses:
            self.hold(values == other, "each other server answers once", answers)

    # What came of it.

    def check_events(self) -> None:
        for who, got in self.got.items():
            twice = [event for event, times in Counter(got).items() if times > 1]
            self.hold(not twice, "nothing comes twice", f"{who} {twice}")
        for event, meant in self.meant.items():
            self.check_event(event, meant)
        names = sorted(self.got)
        for home in self.brokers:
            seen = {who: [each for each in self.got[who] if each[0] == home] for who in names}
            for who in names:
                self.check_tasks(who, seen[who])
                for other in names:
                    self.check_pair(seen[who], seen[other])

    def check_event(self, event: Event, meant: Meant) -> None:
        got = {who for who, events in self.got.items() if event in events}
        if meant.withdrawn:
            self.hold(not got, "what was withdrawn has happened nowhere", f"{event} {got}")
            return
        self.hold(got <= meant.names, "nobody gets what is for others", f"{event} {got} {meant}")
        here = {who for who in meant.names if self.homes[who] == meant.node}
        missed = (here if self.loses else meant.names) - got
        self.hold(not missed, "who is meant gets it", f"{event} {missed}")

    def check_tasks(self, who: str, seen: list[Event]) -> None:
        numbers: defaultdict[int, list[int]] = defaultdict(list)
        for event in seen:
            if self.meant[event].awaited:
                numbers[event[1]].append(event[2])
        for each in numbers.values():
            self.hold(each == sorted(each), "what a task emits comes in order", f"{who} {seen}")

    def check_pair(self, one: list[Event], other: list[Event]) -> None:
        common = set(one) & set(other)
        first = [event for event in one if event in common]
        second = [event for event in other if event in common]
        self.hold(first == second, "the events of one node come in one order", f"{one} {other}")

    def check_rest(self, now: Statistics) -> None:
        self.hold(not now.pending_requests, "no question is left", now)
        self.hold(not now.pending_acks, "no ack is awaited", now)
        self.hold(not now.inbound_messages, "all that was said has been done", now)
        self.hold(not now.dropped_between_nodes, "nothing was too much, or nonsense", now)


async def storm(sim: Sim) -> None:
    """Run one storm."""
    await Nodes(sim).play()
