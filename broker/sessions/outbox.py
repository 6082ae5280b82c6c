"""What waits for one client, bounded.

Rules: `push` is sync, never blocks, never raises and never calls back into the room; order is
kept; over the limit the policy acts that the option `overflow` names. The bytes are shared and
never copied until they are written, joined, by one call per client: on Linux a write costs about
5 µs whatever it holds, so how much is joined per write decides the speed of a broadcast.

No policy drops what is `kept` (acks, control packets); it goes past the limit, but when it alone
would pass it, the client is slow: a flood of questions must not grow without end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import trio

from broker.values.encoded import Batch, Encoded
from broker.values.options import EngineOptions

from .flusher import Flusher
from .held import Held
from .transport import Transport


class Owner(Protocol):
    """Who hears of an outbox that fills up."""

    def outbox_full(self) -> None:
        """The limit is passed, and nothing may be dropped: nothing more can be pushed."""

    def outbox_high(self, *, high: bool) -> None:
        """Half of the limit is being passed, upwards (`high`), or has been, downwards."""

    def outbox_dropped(self) -> None:
        """The policy has dropped an event."""


class Outbox:
    """The bounded queue of one session; `bytes` and `packets` count what is not yet written."""

    __slots__ = (
        "_dirty",
        "_flusher",
        "_held",
        "_high",
        "_kept_bytes",
        "_kept_first",
        "_kept_packets",
        "_mark_bytes",
        "_mark_packets",
        "_max_bytes",
        "_max_packets",
        "_moved",
        "_overflow",
        "_owner",
        "_queue",
        "_since",
        "_taken_bytes",
        "_taken_packets",
        "bytes",
        "closed",
        "packets",
        "pushed",
        "transport",
    )

    def __init__(self, options: EngineOptions, flusher: Flusher, owner: Owner) -> None:
        self._flusher = flusher
        self._owner = owner
        self._overflow = options.overflow
        self._max_bytes = options.max_outbox_bytes
        self._max_packets = options.max_outbox_packets
        self._mark_bytes = self._max_bytes // 2
        self._mark_packets = self._max_packets // 2
        # What has been passed over in search of something to drop comes before the queue, which is
        # a deque from the first drop to the next `take` (an empty one costs each client 700 bytes),
        # and not empty then.
        self._kept_first: list[Encoded] = []
        self._queue: list[Encoded] | deque[Encoded] = []
        self._kept_bytes = 0  # of what waits here and must not be dropped
        self._kept_packets = 0
        self._taken_bytes = 0  # of what the transport has, and has not written
        self._taken_packets = 0
        self._held: Held | None = None  # what gates keep back is part of all figures
        self._dirty = False  # whether the flusher knows of us
        self._high = False
        self._since: float | None = None
        self._moved: trio.Event | None = None  # for those who wait for room
        self.bytes = 0
        self.packets = 0
        self.pushed = 0
        self.closed = False
        self.transport: Transport | None = None

    # What comes in.

    def push(self, encoded: Encoded) -> bool:
        """Queue `encoded`; False when it is dropped, or the outbox is closed, or is now.

        Of a `Batch`, each event is queued or dropped by itself, and those dropped are noted in it.
        """
        if self.closed:
            return False
        size = self.bytes + len(encoded.wire)
        packets = self.packets + encoded.packets
        if size > self._mark_bytes or packets > self._mark_packets:
            return self._push_high(encoded)
        self.bytes = size
        self.packets = packets
        self.pushed += 1
        if encoded.kept:
            self._kept_bytes += len(encoded.wire)
            self._kept_packets += encoded.packets
        self._queue.append(encoded)
        if not self._dirty:
            self._dirty = True
            self._flusher.add(self)
        return True

    def push_control(self, encoded: Encoded) -> None:
        """Queue a control packet, or what was sent before, though events have passed the limit."""
        if not self.closed and self._bears(encoded):
            self._add(encoded)

    def push_first(self, encoded: Encoded) -> None:
        """Queue a ping before all that waits: a client that reads slowly shall answer in time."""
        if not self.closed and self._bears(encoded):
            self._add(encoded)
            (self._kept_first or self._queue).insert(0, self._queue.pop())

    def _push_high(self, encoded: Encoded) -> bool:
        """Queue what passes the mark; when it passes the limit, as the policy has it."""
        if isinstance(encoded, Batch) and not self._fits(encoded, self.bytes, self.packets):
            encoded.push_each(self.push)
            return not self.closed
        if not self._admits(encoded):
            return False
        self.pushed += 1
        self._add(encoded)
        return True

    def _admits(self, encoded: Encoded) -> bool:
        """Whether what passes the mark may wait here; the policy has made room if it could."""
        fits = self._fits(encoded, self.bytes, self.packets)
        # Who has nothing to read is not slow, whatever is too large for him.
        if not self._high and (fits or self.packets):
            self._high = True
            self._owner.outbox_high(high=True)
        if fits:
            return True
        if self._overflow != "disconnect":
            return self._has_room_for(encoded)
        self._owner.outbox_full()
        return False

    def _has_room_for(self, encoded: Encoded) -> bool:
        """Make room if the policy can, or drop `encoded`; return whether it may be queued."""
        firm_bytes = self._taken_bytes + self._kept_bytes
        firm_packets = self._taken_packets + self._kept_packets
        if self._held is not None:
            firm_bytes += self._held.bytes - self._held.kept_bytes
            firm_packets += self._held.packets - self._held.kept_packets
        room = self._overflow == "drop_oldest" and self._fits(encoded, firm_bytes, firm_packets)
        if room:
            self._drop_oldest(encoded)
        elif encoded.kept:
            return self._bears(encoded)
        else:
            self._owner.outbox_dropped()
        return room

    def _drop_oldest(self, encoded: Encoded) -> None:
        """Drop the oldest events until `encoded` fits, which it will."""
        queue = self._queue = deque(self._queue) if isinstance(self._queue, list) else self._queue
        while not self._fits(encoded, self.bytes, self.packets):
            oldest = queue.popleft()
            if isinstance(oldest, Batch):
                queue.extendleft(reversed(oldest.events))
            elif oldest.kept:
                self._kept_first.append(oldest)
            else:
                self.bytes -= len(oldest.wire)
                self.packets -= oldest.packets
                self._owner.outbox_dropped()

    def _fits(self, encoded: Encoded, size: int, packets: int) -> bool:
        """Whether `encoded` fits beside so much."""
        return (
            size + len(encoded.wire) <= self._max_bytes
            and packets + encoded.packets <= self._max_packets
        )

    def _bears(self, encoded: Encoded) -> bool:
        """Whether what must not be dropped stays below the limit; if not, that is the end."""
        bears = self._fits(encoded, self._kept_bytes, self._kept_packets)
        if not bears:
            self._owner.outbox_full()
        return bears

    def _add(self, encoded: Encoded) -> None:
        self._count(encoded, 1)
        self._queue.append(encoded)
        self.touch()

    # What a gate keeps back.

    def hold(self, encoded: Encoded) -> bool:
        """Count what is kept back, which is no `Batch`; False when it is dropped, as by `push`."""
        size, packets = self.bytes + len(encoded.wire), self.packets + encoded.packets
        if self.closed or (self._is_above_mark(size, packets) and not self._admits(encoded)):
            return False
        self._count(encoded, 1)
        self._held = self._held or Held()
        self._held.count(encoded, 1)
        return True

    def release(self, encoded: Encoded) -> None:
        """Queue what was kept back."""
        self._unhold(encoded)
        if not self.closed:
            self.pushed += 1
            self._add(encoded)

    def forget(self, encoded: Encoded) -> None:
        """Count what was kept back no more."""
        self._unhold(encoded)
        self._sink()

    def _unhold(self, encoded: Encoded) -> None:
        if self._held is not None:  # else it was freed when the outbox was closed
            self._count(encoded, -1)
            self._held.count(encoded, -1)
            self._held = self._held if self._held.packets else None

    def _count(self, encoded: Encoded, sign: int) -> None:
        self.bytes += sign * len(encoded.wire)
        self.packets += sign * encoded.packets
        if encoded.kept:
            self._kept_bytes += sign * len(encoded.wire)
            self._kept_packets += sign * encoded.packets

    def touch(self) -> None:
        """Have the flusher come by: a transport can write again, or for the first time."""
        if not self._dirty:
            self._dirty = True
            self._flusher.add(self)

    def flush(self) -> None:
        """Hand what waits to the transport now."""
        self._dirty = False
        if self._queue and self.transport is not None:
            self.transport.flush()
        if self._since is None and (self.packets if self._held is None else self._unheld[1]):
            self._since = trio.current_time()

    def take(self, most: int | None = None) -> list[Encoded]:
        """Take what waits, for a transport that writes it and then calls `written`.

        `most`: about so many bytes, at least one event; the rest can still be dropped.
        """
        size, packets = (self.bytes, self.packets) if self._held is None else self._unheld
        if most is not None and size - self._taken_bytes > most:
            return self._take_some(most)
        queue = self._queue
        if not isinstance(queue, list):
            queue = [*self._kept_first, *queue]
            self._kept_first = []
        self._queue = []
        self._taken_bytes = size
        self._taken_packets = packets
        self._kept_bytes = 0 if self._held is None else self._held.kept_bytes
        self._kept_packets = 0 if self._held is None else self._held.kept_packets
        return queue

    def _take_some(self, most: int) -> list[Encoded]:
        queue = [*self._kept_first, *self._queue]
        self._kept_first = []
        count = 0
        size = 0
        while size < most:
            encoded = queue[count]
            count += 1
            size += len(encoded.wire)
            self._taken_packets += encoded.packets
            if encoded.kept:
                self._kept_bytes -= len(encoded.wire)
                self._kept_packets -= encoded.packets
        self._taken_bytes += size
        self._queue = queue[count:]
        return queue[:count]

    def written(self, size: int, packets: int) -> None:
        """Note that a transport has got rid of so many bytes (in websocket form) and packets.

        During an upgrade two of them have some.
        """
        if self.closed and not self.packets:
            return  # freed when it was closed
        self.bytes -= size
        self.packets -= packets
        self._taken_bytes -= size
        self._taken_packets -= packets
        waits = self.packets if self._held is None else self._unheld[1]
        self._since = trio.current_time() if waits else None
        if self._high or self._moved is not None:
            self._sink()

    def _sink(self) -> None:
        """See whether less than half of the limit waits now, and who waited for that."""
        if self._high and not self._is_above_mark(self.bytes, self.packets):
            self._high = False
            self._owner.outbox_high(high=False)
        if self._moved is not None and not (self._high and self._held is None):
            self._moved.set()

    # What it is like.

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be handed to the transport."""
        return not self._queue

    @property
    def high(self) -> bool:
        """Whether more than half of the limit waits, or would, with an event that did not fit."""
        return self._high

    @property
    def age(self) -> float:
        """For how many seconds what waits has not moved; 0.0 when nothing waits.

        That is since the last write took some of it, or else since the first try to write it.
        """
        return 0.0 if self._since is None else trio.current_time() - self._since

    @property
    def writable(self) -> bool:
        """Whether what is pushed now would be written at once, as far as is known."""
        return not self.closed and self.transport is not None and self.transport.writable

    async def room_for(
        self,
        encoded: Encoded,
        *,
        given_up: Callable[[], bool] = lambda: False,
        passes: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wait while more than half of the limit waits, or `encoded` would pass the limit.

        At once when nothing waits, or the outbox is closed, or it is `given_up`: who makes that
        true calls `stir`. For whom `passes` it, what is kept back does not count: it waits for him.
        """
        while not self.closed and not given_up():
            size, packets = self.bytes, self.packets
            if self._held is not None and passes():
                size, packets = self._unheld
            if not packets:
                return
            if not self._is_above_mark(size, packets) and self._fits(encoded, size, packets):
                return
            if self._moved is None or self._moved.is_set():
                self._moved = trio.Event()
            await self._moved.wait()

    @property
    def _unheld(self) -> tuple[int, int]:
        """The bytes and packets that wait to be written: those that no gate keeps back."""
        held = self._held or Held()
        return self.bytes - held.bytes, self.packets - held.packets

    def _is_above_mark(self, size: int, packets: int) -> bool:
        return size > self._mark_bytes or packets > self._mark_packets

    def stir(self) -> None:
        """Let those who wait for room look again whether they still want it."""
        if self._moved is not None:
            self._moved.set()

    def close(self, *, keep: bool) -> None:
        """Accept nothing more; `keep` what waits for the transport, or free it at once."""
        self.closed = True
        if not keep:
            self._queue = []
            self._kept_first = []
            self._held = None
            self.bytes = self.packets = 0
            self._since = None
        if self._moved is not None:
            self._moved.set()
