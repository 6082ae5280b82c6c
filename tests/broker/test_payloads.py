"""What goes out and comes in, through a whole broker."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import uuid
from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import pytest
from trio.testing import wait_all_tasks_blocked

from broker import Broker, Socket


@attrs.frozen
class Point:
    x: int
    blob: bytes


@dataclasses.dataclass
class Box:
    points: list[Point]


class Wrapped(msgspec.Struct):
    box: Box


class Colour(enum.Enum):
    RED = 1


WHEN = dt.datetime(2024, 1, 2, 3, 4, 5, 678_900, dt.timezone(dt.timedelta(hours=2)))


async def test_everything_that_can_be_sent_arrives() -> None:
    broker = Broker()
    args = (
        None,
        True,
        -(2**53) + 1,
        1.5,
        "ü😀\x1e\x00",
        bytearray(b"\x00"),
        memoryview(b"abcd")[::2],
        (1, [2]),
        {"": {"when": WHEN}},
        Wrapped(Box([Point(1, b"p")])),
        [math.nan, math.inf, -math.inf],
    )
    async with broker.test_client() as client:
        await broker.emit("e", *args)
        assert await client.expect("e") == (
            None,
            True,
            -(2**53) + 1,
            1.5,
            "ü😀\x1e\x00",
            b"\x00",
            b"ac",
            [1, [2]],
            {"": {"when": "2024-01-02T01:04:05.678Z"}},
            {"box": {"points": [{"x": 1, "blob": b"p"}]}},
            [None, None, None],
        )


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("bad", "path"),
    [
        (object(), "args[0]"),
        ({"user": {"when": dt.datetime(2024, 1, 1)}}, "args[0].user.when"),  # noqa: DTZ001
        ([1, {2: 3}], "args[0][1]"),
        (2**53, "args[0]"),
        ([{"n": -(2**60)}], "args[0][0].n"),
        (10**30, "args[0]"),
        ({1, 2}, "args[0]"),
        (Box([Point(1, object())]), "args[0].points[0].blob"),  # type: ignore[arg-type]
        (CYCLE, "args[0]"),
        ({"id": uuid.UUID(int=1)}, "args[0].id"),
        ([Colour.RED], "args[0][0]"),
        (dt.date(2024, 1, 1), "args[0]"),
        ("\ud800", "args[0]"),
        (1j, "args[0]"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_cannot_be_sent_raises_with_its_path_before_anything_is_sent(
    bad: Any, path: str
) -> None:
    broker = Broker()
    sockets: list[Socket] = []

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        sockets.append(socket)

    async with broker.test_client() as client:
        await wait_all_tasks_blocked()
        for send in (broker.emit, sockets[0].emit, sockets[0].emit_with_ack):
            with pytest.raises((TypeError, ValueError)) as raised:
                await send("e", bad)
            assert path in str(raised.value)
        with pytest.raises((TypeError, ValueError)):
            broker.emit_nowait("e", bad)
        assert broker.statistics().pending_acks == 0
        await client.expect_nothing()


@pytest.mark.parametrize("name", [None, 1, b"e", ["e"]])
async def test_an_events_name_is_a_str(name: Any) -> None:
    async with Broker() as broker:
        with pytest.raises(TypeError):
            await broker.emit(name)


async def test_an_event_no_outbox_could_take_raises_and_disconnects_nobody() -> None:
    broker = Broker(max_outbox_bytes=1000)
    async with broker.test_client() as client:
        with pytest.raises(ValueError, match="max_outbox_bytes"):
            await broker.emit("e", "x" * 2000)
        await broker.emit("e", "x" * 900)
        assert await client.expect("e") == ("x" * 900,)


@pytest.mark.parametrize(
    ("sent", "handled"),
    [
        (['42["e","\\ud83d"]'], ["\ufffd"]),
        (['42["e","\\\\ud83d"]'], ["\\ud83d"]),
        (['42["e","\\ud83d\\ude00"]'], ["😀"]),
        (
            ['452-["e",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]', b"a", b"b"],
            [b"b", b"a"],
        ),
        (['42["e",' + "[" * 98 + "]" * 98 + "]"], None),
    ],
)
async def test_what_a_client_may_send_comes_in(
    sent: list[str | bytes], handled: list[object] | None, wire: Callable[..., Any]
) -> None:
    broker = Broker()
    seen: list[list[object]] = []

    @broker.on("e")
    async def event(socket: Socket, *args: object) -> None:
        seen.append(list(args))

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send(*sent)
        await wait_all_tasks_blocked()
        assert len(seen) == 1
        assert handled is None or seen[0] == handled


@pytest.mark.parametrize(
    "sent",
    [
        ['42["e",' + "[" * 200 + "]" * 200 + "]"],
        ['451-["e",{"_placeholder":true,"num":7}]', b"a"],
        ['451-["e",{"_placeholder":true,"num":-1}]', b"a"],
        ['451-["e",{"_placeholder":true,"num":0}]', '42["e"]'],
        [b"unannounced"],
        ['4511-["e"]'],
        ['42["e",NaN]'],
        ["42[]"],
        ["42[null]"],
        ["43[1]"],
        ["44"],
        ["4"],
        ["4\ufeff2[]"],
        ["42" + "9" * 40 + '["e"]'],
    ],
)
async def test_what_a_client_may_not_send_ends_it_alone(
    sent: list[str | bytes], wire: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    reasons: list[str] = []

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        reasons.append(reason)

    async with broker, broker.test_client() as other, wire(broker) as client:
        await client.enter()
        await client.send(*sent)
        await wait_all_tasks_blocked()
        assert reasons == ["forced close"]
        assert other.connected
        assert "Traceback" not in caplog.text
