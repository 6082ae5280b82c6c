"""Notes in a client's history what goes into its outbox, in the same step, and so in its order."""

from __future__ import annotations

from broker.values.encoded import Batch, Encoded

from .history import History
from .outbox import Outbox


class Recorder:
    """The way from a gate to the outbox of a client that may come back."""

    __slots__ = ("_history", "_outbox")

    def __init__(self, outbox: Outbox, history: History) -> None:
        self._outbox = outbox
        self._history = history

    def push(self, encoded: Encoded) -> bool:
        """Queue and note `encoded`; as `Outbox.push`. What the policy drops is not noted.

        It is noted before: to push it may be the end of the connection, and then it is missed.
        """
        if self._outbox.closed:
            return False
        if isinstance(encoded, Batch):
            encoded.push_each(self.push)
            return not self._outbox.closed
        self._history.add(encoded)
        queued = self._outbox.push(encoded)
        if not queued and not self._outbox.closed:
            self._history.withdraw(encoded)
        return queued

    def release(self, encoded: Encoded) -> None:
        """Queue and note what was kept back."""
        self._history.add(encoded)
        self._outbox.release(encoded)
