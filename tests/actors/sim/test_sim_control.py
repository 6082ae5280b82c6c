"""What a simulated program is kept from: entropy, threads, the real world; and what it leaves."""

from __future__ import annotations

import gc
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.sim import Escaped, Sim, explore, maybe, seam, shrink, simulate
from actors.sim.places import leaf

from .planted import checkpoints, lost_update

# Entropy.


async def entropies(sim: Sim) -> list[object]:
    return [
        random.random(),
        random.getrandbits(200),
        random.Random(5).random(),
        random.Random().random(),
        random.SystemRandom().random(),
        secrets.token_hex(8),
        secrets.randbelow(10**9),
        secrets.choice(range(10**9)),
        uuid.uuid4(),
        os.urandom(16),
        random.shuffle(numbers := list(range(20))),
        numbers,
    ]


def test_all_entropy_is_of_the_seed() -> None:
    first = simulate(entropies, seed=1).check().value
    assert simulate(entropies, seed=1).check().value == first
    others = [simulate(entropies, seed=seed).check().value for seed in range(2, 30)]
    assert sum(other == first for other in others) <= 1  # there are 256 of them
    fixed = random.Random(5).random()
    assert all(other[2] == fixed for other in others), "who seeds himself keeps his numbers"


def test_a_replay_has_the_same_entropy() -> None:
    run = simulate(entropies, seed=7).check()
    assert simulate(entropies, replay=run.token).check().value == run.value
    assert simulate(entropies, replay=[]).check().value == (
        simulate(entropies, strategy="plain").check().value
    )


def test_entropy_does_not_depend_on_the_schedule() -> None:
    """Shrinking changes the schedule: the program's random numbers must not change with it."""

    async def program(sim: Sim) -> object:
        await checkpoints(2, 2, 2)(sim)
        return random.random()

    numbers = {
        simulate(program, replay=[5, *picks]).check().value for picks in ([], [1, 2], [2, 1, 1])
    }
    assert len(numbers) == 1


def test_entropy_is_as_before_when_a_run_is_over() -> None:
    before = random.getstate()
    urandom, system = os.urandom, random._urandom  # type: ignore[attr-defined]
    simulate(entropies, seed=1).check()
    assert random.getstate() == before
    assert os.urandom is urandom
    assert random._urandom is system  # type: ignore[attr-defined]
    assert len({secrets.token_hex(8) for _ in range(10)}) == 10
    assert len({random.Random().random() for _ in range(10)}) == 10


def test_seeding_the_random_module_in_a_program_does_not_outlive_it() -> None:
    async def program(sim: Sim) -> float:
        random.seed(1)
        return random.random()

    random.seed(99)
    expected = random.Random(99).random()
    simulate(program).check()
    assert random.random() == expected


# Threads.


def test_a_thread_is_a_call_and_its_result_comes_as_that_of_a_thread_does() -> None:
    async def program(sim: Sim) -> list[object]:
        log: list[object] = []

        def work() -> str:
            log.append(threading.get_ident())
            return "result"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
            log.append(await trio.to_thread.run_sync(work))
        log.append(await trio.to_thread.run_sync(work, limiter=trio.CapacityLimiter(1)))
        return log

    here = threading.get_ident()
    for seed in range(20):
        expected = [here, "result", here, "result"]
        assert simulate(program, seed=seed).check().value == expected


def test_a_thread_does_not_lose_against_a_timeout() -> None:
    """With a real thread, virtual time would run out before it is done."""

    async def program(sim: Sim) -> float:
        with trio.fail_after(60):
            await trio.to_thread.run_sync(lambda: sum(range(10_000)))
        return trio.current_time()

    assert simulate(program).check().value == 0.0


def test_an_error_in_a_thread_is_raised_where_it_was_waited_for() -> None:
    async def program(sim: Sim) -> str:
        def work() -> None:
            raise KeyError("in a thread")

        with pytest.raises(KeyError, match="in a thread"):
            await trio.to_thread.run_sync(work)
        await trio.to_thread.run_sync(work)
        raise AssertionError("not reached")

    with pytest.raises(KeyError, match="in a thread"):
        simulate(program).check()


def test_a_thread_whose_waiting_task_is_cancelled_is_abandoned() -> None:
    async def program(sim: Sim) -> list[str]:
        log: list[str] = []
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio.to_thread.run_sync(log.append, "ran", abandon_on_cancel=True)
        assert scope.cancelled_caught
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio.to_thread.run_sync(log.append, "ran")
        return log

    assert simulate(program).check().value == []


