"""A room is an actor, opened by a registry when somebody joins; when it is empty it closes itself.

Wrong: the empty room ends at once. A join that the registry puts into its mailbox after that, or
has put there before, is never answered. It takes the next client's join on its way when the last
member leaves: the registry hands it on before it hears that the room closes. In the correct variant
the room lives until the registry, who knows what it has handed on, confirms that nothing is left.

The plain run shows nothing: a client comes long after the one before it has gone.
"""

from __future__ import annotations

import attrs
import trio

from actors import Mailbox
from actors.sim import Sim

_CLIENTS = 3
_APART = 25  # steps between two clients' first words
_WORDS = 2


@attrs.frozen
class Request:
    """`join`, `say` or `leave`; what is answered goes to `answers`."""

    kind: str
    who: str
    answers: Mailbox[str] = attrs.field(repr=False)


@attrs.frozen
class Empty:
    """The room has nobody in it any more, after so many requests."""

    handled: int


@attrs.frozen
class Close:
    """Nothing will come any more."""


class _Room:
    """Who is in it is known to its own task only."""

    def __init__(self, registry: Mailbox[Request | Empty]) -> None:
        self.mailbox: Mailbox[Request | Close] = Mailbox("room", 8)
        self._registry = registry

    async def run(self, *, waits_for_close: bool) -> None:
        members: dict[str, Mailbox[str]] = {}
        handled = 0
        while isinstance(request := await self.mailbox.take(), Request):
            handled += 1
            match request.kind:
                case "join":
                    members[request.who] = request.answers
                    await request.answers.post("joined")
                case "say":
                    for answers in members.values():
                        await answers.post(f"{request.who} says hello")
                case "leave":
                    del members[request.who]
                    await request.answers.post("left")
                    if not members:
                        await self._registry.post(Empty(handled))
                        if not waits_for_close:
                            return


async def _registry(
    mailbox: Mailbox[Request | Empty], nursery: trio.Nursery, *, rooms_wait: bool
) -> None:
    room: _Room | None = None
    handed_on = 0
    while (message := await mailbox.take()) is not None:
        if isinstance(message, Request):
            if room is None:
                room, handed_on = _Room(mailbox), 0

                async def run(room: _Room = room) -> None:
                    await room.run(waits_for_close=rooms_wait)

                nursery.start_soon(run, name="room")
            handed_on += 1
            await room.mailbox.post(message)
        elif room is not None and (message.handled == handed_on or not rooms_wait):
            await room.mailbox.post(Close())
            room = None


async def _client(who: str, registry: Mailbox[Request | Empty], patience: int) -> None:
    answers: Mailbox[str] = Mailbox(who, 16)
    for _ in range(patience):
        await trio.lowlevel.checkpoint()

    async def ask(kind: str, answer: str = "") -> None:
        await registry.post(Request(kind, who, answers))
        while answer and await answers.take() != answer:
            pass

    await ask("join", "joined")
    for _ in range(_WORDS):
        await ask("say")
        await trio.lowlevel.checkpoint()
    await ask("leave", "left")


async def _visits(*, rooms_wait: bool) -> None:
    mailbox: Mailbox[Request | Empty] = Mailbox("registry", 16)

    async def registry() -> None:
        await _registry(mailbox, nursery, rooms_wait=rooms_wait)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(registry)
        async with trio.open_nursery() as clients:
            for number in range(_CLIENTS):
                who = f"client {number}"
                clients.start_soon(_client, who, mailbox, number * _APART, name=who)
        mailbox.close()
        nursery.cancel_scope.cancel()


async def broken(sim: Sim) -> None:
    """Let a room end when it is empty."""
    await _visits(rooms_wait=False)


async def correct(sim: Sim) -> None:
    """Let a room end when the registry says so."""
    await _visits(rooms_wait=True)
