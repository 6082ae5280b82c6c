"""What one client reports to an audit: what it asked, what it was told, what it saw.

Reports are made in the order in which things happen to the client: what it does, before it does it;
what it is told, when it reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable

import attrs

from .book import Book, Message, Position
from .server_side import ServerAccount
from .waits import Waits


@attrs.define(eq=False)
class _Stay:
    """A client in a room, from its request or the news that it is in."""

    since: int | None = None
    """The report that told it so; None: it has only asked."""
    last: Position | None = None
    """The place of the last message, or of the join."""
    latest: dict[str, Message] = attrs.field(factory=dict)
    """The last message of each sender."""
    leaving: bool = False
    owed: dict[Hashable, None] = attrs.field(factory=dict)
    """What others have an ack for, so that it must come here."""

    def forget_order(self) -> None:
        """Begin anew: there may be a gap here."""
        self.last = None
        self.latest.clear()


class AuditClient:
    """One connection of one client, by name.

    `member` is what the server calls it, `healthy` whether it reads and answers as it should: only
    who is healthy may complain of waiting, and be complained of. `connected` is False after
    `cut_off`.
    """

    def __init__(
        self, name: str, member: Hashable, book: Book, server: ServerAccount, waits: Waits
    ) -> None:
        self.name = name
        self.member = member
        self.healthy = True
        self.connected = True
        self._book = book
        self._server = server
        self._waits = waits
        self._stays: dict[str, _Stay] = {}
        self._left: set[str] = set()
        self._joining: dict[str, int] = {}
        self._since = book.reports
        self._seen: set[Hashable] = set()
        self._latest: dict[tuple[str, str | None], Message] = {}

    # Rooms.

    def joining(self, room: str) -> None:
        """Say that it asks to join: the room's messages may come before the answer.

        Not needed where the server says `joined` before anything else.
        """
        self._report("joining", room)
        self._joining[room] = self._joining.get(room, 0) + 1
        if room not in self._stays:
            self._stays[room] = _Stay()

    def joined(self, room: str, at: Position | None = None) -> None:
        """Say that it was told that it is in; `at`: the place after which its messages begin."""
        self._report("joined", room, *_shown(at))
        self._answered_join(room)
        stay = self._stays.get(room)
        if stay is not None and stay.since is not None:
            self._book.fail("membership", self.name, f"one join of {room!r}", "a second one")
        if stay is None:
            stay = self._stays[room] = _Stay()
        stay.since = self._book.reports
        if stay.last is None:
            stay.last = at
        self._server.told_in(room, self.member)

    def join_refused(self, room: str) -> None:
        """Say that its join was refused."""
        self._report("was refused", room)
        self._answered_join(room)
        stay = self._stays.get(room)
        if stay is not None and stay.since is None and not self._joining.get(room):
            del self._stays[room]

    def leaving(self, room: str) -> None:
        """Say that it asks to leave: what is acknowledged from now on need not come any more."""
        self._report("leaving", room)
        if room in self._stays:
            self._stays[room].leaving = True

    def left(self, room: str, at: Position | None = None) -> None:
        """Say that it was told that it is out; `at`: the place of the last message before that."""
        self._report("left", room, *_shown(at))
        stay = self._stays.pop(room, None)
        self._left.add(room)
        if self._joining.get(room):
            self._stays[room] = _Stay()  # it has asked again meanwhile
        if stay is None or stay.since is None:
            return
        self._server.told_out(room, self.member)
        if not stay.leaving and not self._server.keeps(room):
            stay.owed.clear()  # nobody knows whether it left before the ack
        self._settle(stay, room)
        if at is not None and stay.last is not None and at != stay.last:
            self._book.fail(
                "no gap", self.name, f"all of {room!r} up to {at}", f"nothing after {stay.last}"
            )

    def _answered_join(self, room: str) -> None:
        if self._joining.get(room):
            self._joining[room] -= 1

    def _settle(self, stay: _Stay, room: str) -> None:
        for owed in stay.owed:
            self._book.fail(
                "ack", self.name, f"{owed!r} in {room!r}, which was acknowledged", "it never came"
            )

    def warned(self, room: str) -> None:
        """Say that it was told that it has missed something here."""
        self._report("warned", room)
        if room in self._stays:
            self._stays[room].forget_order()

    def cut_off(self) -> None:
        """Say that its connection has ended, whoever ended it. It is in no room then."""
        self._report("cut off")
        self.connected = False
        self._stays.clear()
        self._waits.drop(self.name)

    # Messages.

    def sent(
        self,
        room: str | None,
        message: Hashable,
        *,
        ack: bool = False,
        but: Collection[str] = (),
    ) -> None:
        """Say that it sends a message to a room (None: to none, or to several).

        `ack`: an answer must come, `acked` or `rejected`. `but`: names of clients who do not get
        it, as its sender. Raises ValueError for a message that was sent before.
        """
        self._report("sent", room, message)
        self._book.send(self.name, room, message, but, fair=self.healthy)
        if ack:
            self._waits.begin(self, "ack", message)

    def acked(self, message: Hashable) -> None:
        """Say that it was told that its message reached the room: everybody who stays gets it."""
        self._report("acked", message)
        sent = self._own(message)
        sent.acked = True
        for name in sent.missing:
            self._miss(name, sent)
        for client in self._book.clients.values():
            client.owe(sent)

    def rejected(self, message: Hashable) -> None:
        """Say that it was told that its message was not accepted."""
        self._report("rejected", message)
        self._own(message)

    def _own(self, message: Hashable) -> Message:
        """Return a message of its own that is answered now, for the first time."""
        sent = self._book.messages.get(message)
        if sent is None or sent.sender != self.name:
            self._book.fail("ack once", self.name, "acks of what it sent", f"one of {message!r}")
        if sent.answered:
            self._book.fail("ack once", self.name, f"one ack of {message!r}", "a second one")
        sent.answered = True
        self._waits.end(self.name, "ack", message)
        return sent

    def owe(self, sent: Message) -> None:
        """Note that somebody's message was acknowledged: it must come, if this client stays."""
        if sent.room is None or sent.id in self._seen or self.name in sent.but:
            return
        stay = self._stays.get(sent.room)
        if stay is None or stay.since is None or stay.since > sent.at or stay.leaving:
            return  # it was not there yet, or need not be there any more
        if not self._server.keeps(sent.room) or self._server.has(sent.room, self.member):
            stay.owed[sent.id] = None

    def saw(self, room: str | None, message: Hashable, at: Position | None = None) -> None:
        """Say that it got a message; `at` is its place in the room, if the server tells.

        `room` may be None when it is not known: then it is that of `sent`.
        """
        self._report("saw", message, *_shown(at))
        sent = self._book.messages.get(message)
        if room is None and sent is not None:
            room = sent.room
        if not self.connected:
            self._book.fail("membership", self.name, "nothing after its end", f"{message!r}")
        if message in self._seen:
            self._book.fail("at most once", self.name, f"{message!r} once", "it again")
        self._seen.add(message)
        stay = None if room is None else self._inside(room, message)
        if sent is not None:
            self._check_sender(sent)
        if at is not None:
            self._check_place(stay, room, message, at)
            self._book.agree(self.name, room, message, at)
        if at is None or self._book.across_rooms:
            self._book.order(self.name, room, message)
        if sent is not None:
            self._check_gap(sent, stay)
            self._check_time(sent, stay)

    def _inside(self, room: str, message: Hashable) -> _Stay:
        stay = self._stays.get(room)
        if stay is None:
            when = "after it left" if room in self._left else "before it joined"
            self._book.fail(
                "membership", self.name, f"nothing of {room!r} {when}", f"{message!r} of it"
            )
        stay.owed.pop(message, None)
        return stay

    def _check_sender(self, sent: Message) -> None:
        if self.name in sent.but:
            self._book.fail(
                "membership", self.name, "only what it is not excepted from", f"{sent.id!r}"
            )
        scope = None if self._book.across_rooms else sent.room
        latest = self._latest.get((sent.sender, scope))
        if latest is not None and sent.overall < latest.overall:
            self._book.fail(
                "fifo",
                self.name,
                f"what {sent.sender} sent in its order, {sent.id!r} before {latest.id!r}",
                f"{latest.id!r} first",
            )
        self._latest[sent.sender, scope] = sent

    def _check_place(
        self, stay: _Stay | None, room: str | None, message: Hashable, at: Position
    ) -> None:
        if stay is None:
            return
        last, stay.last = stay.last, at
        if last is None:
            return
        if at[0] != last[0] or at[1] <= last[1]:
            self._book.fail(
                "total order", self.name, f"what comes after {last} in {room!r}", f"{at}"
            )
        if at[1] != last[1] + 1:
            self._book.fail(
                "no gap",
                self.name,
                f"{(last[0], last[1] + 1)} of {room!r} next",
                f"{message!r} at {at}, without notice",
            )

    def _check_gap(self, sent: Message, stay: _Stay | None) -> None:
        """Of one sender and one stay, nothing may be missing between two messages."""
        if not sent.seen:
            sent.seen = True
            for name in sent.missing:
                self._miss(name, sent)
        if stay is None:
            return
        earlier = stay.latest.get(sent.sender)
        stay.latest[sent.sender] = sent
        if earlier is not None:
            for between in self._book.sent_between(earlier, sent):
                if self.name in between.but:
                    continue
                if between.seen or between.acked:
                    self._miss(self.name, between)
                between.missing.append(self.name)  # perhaps the server never accepted it

    def _miss(self, name: str, sent: Message) -> None:
        self._book.fail(
            "no gap",
            name,
            f"{sent.id!r} of {sent.room!r}, as it saw what {sent.sender} sent before and after",
            "a gap without notice",
        )

    def _check_time(self, sent: Message, stay: _Stay | None) -> None:
        waited = self._book.now - sent.time
        since = self._since if stay is None else stay.since
        was_there = since is not None and since <= sent.at
        if self.healthy and sent.fair and was_there and waited > self._waits.patience:
            self._book.fail(
                "isolation",
                self.name,
                f"{sent.id!r} within {self._waits.patience:g} s, for it is healthy",
                f"{waited:g} s",
            )

    # Requests.

    def asked(self, request: Hashable) -> None:
        """Say that it asks something: one answer must come, or its connection end."""
        self._report("asked", request)
        if not self._waits.begin(self, "answer", request):
            raise ValueError(f"each open request needs an identity of its own, saw {request!r}")

    def answered(self, request: Hashable) -> None:
        """Say that the answer has come."""
        self._report("was answered", request)
        if not self._waits.end(self.name, "answer", request):
            self._book.fail(
                "one answer", self.name, f"one answer to each request, as {request!r}", "another"
            )

    # For the audit.

    def is_in(self, room: str) -> bool:
        """Whether it may still be in a room, as far as it knows."""
        return self.connected and room in self._stays

    def finish(self) -> None:
        """Check that nothing that was acknowledged is missing."""
        for room, stay in self._stays.items():
            self._settle(stay, room)

    def _report(self, what: str, *details: object) -> None:
        self._book.report(self.name, what, *details)
        self._waits.check()

    def __repr__(self) -> str:
        return f"<AuditClient {self.name}>"


def _shown(at: Position | None) -> tuple[Position, ...]:
    return () if at is None else (at,)
