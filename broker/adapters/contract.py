"""What an adapter is: how the nodes of a cluster hear of each other.

An `Adapter` is what a program gives its broker; it may outlive several lives of that, and is given
to one broker at a time. A `Link` is one node's part in one life. Links carry envelopes and count
nodes, and no more: what an envelope means is the broker's affair, the same for every adapter.

What a broker relies on, and `tests/adapters` checks:

- Nobody waits for a link. `publish`, `answer` and `deliver` are sync. What cannot go out waits in a
  bounded queue of the link; what does not fit is dropped and counted (`dropped`).
- What one node publishes in one namespace arrives at each other node in that order, less what is
  lost. Across publishers there is no order, unless an adapter's own page promises one.
- Nothing arrives twice. (Where it does, an event comes twice; answers are counted once per node.)
- A node may be delivered what it has published itself: the broker ignores that.
- Envelopes are data: neither side changes one, or what is in it.
"""

from __future__ import annotations

import abc
from typing import Any, Protocol

import trio

from protocol.cluster.messages import Envelope


class ThisNode(Protocol):
    """The broker, as its link sees it."""

    def deliver(self, envelope: Envelope) -> None:
        """Take what another node has sent. Never waits, never raises."""

    def refuse(self, node: str, reason: object) -> None:
        """Hear of what another node has sent and no envelope could be made of: it is logged."""


class Link(abc.ABC):
    """One node's part, for one life of its broker. All but `run`, `flush` and counting is sync.

    `node`: the id of this node, made anew for each link; it stands in all its envelopes.
    """

    node: str

    @abc.abstractmethod
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry envelopes until cancelled.

        `task_status.started()` when what others publish arrives, in all namespaces opened so far:
        the broker lets nobody in before. What it raises before that ends the broker's start. After
        it the link mends itself: it connects again, with patience between the tries, and is not
        `healthy` meanwhile. What it raises then is a fault, and ends the broker.
        """

    @abc.abstractmethod
    def open(self, namespace: str) -> trio.Event:
        """Hear what is said of a namespace from now on; set is the event when that is so."""

    @abc.abstractmethod
    def close(self, namespace: str) -> None:
        """Hear no more of it, and count no more as one of its nodes."""

    @abc.abstractmethod
    def publish(self, envelope: Envelope) -> None:
        """Tell all other nodes that have the namespace, soon."""

    @abc.abstractmethod
    def answer(self, envelope: Envelope, to_node: str) -> None:
        """Tell one node, which has asked, soon."""

    @abc.abstractmethod
    async def server_count(self, namespace: str) -> int:
        """Return how many nodes have the namespace now, this one included.

        Waits while the link is away: its callers have a deadline.
        """

    def interested(self, namespace: str, room: str, there: bool) -> None:  # noqa: B027
        """Hear that a room, or a socket with its id for a name, has come to be here, or gone.

        For links that hear of chosen rooms only. What is said to a room that comes to be at this
        moment may be missed. Most links hear of all that a namespace is told, and do nothing here.
        """

    async def flush(self) -> None:
        """Wait until what was published is on its way, before `run` is cancelled."""
        await trio.lowlevel.checkpoint()

    @property
    def healthy(self) -> bool:
        """Whether it carries envelopes now; the health check answers 503 while it does not."""
        return True

    @property
    def dropped(self) -> int:
        """How many envelopes it has dropped since it began."""
        return 0


class Adapter(abc.ABC):
    """What `Broker(adapter=...)` takes.

    `requests_timeout`: how long to wait for other nodes' answers, in seconds, where a call does not
    say. Node's value.
    """

    requests_timeout: float = 5.0

    @abc.abstractmethod
    def link(self, node: ThisNode) -> Link:
        """Return a link for a life that begins."""


def checked_adapter(_: object, attribute: Any, value: object) -> None:
    """Check an option's value: an adapter, or None."""
    if value is None or isinstance(value, Adapter):
        return
    hint = ", not its class: write it with (...)" if isinstance(value, type) else ""
    raise TypeError(
        f"{attribute.name}: expected None or an Adapter of broker.adapters{hint}, saw {value!r}; "
        "it can be set in a program only, not in a file"
    )
