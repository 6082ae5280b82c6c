"""The simulated network: hosts by name, connections between them, and what cuts them off.

A host is a name; it is there as soon as somebody uses it: `net.listen("broker")`,
`net.connect("broker", who="phone")`. What comes back are trio listeners and trio streams, so
`trio.serve_listeners`, trio-websocket and the broker run on them unchanged. Nothing leaves the
process, no time passes but trio's, and what goes wrong at random is a choice of the run.

What a test does by hand (`partition`, `stall`, `reset`, `hang_up`) is no choice, but an order.
"""

from __future__ import annotations

import errno
import math
from collections import Counter
from collections.abc import Iterator

import attrs
import trio

from .faults import CALM, Chance, Faults
from .link import Link, LinkStatistics
from .link_end import LinkEnd
from .listener import NetListener

_BACKLOG = 128  # what kernels have had for decades


@attrs.frozen
class NetStatistics:
    """What there is on a net, and what went over it so far."""

    listening: tuple[str, ...]
    """The hosts that listen."""
    links: tuple[LinkStatistics, ...]
    """Two for each connection that was ever made, in that order."""
    bytes: int
    """How many were sent, over all links."""
    segments: int
    """In how many pieces."""


@attrs.frozen(eq=False)
class _Connection:
    hosts: frozenset[str]
    links: tuple[Link, Link]


