"""What a room server itself says of its rooms: who is in, which rooms there are.

These are facts, told by the server's own code (or by a test's handlers) in the step in which they
become true. They need not be told; what is not told is not checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

from .book import Fail


class ServerAccount:
    """`audit.server`: the facts of one server. A member is a client's `member`, or the client."""

    def __init__(self, fail: Fail, member_of: Callable[[Hashable], Hashable]) -> None:
        self._fail = fail
        self._member_of = member_of
        self._inside: dict[str, dict[Hashable, None]] = {}
        self._open: dict[str, Hashable] = {}
        self._epochs: dict[str, set[Hashable]] = {}
        self._joins: Counter[tuple[str, Hashable]] = Counter()
        self._leaves: Counter[tuple[str, Hashable]] = Counter()
        self._told_in: Counter[tuple[str, Hashable]] = Counter()
        self._told_out: Counter[tuple[str, Hashable]] = Counter()
        self._told_rooms = False

    # For the server.

    def joined(self, room: str, member: Hashable) -> None:
        """Say that `member` was let into `room`."""
        member = self._member_of(member)
        inside = self._inside.setdefault(room, {})
        if member in inside:
            self._fail("balance", member, f"a leave of {room!r} before the next join", "two joins")
        if self._told_rooms and room not in self._open:
            self._fail("balance", member, f"{room!r} to be open", "a join of a room that is not")
        if self._told_in[room, member] > self._joins[room, member]:
            self._fail("told", member, f"to be in {room!r} when told so", "it let in later")
        inside[member] = None
        self._joins[room, member] += 1

    def left(self, room: str, member: Hashable) -> None:
        """Say that `member` was let out of `room`, for whatever reason."""
        member = self._member_of(member)
        if member not in self._inside.get(room, {}):
            before = "a second leave" if self._leaves[room, member] else "a leave"
            self._fail("balance", member, f"a join of {room!r} for each leave", before)
        del self._inside[room][member]
        self._leaves[room, member] += 1

    def opened(self, room: str, epoch: Hashable = None) -> None:
        """Say that `room` came to life; `epoch` tells this life from others (None: unknown)."""
        self._told_rooms = True
        if room in self._open:
            self._fail("balance", room, "one life at a time", "a second one beside the first")
        epochs = self._epochs.setdefault(room, set())
        if epoch is not None and epoch in epochs:
            self._fail("agreement", room, "an epoch of its own for each life", f"{epoch!r} again")
        epochs.add(epoch)
        self._open[room] = epoch

    def closed(self, room: str) -> None:
        """Say that the life of `room` has ended."""
        if room not in self._open:
            self._fail("balance", room, "a beginning for each end", "an end without one")
        if self._inside.get(room):
            self._fail("balance", room, "nobody in it when it ends", f"{list(self._inside[room])}")
        del self._open[room]

    # For the audit.

    def keeps(self, room: str) -> bool:
        """Whether the server tells who is in this room."""
        return room in self._inside

    def has(self, room: str, member: Hashable) -> bool:
        """Whether the member is in."""
        return member in self._inside.get(room, {})

    def told_in(self, room: str, member: Hashable) -> None:
        """Check that a client that is told that it is in has been let in."""
        self._told_in[room, member] += 1
        if self.keeps(room) and self._joins[room, member] < self._told_in[room, member]:
            self._fail("told", member, f"to be in {room!r} when told so", "it outside")

    def told_out(self, room: str, member: Hashable) -> None:
        """Check that a client that is told that it is out has been let out."""
        self._told_out[room, member] += 1
        if self.keeps(room) and self._leaves[room, member] < self._told_out[room, member]:
            self._fail("told", member, f"to be out of {room!r} when told so", "it inside")

    def finish(self, still_in: Callable[[str, Hashable], bool]) -> None:
        """Check what is left; `still_in(room, member)`: whether that may be."""
        if self._inside:  # else it has told nothing
            for (room, member), told in self._told_in.items():
                if self._joins[room, member] < told:
                    self._fail("told", member, f"to be let into {room!r}, as it was told", "it not")
        for room, inside in self._inside.items():
            for member in inside:
                if not still_in(room, member):
                    self._fail(
                        "balance", member, f"a leave of {room!r}", "none, though it is not there"
                    )
        for room in self._open:
            if not self._inside.get(room):
                self._fail("nothing left", room, "an empty room to end", "it open")
