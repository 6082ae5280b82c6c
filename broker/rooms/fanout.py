"""One event to many: one sync step over all who get it.

No slice of a fan-out may ever wait for another: that all members see all events in one order rests
on it. Putting an event into 1,000 outboxes takes a quarter of a millisecond; the slow part, the
writing, is cut into slices elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from broker.values.encoded import Batch, Encoded

from .messages import Delivery, Listener, Member
from .survey import Survey


def fan_out(
    encoded: Encoded,
    members: Iterable[Listener],
    *,
    sender: Listener | None = None,
    volatile: bool = False,
    survey: Survey | None = None,
) -> Delivery:
    """Push `encoded` to all `members` but the sender; ask them for an ack if it is a `survey`."""
    if volatile or survey is not None:
        return _fan_out_with_care(encoded, members, sender, volatile, survey)
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


def fan_out_together(events: Sequence[Encoded], members: Iterable[Listener]) -> list[Delivery]:
    """Push several events to all `members`, in order; return what became of each."""
    batch = Batch(events)
    delivery = fan_out(batch, members)
    if not any(batch.missed):
        return [delivery] * len(events)
    return [Delivery(delivery.recipients - missed, missed) for missed in batch.missed]


def _fan_out_with_care(
    encoded: Encoded,
    members: Iterable[Listener],
    sender: Listener | None,
    volatile: bool,
    survey: Survey | None,
) -> Delivery:
    recipients = dropped = 0
    for member in members:
        if member is sender or member.gone:
            continue
        here = cast("Member", member)  # a seat is nobody who is there
        if put(encoded, here, here.push, volatile=volatile, survey=survey):
            recipients += 1
        else:
            dropped += 1
    return Delivery(recipients, dropped)


def put(
    encoded: Encoded,
    member: Member,
    push: Callable[[Encoded], bool],
    *,
    volatile: bool,
    survey: Survey | None,
) -> bool:
    """Have one who is there get an event by `push`, and ask it; return whether it gets it."""
    if volatile and not member.writable:
        member.missed()
        got = False
    else:
        if survey is not None:  # before the push, which may be the end of the member
            survey.expect(member)
        got = push(encoded)
    if survey is not None and not got:
        survey.miss(member)
    return got
