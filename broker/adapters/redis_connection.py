"""A connection to Redis that mends itself, and the commands that go over one.

What is over Redis, as pub/sub or streams, is not known here. Nothing waits while Redis is away but
who asks it something (`Commands.ask`).
"""

from __future__ import annotations

import abc
import logging
import random
from collections import deque
from contextlib import suppress
from typing import Any, Final, TypeAlias

import anyio
import attrs
import trio
from coredis.connection import BaseConnection
from coredis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    RedisError,
    UnknownCommandError,
)
from coredis.exceptions import ConnectionError as GoneError
from coredis.pool import ConnectionPool

from actors import Reply

from .redis_server import RedisServer

logger = logging.getLogger("atrio.adapter")

Command: TypeAlias = tuple[bytes, ...]
"""A command's name, and its arguments."""

FIRST_DELAY: Final = 0.1
LAST_DELAY: Final = 5.0
"""Between tries to connect again, in seconds: twice as long each time, less up to a half."""

_OVERHEAD: Final = 200  # bytes that a command costs besides its arguments


class Away(Exception):  # noqa: N818 - a fact, and named as one
    """Redis cannot be reached now, or the connection was lost before it answered."""


# What means that the connection is of no use any more. A command that Redis refuses is not among
# them: those errors are looked at where the command is.
_LOST = (Away, RedisError, OSError, trio.TooSlowError)


def unreachable(server: RedisServer, reason: BaseException) -> ConnectionError:
    """Return what is told to who starts a broker without Redis."""
    match reason:
        case AuthenticationError():
            what = f"does not let us in ({reason}); set redis://user:password@host:port"
        case AuthorizationError():
            what = f"does not allow this user what it needs ({reason}); see ACL SETUSER"
        case UnknownCommandError():
            what = f"is too old ({reason}); Redis 6, or Valkey, is needed"
        case trio.TooSlowError():
            what = f"has not answered within {server.timeout:g} s"
        case _:
            what = f"cannot be reached ({reason}); start it there, or set the adapter's url"
    return ConnectionError(f"Redis at {server.name} {what}")


def _root(error: BaseException) -> BaseException:
    """Return what an error comes from."""
    while True:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif isinstance(error, RedisError | OSError) and error.__cause__ is not None:
            error = error.__cause__
        else:
            return error


