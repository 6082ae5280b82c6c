"""How soon the planted bugs are found: on stock Trio, shuffled, and by the simulation's portfolio.

`python -m tests.bench.planted [--runs 1000] [--masters 20] [NAME ...]`, from the checkout. A row:
the first failing run on stock Trio and with its batches shuffled, of so many runs; the schedules
until the first failure under the portfolio, as median and maximum over the master seeds; what the
failure of the first master seeds is shrunk to, with the replays and seconds that took at the most.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from actors.sim import explore, shrink
from tests.schedules.planted.catalogue import PLANTED, Planted
from tests.schedules.stock import first_failure, run_stock

_MASTER = 1_000_000  # master seeds are so far apart
_SHRUNK = 5  # of so many of them the failure is shrunk


def main() -> None:
    parser = argparse.ArgumentParser(description="How soon planted bugs are found.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of bugs; default: all")
    parser.add_argument("--runs", type=int, default=1000, help="on stock Trio")
    parser.add_argument("--masters", type=int, default=20, help="master seeds of the portfolio")
    parser.add_argument("--strategy", default="portfolio")
    arguments = parser.parse_args()
    print(
        f"{'bug':18} {'stock':>7} {'shuffle':>7} {'found':>6} {'median':>6} {'max':>5}  shrunk to",
        flush=True,
    )
    for name in arguments.names or PLANTED:
        print(
            _row(PLANTED[name], arguments.runs, arguments.masters, arguments.strategy), flush=True
        )


def _row(planted: Planted, runs: int, masters: int, strategy: str) -> str:
    stock, shuffled = (
        first_failure(lambda seed, s=shuffle: run_stock(planted.program, seed, shuffled=s), runs)  # type: ignore[misc]
        for shuffle in (False, True)
    )
    needed: list[int] = []
    shrunk: list[int] = []
    slowest = 0.0
    for master in range(masters):
        report = explore(
            planted.program, runs=10 * planted.within, seed=_MASTER * master, strategy=strategy
        )
        if report.failure is not None:
            needed.append(report.runs)
            if master < _SHRUNK:
                begun = time.perf_counter()
                shrunk.append(shrink(planted.program, report.failure).decisions)
                slowest = max(slowest, time.perf_counter() - begun)
    found = f"{sum(count <= planted.within for count in needed)}/{masters}"
    half, most = (f"{median(needed):g}", str(max(needed))) if needed else ("-", "-")
    return (
        f"{planted.name:18} {stock or 'never':>7} {shuffled or 'never':>7} {found:>6} {half:>6} "
        f"{most:>5}  {sorted(shrunk)} in up to {slowest:.1f} s"
    )


if __name__ == "__main__":
    main()
