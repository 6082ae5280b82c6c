"""The end of a websocket: what is flushed while it ends harms nobody."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from actors.sim import Sim, simulate
from broker import Broker
from broker.sessions.session import Session
from broker.values.encoded import NOOP

_ENDED = "it had ended before"


async def _flush_at(sim: Sim, moment: int) -> None:
    """Push a packet and flush it, so many steps after a client began to go."""
    broker = Broker()
    sessions: list[Session] = []
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += len(sessions)
        if steps == moment:
            steps += 1
            sessions[0].outbox.push(NOOP)
            sessions[0].outbox.flush()

    sim.always("a flush harms nobody", step)
    async with broker:
        with suppress(KeyError):
            async with broker.test_client(over=sim.net()):
                assert broker._life is not None
                sessions += broker._life.services.sessions.values()
                raise KeyError  # it goes without a word
    assert steps > moment, _ENDED


def test_an_outbox_may_be_flushed_at_any_moment_of_its_connections_end() -> None:
    """It once wrote into a nursery that had ended, which ended the whole broker."""
    for moment in range(1, 1000):
        run = simulate(partial(_flush_at, moment=moment), strategy="plain")
        if str(run.error).startswith(_ENDED):
            break
        run.check()
    assert moment > 10
