"""A mailbox: many writers, one reader, bounded.

A bounded trio memory channel with an actor's words: whoever posts to an actor that has ended hears
`ActorGone`, whoever posts to a full one waits (`post`) or hears `MailboxFull` (`post_nowait`).
The order of messages is the order of the posts; it is fixed without an await in between.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

from .errors import ActorGone, MailboxFull

M = TypeVar("M")


class Mailbox(Generic[M]):
    """What waits for one actor. `len(mailbox)` is the number of unread messages."""

    __slots__ = ("_reader", "_writer", "capacity", "name")

    def __init__(self, name: str, capacity: int) -> None:
        """`capacity` is in messages and at least 1; `name` is for errors and logs."""
        self.name = name
        self.capacity = capacity
        self._writer, self._reader = trio.open_memory_channel[M](capacity)

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

    async def take(self) -> M | None:
        """Wait for the next message, which leaves the mailbox; None once it is closed."""
        try:
            return await self._reader.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            return None

    def take_nowait(self) -> M | None:
        """Take the next message, or None when nothing waits."""
        try:
            return self._reader.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            return None

    def close(self) -> None:
        """Accept nothing more: posts raise `ActorGone`, what waits can still be taken."""
        self._writer.close()

    def discard(self) -> None:
        """Close, and wake those who still wait for a place: they hear `ActorGone`."""
        self._writer.close()
        self._reader.close()

    def __len__(self) -> int:
        return self._reader.statistics().current_buffer_used

    def __repr__(self) -> str:
        return f"<Mailbox of {self.name!r}, {len(self)} of {self.capacity}>"
