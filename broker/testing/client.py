"""A client for users' own tests, which speaks to the real gateway with real frames and packets.

Its bytes go through memory, a loopback socket or a network (`carriers`): only that differs. Whether
something will still arrive is decided by quiescence, never by time: all tasks wait, and nothing is
on its way (`test_line`).
"""

from __future__ import annotations

import traceback
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import orjson
import trio
import trio_websocket

from actors import Reply
from broker.handlers.dispatch import ack_values
from broker.rooms.acks import value_of
from broker.serving.server import Server
from broker.sessions.session import Session
from broker.values.errors import BrokerNotRunning, ConnectError, SocketDisconnected
from broker.values.options import Options
from protocol import engineio
from protocol.parser import parser_of
from protocol.socketio import Packet, PacketType

from .carriers import Carrier, Carriers, is_instant
from .line import Line, settled

E = TypeVar("E", bound=Exception)


class Company:
    """The test clients of one broker: what one of them has sent may reach any other."""

    def __init__(self, server: Server, options: Options) -> None:
        self.server = server
        self.options = options
        self.carriers = Carriers(server)
        self.lines: list[Line] = []
        self._count = 0

    def new_name(self) -> str:
        """Return a name for one more client."""
        self._count += 1
        return f"client{self._count}"


class TestClient:
    """A connected client. `id` is its socket's id on the server, `name` what the test calls it."""

    __test__ = False  # no test, whatever pytest makes of the name

    def __init__(
        self,
        company: Company,
        namespace: str,
        name: str,
        sessions: dict[str, Session],
        *,
        instant: bool,
    ) -> None:
        self.id = ""
        self.name = name
        self._recoverable = False  # whether it could come back, as the broker says
        self.connected = False
        self.line = Line(self, sessions, parser_of(company.options.parser), instant=instant)
        self._company = company
        self._namespace = namespace if namespace.startswith("/") else f"/{namespace}"
        self._events: defaultdict[str, deque[tuple[Any, ...]]] = defaultdict(deque)
        self._watchers: list[Callable[[str, tuple[Any, ...]], None]] = []
        self._answers: dict[int, Reply[list[Any]]] = {}
        self._answering: dict[str, Callable[..., Any]] = {}
        self._entered: Reply[Packet] = Reply()
        self._errors: list[Exception] = []  # those that fail the test
        self._handled: list[Exception] = []

    # For tests.

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to the server."""
        await self._send(Packet(PacketType.EVENT, self._namespace, [event, *args]))

    async def call(self, event: str, *args: Any) -> Any:
        """Send an event and return its ack: None, the value, or a tuple of several."""
        id_ = len(self._answers)
        reply = self._answers[id_] = Reply()
        await self._send(Packet(PacketType.EVENT, self._namespace, [event, *args], id_))
        return value_of(await reply.wait())

    def answer(self, event: str, function: Callable[..., Any]) -> None:
        """Acknowledge, from now on, the events of this name that ask for it.

        With what `function(*args)` returns, which is not async: None for no values, a tuple for
        several, `NO_ACK` for no ack. What it raises ends the block, and is raised out of it. Such
        events are not to be expected any more.
        """
        self._answering[event] = function

    async def expect(self, event: str) -> tuple[Any, ...]:
        """Return the arguments of the next event of this name; others wait for their own turn.

        Raises `SocketDisconnected` when none can come any more. When a handler or hook of this
        client has failed, and the event has not come though nothing runs, its error is raised.
        """
        while not self._events[event]:
            if self._errors:
                await settled(self._company.lines, lambda: bool(self._events[event]))
                if not self._events[event] and self._errors:
                    raise self._errors.pop(0)
            elif self.connected:
                await self.line.changes.park()
            else:
                raise SocketDisconnected(self.id)
        await trio.lowlevel.checkpoint()
        return self._events[event].popleft()

    async def expect_nothing(self) -> None:
        """Check that no event waits and none will come, as far as the program has got.

        Raises AssertionError with what there is.
        """
        await settled(self._company.lines, lambda: any(self._events.values()))
        waiting = [(event, *args) for event, queue in self._events.items() for args in queue]
        if waiting:
            raise AssertionError(f"{self.name} expected nothing, got {waiting}")

    async def expect_error(self, kind: type[E] | tuple[type[E], ...]) -> E:
        """Return the exception that a handler or hook of this client has failed with.

        It does not fail the test then. Raises AssertionError when none of this kind has, as far as
        the program has got.
        """
        await settled(self._company.lines)
        for errors in (self._errors, self._handled):
            for index, error in enumerate(errors):
                if isinstance(error, kind):
                    del errors[index]
                    return error
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise AssertionError(
            f"{self.name} expected a handler to fail with "
            f"{' or '.join(each.__name__ for each in kinds)}, "
            f"saw {[*self._errors, *self._handled] or 'none fail'}"
        )

    async def disconnect(self) -> None:
        """Leave, as a client does; returns when the server has seen to it, as far as it can."""
        if self.connected:
            await self._send(Packet(PacketType.DISCONNECT, self._namespace))
            self._left()
        await settled(self._company.lines)

    def watch(self, watcher: Callable[[str, tuple[Any, ...]], None]) -> None:
        """Call `watcher(event, args)` for each event as it arrives, expected or not.

        What it raises ends the block, and is raised out of it.
        """
        self._watchers.append(watcher)

    # Its connection.

    async def _send(self, packet: Packet) -> None:
        try:
            await self.line.send(packet)
        except trio_websocket.ConnectionClosed:
            raise SocketDisconnected(self.id) from None

    async def enter(self, auth: dict[str, Any] | None) -> None:
        """Enter the namespace; raises `ConnectError`, whose cause is middleware that failed."""
        await self._send(Packet(PacketType.CONNECT, self._namespace, auth))
        packet = await self._entered.wait()
        if packet.type is PacketType.CONNECT_ERROR:
            cause = self._errors.pop(0) if self._errors else None
            raise ConnectError(packet.data["message"], packet.data.get("data")) from cause

    def receive(self, packet: Packet) -> Packet | None:
        """Take a packet of the server's; return the ack for it, if there is one."""
        match packet.type:
            case PacketType.CONNECT:
                self.id = packet.data["sid"]
                self._recoverable = "pid" in packet.data
                self.connected = True
                self._entered.send(packet)
            case PacketType.CONNECT_ERROR:
                self._entered.send(packet)
            case PacketType.EVENT:
                event, *args = self._without_offset(packet)
                for watcher in self._watchers:
                    watcher(event, tuple(args))
                if packet.id is not None and event in self._answering:
                    values = ack_values(self._answering[event](*args))
                    if values is not None:
                        return Packet(PacketType.ACK, self._namespace, values, packet.id)
                else:
                    self._events[event].append(tuple(args))
            case PacketType.ACK if packet.id is not None:
                self._answers[packet.id].send(packet.data)
            case _:
                self._left()
        return None

    def _without_offset(self, packet: Packet) -> list[Any]:
        """Return an event as it was emitted: where clients may come back, it has an offset."""
        data: list[Any] = packet.data
        has_one = self._recoverable and packet.id is None and isinstance(data[-1], str)
        return data[:-1] if has_one else data

    def failed(self, error: Exception, *, handled: bool) -> None:
        """Keep the exception of a handler or hook of this client, to fail the test with it.

        Unless it is `handled` by an `error` hook: as with an EventEmitter of Node's, an error
        that somebody listens to is dealt with.
        """
        (self._handled if handled else self._errors).append(error)

    def ended(self) -> None:
        """Hear that the connection has ended."""
        self._left()

    def _left(self) -> None:
        self.connected = False
        self.line.changes.unpark_all()
        self._entered.fail(SocketDisconnected(self.id))
        for reply in self._answers.values():
            reply.fail(SocketDisconnected(self.id))

    def verdict(self, failure: Exception | None) -> Exception | None:
        """Return what the block raises: `failure` is what was raised in it."""
        errors = [error for error in self._errors if error is not failure]
        if not errors:
            return failure
        error = errors[0]
        if len(errors) > 1:
            error = ExceptionGroup(f"handlers of {self.name} failed", errors)
        if failure is None:
            return error
        if failure.__cause__ is None and failure.__context__ is None:
            failure.__cause__ = error  # the likely one, and shown with its own traceback
        else:
            failure.add_note(
                f"handlers of {self.name} failed, too:\n"
                + "".join(traceback.format_exception(error))
            )
        return failure


