"""Figures of a running broker, as one frozen value."""

from __future__ import annotations

import attrs
import trio


@attrs.frozen(kw_only=True)
class Statistics:
    """What there is now, on this node; what is dropped or disconnected counts since the start.

    `tasks`: trio tasks of the broker. `memberships`: pairs of socket and room. `pending_acks`: acks
    the server waits for. `mailbox_messages`: unread messages of rooms and namespaces.
    `outbox_bytes`, `outbox_packets`: what waits for clients to read. `dropped`: events that the
    option `overflow` dropped, volatile events that were not sent, and events of clients that were
    not handled.

    With an adapter: `pending_requests`: calls that wait for other nodes. `inbound_messages`: what
    those have said and has not been done. `dropped_between_nodes`: messages to and from them that
    were too many, or made no sense.
    """

    connections: int = 0
    sockets: int = 0
    namespaces: int = 0
    rooms: int = 0
    memberships: int = 0
    tasks: int = 0
    pending_acks: int = 0
    mailbox_messages: int = 0
    outbox_bytes: int = 0
    outbox_packets: int = 0
    dropped: int = 0
    slow_disconnects: int = 0
    pending_requests: int = 0
    inbound_messages: int = 0
    dropped_between_nodes: int = 0


@attrs.frozen(kw_only=True)
class SocketStatistics:
    """What there is now of one socket.

    The outbox is the connection's: its namespaces share it, and `outbox_…`, `slow` and `dropped`
    are the same for all the sockets of one client.

    `outbox_bytes`, `outbox_packets`: what waits for the client to read. `outbox_age`: for how many
    seconds none of that has moved, since the client last took something, or since it was first
    tried to write (within `flush_delay` of the emit); 0.0 when nothing waits. It is not the age of
    the oldest event: that may be greater, while the client takes a little now and then.
    `slow`: more than half of what may wait does. `inbox_events`, `inbox_bytes`: what its handlers
    have not taken yet. `pending_acks`: acks the server waits for. `dropped`: as in `Statistics`,
    since the client came.
    """

    outbox_bytes: int
    outbox_packets: int
    outbox_age: float
    slow: bool
    inbox_events: int
    inbox_bytes: int
    pending_acks: int
    dropped: int


@attrs.define
class Tally:
    """What is counted over a life."""

    dropped: int = 0
    slow_disconnects: int = 0


def count_tasks(nursery: trio.Nursery) -> int:
    """Return how many tasks live in a nursery, and in the nurseries of its tasks."""
    return sum(
        1 + sum(count_tasks(inner) for inner in task.child_nurseries)
        for task in nursery.child_tasks
    )
