"""One event to many: one sync step over all who get it.

No slice of a fan-out may ever wait for another: that all members see all events in one order rests
on it. Putting an event into 1,000 outboxes takes a quarter of a millisecond; the slow part, the
writing, is cut into slices elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from .encoded import Encoded
from .messages import Delivery, Member


def fan_out(
    encoded: Encoded,
    members: Iterable[Member],
    *,
    sender: Member | None = None,
    volatile: bool = False,
) -> Delivery:
    """Push `encoded` to all `members` but the sender."""
    if volatile:
        return _fan_out_volatile(encoded, members, sender)
    recipients = 0
    if sender is None:
        for member in members:
            recipients += member.push(encoded)
    else:
        for member in members:
            if member is not sender:
                recipients += member.push(encoded)
    return Delivery(recipients)


def _fan_out_volatile(
    encoded: Encoded, members: Iterable[Member], sender: Member | None
) -> Delivery:
    recipients = dropped = 0
    for member in members:
        if member is sender or member.gone:
            continue
        if member.writable and member.push(encoded):
            recipients += 1
        else:
            dropped += 1
    return Delivery(recipients, dropped)