@asynccontextmanager
async def connected_client(
    company: Company,
    namespace: str,
    auth: dict[str, Any] | None,
    carrier: Carrier,
    name: str,
) -> AsyncIterator[TestClient]:
    """Connect a client for the block; as `Broker.test_client`."""
    options = company.options
    failure: Exception | None = None
    async with company.server.living() as life:
        client = TestClient(
            company,
            namespace,
            name or company.new_name(),
            life.services.sessions,
            instant=is_instant(carrier),
        )
        line = client.line
        company.lines.append(line)
        try:
            async with trio.open_nursery() as nursery:
                try:
                    await line.open(
                        nursery,
                        partial(company.carriers.open, carrier, client.name, life, nursery),
                        f"{options.path}?EIO={engineio.VERSION}&transport=websocket",
                        options.connect_timeout,
                    )
                    await client.enter(auth)
                    yield client
                    await line.leave()
                except Exception as error:  # noqa: BLE001 - raised below, in no group
                    failure = error
                finally:
                    nursery.cancel_scope.cancel()
                    await line.abandon()
        except* (trio_websocket.ConnectionRejected, BrokerNotRunning) as raised:
            failure = _first_of(raised)  # there was no session
        finally:
            company.lines.remove(line)
        if failure is not None and not client.id:
            failure = _what_kept_out(failure, closing=life.closing.is_set())
    failure = client.verdict(failure)
    if failure is not None:
        raise failure


def _first_of(group: BaseExceptionGroup[E]) -> E:
    """Return the first error in groups of groups."""
    first: E | BaseExceptionGroup[E] = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def _what_kept_out(failure: Exception, *, closing: bool) -> Exception:
    """Return what a client is told that is not let in, by one word for a broker that closes."""
    if closing and not isinstance(failure, ConnectError):
        return BrokerNotRunning("a test client", closing=True)
    if isinstance(failure, trio_websocket.ConnectionRejected):  # by the answer to its handshake
        text = (failure.body or b"").decode(errors="replace")
        return ConnectError(orjson.loads(text)["message"] if text.startswith("{") else text)
    return failure
