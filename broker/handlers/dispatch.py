"""A client's event and its handlers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import trio

from broker.values.errors import EventError

from .handler import NO_ACK, Handler


@attrs.define(eq=False)
class Call:
    """A handler to be called once, and what comes before the client's arguments.

    That is the socket, or nothing. `args`: what it takes of the client.
    """

    handler: Handler
    lead: tuple[object, ...] = ()
    args: list[Any] = attrs.field(init=False)

    def take(self, args: list[Any]) -> None:
        """Take what a client has sent; raises `EventError` for what it may not send."""
        handler = self.handler
        if not handler.takes(len(self.lead) + len(args)):
            raise EventError("bad_arguments", _expected(self, len(args)))
        self.args = args if handler.payload is None else handler.payload.read(args)


async def answer_of(calls: Sequence[Call], args: list[Any], timeout: float | None) -> Any:
    """Call the handlers one after the other; return the first answer that is not None.

    Raises `EventError` for what a client may not send to one of them, before any is called;
    trio.TooSlowError when one takes more than `timeout` seconds, and whatever a handler raises.
    """
    for call in calls:
        call.take(args)
    answer: Any = None
    for call in calls:
        if timeout is None:
            value = await call.handler.function(*call.lead, *call.args)
        else:
            value = await in_time(call, call.args, timeout)
        if answer is None:
            answer = value
    return answer


async def in_time(call: Call, args: Iterable[Any], timeout: float | None) -> Any:
    """Call what sees an event; raises trio.TooSlowError after `timeout` seconds."""
    with trio.CancelScope() as scope:
        if timeout is not None:
            scope.deadline = trio.current_time() + timeout
        return await call.handler.function(*call.lead, *args)
    raise trio.TooSlowError(
        f"the handler {call.handler.name} took longer than handler_timeout={timeout:g} s"
    )


def _expected(call: Call, count: int) -> str:
    least = max(0, call.handler.least - len(call.lead))
    most = call.handler.most - len(call.lead)
    if least == most:
        expected = f"{least}"
    elif most == float("inf"):
        expected = f"at least {least}"
    else:
        expected = f"{least} to {most:g}"
    return f"expected {expected} argument{'' if expected == '1' else 's'}, got {count}"


def ack_values(answer: Any) -> list[Any] | None:
    """Return what an answer is on the wire: a tuple is several values, None none; None: no ack."""
    if answer is NO_ACK:
        return None
    if answer is None:
        return []
    return list(answer) if isinstance(answer, tuple) else [answer]


def ack_error(error: EventError) -> list[Any]:
    """Return the ack that tells a client of its error."""
    described: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        described["data"] = error.data
    return [{"error": described}]
