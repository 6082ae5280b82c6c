"""Listening to memory channels, mailboxes and replies, for the length of one run.

The methods of public classes are wrapped; no checkpoint is added, so the schedule stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Protocol

import trio

from actors.mailbox import Mailbox
from actors.reply import Reply

from . import seam


class Ear(Protocol):
    """Who hears of messages. `channel` is what all ends of one channel share."""

    def message_sent(self, channel: Any, message: Any, receiver: trio.lowlevel.Task | None) -> None:
        """The running task sent; to `receiver`, who had been waiting, or into the buffer."""

    def message_refused(self, channel: Any, message: Any) -> None:
        """The channel is full: the running task will wait, if it called `send`."""

    def message_received(self, channel: Any, released: trio.lowlevel.Task | None) -> None:
        """The running task took the oldest message; `released` had waited for that place."""


@contextmanager
def tapped(ear: Ear) -> Iterator[None]:
    """Tell `ear` of all messages during the block; not of those of other threads."""
    here = get_ident()
    send_nowait = trio.MemorySendChannel.send_nowait
    receive_nowait = trio.MemoryReceiveChannel.receive_nowait
    channel_of, next_receiver, next_sender = (
        seam.channel_of,
        seam.next_receiver,
        seam.next_sender,
    )

    def send(self: trio.MemorySendChannel[Any], value: Any) -> None:
        if get_ident() != here:
            send_nowait(self, value)
            return
        channel = channel_of(self)
        receiver = next_receiver(channel)
        try:
            send_nowait(self, value)
        except trio.WouldBlock:
            ear.message_refused(channel, value)
            raise
        ear.message_sent(channel, value, receiver)

    def receive(self: trio.MemoryReceiveChannel[Any]) -> Any:
        if get_ident() != here:
            return receive_nowait(self)
        channel = channel_of(self)
        released = next_sender(channel)
        value = receive_nowait(self)
        ear.message_received(channel, released)
        return value

    trio.MemorySendChannel.send_nowait = send  # type: ignore[method-assign]
    trio.MemoryReceiveChannel.receive_nowait = receive  # type: ignore[method-assign]
    try:
        yield
    finally:
        trio.MemorySendChannel.send_nowait = send_nowait  # type: ignore[method-assign]
        trio.MemoryReceiveChannel.receive_nowait = receive_nowait  # type: ignore[method-assign]


class KernelEar(Protocol):
    """Who hears what actors do beside sending messages."""

    def mailbox_made(self, channel: Any, name: str) -> None:
        """A mailbox is this channel, and has this name."""

    def answered(self, asker: trio.lowlevel.Task, answer: object) -> None:
        """The running task answers the question that `asker` waits with."""


@contextmanager
def tapped_kernel(ear: KernelEar) -> Iterator[None]:
    """Tell `ear` of all mailboxes and answers during the block; not of those of other threads."""
    here = get_ident()
    make, send, fail = Mailbox.__init__, Reply.send, Reply.fail

    def make_told(self: Mailbox[Any], name: str, capacity: int) -> None:
        make(self, name, capacity)
        if get_ident() == here:
            ear.mailbox_made(seam.channel_of(self._writer), name)

    def tell(reply: Reply[Any], answer: object) -> None:
        if get_ident() == here and not reply.given and reply._asker is not None:
            ear.answered(reply._asker, answer)

    def send_told(self: Reply[Any], value: Any) -> None:
        tell(self, value)
        send(self, value)

    def fail_told(self: Reply[Any], error: Exception) -> None:
        tell(self, error)
        fail(self, error)

    Mailbox.__init__ = make_told  # type: ignore[method-assign]
    Reply.send = send_told  # type: ignore[method-assign]
    Reply.fail = fail_told  # type: ignore[method-assign]
    try:
        yield
    finally:
        Mailbox.__init__ = make  # type: ignore[method-assign]
        Reply.send = send  # type: ignore[method-assign]
        Reply.fail = fail  # type: ignore[method-assign]
