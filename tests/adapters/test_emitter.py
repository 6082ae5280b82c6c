"""An emitter of ours: what it is not given, and Redis away. Whom it reaches: tests/conformance."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from broker import Broker
from broker.adapters import Emitter, RedisAdapter


async def test_what_an_emitter_says_arrives_in_order(redis: Any) -> None:
    adapter = RedisAdapter(redis.url, key="emitter")
    async with (
        Broker(adapter=adapter) as broker,
        broker.test_client() as client,
        Emitter(redis.url, key="emitter") as io,
    ):
        seen: list[Any] = []
        client.watch(lambda event, args: seen.append((event, *args)))
        for number in range(50):
            target = [io.of("/"), io.to(client.id), io.except_("red")][number % 3]
            await target.emit("event", number)
        await io.emit("end")
        await client.expect("end")
        assert seen[:-1] == [("event", number) for number in range(50)]


async def test_what_cannot_be_sent_is_refused(redis: Any) -> None:
    async with Emitter(redis.url) as io:
        with pytest.raises(TypeError, match=r"args\[0\]"):
            await io.emit("event", object())
        with pytest.raises(ValueError, match="reserved"):
            await io.emit("connect")
        with pytest.raises(TypeError, match="names of rooms"):
            io.to(1)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="an event's name"):
            await io.of("/").server_side_emit(1)  # type: ignore[arg-type]


async def test_it_speaks_only_inside_its_block(redis: Any) -> None:
    io = Emitter(redis.url.replace("//", "//ada:secret@"))
    with pytest.raises(RuntimeError, match="is not entered") as caught:
        await io.emit("event")
    assert "secret" not in str(caught.value)


async def test_what_its_block_raises_is_raised_as_it_is(redis: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Emitter(redis.url):
            raise ZeroDivisionError
    with trio.move_on_after(0.01) as scope:
        async with Emitter(redis.url):
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_redis_away_is_an_error_and_comes_back(own_redis: Any) -> None:
    redis = own_redis()
    async with Emitter(redis.url, timeout=0.3) as io:
        redis.kill()
        with pytest.raises(ConnectionError, match="has not done it"):
            await io.emit("event")
        redis.start()
        with trio.fail_after(15):
            while True:
                try:
                    await io.emit("event")
                    break
                except ConnectionError:
                    await trio.sleep(0.01)
        redis.kill()
    with pytest.raises(ConnectionError, match="cannot be reached"):
        async with Emitter(redis.url):
            raise AssertionError("it has been entered")
