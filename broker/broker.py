"""The broker: Socket.IO on top of the engine, and what a program that embeds it holds.

>>> broker = Broker()
>>> @broker.on("message")
... async def message(socket, text):
...     await broker.to("general").emit("message", text)
>>> broker.run("127.0.0.1", 3000)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, overload

import trio

from actors import Supervisor

from .cluster.node import Node
from .handlers.handler import check_listener
from .rooms.home import Rooms
from .rooms.room_ref import RoomRef
from .rooms.survey import Answers
from .rooms.target import Everybody, Target
from .serving.life import Life
from .serving.server import Server
from .sessions.receiver import Receiver
from .sessions.session import Session
from .sockets.directory import Directory
from .sockets.multiplexer import Multiplexer
from .sockets.namespace import Check, DynamicNamespace, Namespace, NamespaceRegistry
from .sockets.socket import Socket
from .testing.carriers import Carrier
from .testing.client import Company, TestClient, connected_client
from .values.options import Options
from .values.statistics import Statistics, count_tasks

N = TypeVar("N", bound=Callable[[Namespace], object])


class Broker(Server, Everybody, NamespaceRegistry):
    """A Socket.IO server: `Broker()`, `Broker(ping_interval=10)` or `Broker(Options(...))`.

    `async with broker:` is its life: it owns every namespace, room and session. `serve` opens it
    when it is not open. As a target, and for handlers, it means the namespace `/`.
    """

    options: Options

    def __init__(self, options: Options | None = None, /, **changes: Any) -> None:
        """Take `Options`, or the ones to change by name; raises TypeError or ValueError."""
        super().__init__()
        if options is not None and changes:
            raise TypeError("expected Options, or options by name, saw both")
        self.options = options or Options(**changes)
        adapter = self.options.adapter
        self._node = None if adapter is None else Node(adapter)
        self._directory = Directory(self.options, self._node)
        self._supervisor: Supervisor | None = None
        self._company = Company(self, self.options)
        self._main = self.of("/")
        self.handlers = self._main.handlers
        self.room_types = self._main.room_types
        self.room_events = self._main.room_events

    # Namespaces.

    @overload
    def of(self, name: str) -> Namespace: ...
    @overload
    def of(self, name: re.Pattern[str] | Check) -> DynamicNamespace: ...
    def of(self, name: str | re.Pattern[str] | Check) -> Namespace | DynamicNamespace:
        """Return a namespace, which is created if need be; `"chat"` means `"/chat"`.

        A pattern (searched for in the name) or an `async def check(name, auth) -> bool` gives
        namespaces that come to be when a client asks for them, in order of registration.

        Raises ValueError for a name with a comma, with control characters, or of more than
        `max_name_length`; TypeError for what is none of the three.
        """
        if isinstance(name, str):
            return self._directory.of(name)
        return self._directory.of_parent(name)

    def on_new_namespace(self, function: N) -> N:
        """Register a listener to namespaces that come to be: `def born(namespace)`.

        It is called before anybody enters, whoever asked for it: the place to give a child handlers
        of its own. It is a `def`; an exception in it is logged. It hears of none that is there
        already, such as `/`. Raises TypeError for what cannot be called so.
        """
        check_listener("on_new_namespace", function, ("namespace",))
        self._directory.listeners.append(function)
        return function

    # The namespace `/`.

    def room(self, name: str) -> RoomRef:
        """Return a room of the namespace `/`; as `Namespace.room`."""
        return self._main.room(name)

    @property
    def sockets(self) -> Mapping[str, Socket]:
        """The connected sockets of the namespace `/`; as `Namespace.sockets`."""
        return self._main.sockets

    @property
    def rooms(self) -> Rooms:
        """The rooms of the namespace `/`; as `Namespace.rooms`."""
        return self._main.rooms

    async def server_side_emit(self, event: str, *args: Any) -> None:
        """Tell the programs of all other nodes something; as `Namespace.server_side_emit`."""
        await self._main.server_side_emit(event, *args)

    async def server_side_emit_with_ack(
        self, event: str, *args: Any, timeout: float | None = None
    ) -> Answers:
        """Ask the programs of all other nodes; as `Namespace.server_side_emit_with_ack`."""
        return await self._main.server_side_emit_with_ack(event, *args, timeout=timeout)

    def _target(self) -> Target:
        return self._main._target()

    # Its life.

    def _receiver(self, session: Session) -> Receiver:
        return Multiplexer(session, self._directory, self.options)

    async def _keep(self, life: Life, begun: trio.Event) -> None:
        """Keep the actors, as long as there are sessions."""
        try:
            async with Supervisor() as supervisor:
                self._supervisor = supervisor
                if self._node is not None:
                    self._node.begin()
                    life.trouble = self._node.trouble
                self._directory.begin(supervisor)
                if self._node is not None:
                    supervisor.start_soon(self._node.run, name="link to other nodes")
                supervisor.nursery.start_soon(self._cut_rooms, life, name="cutter")
                begun.set()
                await life.deserted.wait()
                await self._settled(life)
                await self._say_goodbye(life)
                supervisor.nursery.cancel_scope.cancel()
        finally:
            self._supervisor = None
            if self._node is not None:
                self._node.end()
            self._directory.end()

    async def _ready(self) -> None:
        if self._node is not None:
            self._directory.enter_cluster()
            await self._node.begun()

    async def _say_goodbye(self, life: Life) -> None:
        """Let other nodes hear what the last hooks have said, as long as there is time."""
        if self._node is not None:
            with trio.CancelScope(deadline=max(life.deadline, trio.current_time() + 0.1)):
                await self._node.say_goodbye()

    async def _settled(self, life: Life) -> None:
        """Let the hosts of rooms handle what waits, and close, as long as there is time."""
        with trio.CancelScope(deadline=life.deadline):
            for namespace in self._directory:
                if namespace.actor is not None:
                    await namespace.actor.close_rooms()

    async def _cut_rooms(self, life: Life) -> None:
        """Cut short what rooms do when nobody waits any longer, or what is asked keeps us here."""
        await life.killed.wait()
        for namespace in self._directory:
            if namespace.actor is not None:
                namespace.actor.cut_rooms()

    def test_client(
        self,
        namespace: str = "/",
        *,
        auth: dict[str, Any] | None = None,
        over: Carrier = "memory",
        name: str = "",
    ) -> AbstractAsyncContextManager[TestClient]:
        """Connect a client for tests, with the real codec, through the real gateway.

        `async with broker.test_client("/chat", auth={…}) as client:`. It needs no port: its bytes
        go through memory, or else `over="socket"`, or over a network (see `carriers`), where it is
        known by `name`, and the broker as `broker`.

        Raises `ConnectError` when it is refused, `BrokerNotRunning` while the broker is closed,
        `SocketDisconnected` when the connection ends before it is in, OSError when there is none.
        When the block is left, the client has left, and
        its hooks have run; then what its handlers and hooks have failed with is raised, several as
        an ExceptionGroup, unless `client.expect_error` has taken it.
        """
        return connected_client(self._company, namespace, auth, over, name)

    def statistics(self) -> Statistics:
        """Return what there is now, on this node; zeros when the broker does not run."""
        if self._life is None or self._supervisor is None:
            return Statistics()
        services, node = self._life.services, self._node
        actors = [space.actor for space in self._directory if space.actor is not None]
        rooms = [room for actor in actors for room in actor.rooms.values()]
        sockets = [socket for space in self._directory for socket in space.sockets.values()]
        sessions = services.sessions.values()
        return Statistics(
            connections=len(sessions),
            sockets=len(sockets),
            namespaces=len(actors),
            rooms=sum(1 for room in rooms if room.members),
            memberships=sum(len(room.members) for room in rooms),
            tasks=count_tasks(self._supervisor.nursery) + self._life.count_tasks(),
            pending_acks=sum(len(sock.acks) for sock in sockets),
            mailbox_messages=sum(len(actor.mailbox) for actor in actors)
            + sum(len(room.mailbox) for room in rooms)
            + sum(len(room.host.mailbox) for room in rooms if room.host is not None),
            outbox_bytes=sum(session.outbox.bytes for session in sessions),
            outbox_packets=sum(session.outbox.packets for session in sessions),
            dropped=services.tally.dropped,
            slow_disconnects=services.tally.slow_disconnects,
            pending_requests=0 if node is None else len(node.requests),
            inbound_messages=0 if node is None else node.waiting,
            dropped_between_nodes=0 if node is None else node.dropped,
        )
