"""What a session knows of those who use it: the layer above it, and who watches it."""

from __future__ import annotations

from typing import Protocol

from broker.values.reasons import DisconnectReason


class Receiver(Protocol):
    """The layer above one session."""

    def receive(self, message: str | bytes) -> None:
        """Handle one message; it may close the session."""

    def slow(self) -> None:
        """Hear that more than half of what may wait for the client waits, and before a policy acts.

        What is to be done starts in the session's nursery.
        """

    def ended(self, reason: DisconnectReason) -> None:
        """The session ends; called once. What is pushed now is the last that can be.

        What is to be done starts in the session's nursery.
        """


class Witness(Protocol):
    """Who watches one session from inside the process: a test."""

    def failed(self, error: Exception, *, handled: bool) -> None:
        """Hear of an exception of a user's code for this client, which has been logged.

        `handled`: an `error` hook has got it.
        """

    def paused(self) -> None:
        """Hear that nothing more is read of the client, until its handlers have caught up."""
