"""A client's seat in a namespace: it outlives its sockets, while the client may come back.

It has the socket's id, a secret by which the client is known when it comes back (`pid`), the
history of what it was sent, and, while nobody is there, the data and the rooms. From the moment a
socket goes to the moment its heir is let in, what is for it goes into the history alone: first by
the socket, which runs its last hooks, then by the seat, which is in the rooms instead of it, then
by the heir, which is still in middleware.

A seat is given back once: to the first who asks, until he is in or has failed. Whoever asks while
the old socket is still there (its client is not: it is connected anew) ends it first, and waits for
its last hook.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import trio

from actors import Actor
from broker.sessions.history import History
from broker.sessions.timers import Timer, Timers
from broker.values.encoded import Batch, Encoded
from broker.values.options import Options, Recovery
from broker.values.reasons import DisconnectReason

from .messages import Listener, Member, RoomMessage

# Why a socket may have gone whose client comes back by itself: Node's list, without the server's
# shutdown, for nobody is let in any more, and the seats end with the broker's life.
_RECOVERABLE = frozenset(
    {
        DisconnectReason.TRANSPORT_CLOSE,
        DisconnectReason.TRANSPORT_ERROR,
        DisconnectReason.PING_TIMEOUT,
        DisconnectReason.FORCED_CLOSE,
    }
)


class Occupant(Member, Protocol):
    """A socket, as its seat sees it."""

    data: dict[str, Any]

    def superseded(self) -> None:
        """End: its client has connected anew."""

    def overwhelmed(self) -> None:
        """End: too much waits for it to be let in."""


class Seat:
    """One client's in one namespace; the `Listener` in its rooms while nobody is there."""

    gone = True
    writable = False

    def __init__(self, seats: Seats, history: History) -> None:
        self.id = secrets.token_urlsafe(15)  # 20 characters, as long as Node's
        self.pid = secrets.token_urlsafe(18)  # whoever has it can come as the client
        self.history = history
        self.data: dict[str, Any] = {}
        self.room_actors: dict[str, Actor[RoomMessage]] = {}
        self.heir: Occupant | None = None
        self.vacant = trio.Event()  # set once the last hook of the socket has run
        self.deadline = 0.0
        self._seats = seats
        self._occupant: Occupant | None = None
        self._told: list[Encoded] = []  # what was for the heir alone, and is nobody's if it fails
        self._awaited = 0  # by how many who come for it, and so are not away
        self._departed = False  # whether it, not the socket, is in the rooms
        self.listens = False  # whether what is for the client is only noted

    @property
    def now(self) -> Listener:
        """Who gets what is for this client: its socket, or the seat itself."""
        return self if self._departed or self._occupant is None else self._occupant

    @property
    def is_left(self) -> bool:
        """Whether its socket has gone, and who takes it now comes back."""
        return self._departed

    @property
    def seat(self) -> Listener:
        """Itself."""
        return self

    # Its socket.

    def open_for(self, socket: Occupant) -> None:
        """Be a new socket's, which is in middleware."""
        self._occupant = socket

    def entered(self, socket: Occupant) -> Iterable[Encoded]:
        """Be that of a socket that is connected from now on; return what its client has missed."""
        self._occupant = socket
        self.heir = None
        self._told.clear()
        self.data = {}  # the socket has them
        self._departed = self.listens = False
        self.vacant = trio.Event()
        self._seats.add(self)
        return self.history.missed()

    def left(self, socket: Occupant, reason: DisconnectReason) -> bool:
        """Have a socket go; return whether its client may come back to here."""
        if self.heir is socket:
            self.heir = None
            self.history.forget(self._told)
            self._told.clear()
            self._seats.await_return(self)
            return False
        if not self._seats.holds(self) or reason not in _RECOVERABLE:
            self._seats.give_up(self)
            return False
        self.listens = True
        self.history.break_off()
        self._begin_window()
        return True

    def _begin_window(self) -> None:
        self.deadline = trio.current_time() + self._seats.recovery.max_disconnection

    def departed(self) -> None:
        """Be in the namespace, and in rooms, instead of the socket, which has left them."""
        self._departed = True

    def vacate(self, data: dict[str, Any]) -> None:
        """Wait for an heir: the last hook of the socket has run, which had these data."""
        self._occupant = None
        self.data = data
        if self._awaited:
            self._begin_window()  # from now on, should they break off
        self.vacant.set()
        self._seats.await_return(self)

    async def vacated(self) -> None:
        """End the socket that is there, if there is one, and wait until it has gone."""
        if self._occupant is not None:
            self._occupant.superseded()
            self._awaited += 1
            try:
                await self.vacant.wait()
            finally:
                self._awaited -= 1

    # What is for it.

    def push(self, encoded: Encoded) -> bool:
        """Note an event; nobody gets it now."""
        if self.listens:
            for event in _each(encoded):
                self.history.add(event)
            if self.history.lost and self.heir is not None:
                self.heir.overwhelmed()
        return False

    def push_to_heir(self, encoded: Encoded) -> None:
        """Note an event that comes to the heir, and would not come to the seat."""
        self._told.extend(_each(encoded))
        self.push(encoded)

    def missed(self) -> None:
        """Hear of a volatile event, which is not for who is not there."""


