"""What other nodes have been asked, and what has come of it.

How many nodes there are is counted, not known by name: most links know no more. So what must be
whole, and can be asked twice, is asked anew when somebody may have gone; what cannot be, is over
when as many have answered as there are left.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

import trio

from broker.rooms.acks import value_of
from broker.rooms.survey import Answers
from protocol.cluster.messages import (
    Answer,
    ClientAnswered,
    ClientCount,
    ServerAnswered,
    SocketFacts,
    SocketsFetched,
)

RECOUNT = 1.0
"""How often nodes are counted while one has not answered, in seconds. They answer within a few
milliseconds, so whoever is late has trouble, or is gone."""

Count: TypeAlias = Callable[[], Awaitable[int | None]]
"""Counts the other nodes; None: the link cannot tell."""


class Asked:
    """One question: its `id`, and the answers by node.

    `first`: how many other nodes there were when it was asked; None: that is not known yet.
    """

    __slots__ = (
        "_departed",
        "_fewest",
        "_latest",
        "_seen",
        "_stir",
        "answers",
        "clients",
        "first",
        "id",
    )

    def __init__(self, stir: Callable[[], object]) -> None:
        self.id = secrets.token_hex(8)  # as long as Node's
        self.first: int | None = None
        self._latest = self._fewest = 0
        self._departed = 0  # of those that have answered
        self.answers: list[tuple[str, Answer]] = []
        """One of each node."""
        self.clients: list[tuple[str, ClientAnswered]] = []
        """Those of clients."""
        self._seen: set[str] = set()
        self._stir = stir  # who waits for them

    def take(self, node: str, answer: Answer) -> None:
        """Take an answer. A node answers once; some formats do not tell which one it is."""
        if isinstance(answer, ClientAnswered):
            self.clients.append((node, answer))
        elif node and node in self._seen:
            return
        else:
            self._seen.add(node)
            self.answers.append((node, answer))
        self._stir()

    def depart(self, node: str) -> None:
        """Hear that a node has gone: its answer counts, though it is counted no more."""
        self._departed += node in self._seen

    @property
    def whole(self) -> bool:
        """Whether all have answered whom it was put to, but those that have gone."""
        if self.first is None:
            return False
        return len(self.answers) >= min(self.first, self._fewest + self._departed)

    def note_first(self, *others: int | None) -> None:
        """Note how many other nodes there were just before it was asked, and just behind."""
        known = [each for each in others if each is not None]
        if known:
            self.first = self._latest = self._fewest = max(known)

    def note_count(self, others: int | None) -> None:
        """Note how many there are now. Who has come since it was asked, was not asked.

        That there are fewer counts when it is seen twice: the word of one that goes may be late.
        """
        if self.first is None:
            self.note_first(others)
        elif others is not None:
            self._fewest = min(self._fewest, max(others, self._latest))
            self._latest = others

    @property
    def missing_nodes(self) -> int:
        """How many have not answered; at least one, when they could not even be counted."""
        return 1 if self.first is None else max(0, self.first - len(self.answers))


class Requests:
    """Those of one node: `len(requests)` of them wait."""

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}
        self._lot = trio.lowlevel.ParkingLot()
        self._turns = 0  # how often somebody may have gone
        self._counting: set[trio.CancelScope] = set()
        self.ended = False

    def __len__(self) -> int:
        return len(self._asked)

    def take(self, node: str, answer: Answer) -> None:
        """Take an answer; one that nobody waits for is ignored. Raises TypeError for nonsense."""
        _check(answer)
        asked = self._asked.get(answer.request_id)
        if asked is not None:
            asked.take(node, answer)

    def depart(self, node: str) -> None:
        """Hear that a node has gone."""
        for asked in self._asked.values():
            asked.depart(node)
        self._turns += 1
        self._lot.unpark_all()

    def end(self) -> None:
        """Let nobody wait any more."""
        self.ended = True
        self._lot.unpark_all()
        for scope in self._counting:
            scope.cancel()

    @contextmanager
    def asking(self) -> Iterator[Asked]:
        """Expect answers for the block."""
        asked = Asked(self._lot.unpark_all)
        self._asked[asked.id] = asked
        try:
            yield asked
        finally:
            del self._asked[asked.id]

    async def fetch(
        self, ask: Callable[[str], None], count: Count, deadline: float
    ) -> tuple[list[tuple[str, SocketFacts]], int]:
        """Return what all have fetched, and how many nodes have not told until the deadline.

        `ask` publishes the question with an id. It is asked again every `RECOUNT`, and when a node
        goes: so what is lost, who comes and who goes harm nothing.
        """
        rounds: list[Asked] = []
        with ExitStack() as stack, trio.move_on_at(deadline):
            others = await self._count(count)
            while not self.ended:
                asked = stack.enter_context(self.asking())
                rounds.append(asked)
                ask(asked.id)
                before, others = others, await self._count(count)
                asked.note_first(before, others)
                await self._wait(lambda: any(each.whole for each in rounds))
                whole = next((each for each in rounds if each.whole), None)
                if whole is not None:
                    return _fetched(whole), 0
        best = max(rounds, key=lambda each: len(each.answers), default=None)
        return ([], 1) if best is None else (_fetched(best), best.missing_nodes)

    async def ask(self, ask: Callable[[str], None], count: Count, deadline: float) -> Asked:
        """Ask once, and return what has come of it when it is whole, or at the deadline."""
        with self.asking() as asked, trio.move_on_at(deadline):
            before = await self._count(count)
            ask(asked.id)
            asked.note_first(before, await self._count(count))
            await self.complete(asked, count, lambda: asked.whole, deadline)
        return asked

    async def complete(
        self, asked: Asked, count: Count, is_complete: Callable[[], bool], deadline: float
    ) -> None:
        """Wait until what was asked is complete, with the nodes there are, or for the deadline."""
        with trio.move_on_at(deadline):
            while not self.ended:
                if asked.first is None:
                    asked.note_first(await self._count(count))
                await self._wait(is_complete)
                if is_complete():
                    return
                asked.note_count(await self._count(count))

    async def _count(self, count: Count) -> int | None:
        """Count, which may last while the link is away; None when this ends."""
        with trio.CancelScope() as scope:
            self._counting.add(scope)
            try:
                return await count()
            finally:
                self._counting.discard(scope)
        return None

    async def _wait(self, is_done: Callable[[], bool]) -> None:
        """Wait until it is done, or time to count again."""
        turns = self._turns
        with trio.move_on_after(RECOUNT):
            while not (is_done() or self.ended or turns != self._turns):
                await self._lot.park()


def _check(answer: Answer) -> None:
    """Raise TypeError for an answer whose parts are not of their kinds."""
    makes_sense = isinstance(answer.request_id, str)
    match answer:
        case SocketsFetched(sockets=sockets):
            makes_sense &= isinstance(sockets, tuple) and all(map(_is_socket, sockets))
        case ClientCount(count=number, ids=ids):
            makes_sense &= isinstance(number, int) and number >= 0 and _are_texts(ids)
        case ClientAnswered(values=values, id=id_):
            makes_sense &= isinstance(values, list) and isinstance(id_, str | None)
    if not makes_sense:
        raise TypeError(f"{answer!r} makes no sense")


def _is_socket(facts: object) -> bool:
    return isinstance(facts, SocketFacts) and isinstance(facts.id, str) and _are_texts(facts.rooms)


def _are_texts(values: object) -> bool:
    return isinstance(values, tuple) and all(isinstance(each, str) for each in values)


def _fetched(asked: Asked) -> list[tuple[str, SocketFacts]]:
    return [
        (node, facts)
        for node, answer in asked.answers
        if isinstance(answer, SocketsFetched)
        for facts in answer.sockets
    ]


def clients_are_complete(asked: Asked) -> bool:
    """Whether all nodes have told how many they ask, and all those have answered."""
    expected = sum(each.count for _, each in asked.answers if isinstance(each, ClientCount))
    return asked.whole and len(asked.clients) >= expected


def with_clients(here: Answers, asked: Asked) -> Answers:
    """Return what the clients of this node have answered, and those of the others."""
    counts = [each for _, each in asked.answers if isinstance(each, ClientCount)]
    values = dict(here.values)
    for number, (node, answer) in enumerate(asked.clients):
        values[answer.id or f"{node}:{number}"] = value_of(answer.values)
    named = {id_ for each in counts for id_ in each.ids}
    silent = sum(each.count for each in counts) - len(asked.clients)
    missing = named - values.keys()
    return Answers(
        values,
        here.missing | missing,
        unnamed=max(0, silent - len(missing)),
        missing_nodes=asked.missing_nodes,
    )


def of_servers(asked: Asked) -> Answers:
    """Return what servers have answered, by node."""
    values = {
        node or f"node {number}": answer.value
        for number, (node, answer) in enumerate(asked.answers, 1)
        if isinstance(answer, ServerAnswered)
    }
    return Answers(values, missing_nodes=asked.missing_nodes)
