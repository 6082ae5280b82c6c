"""Hooks and client events: who is called, in which order, and what becomes of the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from broker import NO_ACK, Broker, ConnectError, EventError, JoinRefused, Socket, SocketDisconnected


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (None, None),
        (0, 0),
        (False, False),
        ("", ""),
        ([1, 2], [1, 2]),
        ((1, 2), (1, 2)),
        (([1],), [1]),
        ((), None),
        ((None,), None),
        ({"a": b"x"}, {"a": b"x"}),
        ("ünï😀", "ünï😀"),
    ],
)
async def test_what_a_handler_returns_is_the_ack(answer: object, heard: object) -> None:
    broker = Broker()

    @broker.on("ask")
    async def ask(socket: Socket) -> object:
        return answer

    async with broker.test_client() as client:
        assert await client.call("ask") == heard


async def test_no_ack_sends_none(wire: Callable[..., Any]) -> None:
    broker = Broker()

    @broker.on("ask")
    async def ask(socket: Socket, kind: str) -> object:
        return NO_ACK if kind == "none" else kind

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('421["ask","none"]', '422["ask","some"]')
        assert await client.get() == '432["some"]'


async def test_the_first_answer_that_is_not_none_is_the_ack() -> None:
    broker = Broker()
    calls: list[str] = []

    def handler(name: str, answer: object) -> Callable[..., Awaitable[object]]:
        async def called(*args: object) -> object:
            calls.append(f"{name}{len(args)}")
            return answer

        return called

    broker.on("ask", handler("first", None))
    broker.on("ask", handler("second", False))

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        socket.on("ask", handler("own", "late"))

    async with broker.test_client() as client:
        assert await client.call("ask", "x") is False
    assert calls == ["first2", "second2", "own1"]


async def test_an_event_without_a_handler_is_not_acknowledged(wire: Callable[..., Any]) -> None:
    broker = Broker()

    @broker.on("known")
    async def known(socket: Socket) -> int:
        return 1

    async with broker, wire(broker) as client:
        await client.enter()
        await client.send('420["unknown"]', '421["known"]')
        assert await client.get() == "431[1]"


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (EventError("taken", "no"), {"code": "taken", "message": "no"}),
        (EventError("x", "y", [1]), {"code": "x", "message": "y", "data": [1]}),
        (
            ExceptionGroup("", [EventError("inner", "m")]),
            {"code": "inner", "message": "m"},
        ),
        (
            ExceptionGroup("", [ExceptionGroup("", [JoinRefused("full", room="r")])]),
            {"code": "join_refused", "message": "full"},
        ),
    ],
)
async def test_a_refusal_is_the_ack_and_no_error(
    raised: Exception, error: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    hooked: list[object] = []

    @broker.on("ask")
    async def ask(socket: Socket) -> None:
        raise raised

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: str) -> None:
        hooked.append(error)

    async with broker.test_client() as client:
        assert await client.call("ask") == {"error": error}
    assert hooked == []
    assert "ERROR" not in caplog.text


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("the password is swordfish"),
        ExceptionGroup("swordfish", [EventError("a", "b"), EventError("c", "d")]),
        ConnectError("swordfish"),
        SocketDisconnected("swordfish"),
    ],
)
async def test_any_other_exception_is_internal_and_tells_the_client_nothing(
    raised: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    hooked: list[tuple[Socket, Exception, str]] = []

    @broker.on("ask")
    async def ask(socket: Socket) -> None:
        raise raised

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: str) -> None:
        hooked.append((socket, error, event))

    async with broker.test_client() as client:
        answer = await client.call("ask")
        assert answer["error"]["code"] == "internal"
        assert "swordfish" not in str(answer)
        assert [(socket.id, error, event) for socket, error, event in hooked] == [
            (client.id, raised, "ask")
        ]
        record = next(record for record in caplog.records if record.levelname == "ERROR")
        assert client.id in record.getMessage()
        assert "ask" in record.getMessage()
        assert "/" in record.getMessage()
        # It neither kills nor leaks: the same client goes on.
        assert (await client.call("ask"))["error"]["code"] == "internal"


@pytest.mark.parametrize(
    ("args", "code"), [((), "bad_arguments"), ((1,), None), ((1, 2), None), ((1, 2, 3), "bad")]
)
async def test_a_wrong_number_of_arguments_is_the_clients_error(
    args: tuple[int, ...], code: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()

    @broker.on("move")
    async def move(socket: Socket, x: int, y: int = 0) -> int:
        return x + y

    async with broker.test_client() as client:
        answer = await client.call("move", *args)
    if code is None:
        assert answer == sum(args)
    else:
        assert answer["error"]["code"] == "bad_arguments"
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("bad", [object(), 2**60, "\ud800"])
async def test_an_answer_that_cannot_be_sent_is_internal_and_kills_nobody(bad: object) -> None:
    broker = Broker()

    @broker.on("ask")
    async def ask(socket: Socket) -> object:
        return bad

    async with broker.test_client() as client:
        assert (await client.call("ask"))["error"]["code"] == "internal"
        assert (await client.call("ask"))["error"]["code"] == "internal"
        for _ in range(2):
            await client.expect_error((TypeError, ValueError))


@pytest.mark.parametrize(
    "error", [EventError("code", "text", object()), EventError("code", "\ud800")]
)
async def test_an_error_that_cannot_be_sent_does_not_kill_the_connection(error: EventError) -> None:
    broker = Broker()
    reasons: list[str] = []

    @broker.on("ask")
    async def ask(socket: Socket) -> None:
        raise error

    @broker.on("fine")
    async def fine(socket: Socket) -> str:
        return "fine"

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        reasons.append(reason)

    async with broker.test_client() as client:
        await client.emit("ask")
        with trio.fail_after(1):
            answer = await client.call("ask")
        assert "error" in answer
        assert await client.call("fine") == "fine"
        assert reasons == []
        await client.expect_error((TypeError, ValueError))


async def test_a_failing_error_hook_stops_no_other_and_kills_nobody() -> None:
    broker = Broker()
    hooked: list[str] = []

    @broker.on("ask")
    async def ask(socket: Socket) -> None:
        raise ValueError

    @broker.on("error")
    async def first(socket: Socket, error: Exception, event: str) -> None:
        raise KeyError("in the hook")

    @broker.on("error")
    async def second(socket: Socket, error: Exception, event: str) -> None:
        hooked.append(event)

    async with broker.test_client() as client:
        assert (await client.call("ask"))["error"]["code"] == "internal"
        await client.expect_error(KeyError)
    assert hooked == ["ask"]


async def test_a_handler_that_lasts_longer_than_handler_timeout_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(handler_timeout=2.0)
    seen: list[Exception] = []

    @broker.on("hang")
    async def hang(socket: Socket) -> None:
        await trio.sleep_forever()

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: str) -> None:
        seen.append(error)

    async with broker.test_client() as client:
        start = trio.current_time()
        assert (await client.call("hang"))["error"]["code"] == "internal"
        assert trio.current_time() - start == pytest.approx(2.0)
    assert [type(error) for error in seen] == [trio.TooSlowError]


def test_a_keyword_only_argument_that_nobody_can_give_is_refused() -> None:
    async def picky(socket: Socket, *, mood: str) -> None: ...

    async def patient(socket: Socket, *, mood: str = "good") -> None: ...

    broker = Broker()
    with pytest.raises(TypeError, match="'mood' is keyword-only; give it a default"):
        broker.on("e", picky)
    broker.on("e", patient)