class MendedConnection(abc.ABC):
    """A connection for as long as `run` runs: when it is lost it is made again, with patience.

    `up`: whether it is there now. `reading`: who holds it keeps the connection from reading on.
    Subclasses say what it is for.
    """

    def __init__(self, server: RedisServer, what: str) -> None:
        self._server = server
        # Only for what it makes of the URL; nothing ever enters it.
        self._pool: Any = ConnectionPool.from_url(server.url, decode_components=True)
        self._what = f"the connection that {what}"
        self.up = False
        self.reading = anyio.CapacityLimiter(1)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep it until cancelled; started when it is up. Raises ConnectionError before that."""
        begun = False
        tries = 0
        while True:
            lost: BaseException | None = None
            since = trio.current_time()
            try:
                async with trio.open_nursery() as nursery:
                    connection = await self._connect(nursery)
                    self.up = True
                    if begun:
                        logger.warning("Redis at %s is back (%s)", self._server.name, self._what)
                    else:
                        begun = True
                        task_status.started()
                    await self.serve(connection)
            except* _LOST as group:
                lost = _root(group)
            finally:
                was_up, self.up = self.up, False
                self.on_lost()
            if not begun:
                assert lost is not None
                raise unreachable(self._server, lost) from lost
            if was_up:
                logger.warning(
                    "Redis at %s is away (%s): %s", self._server.name, self._what, _told(lost)
                )
            # One that is there, and lets us go at once, is no better than one that is away.
            lasted = was_up and trio.current_time() - since > LAST_DELAY
            tries = 0 if lasted else tries + 1
            delay = min(LAST_DELAY, FIRST_DELAY * 2 ** min(tries, 10))
            await trio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - spreads the nodes

    async def _connect(self, nursery: trio.Nursery) -> BaseConnection:
        pool = self._pool
        options = pool.connection_kwargs | {"processing_budget": self.reading}
        connection: BaseConnection = pool.connection_class(pool.location, **options)
        with trio.move_on_after(self._server.timeout) as scope:
            try:
                await nursery.start(_run, connection)
                await self.prepare(connection)
            except RedisError:
                # coredis raises this also in the place of Cancelled.
                await trio.lowlevel.checkpoint_if_cancelled()
                raise
        if scope.cancelled_caught:
            raise trio.TooSlowError
        return connection

    async def prepare(self, connection: BaseConnection) -> None:
        """Do what must be done before it counts as up."""
        await self.alive(connection)

    @abc.abstractmethod
    async def serve(self, connection: BaseConnection) -> None:
        """Use it for as long as it lasts."""

    @abc.abstractmethod
    def on_lost(self) -> None:
        """Hear that it is gone, or could not be made."""

    async def alive(self, connection: BaseConnection) -> None:
        """Wait until Redis has done all that it was sent; raises what it says to that."""
        with trio.fail_after(self._server.timeout):
            await connection.create_request(b"PING")


async def _run(
    connection: BaseConnection, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    await connection.run(task_status=task_status)
    raise Away("the connection was closed")


def _told(lost: BaseException | None) -> str:
    return "it does not answer" if isinstance(lost, trio.TooSlowError) else str(lost)


@attrs.frozen(eq=False)
class _Waiting:
    command: Command
    size: int = 0
    reply: Reply[Any] | None = None


class Commands(MendedConnection):
    """Sends commands, in the order in which they were given, and all that wait together.

    `dropped`: how many of `send` were lost: given while Redis was away, beyond the bound, on their
    way when it went, or refused by it. `max_waiting`: the bound, in bytes.
    """

    def __init__(self, server: RedisServer, max_waiting: int) -> None:
        super().__init__(server, "sends")
        self.dropped = 0
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._on_way: deque[_Waiting] = deque()
        self._size = 0  # of both
        self._refusals: set[str] = set()
        self._stir = trio.lowlevel.ParkingLot()

    def send(self, *command: bytes) -> None:
        """Send a command soon; its answer matters to nobody."""
        size = _OVERHEAD + sum(len(part) for part in command)
        if self.up and self._size + size <= self._max_waiting:
            self._size += size
            self._put(_Waiting(command, size))
        else:
            self.dropped += 1

    async def ask_once(self, *command: bytes) -> Any:
        """Return the answer to a command, which goes out behind those before it.

        Raises what Redis says, and `Away` when it is, or goes before it has answered: whether it
        has done it is not known then.
        """
        if not self.up:
            await trio.lowlevel.checkpoint()
            raise Away("Redis is away")
        reply: Reply[Any] = Reply()
        self._put(_Waiting(command, reply=reply))
        return await reply.wait()

    async def do(self, *command: bytes) -> None:
        """Have a command done, once; raises ConnectionError if it may not have been."""
        try:
            await self.ask_once(*command)
        except (Away, RedisError) as error:
            name = self._server.name
            raise ConnectionError(f"Redis at {name} has not done it: {error}") from error

    async def ask(self, *command: bytes) -> Any:
        """Return the answer to a command that may be done twice; waits while Redis is away."""
        while True:
            try:
                return await self.ask_once(*command)
            except Away:
                while not self.up:
                    await self._stir.park()

    async def drain(self) -> None:
        """Wait until Redis has done all that was sent so far, or has gone."""
        with suppress(Away):
            await self.ask_once(b"PING")

    def _put(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._stir.unpark_all()

    async def serve(self, connection: BaseConnection) -> None:
        """Send what waits, whenever the answers to all before have come."""
        self._stir.unpark_all()  # who waits for it to be up
        while True:
            if not self._waiting:
                with trio.move_on_after(self._server.timeout):
                    await self._stir.park()
            if self._waiting:
                await self._send_all(connection)
            else:
                await self.alive(connection)

    async def _send_all(self, connection: BaseConnection) -> None:
        self._on_way, self._waiting = self._waiting, deque()
        requests = [
            connection.create_request(name, *args)
            for name, *args in (waiting.command for waiting in self._on_way)
        ]
        with trio.fail_after(self._server.timeout) as scope:
            for request in requests:
                try:
                    answer = await request
                except GoneError:
                    raise
                except RedisError as error:
                    self._refused(self._done(), error)
                else:
                    waiting = self._done()
                    if waiting.reply is not None:
                        waiting.reply.send(answer)
                scope.deadline = trio.current_time() + self._server.timeout

    def _done(self) -> _Waiting:
        waiting = self._on_way.popleft()
        self._size -= waiting.size
        return waiting

    def _refused(self, waiting: _Waiting, error: RedisError) -> None:
        if waiting.reply is not None:
            waiting.reply.fail(error)
            return
        self.dropped += 1
        if type(error).__name__ not in self._refusals:
            self._refusals.add(type(error).__name__)
            logger.error("Redis at %s refuses what it is sent: %s", self._server.name, error)

    def on_lost(self) -> None:
        """Let go of what waits: it is not sent later, when it may be wrong."""
        for waiting in (*self._on_way, *self._waiting):
            if waiting.reply is not None:
                waiting.reply.fail(Away("Redis has gone"))
            else:
                self.dropped += 1
        self._on_way.clear()
        self._waiting.clear()
        self._size = 0
