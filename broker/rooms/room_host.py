"""The host of a room of a user's type: it runs the user's code, one call at a time, in order.

The room's members and events are the `RoomActor`'s, which never waits for this. The host has one
life of a `Room` after the other: it begins with the first message and ends, through `on_close`,
when nobody is in or away, nothing waits and the room has lingered. What comes meanwhile is for the
next life, which begins when this one is over: two never overlap, and no message meets a dead room.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Any, Literal, Protocol, TypeAlias, assert_never

import trio

from actors import ActorGone, AsyncActor
from broker.values.errors import REFUSALS, EventError, JoinRefused, SocketDisconnected, unwrapped
from broker.values.options import Options

from .messages import (
    Asked,
    BeginJoin,
    Emptied,
    EndJoin,
    Evict,
    HostMessage,
    Join,
    Left,
    Member,
    Told,
)
from .room_actor import RoomActor

logger = logging.getLogger("atrio.room")

Policy: TypeAlias = Literal["keep", "close", "crash"]


class Hooks(Protocol):
    """A user's room, as its host sees it: `broker.Room` says what each is for."""

    linger: float
    on_error: Policy

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Wrap the life."""

    async def on_create(self) -> None:
        """Begin."""

    async def on_join(self, socket: Any) -> None:
        """Let a socket in, or refuse it."""

    async def on_leave(self, socket: Any) -> None:
        """See a member off."""

    async def on_close(self) -> None:
        """End."""

    async def receive(self, message: Any) -> Any:
        """Handle a message; return the answer."""


class RoomHost(AsyncActor[HostMessage]):
    """Hosts the lives of one room.

    `joiner`: whose `on_join` runs now.
    """

    def __init__(
        self,
        room: RoomActor,
        make: Callable[[], Hooks],
        retire: Callable[[RoomActor], Awaitable[object]],
        options: Options,
        namespace: str,
    ) -> None:
        """`make` returns a new life; `retire` lets the room go, if still nothing waits."""
        super().__init__(room.name if namespace == "/" else f"{namespace} {room.name}")
        self.room = room
        self.joiner: Member | None = None
        self.ended = trio.Event()
        self._make = make
        self._retire = retire
        timeout = options.handler_timeout
        self._timeout = math.inf if timeout is None else timeout  # of each call
        self._last_timeout = options.disconnect_timeout
        self._in: dict[Member, Join] = {}  # whose `on_join` has returned, and `on_leave` not begun
        self._call_scope = trio.CancelScope()  # of the call that runs
        self._idle = trio.CancelScope()  # of the waiting for a message
        self._finishing = False  # whether the broker closes, so that this waits for nothing
        self._cut = False  # whether calls are cut short, as the broker cannot wait for them
        self._time_left = self._last_timeout  # of the last hooks, together
        self._in_last = False  # whether one of them runs, which is not cut short
        self._closing = False  # whether this life is at its last hooks
        self._failed = False  # whether this life ends because of an error
        self._dropped = 0  # messages that were told and are not handled

    async def run(self) -> None:
        """Live, until the room is let go."""
        try:
            await super().run()
        finally:
            self.ended.set()
            if self._dropped:
                logger.warning(
                    "room %r: %d messages that it was told are dropped: it has ended, for the "
                    "broker closes",
                    self.name,
                    self._dropped,
                )

    async def turns(self) -> None:
        """Have one life after the other."""
        self.become_current()
        while not self._cut and (message := await self.mailbox.take()) is not None:
            if not _is_void(message):
                try:
                    await self._live(message)
                finally:
                    self._let_go(message)
            message = None  # what it names shall not outlive it while this waits
            if not len(self.mailbox):
                with suppress(ActorGone):  # the broker ends
                    await self._retire(self.room)

    def _let_go(self, message: HostMessage) -> None:
        """Tell who asked that there will be no answer, unless there was one."""
        _refuse(message, ActorGone(self.name))

    def abandon(self, message: HostMessage) -> None:
        """Tell who asked that there will be no answer; count what nobody waits for."""
        self._let_go(message)
        self._dropped += isinstance(message, Told)

    def finish(self) -> None:
        """End as soon as nothing waits: what comes until then is still handled."""
        self._finishing = True
        self._idle.cancel()

    def cut(self) -> None:
        """End now: cut short what runs, whose asker may be what the broker waits for."""
        self._cut = True
        self.mailbox.close()
        if not self._in_last:
            self._call_scope.cancel()

    # One life.

    async def _live(self, first: HostMessage) -> None:
        self._failed = self._closing = created = False
        if not self._finishing:
            self._time_left = self._last_timeout
        try:
            hooks = self._make()
            async with self.enclosed(hooks.lifespan()):
                await self._call(hooks.on_create)
                created = True
                await self._serve(hooks, first)
        except Exception as raised:
            error = unwrapped(raised)
            if not created:
                logger.exception("room %r could not be created", self.name)
                _refuse(first, error)
            elif not self._failed:
                logger.exception("the lifespan of room %r failed, which ends it", self.name)
        if not created:
            _refuse(first, RuntimeError(f"room {self.name!r}: its lifespan ended before on_create"))
        await self._evict()  # who is left, after a crash
        self._in.clear()

    async def _serve(self, hooks: Hooks, first: HostMessage) -> None:
        message: HostMessage | None = first
        try:
            while message is not None:
                try:
                    await self._handle(hooks, message)
                finally:
                    self._let_go(message)
                message = None if self._failed else await self._next(hooks)
        except Exception:  # it crashes
            raise
        except BaseException:  # it is cancelled
            await self._close(hooks)
            raise
        await self._close(hooks)

    async def _next(self, hooks: Hooks) -> HostMessage | None:
        """Wait for a message; None when this life is over."""
        if self._cut:
            return None
        if len(self.mailbox):
            return await self.mailbox.take()
        stays = self._in or self.room.away  # who is away may come back to this life
        if not self._finishing and (stays or hooks.linger > 0):
            wait = math.inf if stays else hooks.linger
            with trio.move_on_after(wait) as self._idle:
                return await self.mailbox.take()
        return None

    async def _close(self, hooks: Hooks) -> None:
        """Let everybody out, whether or not he has left, and close."""
        self._closing = True
        if self._finishing and not len(self.mailbox):
            self.mailbox.close()  # no other life follows that could handle what comes
        await self._evict()
        while self._in:
            with self._last("on_leave"):
                await self._say_goodbye(hooks, next(iter(self._in)))
        with self._last("on_close"):
            try:
                await self._call(hooks.on_close)
            except Exception:
                logger.exception("the on_close of room %r failed", self.name)

    async def _evict(self) -> None:
        with trio.CancelScope(shield=True), suppress(ActorGone):  # answered within a turn
            await self.room.ask(Evict())

    # One message.

    async def _handle(self, hooks: Hooks, message: HostMessage) -> None:
        match message:
            case Join():
                if not message.withdrawn:
                    await self._welcome(hooks, message)
            case Left(member=member, join=join):
                if self._in.get(member) is join:  # else it was seen off before, and is in again
                    with self._last("on_leave"):
                        await self._say_goodbye(hooks, member)
            case Told(message=told):
                try:
                    await self._call(hooks.receive, told)
                except Exception as error:  # noqa: BLE001 - whatever it is, the policy judges it
                    self._judge(hooks, unwrapped(error), f"receive of {told!r}")
            case Emptied():
                pass
            case Asked():
                if not message.withdrawn:
                    await self._answer(hooks, message)
            case _:
                assert_never(message)

    async def _answer(self, hooks: Hooks, asked: Asked) -> None:
        reply = asked.reply
        reply.bind()  # half a change cannot be taken back: it is made whole
        try:
            reply.send(await self._call(hooks.receive, asked.question))
        except Exception as raised:  # noqa: BLE001 - whatever it is, the policy judges it
            error = unwrapped(raised)
            reply.fail(error)
            if not isinstance(error, REFUSALS):
                self._judge(hooks, error, f"receive of {asked.question!r}")

    async def _welcome(self, hooks: Hooks, join: Join) -> None:
        """Run the `on_join` of one socket. Its membership is decided in one step of the room."""
        if join.member.gone:
            join.reply.fail(SocketDisconnected(join.member.id))
            return
        if not await self.room.ask(BeginJoin(join)):
            return  # it is in already
        if join.member in self._in:  # it has left, and the word of that comes behind this join
            with self._last("on_leave"):
                await self._say_goodbye(hooks, join.member)
        accepted = entered = False
        error: Exception | None = None
        self.joiner = join.member
        try:
            with trio.CancelScope() as scope:
                join.reply.when_cancelled(scope.cancel)
                if join.withdrawn:
                    scope.cancel()
                await self._call(hooks.on_join, join.member)
                accepted = True
        except Exception as raised:  # noqa: BLE001 - judged below
            error = unwrapped(raised)
        except BaseException:  # its lifespan has failed, or the broker ends
            join.reply.fail(JoinRefused("the room has ended", room=self.room.name))
            raise
        finally:
            self.joiner = None
            with trio.CancelScope(shield=True), suppress(ActorGone):  # answered within a turn
                entered = await self.room.ask(EndJoin(join, accepted))
            if accepted:
                self._in[join.member] = join
        if accepted and not entered:
            join.reply.fail(SocketDisconnected(join.member.id))  # or was cancelled, or has left
            with self._last("on_leave"):
                await self._say_goodbye(hooks, join.member)
        elif error is not None:
            self._refuse_join(hooks, join, error)

    def _refuse_join(self, hooks: Hooks, join: Join, error: Exception) -> None:
        if isinstance(error, JoinRefused) and not error.room:
            error.room = self.room.name
        join.reply.fail(error)
        if isinstance(error, EventError):
            logger.info("room %r refused socket %s: %s", self.name, join.member.id, error)
        elif not (isinstance(error, SocketDisconnected) and join.member.gone):
            self._judge(hooks, error, f"on_join of socket {join.member.id}")

    async def _say_goodbye(self, hooks: Hooks, member: Member) -> None:
        del self._in[member]
        try:
            await self._call(hooks.on_leave, member)
        except Exception as raised:  # noqa: BLE001 - whatever it is, the policy judges it
            error = unwrapped(raised)
            if not isinstance(error, REFUSALS):
                member.tell_witness(error)  # nobody waits for it who would hear
            self._judge(hooks, error, f"on_leave of socket {member.id}")

    @contextmanager
    def _last(self, what: str) -> Iterator[None]:
        """Shield what must run whatever is cancelled, for so long and no longer.

        The hooks of a life that closes share the time, and all from when the broker closes.
        """
        deadline = trio.current_time() + self._time_left
        self._in_last = True
        try:
            with trio.CancelScope(shield=True, deadline=deadline) as scope:
                yield
        finally:
            self._in_last = False
            if self._closing or self._finishing:
                self._time_left = max(0.0, deadline - trio.current_time())
        if scope.cancelled_caught:
            logger.error(
                "room %r: %s was cancelled after disconnect_timeout=%g s",
                self.name,
                what,
                self._last_timeout,
            )

    async def _call(self, function: Callable[..., Awaitable[Any]], *args: object) -> Any:
        with self.handling(), trio.move_on_after(self._timeout) as self._call_scope:
            if self._cut and not self._in_last:
                self._call_scope.cancel()
            return await function(*args)
        if self._cut:
            raise ActorGone(self.name)
        raise trio.TooSlowError(f"it took longer than handler_timeout={self._timeout:g} s")

    def _judge(self, hooks: Hooks, error: Exception, what: str) -> None:
        """Do with an error what the room's policy says; raises it when the room is to crash."""
        if isinstance(error, REFUSALS):
            logger.info("room %r: the %s was refused: %s", self.name, what, error)
            return
        if self._cut and isinstance(error, ActorGone):
            self._failed = True  # it was cut short
            return
        logger.error(
            "room %r: the %s failed (on_error=%r)", self.name, what, hooks.on_error, exc_info=error
        )
        if hooks.on_error != "keep":
            self._failed = True
        if hooks.on_error == "crash":
            raise error


def _is_void(message: HostMessage) -> bool:
    """Whether a message is no reason to begin a life."""
    match message:
        case Join() | Asked():
            return message.withdrawn
        case Left() | Emptied():
            return True
        case Told():
            return False
        case _:
            assert_never(message)


def _refuse(message: HostMessage, error: Exception) -> None:
    match message:
        case Join(reply=reply) | Asked(reply=reply):
            reply.fail(error)
        case _:
            pass
