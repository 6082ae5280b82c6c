"""Engine.IO rows 23 to 25: from polling to websocket, and what stands in the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .endpoint import Endpoint, Polling, in_three_tries
from .wire import NORMAL, Rejected, WebSocket


@asynccontextmanager
async def probed(endpoint: Endpoint) -> AsyncIterator[tuple[Polling, WebSocket]]:
    """A polling session whose websocket has been probed."""
    async with endpoint.polling() as session, endpoint.websocket(sid=session.sid) as websocket:
        assert await websocket.exchange("2probe") == "3probe"
        yield session, websocket


@asynccontextmanager
async def upgraded(endpoint: Endpoint) -> AsyncIterator[tuple[Polling, WebSocket]]:
    """A session that has gone over to its websocket, as the server knows."""
    async with probed(endpoint) as (session, websocket):
        await websocket.send("5")
        await endpoint.caught_up()
        yield session, websocket


async def test_probe_is_answered(endpoint: Endpoint) -> None:
    """Row 23."""
    async with probed(endpoint):
        pass


async def test_upgrade_ends_the_poll_and_takes_over(quick_engine: Endpoint) -> None:
    """Row 23: the poll ends with `6` before the first ping, with nothing else to end it."""

    async def row() -> None:
        async with probed(quick_engine) as (session, websocket):
            answer = await session.get()
            assert (answer.status, answer.text) == (200, "6")
            await websocket.send("5")
            assert await websocket.exchange("4hello") == "4hello"

    await in_three_tries(row)


async def test_upgraded_session_cannot_be_polled(endpoint: Endpoint) -> None:
    """Row 24."""
    async with upgraded(endpoint) as (session, websocket):
        answer = await session.get()
        assert answer.status == 400
        assert answer.json == {"code": 3, "message": "Bad request"}
        if endpoint.app == "calm-engine":
            assert await websocket.exchange("4hello") == "4hello"


async def test_upgraded_session_takes_no_second_websocket(endpoint: Endpoint) -> None:
    """Row 25. It must be accepted before it is closed: the outside suites have no other ear."""
    async with upgraded(endpoint) as (session, websocket):
        async with endpoint.websocket(sid=session.sid) as second:
            assert await second.end() in NORMAL
        if endpoint.app == "calm-engine":
            assert await websocket.exchange("4hello") == "4hello"


async def test_session_takes_one_probing_websocket_at_a_time(engine: Endpoint) -> None:
    async with probed(engine) as (session, websocket):
        async with engine.websocket(sid=session.sid) as second:
            assert await second.end() in NORMAL
        await websocket.send("5")
        assert await websocket.exchange("4hello") == "4hello"


@pytest.mark.parametrize("message", ["4hello", "2", "3probe", "nonsense", b"\1"])
async def test_only_a_probe_opens_an_upgrade(engine: Endpoint, message: str | bytes) -> None:
    """The websocket is closed, the polling session is untouched."""
    async with engine.polling() as session:
        async with engine.websocket(sid=session.sid) as websocket:
            await websocket.send(message)
            assert await websocket.end() in NORMAL
        await session.post("4hello")
        assert (await session.get()).text == "4hello"


async def test_only_an_upgrade_follows_the_probe(engine: Endpoint) -> None:
    async with probed(engine) as (session, websocket):
        await websocket.send("4hello")
        assert await websocket.end() in NORMAL
        await session.post("4hello")
        assert (await session.get()).text == "4hello"


@pytest.mark.parametrize("reset", [False, True])
async def test_session_outlives_a_probe_that_vanishes(engine: Endpoint, reset: bool) -> None:
    async with engine.polling() as session:
        async with engine.websocket(sid=session.sid) as websocket:
            assert await websocket.exchange("2probe") == "3probe"
            await websocket.connection.end(reset=reset)
        await engine.caught_up()
        async with engine.websocket(sid=session.sid) as websocket:  # another may try
            assert await websocket.exchange("2probe") == "3probe"
            await websocket.send("5")
            assert await websocket.exchange("4hello") == "4hello"


async def test_messages_wait_for_the_upgrade_and_lose_no_order(engine: Endpoint) -> None:
    """What is sent while the probe is out goes by polling, or by websocket behind the `5`."""
    async with probed(engine) as (session, websocket):
        await session.post("4one\x1e4two")
        await session.post("4three")
        await websocket.send("5")
        assert [await websocket.receive() for _ in range(3)] == ["4one", "4two", "4three"]
        assert await websocket.exchange("4four") == "4four"


async def test_unknown_session_is_refused_an_upgrade(endpoint: Endpoint) -> None:
    with pytest.raises(Rejected) as refusal:
        async with endpoint.websocket(sid="nobody"):
            pass
    answer = refusal.value.answer
    assert (answer.status, answer.text) == (400, "Session ID unknown")


@pytest.mark.atrio_only
async def test_poll_that_waits_when_the_upgrade_comes_is_refused(engine: Endpoint) -> None:
    """A client pauses its polling first. Node answers `1`, which tells the client to close."""
    # Which of the two the server reads first is not ours to say, so there are some chances.
    for _ in range(10):
        async with probed(engine) as (session, websocket):
            await session.connection.send("GET", session.target)
            await websocket.send("5")
            assert (await session.connection.receive()).status == 400
            assert await websocket.exchange("4hello") == "4hello"
