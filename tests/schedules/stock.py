"""The same programs on Trio as it is: its own scheduler, in virtual time, for comparison.

Trio runs all that can run once per tick of its loop. Plain, it takes them in one of two orders, at
random; shuffled, as it is when Hypothesis is loaded, in any order. Which of the two, and the seed,
are private names of Trio, which only these measurements use.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

import trio
import trio.testing
from trio._core import _run

from actors.sim import CALM, Faults, Net, Sim

from .planted.catalogue import Program

_FOREVER = 1e6  # virtual seconds; who waits longer waits for ever


class StockSim:
    """What stands for a `Sim`, as far as the programs use it: chance, and the network."""

    trace = None

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._chance = random.Random(seed)
        self._nets: list[Net] = []
        self._calm = False

    def draw(self, n: int, what: str = "") -> int:
        return self._chance.randrange(n)

    def maybe(self, what: str, p: float = 0.05) -> bool:
        return not self._calm and self._chance.random() < p

    def note(self, text: str) -> None:
        pass

    def happened(self, kind: str, who: str, text: str) -> None:
        pass

    def net(self, faults: Faults = CALM) -> Net:
        net = Net(self, faults)
        self._nets.append(net)
        return net

    async def quiesce(self, within: float = 60.0) -> bool:
        self._calm = True
        for net in self._nets:
            net.heal()
        await trio.sleep(within)
        return True


def run_stock(program: Program, seed: int, *, shuffled: bool = False) -> BaseException | None:
    """Run `program` once; return its error. A program that hangs has one, too."""

    async def main() -> None:
        with trio.fail_after(_FOREVER):
            await program(cast("Sim", StockSim(seed)))

    private: Any = _run
    flag, state = private._ALLOW_DETERMINISTIC_SCHEDULING, private._r.getstate()
    private._ALLOW_DETERMINISTIC_SCHEDULING = shuffled
    private._r.seed(seed)
    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    except Exception as error:  # noqa: BLE001 - it is what the run has shown
        return error
    finally:
        private._ALLOW_DETERMINISTIC_SCHEDULING = flag
        private._r.setstate(state)
    return None


def first_failure(run: Callable[[int], object], runs: int) -> int | None:
    """Return which of so many runs, counted from 1, is the first that fails; None: none does."""
    return next((seed + 1 for seed in range(runs) if run(seed) is not None), None)