def _each(encoded: Encoded) -> Iterable[Encoded]:
    return encoded.events if isinstance(encoded, Batch) else (encoded,)


class Seats:
    """Those of one namespace, in one life, by their `pid`s.

    `expired` hears of each that has waited in vain.
    """

    def __init__(self, options: Options, recovery: Recovery, expired: Callable[[Seat], None]):
        self.recovery = recovery
        # As long as it may take to see that a client has gone, and then for it to come back.
        self._keep = recovery.max_disconnection + options.ping_interval + 2 * options.ping_timeout
        self._expired = expired
        self._by_pid: dict[str, Seat] = {}
        self._absent: dict[Seat, Timer] = {}  # in the order in which they began to wait

    def __len__(self) -> int:
        return len(self._by_pid)

    def new(self, auth: Mapping[str, Any], timers: Timers) -> Seat:
        """Return a seat for a client that came with this `auth`.

        The offset that it tells is of an earlier seat, if any: it tells it again, if it gets
        nothing here.
        """
        told = auth.get("offset")
        base = told if isinstance(told, str) else None
        return Seat(self, History(self.recovery, self._keep, timers, base))

    def of(self, auth: Mapping[str, Any]) -> Seat | None:
        """Return the seat that a client may come back to, going by what it tells."""
        pid = auth.get("pid")
        seat = self._by_pid.get(pid) if isinstance(pid, str) else None
        if seat is None or seat.heir is not None or not seat.history.knows(auth.get("offset")):
            return None
        return seat

    def claim(self, auth: Mapping[str, Any]) -> Seat | None:
        """Take the seat out, for a socket to be its heir; None: it comes as a new one."""
        seat = self.of(auth)
        timer = None if seat is None else self._absent.pop(seat, None)
        if seat is None or timer is None:
            return None
        timer.cancel()
        seat.history.resume(auth.get("offset"))
        return seat

    # What seats tell.

    def add(self, seat: Seat) -> None:
        """Know a seat from now on."""
        self._by_pid[seat.pid] = seat

    def holds(self, seat: Seat) -> bool:
        """Whether it is known."""
        return seat.pid in self._by_pid

    def await_return(self, seat: Seat) -> None:
        """Keep it until its deadline; of too many, give up the one that has waited longest."""
        self._absent[seat] = seat.history.timers.at(seat.deadline, lambda: self._expire(seat))
        if len(self._absent) > self.recovery.max_absent:
            self._expire(next(iter(self._absent)))

    def _expire(self, seat: Seat) -> None:
        self._absent.pop(seat).cancel()
        self.give_up(seat)
        self._expired(seat)

    def give_up(self, seat: Seat) -> None:
        """Know a seat no more."""
        self._by_pid.pop(seat.pid, None)
        seat.history.close()
        seat.vacant.set()  # whoever waits for it comes as a new client
