"""One event to many: one sync step over all who get it.

No slice of a fan-out may ever wait for another: that all members see all events in one order rests
on it. Putting an event into 1,000 outboxes takes a quarter of a millisecond; the slow part, the
writing, is cut into slices elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .encoded import Batch, Encoded
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
    recipients = dropped = 0
    if sender is None:
        for member in members:
            if member.push(encoded):
                recipients += 1
            elif not member.gone:
                dropped += 1
    else:
        for member in members:
            if member is sender:
                continue
            if member.push(encoded):
                recipients += 1
            elif not member.gone:
                dropped += 1
    return Delivery(recipients, dropped)


def fan_out_together(events: Sequence[Encoded], members: Iterable[Member]) -> list[Delivery]:
    """Push several events to all `members`, in order; return what became of each."""
    batch = Batch(events)
    delivery = fan_out(batch, members)
    if not any(batch.missed):
        return [delivery] * len(events)
    return [Delivery(delivery.recipients - missed, missed) for missed in batch.missed]


def _fan_out_volatile(
    encoded: Encoded, members: Iterable[Member], sender: Member | None
) -> Delivery:
    recipients = dropped = 0
    for member in members:
        if member is sender or member.gone:
            continue
        if not member.writable:
            member.missed()
            dropped += 1
        elif member.push(encoded):
            recipients += 1
        else:
            dropped += 1
    return Delivery(recipients, dropped)
