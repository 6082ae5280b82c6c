"""What goes to one socket passes its gate, in order.

It is closed until the CONNECT packet has gone out. Open, it lets everything through, but for what a
room's `on_join` decides about: such an event is kept until that has returned, and so is all that
comes behind it, or this socket would see another order than everybody else. What `on_join` itself
sends to the socket goes past: that is the snapshot, and what is kept are the changes behind it.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from actors import Actor

from .encoded import Encoded
from .messages import Doubt, RoomMessage
from .options import EngineOptions

Push = Callable[[Encoded], bool]


@attrs.define
class _Kept:
    encoded: Encoded
    doubt: Doubt

    @property
    def in_doubt(self) -> bool:
        return bool(self.doubt.via or self.doubt.unless)


class Gate:
    """`push` is how to put an event through, for now: it changes as the gate does.

    What is kept is bounded as an outbox is; `on_full` is called when it is more.
    """

    __slots__ = ("_kept", "_max_bytes", "_max_packets", "_on_full", "_out", "_size", "push")

    def __init__(self, options: EngineOptions, on_full: Callable[[], None]) -> None:
        self._max_bytes = options.max_outbox_bytes
        self._max_packets = options.max_outbox_packets
        self._on_full = on_full
        self._kept: list[_Kept] = []
        self._size = 0
        self._out: Push | None = None  # None: closed
        self.push: Push = self._keep_behind

    @property
    def keeps(self) -> bool:
        """Whether something is kept back."""
        return bool(self._kept)

    def open(self, out: Push) -> None:
        """Let through to `out` what is kept and not in doubt, and what comes from now on."""
        self._out = out
        self._release()

    def shut(self) -> None:
        """Let nothing through any more, and forget what is kept."""
        self._kept = []
        self._out = None
        self.push = _refuse

    def keep(self, encoded: Encoded, doubt: Doubt) -> None:
        """Keep an event that joins decide about."""
        if self.push != _refuse:
            self.push = self._keep_behind
            self._insert(len(self._kept), _Kept(encoded, doubt))

    def resolve(self, room: Actor[RoomMessage], *, entered: bool) -> None:
        """Let go what waited for the end of the join into `room`."""
        kept = []
        for each in self._kept:
            doubt = each.doubt
            if room in doubt.via:
                doubt.via.remove(room)
                doubt.sure |= entered
            if room in doubt.unless:
                doubt.unless.remove(room)
                if entered:
                    continue
            if doubt.sure or doubt.via:
                kept.append(each)
        self._keep_only(kept)
        if self._out is not None:
            self._release()

    def push_before(self, room: Actor[RoomMessage], encoded: Encoded) -> bool:
        """Push what the `on_join` of `room` sends: before the events that wait for its end."""
        if self._out is not None:
            return self._out(encoded)
        places = (place for place, each in enumerate(self._kept) if room in each.doubt.via)
        place = next(places, len(self._kept))
        return self._insert(place, _Kept(encoded, Doubt(sure=True)))

    def _keep_behind(self, encoded: Encoded) -> bool:
        return self._insert(len(self._kept), _Kept(encoded, Doubt(sure=True)))

    def _insert(self, place: int, kept: _Kept) -> bool:
        self._kept.insert(place, kept)
        self._size += len(kept.encoded.wire)
        if self._size > self._max_bytes or len(self._kept) > self._max_packets:
            self._on_full()
        return self.push != _refuse

    def _release(self) -> None:
        assert self._out is not None
        kept = self._kept
        count = next((place for place, each in enumerate(kept) if each.in_doubt), len(kept))
        for each in kept[:count]:
            self._out(each.encoded)
            if self.push == _refuse:
                return  # that was too much for the client
        self._keep_only(kept[count:])
        self.push = self._keep_behind if self._kept else self._out

    def _keep_only(self, kept: list[_Kept]) -> None:
        self._kept = kept
        self._size = sum(len(each.encoded.wire) for each in kept)


def _refuse(_encoded: Encoded) -> bool:
    return False