class Net:
    """A network; made by `sim.net(faults)`. `faults`: of all links that get none of their own."""

    def __init__(self, sim: Chance, faults: Faults = CALM) -> None:
        self.faults = faults
        self._sim = sim
        self._listeners: dict[str, NetListener] = {}
        self._connections: list[_Connection] = []
        self._partitions: dict[frozenset[str], tuple[str, str]] = {}
        self._healed = trio.lowlevel.ParkingLot()
        self._names: Counter[str] = Counter()

    # Connections.

    def listen(self, name: str, *, backlog: int = _BACKLOG) -> NetListener:
        """Listen on the host `name`. Raises OSError when somebody does already."""
        if name in self._listeners:
            raise OSError(errno.EADDRINUSE, f"somebody listens on {name!r} already")
        if backlog < 1:
            raise ValueError(f"backlog: expected a whole number from 1 up, saw {backlog!r}")
        listener = NetListener(self._sim, name, backlog, self._forget)
        self._listeners[name] = listener
        return listener

    def _forget(self, listener: NetListener) -> None:
        del self._listeners[listener.name]

    async def connect(
        self, name: str, who: str = "client", *, faults: Faults | None = None
    ) -> LinkEnd:
        """Connect the host `who` to the host `name`; return the end of `who`.

        That end is named `client`, the other one `broker←client`; the next ones of this `who` are
        `client#2`, and so on. Takes a round trip; waits during a partition, and while the backlog
        is full. Raises ConnectionRefusedError (an OSError) when nobody listens.
        """
        faults = faults or self.faults
        if faults.latency[0]:
            await trio.sleep(2 * faults.latency[0])
        else:
            await trio.lowlevel.checkpoint()
        hosts = frozenset((who, name))
        while True:
            listener = self._listeners.get(name)
            if hosts in self._partitions:
                await self._healed.park()
            elif listener is None:
                others = ", ".join(self._listeners) or "nobody"
                raise ConnectionRefusedError(
                    errno.ECONNREFUSED, f"nobody listens on {name!r}; who listens: {others}"
                )
            elif listener.full:
                await listener.wait_for_place()
            else:
                break
        numbered = self._numbered(who)
        names = (numbered, f"{name}←{numbered}")
        ours, theirs = self._join(hosts, names, (numbered, name), faults)
        listener.add(theirs)
        return ours

    def pair(self, a: str, b: str, *, faults: Faults | None = None) -> tuple[LinkEnd, LinkEnd]:
        """Return both ends of a new connection of two hosts, for which nobody has to listen."""
        names = (self._numbered(a), self._numbered(b))
        return self._join(frozenset((a, b)), names, names, faults or self.faults)

    def _numbered(self, name: str) -> str:
        self._names[name] += 1
        number = self._names[name]
        return name if number == 1 else f"{name}#{number}"

    def _join(
        self,
        hosts: frozenset[str],
        names: tuple[str, str],
        sides: tuple[str, str],
        faults: Faults,
    ) -> tuple[LinkEnd, LinkEnd]:
        """Make a connection; `names` are those of its ends, `sides` are what the links show."""
        a, b = sides
        there, back = Link(self._sim, f"{a}→{b}", faults), Link(self._sim, f"{b}→{a}", faults)
        self._connections.append(_Connection(hosts, (there, back)))
        if hosts in self._partitions:
            there.hold(math.inf)
            back.hold(math.inf)
        return (
            LinkEnd(self._sim, names[0], there, back, faults),
            LinkEnd(self._sim, names[1], back, there, faults),
        )

    # What goes wrong by hand.

    def partition(self, a: str, b: str) -> None:
        """Cut the hosts `a` and `b` off from each other, both ways, until `heal`.

        What is in flight between them and what they send is held back, not lost; no connection is
        made. What has arrived can be read. A reset by hand works all the same.
        """
        if a == b:
            raise ValueError(f"a host cannot be cut off from itself, saw {a!r} twice")
        hosts = frozenset((a, b))
        if hosts not in self._partitions:
            self._partitions[hosts] = (a, b)
            self._sim.happened("partitions", a, f"{a} and {b} are cut off from each other")
            for link in self._links(hosts):
                link.hold(math.inf)

    def stall(self, a: str, b: str, seconds: float) -> None:
        """Hold back what is in flight, or sent, on the connections that `a` and `b` have now."""
        if not 0 < seconds < math.inf:
            raise ValueError(f"seconds: expected more than 0, and an end, saw {seconds!r}")
        self._sim.happened("stalls", a, f"nothing arrives between {a} and {b} for {seconds:g} s")
        until = trio.current_time() + seconds
        for link in self._links(frozenset((a, b))):
            link.hold(until)

    def heal(self) -> None:
        """End all partitions and stalls: what was held back arrives within one latency.

        Black holes stay: the connection is forgotten on its way, and no repair brings it back.
        """
        for a, b in self._partitions.values():
            self._sim.note(f"{a} and {b} reach each other again")
        self._partitions.clear()
        for connection in self._connections:
            there, back = (link.release() for link in connection.links)
            if there or back:
                for link in connection.links:
                    link.reader.wake()
                    link.writer.wake()
        self._healed.unpark_all()

    def reset(self, stream: trio.abc.Stream) -> None:
        """Break a connection here and now: both ends raise `BrokenResourceError`.

        `stream`: either end. What has not been read is lost.
        """
        _end(stream).reset("the connection is reset")

    def hang_up(self, stream: trio.abc.Stream) -> None:
        """End a connection in the middle, as a proxy does that has had enough: no goodbye.

        Both ends read what is on its way, and then the end; what they send is answered by a reset.
        (To end it from one side only, close that end: a stream knows no goodbye.)
        """
        _end(stream).hang_up()

    def _links(self, hosts: frozenset[str]) -> Iterator[Link]:
        for connection in self._connections:
            if connection.hosts == hosts:
                yield from connection.links

    # What there is.

    def statistics(self) -> NetStatistics:
        """Return what there is now."""
        links = tuple(
            link.statistics() for connection in self._connections for link in connection.links
        )
        return NetStatistics(
            listening=tuple(self._listeners),
            links=links,
            bytes=sum(link.bytes for link in links),
            segments=sum(link.segments for link in links),
        )

    def __repr__(self) -> str:
        listening = ", ".join(self._listeners) or "nobody"
        return f"<Net, {listening} listening, {len(self._connections)} connections made>"


def _end(stream: trio.abc.Stream) -> LinkEnd:
    if not isinstance(stream, LinkEnd):
        raise TypeError(
            "expected a stream as Net.connect, Net.pair and a listener return it (not one that is "
            f"wrapped around it), saw {stream!r}"
        )
    return stream
