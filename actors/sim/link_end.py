"""One end of a simulated connection: trio's stream contract over two links, and the faults.

As with trio's own sockets, a call that does not have to wait acts first and lets others run then:
what a program does before a send and the send itself are one step, and a call that raises
`Cancelled` before it had to wait has done nothing. Each call is one checkpoint, also one that
raises (but for wrong arguments and `BusyResourceError`).
"""

from __future__ import annotations

import math
import operator
from types import TracebackType

import trio

from .faults import Chance, Faults
from .link import Link


class _Turn:
    """Lets one task at a time do something."""

    __slots__ = ("_taken", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._taken = False

    def __enter__(self) -> None:
        if self._taken:
            raise trio.BusyResourceError(f"another task is {self._what} already")
        self._taken = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._taken = False


class LinkEnd(trio.abc.HalfCloseableStream):
    """What `Net.connect`, `Net.pair` and a listener return; `name` is its lane in a trace.

    Closing it is what the end of a process is to TCP: the peer reads what was sent before, and then
    the end. There is no goodbye of a higher protocol. What the peer sends after that goes into the
    void, and is answered by a reset: its next send raises `BrokenResourceError`. If bytes that had
    arrived were not read, the close is a reset at once, and the peer loses what it had not read.

    A send that was cancelled half way has sent that half: the stream is good for closing only.
    """

    __slots__ = (
        "_closed",
        "_eof_sent",
        "_faults",
        "_faulty",
        "_in",
        "_out",
        "_receiving",
        "_sending",
        "_sim",
        "name",
    )

    def __init__(self, sim: Chance, name: str, outgoing: Link, incoming: Link, faults: Faults):
        self.name = name
        self._sim = sim
        self._out = outgoing
        self._in = incoming
        self._faults = faults
        self._faulty = bool(faults.reset or faults.blackhole or faults.stall[0] or faults.chunk > 1)
        self._closed = False
        self._eof_sent = False
        self._sending = _Turn(f"sending on {name}")
        self._receiving = _Turn(f"receiving from {name}")

    # A stream.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`; waits while the window is full. As `trio.abc.SendStream` says."""
        payload = data if type(data) is bytes else bytes(memoryview(data))
        with self._sending:
            await trio.lowlevel.checkpoint_if_cancelled()
            waited = False
            try:
                self._check_sending()
                if payload:
                    waited = await self._send(payload)
            finally:
                if not waited:
                    await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a byte can be sent. As `trio.abc.SendStream` says."""
        with self._sending:
            await trio.lowlevel.checkpoint_if_cancelled()
            waited = False
            try:
                self._check_sending()
                while not self._out.writable:
                    await self._out.wait_room(some=True, until=self._in.reset_at)
                    waited = True
                    self._check_sending()
            finally:
                if not waited:
                    await trio.lowlevel.cancel_shielded_checkpoint()

    async def send_eof(self) -> None:
        """Send the end: the peer reads it behind the data, and can still send."""
        with self._sending:
            await trio.lowlevel.checkpoint_if_cancelled()
            try:
                if self._closed or not self._eof_sent:
                    self._check_sending()
                self._eof_sent = True
                self._out.end()
            finally:
                await trio.lowlevel.cancel_shielded_checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has arrived, `max_bytes` at most, or wait for it; b"" at the end."""
        if max_bytes is not None:
            max_bytes = operator.index(max_bytes)
            if max_bytes < 1:
                raise ValueError(f"max_bytes: expected a whole number from 1 up, saw {max_bytes}")
        with self._receiving:
            await trio.lowlevel.checkpoint_if_cancelled()
            waited = False
            try:
                while True:
                    if self._closed:
                        raise trio.ClosedResourceError(f"{self.name} was closed here")
                    data = self._in.take(max_bytes)
                    if data is not None:
                        return data
                    await self._in.wait_arrival()
                    waited = True
            finally:
                if not waited:
                    await trio.lowlevel.cancel_shielded_checkpoint()

    async def aclose(self) -> None:
        """Close it; whoever uses this end raises `ClosedResourceError`. Never blocks."""
        if not self._closed:
            self._closed = True
            first = self._in.abandon()
            if first is not None and first <= trio.current_time():
                if self._out.open:
                    self._sim.note(f"{self.name} closes on unread bytes, which resets its peer")
                self._out.reset()
            else:
                self._out.end()
                if first is not None:
                    self._out.reset(after=first)
            self._in.reader.wake()
            self._out.writer.wake()
        await trio.lowlevel.checkpoint()

    # Sending, and what may go wrong.

    def _check_sending(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError(f"{self.name} was closed here")
        if self._eof_sent:
            raise trio.ClosedResourceError(f"{self.name}: the end was sent, no data may follow it")
        if self._in.was_reset:
            raise trio.BrokenResourceError(f"{self.name}: the connection was reset")

    async def _send(self, data: bytes) -> bool:
        """Send, with whatever goes wrong; return whether it had to wait."""
        cuts: list[int] = []
        if self._faulty and self._out.open:
            faults, sim = self._faults, self._sim
            if faults.reset and sim.maybe("reset", faults.reset):
                await self._send_and_reset(data)
            if faults.blackhole and sim.maybe("black hole", faults.blackhole):
                sim.happened("black holes", self.name, "nothing it sends arrives any more")
                self._out.die()
                return await self._put(data)
            probability, seconds = faults.stall
            if probability and sim.maybe("stall", probability):
                sim.happened("stalls", self.name, f"nothing it sends arrives for {seconds:g} s")
                self._out.hold(trio.current_time() + seconds)
            if faults.chunk > 1 and len(data) > 1:
                cuts = self._cuts(len(data))
        waited = False
        start = 0
        for stop in cuts:
            waited |= await self._put(data[start:stop], torn=True)
            start = stop
        return await self._put(data[start:]) or waited

    def _cuts(self, size: int) -> list[int]:
        """Choose where a send of `size` bytes is torn."""
        sim = self._sim
        most = min(self._faults.chunk, size)
        if not sim.maybe("torn send", 1 - 1 / most):  # each number of pieces is as likely
            return []
        tears = 1 + sim.draw(most - 1, "the number of further tears")
        cuts = sorted({1 + sim.draw(size - 1, "a tear") for _ in range(tears)})
        places = ", ".join(map(str, cuts))
        sim.happened("torn sends", self.name, f"a send of {size} bytes is torn at {places}")
        return cuts

    async def _send_and_reset(self, data: bytes) -> None:
        """Send a part, and raise what a reset raises."""
        part = self._sim.draw(len(data) + 1, "the place of the reset")
        part = self._out.put(data[:part], 0, torn=True)
        try:
            if part and self._out.arrival < math.inf:  # else it is held: nobody can read it
                await trio.sleep_until(self._out.arrival)  # who reads may be quicker, or not
        finally:
            self.reset(f"connection reset after {part}/{len(data)} bytes of a send")
        self._check_sending()

    async def _put(self, data: bytes, *, torn: bool = False) -> bool:
        """Put `data` on the link as it gets room; return whether that took waiting."""
        out = self._out
        done = 0
        waited = False
        while True:
            done = out.put(data, done, torn=torn)
            if out.refuses:
                self._in.reset(after=out.arrival)
            if done == len(data):
                return waited
            await out.wait_room(some=False, until=self._in.reset_at)
            waited = True
            self._check_sending()

    # What `Net` calls.

    def reset(self, text: str) -> None:
        """Break the connection here and now, at both ends; `text` is for the trace."""
        if not self._in.was_reset:
            self._sim.happened("resets", self.name, text)
        self._in.cut()
        self._out.cut()

    def hang_up(self) -> None:
        """End it in the middle: each end reads what is on its way, and then the end."""
        self._sim.happened("hang-ups", self.name, "the connection was ended in the middle")
        self._in.hang_up()
        self._out.hang_up()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._in.statistics().waiting} bytes to read"
        return f"<LinkEnd {self.name}, {state}>"
