"""What can go wrong between an actor and those who write to it."""

from __future__ import annotations


class ActorGone(Exception):  # noqa: N818 - a fact about the actor, named as one
    """The actor has ended: the message was not, or will not be, handled."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the actor {name!r} has ended; what was asked of it is not answered")
        self.name = name


class ActorCycle(Exception):  # noqa: N818 - a fact about the actors, named as one
    """The call would wait for an actor that waits, through others perhaps, for this very call.

    `chain`: the names of the actors, each of which waits for the next; the last is the first again.
    """

    def __init__(self, chain: tuple[str, ...]) -> None:
        super().__init__(
            f"{chain[0]!r} would wait for itself: {' -> '.join(map(repr, chain))}; a message that "
            "nobody waits for (`tell`) breaks the circle"
        )
        self.chain = chain


class MailboxFull(Exception):  # noqa: N818 - a fact about the mailbox, named as one
    """A `…_nowait` call found no place in the mailbox; nothing was posted."""

    def __init__(self, name: str, capacity: int) -> None:
        super().__init__(
            f"the mailbox of {name!r} already holds {capacity} messages; use the awaiting call, "
            "which waits for a place"
        )
        self.name = name
        self.capacity = capacity
