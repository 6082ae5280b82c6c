"""A mailbox: many writers, one reader, bounded.

A bounded trio memory channel with an actor's words: whoever posts to an actor that has ended hears
`ActorGone`, whoever posts to a full one waits (`post`) or hears `MailboxFull` (`post_nowait`).
The order of messages is the order of the posts; it is fixed without an await in between. What
bounds itself (one leave for each who has joined) is posted `surely`: past the bound, in its place.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

from .errors import ActorGone, MailboxFull

M = TypeVar("M")


class Mailbox(Generic[M]):
    """What waits for one actor. `len(mailbox)` is the number of unread messages."""

    __slots__ = ("_reader", "_sure", "_taken", "_writer", "capacity", "name")

    def __init__(self, name: str, capacity: int) -> None:
        """`capacity` is in messages and at least 1; `name` is for errors and logs."""
        self.name = name
        self.capacity = capacity
        self._writer, self._reader = trio.open_memory_channel[M](capacity)
        self._taken = 0  # messages taken out of the channel
        # Each comes when so many have been taken. Few mailboxes are ever full, and an empty deque
        # has 760 bytes.
        self._sure: deque[tuple[int, M]] | None = None

    def post_nowait(self, message: M) -> None:
        """Put `message` behind those that wait; raises `MailboxFull` or `ActorGone`."""
        try:
            self._writer.send_nowait(message)
        except trio.WouldBlock:
            raise MailboxFull(self.name, self.capacity) from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ActorGone(self.name) from None

    async def post(self, message: M) -> None:
        """Put `message` behind those that wait, and wait for a place if there is none.

        Cancelled, it has posted nothing. Raises `ActorGone`. Only a full mailbox makes it a
        checkpoint; a cancelled caller is always noticed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self.post_nowait(message)
        except MailboxFull:
            try:
                await self._writer.send(message)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise ActorGone(self.name) from None

    def post_surely(self, message: M) -> None:
        """Put `message` behind those that wait, even when it is full; raises `ActorGone`."""
        try:
            self.post_nowait(message)
        except MailboxFull:
            self._sure = deque() if self._sure is None else self._sure
            self._sure.append((self._taken + self.capacity, message))

    async def take(self) -> M | None:
        """Wait for the next message, which leaves the mailbox; None once it is closed."""
        if (sure := self._take_sure()) is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return sure
        try:
            message = await self._reader.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            return None
        self._taken += 1
        return message

    def take_nowait(self) -> M | None:
        """Take the next message, or None when nothing waits."""
        if (sure := self._take_sure()) is not None:
            return sure
        try:
            message = self._reader.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            return None
        self._taken += 1
        return message

    def _take_sure(self) -> M | None:
        if self._sure and self._sure[0][0] <= self._taken:
            return self._sure.popleft()[1]
        return None

    def close(self) -> None:
        """Accept nothing more: posts raise `ActorGone`, what waits can still be taken."""
        self._writer.close()

    def discard(self) -> None:
        """Close, and wake those who still wait for a place: they hear `ActorGone`."""
        self._writer.close()
        self._reader.close()
        self._sure = None

    def __len__(self) -> int:
        return self._reader.statistics().current_buffer_used + len(self._sure or ())

    def __repr__(self) -> str:
        return f"<Mailbox of {self.name!r}, {len(self)} of {self.capacity}>"
