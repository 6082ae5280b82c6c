"""The ground of a storm: a broker that serves a simulated network, and the census behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import trio

from actors.sim import CALM, CHAOS, LAN, MOBILE, Faults, Net, Sim
from broker import Broker, Socket
from broker.sessions.session import Session
from broker.values.statistics import Statistics, count_tasks

from .client import HARBOUR, Client
from .verdict import Verdict

WEATHERS = (CALM, LAN, MOBILE, CHAOS)
BLACK_HOLES = attrs.evolve(CHAOS, blackhole=0.02)

CHECKPOINTS = 6  # so many at the most are drawn between two steps of a task


async def dawdle(sim: Sim, most: int = CHECKPOINTS) -> None:
    """Let others run, for a drawn number of checkpoints."""
    for _ in range(sim.draw(most, "checkpoints")):
        await trio.lowlevel.checkpoint()


async def pause(sim: Sim, seconds: float, what: str = "a pause") -> None:
    """Dawdle, or sleep for a drawn time up to `seconds`."""
    eighths = sim.draw(8, what)
    if eighths:
        await trio.sleep(seconds * eighths / 7)
    else:
        await dawdle(sim)


class Ground:
    """One run's: `broker`, `net`, `verdict`, and all sockets and clients there have been."""

    def __init__(self, sim: Sim, broker: Broker, faults: Faults = CALM) -> None:
        self.sim = sim
        self.broker = broker
        self.net: Net = sim.net(faults)
        self.verdict = Verdict()
        self.clients: list[Client] = []
        self.sockets: list[Socket] = []
        self.nursery: trio.Nursery
        """Where the broker serves; its tasks are counted."""

    @property
    def hold(self) -> Callable[..., None]:
        """As `Verdict.hold`."""
        return self.verdict.hold

    def client(self, name: str) -> Client:
        """Return one more client."""
        client = Client(self.sim, self.net, name, self.verdict)
        self.clients.append(client)
        return client

    async def run(self, storm: Callable[[], Awaitable[object]], *, patience: float) -> None:
        """Serve, run `storm`, and take the census when all clients have gone.

        `patience`: after how many virtual seconds everything of the last client must have gone.
        Raises what the verdict says.
        """
        with self.verdict.given():
            async with trio.open_nursery() as self.nursery:
                listener = self.net.listen(HARBOUR)
                await self.nursery.start(partial(self.broker.serve, listeners=[listener]))
                await trio.sleep(0.001)
                before, tasks = self.figures(), self.count_tasks()
                await storm()
                await trio.sleep(patience)
                self.take_census(before, tasks)
                await self.broker.close()
            self.check_empty()
        self.sim.expect_idle()

    def count_tasks(self) -> int:
        """Return how many tasks serve."""
        return count_tasks(self.nursery)

    def figures(self) -> Statistics:
        """Return the statistics, without those that only grow."""
        return attrs.evolve(self.broker.statistics(), dropped=0, slow_disconnects=0)

    def take_census(self, before: Statistics, tasks: int) -> None:
        """Check that nothing is left of anybody, while the broker runs."""
        now = self.figures()
        children = sum(
            not each.lasting for each in self.broker._directory
        )  # namespaces that came to be live as long as it
        now = attrs.evolve(now, namespaces=now.namespaces - children, tasks=now.tasks - children)
        self.hold(now == before, "the figures are as before", now)
        left = self.count_tasks() - tasks - children
        self.hold(not left, "no task is left", f"{left} more than before")
        life = self.broker._life
        assert life is not None
        services = life.services
        self.hold(not services.sessions, "no session is left", services.sessions)
        self.hold(not services.farewells, "no farewell is left", services.farewells)
        armed = [timer for _, _, timer in services.timers._heap if timer._action is not None]
        self.hold(not armed, "no timer is left", armed)
        self.hold(not services.flusher._dirty, "nothing is left to flush")
        for namespace in self.broker._directory:
            self.hold(not namespace.sockets, "no socket is left", namespace.sockets)
            self.hold(not namespace.rooms, "no room is left", namespace.rooms)
            self.hold(namespace.actor is not None and not namespace.actor.rooms, "no room lives")
        for socket in self.sockets:
            self._check_gone(socket)

    def _check_gone(self, socket: Socket) -> None:
        session: Session = socket._session
        self.hold(not socket.connected and socket.gone, "every socket has gone", socket)
        self.hold(not socket.room_actors, "it is in no room", socket)
        self.hold(not socket.acks, "it waits for no ack", socket)
        self.hold(not socket._gate._kept, "nothing is kept for it", socket)
        self.hold(not socket.inbound._inbox, "its inbox is empty", socket)
        self.hold(not socket.inbound._worker.busy, "it handles nothing", socket)
        self.hold(
            socket._nursery is None or not socket._nursery._scopes, "its tasks have ended", socket
        )
        self.hold(session.reason is not None, "its session has ended", session.id)
        self.hold(not session._full, "its session waits for no inbox", session.id)
        self.hold(not session.nursery.child_tasks, "its session has no task", session.id)

    def check_empty(self) -> None:
        """Check that the broker has ended, and left nothing."""
        self.hold(self.broker.statistics() == Statistics(), "all figures are zero in the end")
        self.hold(not self.broker.addresses, "it listens nowhere")
        for namespace in self.broker._directory:
            self.hold(not namespace.sockets and not namespace.rooms, "its namespaces are empty")
        for socket in self.sockets:
            self._check_gone(socket)
