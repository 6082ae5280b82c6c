"""A socket's seat: what it has to do with it, so that its client may come back to another socket.

All of it does nothing when the option `connection_state_recovery` is off, and there is no seat.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

from broker.rooms.messages import Listener
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.seat import Occupant, Seat
from broker.sessions.session import Session
from broker.values.encoded import Encoded
from broker.values.reasons import DisconnectReason

from .gate import Gate


class SocketSeat:
    """`Socket` makes it an `Occupant` of its seat."""

    seat: Seat | None
    data: dict[str, Any]
    gone: bool
    recovered: bool
    push: Callable[[Encoded], bool]
    _gate: Gate
    _session: Session
    _sends_ahead: bool
    _actor: NamespaceActor
    _stays = False
    """Whether its seat is kept for its client, as it has gone."""

    @property
    def _occupant(self) -> Occupant:
        return cast("Occupant", self)

    @property
    def now(self) -> Listener:
        """Itself, or who gets what is for it now."""
        return self._occupant if self.seat is None else self.seat.now

    @property
    def heir(self) -> None:
        """Nobody: who comes back does so to its seat."""

    def _take_seat(self) -> None:
        """Begin: as the heir, if somebody was there before."""
        seat = self.seat
        if seat is None:
            return
        self.recovered = seat.is_left
        if self.recovered:
            seat.heir = self._occupant
            self.data = copy.copy(seat.data)  # if it is refused, the next has them as they were
            self.push = self._note_as_heir
            self._sends_ahead = False  # it is noted, and so would come twice
        else:
            seat.open_for(self._occupant)

    def _note(self, encoded: Encoded) -> bool:
        """Note in its history what it would get if it were there."""
        assert self.seat is not None
        self.seat.push(encoded)
        return not self.gone

    def _note_as_heir(self, encoded: Encoded) -> bool:
        """Note what it gets once it is let in."""
        assert self.seat is not None
        self.seat.push_to_heir(encoded)
        return not self.gone

    def _follow_gate(self) -> None:
        """Push as the gate says, unless what is for it is only noted now."""
        if self.seat is None or not self.seat.listens:
            self.push = self._gate.push

    def _let_go(self, reason: DisconnectReason) -> None:
        """Get nothing any more; what would come is noted if its client may come back."""
        self._stays = self.seat is not None and self.seat.left(self._occupant, reason)
        if reason is not DisconnectReason.CLIENT_NAMESPACE_DISCONNECT:
            self._gate.empty()
        if self._stays:
            self.push = self._note
        else:
            self._gate.shut()
            self.push = self._gate.push

    async def _go(self) -> None:
        await (self._actor.depart if self._stays else self._actor.remove)(self._occupant)

    # What its seat, the namespace's turn and its end call.

    def superseded(self) -> None:
        """End with its connection: its client has connected anew."""
        self._session.close(DisconnectReason.TRANSPORT_CLOSE)

    def overwhelmed(self) -> None:
        """End: too much waits for it to be let in."""
        self._session.outbox_full()

    def departed(self) -> None:
        """Have its seat be in the namespace instead."""
        assert self.seat is not None
        self.seat.departed()

    def ended(self) -> None:
        """Hear that its last hook has run."""
        if self._stays and self.seat is not None:
            self.seat.vacate(self.data)
