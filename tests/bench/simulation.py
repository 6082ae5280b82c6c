"""How fast the simulation is: steps, schedules, and websocket runs in a second.

`python -m tests.bench.simulation [--repeat 5]`, from the checkout. Processor time, the best of some
repeats, with what stock Trio does beside it: on a machine that others use, too, the relation says
more than the figures. The goals: 80,000 steps, and 500 schedules of 100 steps, in a second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import trio

from actors import Mailbox
from actors.sim import CALM, CHAOS, LAN, Sim, explore, simulate
from tests.schedules.stock import run_stock
from tests.schedules.websockets import websocket_visits

_TASKS = 10
_STEPS = 60_000
_SCHEDULES = 200
_WEBSOCKET_RUNS = 12


async def checkpoints(sim: Sim, steps: int = _STEPS) -> None:
    """Pass checkpoints in ten tasks: nothing but scheduling."""

    async def task() -> None:
        for _ in range(steps // _TASKS):
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(_TASKS):
            nursery.start_soon(task)


async def messages(sim: Sim, rounds: int = _STEPS // 6) -> None:
    """Send messages between three pairs of tasks."""

    async def send(box: Mailbox[int]) -> None:
        for number in range(rounds):
            await box.post(number)
        box.close()

    async def take(box: Mailbox[int]) -> None:
        while await box.take() is not None:
            pass

    async with trio.open_nursery() as nursery:
        for number in range(3):
            box: Mailbox[int] = Mailbox(f"box {number}", 1)
            nursery.start_soon(send, box)
            nursery.start_soon(take, box)


async def hundred(sim: Sim) -> None:
    """Take a hundred steps, with messages: three clients talk to a room."""
    room: Mailbox[tuple[int, int]] = Mailbox("room", 4)
    boxes: list[Mailbox[tuple[int, int]]] = [Mailbox(f"client {n}", 32) for n in range(3)]

    async def run_room() -> None:
        while (message := await room.take()) is not None:
            for box in boxes:
                await box.post(message)

    async def client(number: int) -> None:
        for count in range(6):
            await room.post((number, count))
            await trio.lowlevel.checkpoint()
        for _ in range(18):
            await boxes[number].take()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_room)
        async with trio.open_nursery() as clients:
            for number in range(3):
                clients.start_soon(client, number)
        room.close()


def _best(repeat: int, work: Callable[[], float]) -> float:
    """Return the best of some repeats of `work`, in its units per second of processor time."""
    rates = []
    for _ in range(repeat):
        begun = time.process_time()
        amount = work()
        rates.append(amount / (time.process_time() - begun))
    return max(rates)


def _steps(program: Callable[[Sim], object], strategy: str) -> float:
    run = simulate(program, seed=1, strategy=strategy, max_steps=10**9)  # type: ignore[arg-type]
    run.check()
    return run.steps


def _stock(program: Callable[[Sim], object], runs: int, amount: float) -> float:
    for seed in range(runs):
        error = run_stock(program, seed)  # type: ignore[arg-type]
        assert error is None, error
    return runs * amount


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the simulation is.")
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    best = partial(_best, repeat)

    print("steps in a second, of a long program, by strategy")
    for program in (checkpoints, messages):
        steps = simulate(program, max_steps=10**9).steps
        rates = {"stock": best(lambda p=program, n=steps: _stock(p, 1, n))}  # type: ignore[misc]
        for strategy in ("plain", "random", "sticky", "pct3"):
            rates[strategy] = best(lambda p=program, s=strategy: _steps(p, s))  # type: ignore[misc]
        told = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
        print(f"  {program.__name__:12} {told}", flush=True)

    report = explore(hundred, runs=_SCHEDULES).check()
    print(f"schedules in a second, of a program of {report.steps / report.runs:.0f} steps")
    stock = best(lambda: _stock(hundred, _SCHEDULES, 1))
    ours = best(lambda: explore(hundred, runs=_SCHEDULES).check().runs)
    print(f"  in memory    stock {stock:,.0f}, explored {ours:,.0f}", flush=True)

    print("runs in a second, of clients that come twice to a room over trio-websocket")
    for clients in (1, 2, 6):
        for name, faults in (("calm", CALM), ("lan", LAN), ("chaos", CHAOS)):
            visiting = websocket_visits(clients, faults)
            report = explore(visiting, runs=_WEBSOCKET_RUNS).check()
            stock = best(lambda p=visiting: _stock(p, _WEBSOCKET_RUNS, 1))  # type: ignore[misc]
            ours = best(lambda p=visiting: explore(p, runs=_WEBSOCKET_RUNS).check().runs)  # type: ignore[misc]
            print(
                f"  {clients} clients, {name:5}  stock {stock:,.0f}, explored {ours:,.0f} "
                f"(of {report.steps / report.runs:,.0f} steps)",
                flush=True,
            )


if __name__ == "__main__":
    main()
