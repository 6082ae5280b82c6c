"""What goes wrong, and whose fault it is.

BrokerNotRunning        ours: a call that needs a living broker
SocketDisconnected      nobody's: the client has gone
ConnectError            the client's: it may not enter the namespace
EventError              the client's: its event is not accepted
└ JoinRefused         … the socket may not enter a room
"""

from __future__ import annotations

from typing import Any


class BrokerNotRunning(RuntimeError):  # noqa: N818 - part of the public contract
    """The call needs a running broker: this one does not run, or is `closing`."""

    def __init__(self, what: str, *, closing: bool = False) -> None:
        super().__init__(
            f"{what} needs a running broker, and this one is being closed: wait for that before"
            if closing
            else f"{what} needs a running broker: call it inside `async with broker:`, or while "
            "`broker.serve(...)` runs"
        )


class SocketDisconnected(Exception):  # noqa: N818 - part of the public contract
    """The socket has gone: there is nobody to join a room or to answer."""

    def __init__(self, sid: str) -> None:
        super().__init__(f"the socket {sid} has disconnected")
        self.sid = sid


class ConnectError(Exception):
    """Raised in middleware: the client gets `connect_error` with `message` and `data`.

    `data` is anything an event may hold; None leaves it out.
    """

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class EventError(Exception):
    """Raised in an event's handler: its ack is `{"error": {"code", "message", "data"}}`.

    `code` is for programs and `message` for people; `data` of None is left out.
    """

    def __init__(self, code: str, message: str, data: Any = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.data = data


class JoinRefused(EventError):  # noqa: N818 - part of the public contract
    """The socket was not let into `room`; one that stays uncaught answers the client's event."""

    def __init__(self, message: str, data: Any = None, *, room: str = "") -> None:
        super().__init__("join_refused", message, data)
        self.room = room


REFUSALS = (ConnectError, EventError, SocketDisconnected)


def unwrapped(error: Exception) -> Exception:
    """Return the refusal that an exception group holds alone, else `error` itself.

    A handler that raises inside a nursery of its own raises a group of one; it means the one.
    """
    inner: BaseException = error
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner if isinstance(inner, REFUSALS) else error