def test_the_context_of_a_task_is_that_of_its_thread() -> None:
    def ask() -> bool:
        return maybe("inside of a thread", 1.0)

    async def program(sim: Sim) -> bool:
        return await trio.to_thread.run_sync(ask)

    assert simulate(program, seed=0).check().value
    assert not ask()


@pytest.mark.parametrize("call", ["run", "run_sync"])
def test_a_thread_that_calls_back_into_trio_is_told_why_it_cannot(call: str) -> None:
    async def program(sim: Sim) -> None:
        def work() -> None:
            getattr(trio.from_thread, call)(trio.lowlevel.checkpoint)

        await trio.to_thread.run_sync(work)

    original = getattr(trio.from_thread, call)
    with pytest.raises(Escaped, match="called back into Trio"):
        simulate(program).check()
    assert getattr(trio.from_thread, call) is original


def test_a_thread_may_ask_whether_it_is_cancelled() -> None:
    async def program(sim: Sim) -> None:
        await trio.to_thread.run_sync(trio.from_thread.check_cancelled)

    simulate(program).check()


def test_files_work_and_are_the_same_in_every_schedule(tmp_path: Path) -> None:
    async def program(sim: Sim) -> list[object]:
        file = trio.Path(tmp_path) / "file"
        await file.write_text("one\ntwo\n")
        lines = []
        async with await trio.open_file(file) as opened:
            async for line in opened:
                lines.append(line)  # noqa: PERF401 - it is what is tested
        await file.unlink()
        with pytest.raises(FileNotFoundError):
            await file.read_text()
        return [lines, await file.exists(), await trio.to_thread.run_sync(os.getpid)]

    for seed in range(5):
        assert simulate(program, seed=seed).check().value == [
            ["one\n", "two\n"],
            False,
            os.getpid(),
        ]


def test_real_threads_may_wake_a_task_as_long_as_the_program_waits_for_them() -> None:
    """The simulation does not know of them, but does not break either."""

    async def program(sim: Sim) -> str:
        token, woken = trio.lowlevel.current_trio_token(), trio.Event()
        thread = threading.Thread(target=token.run_sync_soon, args=(woken.set,))
        thread.start()
        thread.join()
        await woken.wait()
        return "woken"

    assert simulate(program).check().value == "woken"


# The real world.


async def connect(sim: Sim) -> None:
    await trio.open_tcp_stream("127.0.0.1", 9)


async def resolve(sim: Sim) -> None:
    await trio.open_tcp_stream("example.org", 80)


async def look_up(sim: Sim) -> None:
    await trio.socket.getnameinfo(("127.0.0.1", 9), 0)


async def open_listeners(sim: Sim) -> None:
    await trio.open_tcp_listeners(0)


async def serve(sim: Sim) -> None:
    await trio.serve_tcp(_handle, 0)


async def serve_in_a_nursery(sim: Sim) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_tcp, _handle, 0)


async def open_unix_socket(sim: Sim) -> None:
    await trio.open_unix_socket("/nowhere")


async def open_a_socket(sim: Sim) -> None:
    trio.socket.socket()


async def run_a_process(sim: Sim) -> None:
    await trio.run_process([sys.executable, "-c", "pass"])


async def run_a_process_in_a_nursery(sim: Sim) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.run_process, [sys.executable, "-c", "pass"])


async def run_a_process_and_wait(sim: Sim) -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)  # noqa: ASYNC221


async def wait_for_a_file_descriptor(sim: Sim) -> None:
    one, other = socket.socketpair()
    with one, other, trio.move_on_after(5):
        await trio.lowlevel.wait_readable(one)


async def wait_for_one_that_is_ready(sim: Sim) -> None:
    one, other = socket.socketpair()
    with one, other:
        await trio.lowlevel.wait_writable(one)


async def wait_for_a_pipe(sim: Sim) -> None:
    reading, writing = os.pipe()
    try:
        async with trio.lowlevel.FdStream(reading) as stream:
            await stream.receive_some(1)
    finally:
        os.close(writing)


async def _handle(stream: trio.SocketStream) -> None:
    raise AssertionError("somebody called")


