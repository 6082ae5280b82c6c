"""What can go wrong between an actor and those who write to it."""

from __future__ import annotations


class ActorGone(Exception):  # noqa: N818 - a fact about the actor, named as one
    """The actor has ended: the message was not, or will not be, handled."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the actor {name!r} has ended; what was asked of it is not answered")
        self.name = name


class MailboxFull(Exception):  # noqa: N818 - a fact about the mailbox, named as one
    """A `…_nowait` call found no place in the mailbox; nothing was posted."""

    def __init__(self, name: str, capacity: int) -> None:
        super().__init__(
            f"the mailbox of {name!r} already holds {capacity} messages; use the awaiting call, "
            "which waits for a place"
        )
        self.name = name
        self.capacity = capacity
