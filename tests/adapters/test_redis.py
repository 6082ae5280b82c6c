"""Redis: away, slow, restarted, or not for us. What is lost is counted, and all comes back."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import coredis
import pytest
import trio

from broker import Broker, BrokerNotRunning
from broker.adapters import RedisAdapter
from broker.testing.client import TestClient

TIMEOUT = 0.3


def node(url: str, **options: Any) -> Broker:
    return Broker(adapter=RedisAdapter(url, timeout=TIMEOUT), **options)


@asynccontextmanager
async def two_nodes(url: str) -> AsyncIterator[tuple[Broker, Broker, TestClient, TestClient]]:
    one, two = node(url), node(url)
    async with one, two, one.test_client() as a, two.test_client() as b:
        yield one, two, a, b


async def become(is_so: Callable[[], bool]) -> None:
    """Wait for what Redis, a real one, does in its own time."""
    with trio.fail_after(15):
        while not is_so():  # noqa: ASYNC110 - there is no event for it
            await trio.sleep(0.01)


def in_touch(*brokers: Broker) -> Callable[[], bool]:
    return lambda: not any(broker._life.trouble() for broker in brokers)  # type: ignore[union-attr]


def away(*brokers: Broker) -> Callable[[], bool]:
    return lambda: all(broker._life.trouble() for broker in brokers)  # type: ignore[union-attr]


# At the start.


async def test_without_redis_a_broker_does_not_start(own_redis: Any) -> None:
    redis = own_redis()
    redis.kill()
    with pytest.raises(ConnectionError) as caught:
        async with node(redis.url.replace("//", "//ada:secret@")):
            raise AssertionError("it has started")
    told = str(caught.value)
    assert f"Redis at redis://ada@127.0.0.1:{redis.port} cannot be reached" in told
    assert "refused" in told
    assert "start it there, or set the adapter's url" in told
    assert "secret" not in told


def test_the_command_says_that_redis_is_not_there(own_redis: Any, tmp_path: Path) -> None:
    redis = own_redis()
    redis.kill()
    (tmp_path / "app.py").write_text(
        "from broker import Broker\nfrom broker.adapters import RedisAdapter\n"
        f"broker = Broker(adapter=RedisAdapter({redis.url!r}))\n"
    )
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from broker.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "serve", "app:broker", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Redis at {redis.url} cannot be reached")


async def test_a_redis_that_does_not_answer_is_told_so(own_redis: Any) -> None:
    redis = own_redis()
    redis.freeze()
    with pytest.raises(ConnectionError, match=r"has not answered within 0\.3 s"):
        async with node(redis.url):
            raise AssertionError("it has started")


async def test_a_wrong_password_is_told_so(own_redis: Any) -> None:
    redis = own_redis("--requirepass", "right")
    for user in ("", ":wrong@"):
        with pytest.raises(ConnectionError, match=r"does not let us in .*set redis://user:passw"):
            async with node(redis.url.replace("//", f"//{user}")):
                raise AssertionError("it has started")
    url = redis.url.replace("//", "//:right@")
    async with two_nodes(url) as (one, _, _, b):
        await one.emit("event")
        assert await b.expect("event") == ()


async def test_a_start_that_is_cancelled_is_cancelled(own_redis: Any) -> None:
    redis = own_redis()
    redis.freeze()
    broker = Broker(adapter=RedisAdapter(redis.url))
    with trio.move_on_after(0.1) as scope:
        async with broker:
            raise AssertionError("it has started")
    assert scope.cancelled_caught


@pytest.mark.parametrize("url", ["http://h:1", "redis://h:port", "127.0.0.1:6379", "redis://h:0"])
def test_what_is_no_url_of_redis(url: str) -> None:
    with pytest.raises(ValueError, match="expected redis://host:port"):
        RedisAdapter(url)


def test_what_is_no_option() -> None:
    for options in ({"timeout": 0}, {"requests_timeout": -1}, {"max_waiting_bytes": 0}):
        with pytest.raises(ValueError, match=f"'{next(iter(options))}' must be > 0"):
            RedisAdapter(**options)
    with pytest.raises(TypeError, match="'key' must be"):
        RedisAdapter(key=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a URL of Redis as text"):
        RedisAdapter(6379)  # type: ignore[arg-type]


def test_no_password_is_shown() -> None:
    assert "secret" not in repr(RedisAdapter("redis://ada:secret@h:1/2"))
    with pytest.raises(ValueError, match="saw 'http://ada@h:1/2'"):
        RedisAdapter("http://ada:secret@h:1/2")


def test_without_the_extra_the_adapter_says_what_to_install() -> None:
    program = """
