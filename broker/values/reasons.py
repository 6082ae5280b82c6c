"""Every way a connection can end: one table.

The names that Node's server has are Node's (socket.io 4.8, `socket.ts`), so that handlers ported
from it find what they look for; the others are ours.
"""

from __future__ import annotations

import enum
from typing import Self


class DisconnectReason(enum.StrEnum):
    """Why a socket or session ended; equal to its name: `reason == "ping timeout"`."""

    when: str
    """What happened."""
    returns: bool
    """Whether a Socket.IO client comes back by itself after it."""

    def __new__(cls, name: str, when: str, returns: bool) -> Self:
        """Make one row of the table."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.when = when
        member.returns = returns
        return member

    CLIENT_NAMESPACE_DISCONNECT = (
        "client namespace disconnect",
        "the client left the namespace",
        False,
    )
    SERVER_NAMESPACE_DISCONNECT = (
        "server namespace disconnect",
        "the server called `disconnect`",
        False,
    )
    TRANSPORT_CLOSE = ("transport close", "the client closed the connection, or it broke", True)
    TRANSPORT_ERROR = (
        "transport error",
        "the client broke the rules of its transport, as by two polls",
        True,
    )
    MESSAGE_TOO_LARGE = (
        "message too large",
        "the client sent more than `max_http_buffer_size` at once",
        True,
    )
    RATE_LIMIT = (
        "rate limit",
        "the client sent more than `max_packets_per_second` or `max_bytes_per_second` allow",
        True,
    )
    PING_TIMEOUT = ("ping timeout", "no pong within `ping_timeout` after a ping", True)
    PARSE_ERROR = ("parse error", "what the client sent is no Engine.IO packet", True)
    FORCED_CLOSE = (
        "forced close",
        "what the client sent is no Socket.IO packet, or not allowed here",
        True,
    )
    CONNECT_TIMEOUT = ("connect timeout", "in no namespace for `connect_timeout`", True)
    SLOW_CLIENT = (
        "slow client",
        "its outbox passed `max_outbox_…` (see `overflow`), or was half full for `slow_timeout`",
        True,
    )
    SERVER_ERROR = (
        "server error",
        "a task of the server for this client failed; the log has it",
        True,
    )
    SERVER_SHUTDOWN = ("server shutting down", "the broker was closed, or drained", True)