@pytest.mark.parametrize(
    ("program", "what"),
    [
        (connect, r"sim\.net\(\)"),
        (resolve, r"example\.org.*sim\.net\(\)"),
        (look_up, r"127\.0\.0\.1"),
        (open_listeners, r"sim\.net\(\)"),
        (serve, r"sim\.net\(\)"),
        (serve_in_a_nursery, r"sim\.net\(\)"),
        (open_unix_socket, r"sim\.net\(\)"),
        (open_a_socket, r"sim\.net\(\)"),
        (run_a_process, "started a process"),
        (run_a_process_in_a_nursery, "started a process"),
        (run_a_process_and_wait, "started a process"),
        (wait_for_a_file_descriptor, r"test_sim_control\.py:\d+ in wait_for_a_file_descriptor"),
        (wait_for_one_that_is_ready, r"test_sim_control\.py:\d+ in wait_for_one_that_is_ready"),
        (wait_for_a_pipe, r"test_sim_control\.py:\d+ in wait_for_a_pipe"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_real_world_is_refused_and_the_error_says_what_to_do(
    program: Callable[[Sim], Awaitable[None]], what: str
) -> None:
    begun = time.perf_counter()
    for seed in range(3):
        error = simulate(program, seed=seed).error
        assert error is not None
        assert isinstance(leaf(error), Escaped), repr(error)
        with pytest.raises(Escaped, match=what):
            simulate(program, seed=seed).check()
    assert time.perf_counter() - begun < 20


def test_sockets_and_processes_work_again_after_a_run() -> None:
    simulate(connect)
    simulate(run_a_process)

    async def real() -> bytes:
        one, other = trio.socket.socketpair()
        with one, other:
            await one.send(b"real")
            return await other.recv(10)

    assert trio.run(real) == b"real"
    subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)


# What a run leaves.


def test_garbage_is_not_collected_in_a_run_and_collects_no_more_after_it() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.me = self

    refs: list[weakref.ref[Cycle]] = []

    async def program(sim: Sim) -> bool:
        assert not gc.isenabled()
        for _ in range(2000):
            refs.append(weakref.ref(Cycle()))  # noqa: PERF401 - no comprehension: all must die
        return all(ref() is not None for ref in refs)

    assert gc.isenabled()
    assert simulate(program).check().value
    assert gc.isenabled()
    gc.collect()
    assert not any(ref() is not None for ref in refs)


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        simulate(checkpoints(1)).check()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_many_runs_do_not_pile_up() -> None:
    class Big:
        pass

    living: weakref.WeakSet[Big] = weakref.WeakSet()

    async def program(sim: Sim) -> None:
        big = Big()
        living.add(big)
        send, receive = trio.open_memory_channel[object](1)
        await send.send(big)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive.receive)

    explore(program, runs=60).check()
    gc.collect()
    assert len(living) == 0


class Broken(Exception):  # noqa: N818
    pass


def everything() -> list[object]:
    """All that a simulation replaces, as it is now."""
    return [
        *(getattr(time, name) for name in ("time", "monotonic", "perf_counter", "time_ns")),
        os.urandom,
        random._urandom,  # type: ignore[attr-defined]
        random.Random.seed,
        random.getstate(),
        trio.MemorySendChannel.send_nowait,
        trio.MemoryReceiveChannel.receive_nowait,
        subprocess.Popen.__init__,
        trio.from_thread.run,
        trio.from_thread.run_sync,
        trio._threads.start_thread_soon,  # type: ignore[attr-defined]
        gc.isenabled(),
        signal.getsignal(signal.SIGINT),
        sys.get_asyncgen_hooks(),
    ]


async def passes(sim: Sim) -> None:
    pass


async def raises(sim: Sim) -> None:
    raise Broken


async def hangs(sim: Sim) -> None:
    await trio.sleep_forever()


async def spins(sim: Sim) -> None:
    while True:
        await trio.lowlevel.checkpoint()


async def exits(sim: Sim) -> None:
    raise SystemExit(3)


async def is_interrupted(sim: Sim) -> None:
    raise KeyboardInterrupt


def no_program(sim: Sim) -> Any:
    return None


def raises_before_it_is_awaited(sim: Sim) -> Any:
    raise Broken


@pytest.mark.parametrize(
    "program",
    [
        passes,
        raises,
        hangs,
        spins,
        exits,
        is_interrupted,
        no_program,
        raises_before_it_is_awaited,
        run_a_process,
        wait_for_a_pipe,
    ],
)
@pytest.mark.parametrize("traced", [False, True])
def test_whatever_happens_in_a_run_everything_is_as_before(
    program: Callable[[Sim], Any], traced: bool
) -> None:
    before = everything()
    try:
        simulate(program, max_steps=500, trace=traced)
    except KeyboardInterrupt:
        assert program is is_interrupted
    assert everything() == before


def test_the_error_of_a_program_is_in_the_run_and_raised_by_check() -> None:
    assert isinstance(simulate(raises).error, Broken)
    with pytest.raises(Broken):
        simulate(raises).check()
    assert isinstance(simulate(exits).error, SystemExit)
    assert isinstance(simulate(no_program).error, TypeError)
    assert isinstance(simulate(raises_before_it_is_awaited).error, Broken)


# Simulations inside of something.


def test_a_simulation_inside_of_a_simulation_is_refused_and_harms_neither() -> None:
    async def program(sim: Sim) -> str:
        await trio.sleep(1)
        before = everything()
        for call in (simulate, explore):
            with pytest.raises(RuntimeError, match="inside of another"):
                call(lost_update)
        assert everything() == before
        await trio.sleep(1)
        assert time.monotonic() == trio.current_time() == 2.0
        return "went on"

    assert simulate(program).check().value == "went on"


async def test_a_simulation_inside_of_a_trio_program_is_refused() -> None:
    """And not taken for a failure of the program: `explore(…).failure` would be believed."""
    before = everything()
    with pytest.raises(RuntimeError, match="inside of another"):
        simulate(lost_update)
    with pytest.raises(RuntimeError, match="inside of another"):
        explore(lost_update)
    assert everything() == before


async def test_a_simulation_in_a_thread_leaves_a_trio_program_beside_it_alone() -> None:
    send, receive = trio.open_memory_channel[int](0)
    seen: list[int] = []

    async def count() -> None:
        async for number in receive:
            seen.append(number)  # noqa: PERF401

    def work() -> None:
        run = explore(lost_update, runs=300).failure
        assert run is not None
        assert shrink(lost_update, run).decisions == 1
        assert run.text()
        trio.from_thread.run(send.send, 1)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            async with send:
                nursery.start_soon(trio.to_thread.run_sync, work)
                for _ in range(50):
                    await send.send(0)
                while 1 not in seen:
                    await trio.testing.wait_all_tasks_blocked()
    assert seen == [0] * 50 + [1]


def test_a_trio_program_in_another_thread_is_left_alone() -> None:
    """A fixture may have started a server in a thread, before the simulation began."""
    result: list[int] = []

    async def other() -> None:
        send, receive = trio.open_memory_channel[int](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send.send, 1)
            result.append(await receive.receive())

    async def program(sim: Sim) -> None:
        thread = threading.Thread(target=trio.run, args=(other,))
        thread.start()
        thread.join()

    for trace in (False, True):
        result.clear()
        simulate(program, trace=trace).check()
        assert set(result) == {1}


def test_two_threads_cannot_simulate_at_once() -> None:
    errors: list[str] = []

    def work() -> None:
        try:
            simulate(lost_update)
        except RuntimeError as error:
            errors.append(str(error))

    async def program(sim: Sim) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    simulate(program).check()
    assert len(errors) == 1
    assert "another thread is simulating" in errors[0]
    simulate(program).check()


# Ctrl-C.


async def interrupted_in_a_task(sim: Sim) -> None:
    async def task() -> None:
        signal.raise_signal(signal.SIGINT)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        nursery.start_soon(trio.sleep_forever)


async def interrupted_in_main(sim: Sim) -> None:
    signal.raise_signal(signal.SIGINT)


async def interrupted_where_all_is_blocked(sim: Sim) -> None:
    trio.lowlevel.current_trio_token().run_sync_soon(signal.raise_signal, signal.SIGINT)
    with trio.CancelScope(shield=True):
        await trio.sleep(1000)


async def interrupted_in_a_check(sim: Sim) -> None:
    def check() -> None:
        raise KeyboardInterrupt

    sim.always("interrupted", check)
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    "program",
    [
        interrupted_in_main,
        interrupted_in_a_task,
        interrupted_where_all_is_blocked,
        interrupted_in_a_check,
        is_interrupted,
    ],
)
def test_ctrl_c_ends_a_run_and_the_search(program: Callable[[Sim], Awaitable[None]]) -> None:
    before = everything()
    with pytest.raises(KeyboardInterrupt):
        simulate(program)
    with pytest.raises(KeyboardInterrupt):
        explore(program)
    assert everything() == before


# The self-test of the seam.


def _do_nothing(queue: object) -> None:
    pass


def test_the_seam_is_checked_when_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seam, "install_queue", _do_nothing)
    with pytest.raises(ImportError, match=rf"Trio {trio.__version__}"):
        seam._self_test()


def test_the_kit_can_be_imported_in_a_trio_program() -> None:
    script = "import trio\nasync def main():\n    import actors.sim\ntrio.run(main)"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_the_kit_needs_only_trio_and_this_package() -> None:
    code = "import sys, actors.sim\nprint(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    loaded = {name.partition(".")[0] for name in modules}
    assert loaded >= {"actors", "trio"}
    others = {"broker", "click", "h11", "hypothesis", "msgspec", "protocol", "trio_websocket"}
    assert not loaded & others
    assert "actors.sim.marked" not in modules, "that is the part that needs pytest"
