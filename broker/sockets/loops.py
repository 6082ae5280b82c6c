"""Loops over one socket's events, and the functions of `on_socket` that may begin some.

Here is who takes an event; when, is decided where the inbox is (`socket_events`). What was taken
counts as handled when the one who took it asks for more, or its loop ends. "The one" is a function
with all the tasks in its nurseries: so the body of a loop may hold another loop, and a child task.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import attrs
import trio

from .received import ReceivedEvent


class Source(Protocol):
    """Where the events come from."""

    @property
    def worker(self) -> trio.lowlevel.Task | None:
        """The task that runs handlers or hooks now."""

    @property
    def waiting(self) -> bool:
        """Whether there are events that nobody has taken."""

    def claim(self, names: frozenset[str]) -> None:
        """Let no handler be registered for these events, until `release`."""

    def release(self, names: frozenset[str]) -> None:
        """Undo a `claim`."""

    def advance(self) -> None:
        """Let the oldest event go where it belongs, if it can go now."""

    def take_for(self, claim: Claim) -> ReceivedEvent | None:
        """Take the oldest event if this loop is to have it now."""

    def flush(self) -> None:
        """Send what was answered: nothing more comes for now."""


@attrs.define(eq=False)
class Companion:
    """A function of `on_socket` while it runs.

    `expected`: whether an event that nobody wants waits for it to begin a loop.
    """

    name: str
    expected: bool = True
    task: trio.lowlevel.Task | None = None


@attrs.define(eq=False)
class Claim:
    """What one loop is over: these events, or all (`names` is empty) that have no handler.

    `asking`: whether it waits for the next one; `task` and `companion`: who asked last.
    """

    names: frozenset[str]
    asking: bool = False
    task: trio.lowlevel.Task | None = None
    companion: Companion | None = None
    closed: bool = False
    lot: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    def wake(self) -> None:
        """Let it look again for an event."""
        self.lot.unpark_all()


class Loop:
    """An async iterator over a socket's events; see `Socket.events`.

    It ends when nothing refers to it any more, as after a `break`; `aclose` ends it at once.
    """

    def __init__(self, loops: Loops, claim: Claim, token: trio.lowlevel.TrioToken) -> None:
        self._loops = loops
        self._claim = claim
        self._token = token

    def __aiter__(self) -> Loop:
        return self

    async def __anext__(self) -> ReceivedEvent:
        claim, source = self._claim, self._loops.source
        self._loops.ask(claim)
        try:
            await trio.lowlevel.checkpoint()
            # There is no await from here, where the event is taken, to the return: to be cancelled
            # loses none.
            while (received := source.take_for(claim)) is None:
                if claim.closed:
                    raise StopAsyncIteration
                source.flush()
                await claim.lot.park()
            return received
        finally:
            claim.asking = False
            del self  # the traceback of what is raised here lives longer than the loop

    async def aclose(self) -> None:
        """End; the event it has taken counts as handled."""
        self._loops.close(self._claim)
        self._loops.source.advance()
        await trio.lowlevel.checkpoint()

    def __del__(self) -> None:
        # This may come at any moment, in the middle of anything: others hear of it a little later.
        if self._loops.close(self._claim):
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._loops.source.advance, idempotent=True)


class Loops:
    """Those of one socket. `handled`: whose event is being handled now."""

    __slots__ = (
        "_claims",
        "_ended",
        "_handler",
        "_used",
        "companions",
        "handled",
        "source",
    )

    def __init__(self, source: Source) -> None:
        self.source = source
        self.companions: list[Companion] = []
        self.handled: Claim | None = None
        self._handler: Companion | None = None  # to which that loop belonged when it took the event
        self._claims: list[Claim] = []
        self._ended = False
        self._used = False

    def __bool__(self) -> bool:
        """Whether there is, or ever was, a loop or a function."""
        return self._used

    # Loops.

    def open(self, names: frozenset[str]) -> Loop:
        """Begin one over these events, or over all; raises RuntimeError."""
        for other in self._claims:
            if not names or not other.names or names & other.names:
                both = ", ".join(map(repr, sorted(names & other.names or names or other.names)))
                raise RuntimeError(
                    f"another loop of this socket takes {both or 'its events'} already: leave that "
                    "one first, or give each of them names of its own, as in events('move')"
                )
        claim = Claim(names, closed=self._ended)
        if not self._ended:
            self._claims.append(claim)
            self._used = True
            self.source.claim(names)
        return Loop(self, claim, trio.lowlevel.current_trio_token())

    def close(self, claim: Claim) -> bool:
        """End one; return whether somebody may have waited for that."""
        if claim.closed:
            return False
        claim.closed = True
        self._claims.remove(claim)
        handled = self.handled is claim
        if handled:
            self.handled = None
        claim.wake()
        self.source.release(claim.names)
        return handled or self.source.waiting

    def end(self) -> None:
        """End all, and all to come: the socket's events are over."""
        self._ended = True
        for claim in list(self._claims):
            self.close(claim)

    def ask(self, claim: Claim) -> None:
        """Note that the current task waits for a loop's next event: what it took is handled.

        Raises RuntimeError in a handler of the same socket, trio.BusyResourceError.
        """
        task = trio.lowlevel.current_task()
        companion = self._companion_of(task)
        if claim.asking:
            raise trio.BusyResourceError("another task waits for the next event of this loop")
        claim.asking, claim.task, claim.companion = True, task, companion
        if companion is not None:
            companion.expected = True
        if self.handled is claim or self._is_handled_by(task, companion):
            self.handled = None
        self.source.advance()

    def _is_handled_by(self, task: trio.lowlevel.Task, companion: Companion | None) -> bool:
        """Whether what is being handled is the business of this task, or of one around it."""
        if self.handled is None or self._handler is not companion:
            return False
        if companion is not None:
            return True
        here: trio.lowlevel.Task | None = task
        while here is not None and here is not self.handled.task:
            nursery = here.parent_nursery
            here = None if nursery is None else nursery.parent_task
        return here is not None

    def take(self, claim: Claim) -> None:
        """Note that an event was taken, and is being handled."""
        self.handled, self._handler = claim, claim.companion

    def over(self, event: str) -> Claim | None:
        """Return the loop over this event, if there is one."""
        for claim in self._claims:
            if not claim.names or event in claim.names:
                return claim
        return None

    def cannot_come(self, claim: Claim) -> bool:
        """Whether the task of this loop waits in another one, inside it."""
        return any(other.asking and other.task is claim.task for other in self._claims)

    # Functions.

    def begin(self, name: str) -> Companion:
        """Note that a function is about to run."""
        companion = Companion(name)
        self.companions.append(companion)
        self._used = True
        return companion

    @contextmanager
    def running(self, companion: Companion) -> Iterator[None]:
        """Run the function in this block; its loops end with it."""
        companion.task = trio.lowlevel.current_task()
        try:
            yield
        finally:
            self.companions.remove(companion)
            for claim in list(self._claims):
                if claim.companion is companion:
                    self.close(claim)
            self.source.advance()

    def absent(self) -> list[Companion]:
        """Return the functions that ask for nothing now, and may yet begin a loop."""
        asking = [claim.companion for claim in self._claims if claim.asking]
        return [companion for companion in self.companions if companion not in asking]

    def _companion_of(self, task: trio.lowlevel.Task) -> Companion | None:
        """Return the function in whose nurseries a task is; raises RuntimeError in a handler."""
        here: trio.lowlevel.Task | None = task
        while here is not None:
            if here is self.source.worker:
                raise RuntimeError(
                    "a handler or hook cannot wait for events of its own socket, as they wait for "
                    "it: loop in an `on_socket` function, or in a task of `socket.nursery`"
                )
            for companion in self.companions:
                if companion.task is here:
                    return companion
            nursery = here.parent_nursery
            here = None if nursery is None else nursery.parent_task
        return None
