"""A small broker of rooms, each an actor, correct but for one fault of your choice.

A client sends commands and gets events over a connection. Its session reads them, and has an outbox
and a writer; a room numbers what is said in it, and pushes it into the outboxes of its members. Who
does not empty his outbox is cut off. A room that is empty closes; the next one of its name has
another epoch, as its numbers begin anew. A request is answered behind all events that came before.

`FAULTS` says what each fault is, and what order of events it takes to do harm.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

import attrs
import trio

from actors import ActorGone, Mailbox, MailboxFull
from broker.audit import ServerAccount

FAULTS = {
    "no_epoch": "rooms of one name have one epoch. A room must close, and be opened again.",
    "task_per_delivery": "each event gets a task that pushes it. Two must overtake each other.",
    "ack_before_member": "`joined` is pushed, and something awaited, before the session is a "
    "member. Its client must read that before the room's next step.",
    "leave_ack_first": "the same, of `left`.",
    "double_leave": "a goodbye is accounted for, though the session has left before.",
    "room_leak": "a room looks whether it is empty only when a member leaves. A goodbye must open "
    "the room again, which was closed since the session left it.",
    "lost_join": "a room closes when it is empty, whatever is in its mailbox. A join must be put "
    "there before the last member's leave is handled.",
    "seq_race": "sessions number what is said. Two must look up the same number.",
    "silent_drop": "what finds no place in an outbox is dropped. A member must be slow.",
    "ack_twice": "a session acknowledges what is open when its client leaves; so does the room.",
    "two_paths": "what is shouted takes a detour through a task. What is said next must be faster.",
    "no_cleanup": "nobody tells the room when a connection ends.",
    "session_leak": "a session is forgotten behind a read that may be cancelled. It must be cut "
    "off.",
    "snapshot_await": "the room waits for places in its members' outboxes. A member must be slow.",
    "no_shield": "the goodbye to a room can be cancelled. A connection must break, and the writer "
    "notice it before the reader.",
}

_OUTBOX = 6  # events
_ROOM = 16  # messages
_GOODBYE = 10.0  # seconds that the end of a connection may take


# What clients send, and get.


@attrs.frozen
class Join:
    room: str


@attrs.frozen
class Leave:
    room: str


@attrs.frozen
class Say:
    room: str
    text: str
    """`who, number`; with an exclamation mark when it is shouted."""


@attrs.frozen
class Joined:
    room: str
    epoch: int
    number: int
    """Of the last event before."""


@attrs.frozen
class Left:
    room: str
    epoch: int
    number: int
    """Of the last event before."""


@attrs.frozen
class Said:
    room: str
    epoch: int
    number: int
    text: str


@attrs.frozen
class Ack:
    text: str


Command = Join | Leave | Say
Event = Joined | Left | Said | Ack


class Connection(Protocol):
    """A session's end of the line to its client."""

    @property
    def name(self) -> str:
        """No two connections have the same."""

    async def receive(self) -> Command | None:
        """Wait for the next command; None at the end, however it came."""

    async def send(self, event: Event) -> None:
        """Send; waits for the client. Raises `trio.BrokenResourceError` when there is none."""

    async def aclose(self) -> None:
        """End it: the client reads what was sent, and then the end."""


# Inside.


@attrs.frozen
class _Enter:
    session: Session


@attrs.frozen
class _Exit:
    session: Session
    answered: bool
    """Whether the client has asked for it."""


@attrs.frozen
class _Publish:
    session: Session
    text: str
    number: int


class Broker:
    """`rooms` and `sessions` are what is open now; rooms run in `nursery`.

    `account` is told who is in which room, and which rooms there are. (It is not told their epochs:
    that two lives of a room are told apart is for the clients to see.)
    """

    def __init__(self, nursery: trio.Nursery, account: ServerAccount, fault: str = "") -> None:
        self.nursery = nursery
        self.account = account
        self.fault = fault
        self.rooms: dict[str, Room] = {}
        self.sessions: dict[str, Session] = {}
        self._epochs = 0

    def room(self, name: str) -> Room:
        """Return the open room of this name; opens it."""
        room = self.rooms.get(name)
        if room is None:
            if self.fault != "no_epoch":
                self._epochs += 1
            room = self.rooms[name] = Room(self, name, self._epochs)
            self.account.opened(name)
            self.nursery.start_soon(room.run, name=f"room {name}")
        return room

    async def serve(self, connection: Connection) -> None:
        """Serve one client, to its end."""
        session = self.sessions[connection.name] = Session(self, connection)
        try:
            async with trio.open_nursery() as nursery:
                session.scope = nursery.cancel_scope
                nursery.start_soon(session.write, name=f"writer of {session.name}")
                try:
                    await session.read()
                    if self.fault == "session_leak":
                        del self.sessions[session.name]
                finally:
                    if self.fault != "no_cleanup":
                        with trio.CancelScope(shield=self.fault != "no_shield"):
                            await session.say_goodbye()
                    nursery.cancel_scope.cancel()
        finally:
            session.outbox.discard()
            if self.fault != "session_leak":
                del self.sessions[session.name]
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _GOODBYE):
                await connection.aclose()


