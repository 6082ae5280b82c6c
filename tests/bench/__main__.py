"""atrio beside other Socket.IO servers: `python -m tests.bench`, from the checkout.

    python -m tests.bench [--rounds 3] [--seconds 2] [--only fanout1000x4,echo100,start]
                          [--servers atrio,node] [--out .bench/results] [--docs]

Servers run on one core, the load generator on another, one server after the other in each round:
so a ratio holds though the machine drifts. What counts are ratios of medians. The other servers are
installed into `.bench` when they can be; those that cannot are left out, and it is said why.
Needs Linux, a C compiler, and the extra `test`; for the others Node with npm. docs/performance.md
has the rest.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from .generator import MissingError
from .peers import CACHE, PEERS, ROOT
from .report import write_docs, write_report
from .results import Results, this_machine
from .run import Bench, cores
from .scenarios import NAMES
from .table import tables


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="atrio beside other Socket.IO servers."
    )
    parser.add_argument("--rounds", type=_positive, default=3, help="medians are over these")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument(
        "--only", type=_some_of(NAMES), default=list(NAMES), help=f"some of: {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--servers", type=_some_of(PEERS), default=list(PEERS), help=f"some of: {', '.join(PEERS)}"
    )
    parser.add_argument(
        "--out", type=Path, default=CACHE / "results", help="folder for table, figures and plot"
    )
    parser.add_argument(
        "--docs", action="store_true", help="also renew docs/performance.md and its plot"
    )
    given = parser.parse_args()
    command = shlex.join(["python", "-m", "tests.bench", *sys.argv[1:]])
    results = Results(machine=this_machine(), command=command)
    try:
        bench = Bench(CACHE, results, cores(), seconds=given.seconds)
    except MissingError as missing:
        parser.exit(1, f"{missing}\n")
    bench.run(given.rounds, given.servers, given.only)
    write_report(results, given.out)
    if given.docs:
        write_docs(results, ROOT / "docs")
    print(tables(results))


def _positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError("expected at least 1")
    return value


def _some_of(known: object) -> object:
    names = list(known)  # type: ignore[call-overload]

    def parse(text: str) -> list[str]:
        given = text.split(",")
        if unknown := [name for name in given if name not in names]:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(names)}, saw {unknown}")
        return [name for name in names if name in given]

    return parse


if __name__ == "__main__":
    main()