import sys
sys.modules["coredis"] = None  # as if it were not installed
from broker.adapters import Bus, RedisAdapter
try:
    RedisAdapter()
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "RedisAdapter needs coredis: pip install atrio[redis]\n"


# Later.


async def test_redis_that_is_killed_and_restarted_harms_nothing_local(
    own_redis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    redis = own_redis()
    caplog.set_level(logging.WARNING, "atrio.adapter")
    async with two_nodes(redis.url) as (one, two, a, b), trio.open_nursery() as nursery:
        there: list[int] = []
        here: list[int] = []
        a.watch(lambda _, args: here.append(args[0]))
        b.watch(lambda _, args: there.append(args[0]))
        sent = 0

        async def publish() -> None:
            nonlocal sent
            while True:
                await one.emit("event", sent)
                sent += 1
                await trio.sleep(0.001)

        nursery.start_soon(publish)
        await become(lambda: bool(there))
        for _ in range(2):
            redis.kill()
            await become(away(one, two))
            before = one.statistics().dropped_between_nodes
            await become(lambda before=before: one.statistics().dropped_between_nodes > before)
            redis.start()
            await become(in_touch(one, two))
            latest = sent
            await become(lambda latest=latest: bool(there) and there[-1] >= latest)
        nursery.cancel_scope.cancel()
    assert here == list(range(len(here)))
    assert len(here) >= sent - 1
    assert there == sorted(set(there))  # none twice, none late
    lost = sent - len(there)
    assert lost > 0
    assert f"Redis at {redis.url} is away" in caplog.text
    assert f"Redis at {redis.url} is back" in caplog.text
    assert len(caplog.records) <= 2 * 2 * 2 * 2  # nodes, connections, times, away and back


async def test_what_is_said_while_redis_is_away_is_counted_and_never_sent(own_redis: Any) -> None:
    redis = own_redis()
    async with two_nodes(redis.url) as (one, two, a, b):
        redis.kill()
        await become(away(one, two))
        before = one.statistics().dropped_between_nodes
        for number in range(10):
            await one.emit("lost", number)
        assert one.statistics().dropped_between_nodes == before + 10
        await a.expect("lost")
        redis.start()
        await become(in_touch(one, two))
        seen: list[str] = []
        b.watch(lambda event, _: seen.append(event))
        await one.emit("end")
        await b.expect("end")
        assert seen == ["end"]


async def test_a_question_while_redis_is_away_ends_at_its_deadline(own_redis: Any) -> None:
    redis = own_redis()
    async with two_nodes(redis.url) as (one, two, a, b):
        a.answer("poll", lambda: 1)
        redis.kill()
        await become(away(one))
        with pytest.raises(trio.TooSlowError, match=r"have not answered within 0\.1 s"):
            await one.timeout(0.1).fetch_sockets()
        answers = await one.timeout(0.1).emit_with_ack("poll")
        assert answers.values == {a.id: 1}
        assert answers.missing_nodes == 1
        assert (await one.server_side_emit_with_ack("load", timeout=0.1)).missing_nodes == 1
        redis.start()
        await become(in_touch(one, two))
        assert {each.id for each in await one.fetch_sockets()} == {a.id, b.id}


async def test_a_broker_that_ends_while_redis_is_away_lets_nobody_wait(own_redis: Any) -> None:
    redis = own_redis()
    errors: list[Exception] = []

    async def fetch(broker: Broker) -> None:
        try:
            await broker.timeout(60).fetch_sockets()
        except BrokerNotRunning as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        async with node(redis.url) as one:
            redis.kill()
            await become(away(one))
            nursery.start_soon(fetch, one)
            await trio.testing.wait_all_tasks_blocked()
        await become(lambda: len(errors) == 1)


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_either_connection_alone_comes_back(own_redis: Any, kind: str) -> None:
    redis = own_redis()
    async with two_nodes(redis.url) as (one, two, _, b):
        redis.tell(f"CLIENT KILL TYPE {kind}")
        await become(away(one, two))
        await become(in_touch(one, two))
        seen: list[str] = []
        b.watch(lambda event, _: seen.append(event))
        await one.emit("event")
        await one.emit("end")
        await b.expect("end")
        assert seen == ["event", "end"]  # and none twice


async def test_a_redis_that_hangs_holds_up_nobody_and_is_left(own_redis: Any) -> None:
    redis = own_redis()
    async with two_nodes(redis.url) as (one, two, a, b):
        redis.freeze()
        for number in range(100):
            await one.emit("event", number)
            assert await a.expect("event") == (number,)
        await become(away(one, two))
        redis.thaw()
        await become(in_touch(one, two))
        await one.emit("end")
        with trio.fail_after(5):
            await b.expect("end")


async def test_an_idle_node_sees_that_redis_hangs(own_redis: Any) -> None:
    redis = own_redis()
    async with node(redis.url) as one:
        redis.freeze()
        await become(away(one))
        redis.thaw()
        await become(in_touch(one))


async def test_the_health_check_tells_that_redis_is_away(own_redis: Any, http: Any) -> None:
    redis = own_redis()
    async with node(redis.url, healthz="/healthz") as one, http(one) as client:
        assert (await client.request("GET", "/healthz"))[0] == 200
        redis.kill()
        await become(away(one))
        status, _, body = await client.request("GET", "/healthz")
        assert (status, body) == (503, b"out of touch with other nodes\n")
        redis.start()
        await become(in_touch(one))
        assert (await client.request("GET", "/healthz"))[0] == 200


async def test_what_waits_for_redis_is_bounded(own_redis: Any) -> None:
    redis = own_redis()
    adapter = RedisAdapter(redis.url, max_waiting_bytes=10_000)
    async with Broker(adapter=adapter) as one, one.test_client() as client:
        redis.freeze()
        for number in range(100):
            await one.emit("event", number, "x" * 1000)
            await client.expect("event")
        assert 90 <= one.statistics().dropped_between_nodes <= 95
        redis.thaw()


async def test_namespaces_opened_while_redis_is_away_are_heard_when_it_is_back(
    own_redis: Any,
) -> None:
    async def check(name: str, _auth: object) -> bool:
        return name.startswith("/org-")

    redis = own_redis()
    one, two = node(redis.url), node(redis.url)
    one.of("/org-a")
    two.of(check)
    async with one, two:
        redis.kill()
        await become(away(one, two))
        async with two.test_client("/org-a") as b:
            redis.start()
            await become(in_touch(one, two))
            await one.of("/org-a").emit("event")
            await b.expect("event")


async def test_a_node_whose_process_dies_is_waited_for_no_more(redis: Any) -> None:
    program = f"""
import trio
from broker import Broker
from broker.adapters import RedisAdapter

async def main():
    async with Broker(adapter=RedisAdapter({redis.url!r}, key="dies")) as broker:
        print("up", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""
    async with Broker(adapter=RedisAdapter(redis.url, key="dies")) as one, one.test_client() as a:
        async with _process(program) as process:
            assert (await process.stdout.receive_some()).startswith(b"u")
            with trio.fail_after(5):
                assert [each.id for each in await one.fetch_sockets()] == [a.id]
                assert (await one.server_side_emit_with_ack("x", timeout=0.1)).missing_nodes == 1
            process.kill()
        with trio.fail_after(5):
            assert [each.id for each in await one.fetch_sockets()] == [a.id]
            assert (await one.server_side_emit_with_ack("x")).missing_nodes == 0


@asynccontextmanager
async def _process(program: str) -> AsyncIterator[trio.Process]:
    process = await trio.lowlevel.open_process([sys.executable, "-c", program], stdout=-1)
    assert process.stdout is not None
    try:
        async with process.stdout:
            yield process
    finally:
        process.kill()
        await process.wait()


async def test_nonsense_on_a_channel_is_counted_and_harms_nobody(
    redis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def of_key() -> Broker:
        return Broker(adapter=RedisAdapter(redis.url, key="nonsense"))

    one, two = of_key(), of_key()
    async with one, two, two.test_client() as b, coredis.Redis.from_url(redis.url) as client:
        for channel in ("nonsense#/#", "nonsense-request#/#", "nonsense-response#/#"):
            for data in (b"", b"\xff\xfe", b"{", b"[1]", b"\x93\x01\x02\x03", b'{"type": 99}'):
                await client.publish(channel, data)
        await one.emit("end")
        await b.expect("end")
        assert two.statistics().dropped_between_nodes >= 10
        assert "is ignored" in caplog.text


async def test_keys_are_apart(redis: Any) -> None:
    one, two, other = (
        Broker(adapter=RedisAdapter(redis.url, key=key)) for key in ("apart", "apart", "apart-2")
    )
    async with one, two, other, two.test_client() as b, other.test_client() as c:
        await one.emit("event")
        await b.expect("event")
        seen: list[str] = []
        c.watch(lambda event, _: seen.append(event))
        await other.emit("end")
        await c.expect("end")
        assert seen == ["end"]
        assert len(await one.fetch_sockets()) == 1
