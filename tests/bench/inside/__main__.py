"""Figures of atrio that only show inside of its process: `python -m tests.bench.inside NAME`.

Each name is measured in a process of its own, so that none finds what another has left. It prints
the figures as JSON, by their names in `scenarios.py`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from .rooms import idle_rooms
from .setting import Setting
from .slopes import slope_of_members, slope_of_namespaces, slope_of_rooms
from .waits import longest_waits, ticks_until_written

MEASURED: dict[str, Callable[[Setting], Awaitable[dict[str, float]]]] = {
    "wait": longest_waits,
    "plain-rooms": partial(idle_rooms, "plain"),
    "typed-rooms": partial(idle_rooms, "typed"),
    "ticks": ticks_until_written,
    "slope-members": slope_of_members,
    "slope-rooms": slope_of_rooms,
    "slope-namespaces": slope_of_namespaces,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Figures of atrio from inside of its process.")
    parser.add_argument("name", choices=MEASURED)
    parser.add_argument("--generator", required=True, help="the compiled load generator")
    parser.add_argument("--load-core", type=int, default=1, help="where the clients run")
    parser.add_argument("--small", action="store_true", help="as little as shows that it works")
    given = parser.parse_args()
    setting = Setting(given.generator, given.load_core, small=given.small)
    print(json.dumps(trio.run(MEASURED[given.name], setting)))


if __name__ == "__main__":
    main()