class Session:
    """One client's: it reads in `read`, and writes in `write`."""

    def __init__(self, broker: Broker, connection: Connection) -> None:
        self.name = connection.name
        self.outbox: Mailbox[Event] = Mailbox(f"outbox of {self.name}", _OUTBOX)
        self.scope = trio.CancelScope()
        self._broker = broker
        self._connection = connection
        self._rooms: set[str] = set()  # all it has ever asked for
        self._open: dict[str, None] = {}  # what it has said, and the room has not acknowledged

    def __repr__(self) -> str:
        return f"<session of {self.name}>"

    async def read(self) -> None:
        """Hand on what the client sends, until it sends no more."""
        while (command := await self._connection.receive()) is not None:
            room = self._broker.room(command.room)
            match command:
                case Join():
                    self._rooms.add(command.room)
                    await room.mailbox.post(_Enter(self))
                case Leave():
                    if self._broker.fault == "ack_twice":
                        for text in tuple(self._open):
                            self.push(Ack(text))
                    await room.mailbox.post(_Exit(self, answered=True))
                case Say(text=text):
                    self._open[text] = None
                    publish = _Publish(self, text, room.number + 1)
                    if self._broker.fault == "two_paths" and text.endswith("!"):
                        self._broker.nursery.start_soon(room.mailbox.post, publish, name="detour")
                    else:
                        await room.mailbox.post(publish)

    async def say_goodbye(self) -> None:
        """Leave all rooms: where it has left before, or was never let in, that changes nothing."""
        for name in sorted(self._rooms):
            await self._broker.room(name).mailbox.post(_Exit(self, answered=False))

    async def write(self) -> None:
        """Send what is in the outbox; ends the session when the connection is broken."""
        try:
            while (event := await self.outbox.take()) is not None:
                await self._connection.send(event)
        except trio.BrokenResourceError:
            self.scope.cancel()

    def push(self, event: Event) -> bool:
        """Put an event into the outbox; return False when the session is cut off, as it is full."""
        if isinstance(event, Ack):
            self._open.pop(event.text, None)
        try:
            self.outbox.post_nowait(event)
        except ActorGone:
            pass
        except MailboxFull:
            if self._broker.fault == "silent_drop":
                return True
            self.outbox.close()
            self.scope.cancel()
            return False
        return True


class Room:
    """Members are known to its own task only; `number` is that of the last event."""

    def __init__(self, broker: Broker, name: str, epoch: int) -> None:
        self.name = name
        self.epoch = epoch
        self.number = 0
        self.mailbox: Mailbox[_Enter | _Exit | _Publish] = Mailbox(f"room {name}", _ROOM)
        self._broker = broker
        self._members: dict[str, Session] = {}

    async def run(self) -> None:
        """Live until nobody is here, and nothing waits."""
        while (message := await self.mailbox.take()) is not None:
            before = len(self._members)
            match message:
                case _Enter(session=session):
                    await self._enter(session)
                case _Exit(session=session, answered=answered):
                    await self._exit(session, answered=answered)
                case _Publish():
                    await self._publish(message)
            if self._broker.fault == "room_leak" and len(self._members) == before:
                continue
            if not self._members and (not len(self.mailbox) or self._broker.fault == "lost_join"):
                del self._broker.rooms[self.name]
                self._broker.account.closed(self.name)
                return

    async def _enter(self, session: Session) -> None:
        joined = Joined(self.name, self.epoch, self.number)
        early = self._broker.fault == "ack_before_member"
        if early:
            session.push(joined)
            await trio.lowlevel.checkpoint()
        self._members[session.name] = session
        self._broker.account.joined(self.name, session.name)
        if not early and not session.push(joined):
            self._remove(session)

    async def _exit(self, session: Session, *, answered: bool) -> None:
        left = Left(self.name, self.epoch, self.number)
        early = answered and self._broker.fault == "leave_ack_first"
        if early:
            session.push(left)
            await trio.lowlevel.checkpoint()
        self._remove(session)
        if answered and not early:
            session.push(left)

    def _remove(self, session: Session) -> None:
        was_here = self._members.pop(session.name, None) is not None
        if was_here or self._broker.fault == "double_leave":
            self._broker.account.left(self.name, session.name)

    async def _publish(self, publish: _Publish) -> None:
        self.number = publish.number if self._broker.fault == "seq_race" else self.number + 1
        said = Said(self.name, self.epoch, self.number, publish.text)
        for member in list(self._members.values()):
            await self._deliver(member, said)
        if not publish.session.push(Ack(publish.text)):
            self._remove(publish.session)

    async def _deliver(self, member: Session, said: Said) -> None:
        match self._broker.fault:
            case "task_per_delivery":
                self._broker.nursery.start_soon(_push, member, said, name="delivery")
            case "snapshot_await":
                with suppress(ActorGone):
                    await member.outbox.post(said)
            case _:
                if not member.push(said):
                    self._remove(member)


async def _push(session: Session, event: Event) -> None:
    session.push(event)
