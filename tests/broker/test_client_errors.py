"""What a handler or hook of a test client fails with fails the test."""

from __future__ import annotations

import traceback

import pytest

from broker import Broker, ConnectError, EventError, JoinRefused, Socket
from broker.testing.carriers import Carrier

from .carried import over_each_carrier

# Errors of handlers and hooks.


@over_each_carrier
async def test_an_exception_of_a_handler_fails_the_test_with_its_traceback(over: Carrier) -> None:
    broker = Broker()

    @broker.on("divide")
    async def divide(socket: Socket, number: int) -> float:
        return 1 / number

    async def scenario() -> None:
        async with broker.test_client(over=over) as client:
            assert await client.call("divide", 2) == 0.5
            await client.emit("divide", 0)

    with pytest.raises(ZeroDivisionError) as caught:
        await scenario()
    assert "return 1 / number" in "".join(traceback.format_exception(caught.value))


@over_each_carrier
async def test_several_exceptions_come_in_a_group_under_the_clients_name(over: Carrier) -> None:
    broker = Broker()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        raise KeyError("in the hook")

    @broker.on("fail")
    async def fail(socket: Socket) -> None:
        raise ValueError("in the handler")

    @broker.on("disconnect")
    async def gone(socket: Socket, reason: str) -> None:
        raise LookupError("at the end")

    with pytest.raises(ExceptionGroup, match="ann") as caught:
        async with broker.test_client(over=over, name="ann") as client:
            await client.call("fail")
    assert [type(error) for error in caught.value.exceptions] == [KeyError, ValueError, LookupError]


@over_each_carrier
async def test_only_the_client_whose_handler_failed_is_told(over: Carrier) -> None:
    broker = Broker()

    @broker.on("fail")
    async def fail(socket: Socket) -> None:
        raise ValueError("bob's")

    async with broker.test_client(over=over) as ann:
        with pytest.raises(ValueError, match="bob's"):
            async with broker.test_client(over=over) as bob:
                await bob.emit("fail")
        await ann.expect_nothing()


@over_each_carrier
async def test_refusals_and_what_is_the_clients_fault_fail_no_test(over: Carrier) -> None:
    broker = Broker()

    @broker.on("refuse")
    async def refuse(socket: Socket) -> None:
        raise EventError("no", "not today")

    @broker.on("full")
    async def full(socket: Socket) -> None:
        raise JoinRefused("full", room="r")

    @broker.on("two")
    async def two(socket: Socket, first: int, second: int) -> None:
        pass

    async with broker.test_client(over=over) as client:
        assert (await client.call("refuse"))["error"]["code"] == "no"
        assert (await client.call("full"))["error"]["code"] == "join_refused"
        assert (await client.call("two", 1))["error"]["code"] == "bad_arguments"
        with pytest.raises(AssertionError, match="ValueError, saw none"):
            await client.expect_error(ValueError)


@over_each_carrier
async def test_an_error_that_is_expected_fails_no_test(over: Carrier) -> None:
    broker = Broker()

    @broker.on("fail")
    async def fail(socket: Socket, text: str) -> None:
        raise ValueError(text)

    async with broker.test_client(over=over) as client:
        await client.emit("fail", "first")
        await client.emit("fail", "second")
        assert str(await client.expect_error(ValueError)) == "first"
        assert str(await client.expect_error(Exception)) == "second"
        with pytest.raises(AssertionError, match="none fail"):
            await client.expect_error(Exception)


@over_each_carrier
async def test_an_error_of_another_kind_is_named_and_still_fails_the_test(over: Carrier) -> None:
    broker = Broker()

    @broker.on("fail")
    async def fail(socket: Socket) -> None:
        raise ValueError("x")

    async def scenario() -> None:
        async with broker.test_client(over=over) as client:
            await client.emit("fail")
            with pytest.raises(AssertionError, match=r"KeyError, saw \[ValueError"):
                await client.expect_error(KeyError)

    with pytest.raises(ValueError, match="x"):
        await scenario()


@over_each_carrier
async def test_an_error_that_a_hook_has_got_fails_no_test(over: Carrier) -> None:
    broker = Broker()

    @broker.on("fail")
    async def fail(socket: Socket) -> None:
        raise ValueError("x")

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: str) -> None:
        await socket.emit("sorry", event)

    async with broker.test_client(over=over) as client:
        await client.emit("fail")
        assert await client.expect("sorry") == ("fail",)
        assert str(await client.expect_error(ValueError)) == "x"  # it may be looked at


@over_each_carrier
async def test_a_hook_that_raises_it_again_fails_the_test(over: Carrier) -> None:
    broker = Broker()

    @broker.on("fail")
    async def fail(socket: Socket) -> None:
        raise ValueError("x")

    @broker.on("error")
    async def failed(socket: Socket, error: Exception, event: str) -> None:
        raise error

    with pytest.raises(ValueError, match="x"):
        async with broker.test_client(over=over) as client:
            await client.emit("fail")


@over_each_carrier
async def test_an_event_that_cannot_come_as_its_handler_failed_raises_the_error(
    over: Carrier,
) -> None:
    broker = Broker()

    @broker.on("ask")
    async def ask(socket: Socket) -> None:
        await socket.emit("first")
        raise ValueError("before the second")

    async def scenario() -> None:
        async with broker.test_client(over=over) as client:
            await client.emit("ask")
            assert await client.expect("first") == ()
            await client.expect("second")

    with pytest.raises(ValueError, match="before the second"):
        await scenario()


@over_each_carrier
async def test_a_task_of_a_socket_that_fails_fails_the_test(over: Carrier) -> None:
    broker = Broker()

    async def work() -> None:
        raise ValueError("in a task")

    @broker.on("start")
    async def start(socket: Socket) -> None:
        socket.nursery.start_soon(work)

    with pytest.raises(ValueError, match="in a task"):
        async with broker.test_client(over=over) as client:
            await client.emit("start")


@over_each_carrier
async def test_a_failure_of_the_test_has_the_handlers_error_as_its_cause(over: Carrier) -> None:
    broker = Broker()

    @broker.on("double")
    async def double(socket: Socket, number: int) -> int:
        raise ValueError("the reason")

    with pytest.raises(AssertionError) as caught:
        async with broker.test_client(over=over) as client:
            assert await client.call("double", 2) == 4
    assert str(caught.value.__cause__) == "the reason"

    async def scenario() -> None:
        async with broker.test_client(over=over) as client:
            answer = await client.call("double", 2)
            try:
                answer["double"]
            except KeyError as missing:
                raise AssertionError from missing

    with pytest.raises(AssertionError) as caught:
        await scenario()
    assert isinstance(caught.value.__cause__, KeyError)
    assert "ValueError: the reason" in caught.value.__notes__[0]


@over_each_carrier
async def test_middleware_that_fails_is_the_cause_of_the_refusal(over: Carrier) -> None:
    broker = Broker()

    @broker.use
    async def look_up(socket: Socket) -> None:
        raise LookupError("no table of users")

    with pytest.raises(ConnectError, match="internal error") as caught:
        async with broker.test_client(over=over):
            pass
    assert str(caught.value.__cause__) == "no table of users"
