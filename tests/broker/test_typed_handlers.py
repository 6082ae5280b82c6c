"""Handlers typed by their annotations: what a client sends fits, or is the client's error."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import logging
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import Broker, EventError, NamespaceHandlers, Socket
from broker.handlers.dispatch import Call
from broker.handlers.handler import Handler

if TYPE_CHECKING:
    from elsewhere import Unknown  # type: ignore[import-not-found]


class User(msgspec.Struct):
    name: str
    age: int = 0


class Message(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    author: User | None = None
    tags: list[str] = []
    picture: bytes = b""


@attrs.frozen
class Move:
    x: int = attrs.field(validator=attrs.validators.ge(0))
    y: int = attrs.field(validator=attrs.validators.in_((0, 1, 2)))


@dataclasses.dataclass
class Order:
    item: str
    at: dt.datetime | None = None
    parts: list[Order] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if self.item == "nothing":
            raise ValueError("order something")
        if self.item == "bug":
            raise KeyError("a bug")


class Filters(TypedDict):
    query: str
    limit: NotRequired[int]


class Colour(enum.Enum):
    RED = "red"


class Circle(msgspec.Struct, tag="circle"):
    radius: float


class Square(msgspec.Struct, tag="square"):
    side: float


class Opaque:
    """What no client can send."""


parsers = pytest.mark.parametrize("parser", ["json", "msgpack"])


def listening(function: Any, parser: Any = "json") -> Broker:
    broker = Broker(parser=parser)
    broker.on("event", function)
    return broker


async def sent(function: Any, *args: object, parser: Any = "json") -> Any:
    """Return the ack of one event."""
    async with listening(function, parser).test_client() as client:
        return await client.call("event", *args)


def refusal(argument: int, text: str, path: str | None = None) -> dict[str, Any]:
    data = {"argument": argument} | ({} if path is None else {"path": path})
    where = "" if path is None else f" - at `{path}`"
    message = f"argument {argument}: {text}{where}"
    return {"error": {"code": "bad_arguments", "message": message, "data": data}}


NOT_A_NUMBER = refusal(1, "Expected `int`, got `str` - at `key` in `$`")
NOT_A_NUMBER["error"]["data"]["path"] = "$"


# The kinds of annotations. Each handler says what it got.


async def struct(socket: Socket, message: Message) -> str:
    return repr(message)


async def attrs_class(socket: Socket, move: Move) -> str:
    return repr(move)


async def dataclass(socket: Socket, order: Order) -> str:
    return repr(order)


async def typed_dict(socket: Socket, filters: Filters) -> str:
    return repr(filters)


async def many(socket: Socket, users: list[User]) -> str:
    return repr(users)


async def perhaps(socket: Socket, user: User | None) -> str:
    return repr(user)


async def by_name(socket: Socket, users: dict[str, User]) -> str:
    return repr(users)


async def either(socket: Socket, shape: Circle | Square) -> str:
    return repr(shape)


async def text(socket: Socket, value: str) -> str:
    return repr(value)


async def integer(socket: Socket, value: int) -> str:
    return repr(value)


async def number(socket: Socket, value: float) -> str:
    return repr(value)


async def data(socket: Socket, value: bytes) -> str:
    return repr(value)


async def positive(socket: Socket, value: Annotated[int, msgspec.Meta(gt=0)]) -> str:
    return repr(value)


async def literal(socket: Socket, value: Literal["a", "b"]) -> str:
    return repr(value)


async def enumerated(socket: Socket, value: Colour) -> str:
    return repr(value)


async def moment(socket: Socket, value: dt.datetime) -> str:
    return repr(value)


async def exact(socket: Socket, value: Decimal) -> str:
    return repr(value)


async def unique(socket: Socket, value: uuid.UUID) -> str:
    return repr(value)


async def numbered(socket: Socket, value: dict[int, str]) -> str:
    return repr(value)


async def distinct(socket: Socket, value: set[Any]) -> str:
    return repr(value)


NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
ID = uuid.UUID(int=7)


@parsers
@pytest.mark.parametrize(
    ("function", "value", "got"),
    [
        (struct, {"text": "hi"}, Message("hi")),
        (
            struct,
            {"text": "hi", "author": {"name": "ann"}, "tags": ["a"], "picture": b"\x00png"},
            Message("hi", User("ann"), ["a"], b"\x00png"),
        ),
        (attrs_class, {"x": 1, "y": 2}, Move(1, 2)),
        (attrs_class, Move(1, 2), Move(1, 2)),
        (
            dataclass,
            {"item": "tea", "at": NOON, "parts": [{"item": "cup"}]},
            Order("tea", NOON, [Order("cup")]),
        ),
        (typed_dict, {"query": "tea", "more": 1}, {"query": "tea"}),
        (many, [{"name": "ann"}, {"name": "bob", "age": 3}], [User("ann"), User("bob", 3)]),
        (perhaps, None, None),
        (perhaps, {"name": "ann"}, User("ann")),
        (by_name, {"a": {"name": "ann"}}, {"a": User("ann")}),
        (either, {"type": "square", "side": 2}, Square(2.0)),
        (text, "hi", "hi"),
        (integer, 3, 3),
        (number, 3, 3.0),
        (data, b"\xff", b"\xff"),
        (positive, 1, 1),
        (literal, "a", "a"),
        (enumerated, "red", Colour.RED),
        (moment, NOON, NOON),
        (exact, "1.5", Decimal("1.5")),
        (unique, str(ID), ID),
        (numbered, {"1": "one"}, {1: "one"}),
        (distinct, ["a", "a"], {"a"}),
    ],
)
async def test_a_handler_gets_what_its_annotation_says(
    function: Any, value: object, got: object, parser: str
) -> None:
    assert await sent(function, value, parser=parser) == repr(got)


@parsers
@pytest.mark.parametrize(
    ("function", "value", "refused"),
    [
        (struct, {}, refusal(1, "Object missing required field `text`")),
        (struct, {"text": 3}, refusal(1, "Expected `str`, got `int`", "$.text")),
        (
            struct,
            {"text": "", "author": {"name": None}},
            refusal(1, "Expected `str`, got `null`", "$.author.name"),
        ),
        (
            struct,
            {"text": "", "tags": ["a", 1]},
            refusal(1, "Expected `str`, got `int`", "$.tags[1]"),
        ),
        (
            struct,
            {"text": "", "picture": "YQ=="},
            refusal(1, "Expected `bytes`, got `str`", "$.picture"),
        ),
        (struct, {"text": "", "x": 1}, refusal(1, "Object contains unknown field `x`")),
        (struct, [], refusal(1, "Expected `object`, got `array`")),
        (struct, None, refusal(1, "Expected `object`, got `null`")),
        (attrs_class, {"x": 1}, refusal(1, "Object missing required field `y`")),
        (attrs_class, {"x": -1, "y": 0}, refusal(1, "'x' must be >= 0: -1")),
        (attrs_class, {"x": 1, "y": 7}, refusal(1, "'y' must be in (0, 1, 2) (got 7)")),
        (dataclass, {"item": "nothing"}, refusal(1, "order something")),
        (
            dataclass,
            {"item": "tea", "parts": [{"item": 1}]},
            refusal(1, "Expected `str`, got `int`", "$.parts[0].item"),
        ),
        (typed_dict, {"limit": 1}, refusal(1, "Object missing required field `query`")),
        (
            typed_dict,
            {"query": "", "limit": "1"},
            refusal(1, "Expected `int`, got `str`", "$.limit"),
        ),
        (many, [{"name": "ann"}, 3], refusal(1, "Expected `object`, got `int`", "$[1]")),
        (perhaps, 1, refusal(1, "Expected `object | null`, got `int`")),
        (either, {"type": "line"}, refusal(1, "Invalid value 'line'", "$.type")),
        (text, 3, refusal(1, "Expected `str`, got `int`")),
        (text, b"hi", refusal(1, "Expected `str`, got `bytes`")),
        (integer, "1", refusal(1, "Expected `int`, got `str`")),
        (integer, True, refusal(1, "Expected `int`, got `bool`")),
        (integer, 1.5, refusal(1, "Expected `int`, got `float`")),
        (number, "1", refusal(1, "Expected `float`, got `str`")),
        (data, "aGk=", refusal(1, "Expected `bytes`, got `str`")),
        (positive, 0, refusal(1, "Expected `int` >= 1")),
        (literal, "c", refusal(1, "Invalid enum value 'c'")),
        (enumerated, "blue", refusal(1, "Invalid enum value 'blue'")),
        (moment, "noon", refusal(1, "Invalid RFC3339 encoded datetime")),
        (unique, "7", refusal(1, "Invalid UUID")),
        (numbered, {"one": "1"}, NOT_A_NUMBER),
        (distinct, [[]], refusal(1, "unhashable type: 'list'")),
    ],
)
async def test_what_does_not_fit_is_answered_with_its_place_and_no_handler_runs(
    function: Any, value: object, refused: object, parser: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    @functools.wraps(function)
    async def counting(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return await function(*args)

    caplog.set_level(logging.INFO)
    errors = []
    broker = listening(counting, parser)

    @broker.on("error")
    async def error(socket: Socket, raised: Exception, event: str) -> None:
        errors.append(raised)

    async with broker.test_client() as client:
        assert await client.call("event", value) == refused
        await client.emit("event", value)  # without an ack it is dropped
        await client.expect_nothing()
    assert (calls, errors) == (0, [])
    records = [record for record in caplog.records if "bad_arguments" in record.getMessage()]
    assert [record.levelname for record in records] == ["INFO", "INFO"]
    assert all(client.id in record.getMessage() for record in records)
    assert "Traceback" not in caplog.text


class Renamed(msgspec.Struct, rename="camel", tag=True):
    line_width: int


async def echo(socket: Socket, value: Renamed | Circle) -> object:
    return value


@parsers
async def test_a_struct_goes_out_as_it_comes_in(parser: str) -> None:
    for value in ({"type": "Renamed", "lineWidth": 3}, {"type": "circle", "radius": 1.5}):
        assert await sent(echo, value, parser=parser) == value


async def test_a_refusal_is_one_short_line_whatever_was_sent() -> None:
    message = (await sent(struct, {"text": "", "line\nline" * 10_000: 1}))["error"]["message"]
    assert message.startswith("argument 1: Object contains unknown field `line line")
    assert len(message) < 400


# Which arguments.


async def test_each_argument_has_its_own_annotation_and_defaults_are_as_they_are() -> None:
    async def event(
        socket: Socket, user: User, anything: object, unsaid, move: Move | None = None, *rest: int
    ) -> str:
        return repr((user, anything, unsaid, move, rest))

    ann = {"name": "ann"}
    assert await sent(event, ann, ann, ann) == repr((User("ann"), ann, ann, None, ()))
    assert await sent(event, ann, 1, 2, {"x": 1, "y": 2}, 3, 4) == repr(
        (User("ann"), 1, 2, Move(1, 2), (3, 4))
    )
    assert await sent(event, ann, 1, 2, {"x": 1}) == refusal(4, "Object missing required field `y`")
    assert await sent(event, ann, 1, 2, None, 3, "4") == refusal(6, "Expected `int`, got `str`")


async def test_too_few_arguments_are_still_a_matter_of_their_number() -> None:
    message = (await sent(struct))["error"]["message"]
    assert message == "expected 1 argument, got 0"


async def test_handlers_of_a_socket_have_no_socket_before_their_arguments() -> None:
    broker = Broker()

    @broker.on("connection")
    async def connected(socket: Socket) -> None:
        @socket.on("event")
        async def event(user: User) -> str:
            return repr(user)

        @socket.once("first")
        async def first(*users: User) -> str:
            return repr(users)

    async with broker.test_client() as client:
        assert await client.call("event", {"name": "ann"}) == repr(User("ann"))
        assert await client.call("event", 1) == refusal(1, "Expected `object`, got `int`")
        # What calls nobody does not use a handler of `once` up.
        refused = refusal(2, "Expected `object`, got `int`")
        assert await client.call("first", {"name": "ann"}, 1) == refused
        assert await client.call("first", {"name": "ann"}) == repr((User("ann"),))


class Chat(NamespaceHandlers):
    async def on_message(self, socket: Socket, message: Message) -> str:
        return repr(message)


async def test_methods_of_a_class_are_typed_as_functions_are() -> None:
    broker = Broker()
    broker.register(Chat())
    async with broker.test_client() as client:
        assert await client.call("message", {"text": "hi"}) == repr(Message("hi"))
        assert await client.call("message", "hi") == refusal(1, "Expected `object`, got `str`")


@functools.wraps(perhaps)
async def counted(*args: Any) -> str:
    return await perhaps(*args)


class Callee:
    async def __call__(self, socket: Socket, user: User) -> str:
        return repr(user)


@pytest.mark.parametrize(
    "function",
    [
        Callee(),
        Callee().__call__,
        functools.partial(perhaps),
        functools.partial(counted),
    ],
)
async def test_partials_methods_and_callable_objects_are_typed_too(function: Any) -> None:
    assert await sent(function, {"name": "ann"}) == repr(User("ann"))
    assert (await sent(function, 1))["error"]["code"] == "bad_arguments"


async def test_the_types_of_the_function_around_are_found_if_the_handler_uses_them() -> None:
    class Local(msgspec.Struct):
        value: int

    async def event(socket: Socket, local: Local) -> bool:
        return isinstance(local, Local)

    assert await sent(event, {"value": 1}) is True
    assert (await sent(event, 1))["error"]["code"] == "bad_arguments"


async def test_all_payloads_are_checked_before_the_first_handler_runs() -> None:
    broker = Broker()
    seen: list[object] = []

    @broker.on("event")
    async def anything(socket: Socket, value: object) -> None:
        seen.append(value)

    @broker.on("event")
    async def one_user(socket: Socket, user: User) -> None:
        seen.append(user)

    async with broker.test_client() as client:
        assert (await client.call("event", 1))["error"]["code"] == "bad_arguments"
        assert seen == []
        await client.call("event", {"name": "ann"})
        assert seen == [{"name": "ann"}, User("ann")]


async def test_catch_alls_and_loops_get_what_was_sent() -> None:
    broker = Broker()
    seen: list[object] = []

    @broker.on_any
    async def see(socket: Socket, event: str, *args: User) -> None:
        seen.append(args)

    @broker.on_unhandled
    async def other(socket: Socket, event: str, *args: User) -> None:
        seen.append(args)

    @broker.on_socket
    async def life(socket: Socket) -> None:
        async for received in socket.events("loop"):
            seen.append(received.args)
            received.ack()

    async with broker.test_client() as client:
        await client.call("event", 1)
        await client.call("loop", 2)
    assert seen == [(1,), (1,), (2,), (2,)]


async def test_a_failure_of_the_type_itself_is_the_programs() -> None:
    broker = listening(dataclass)
    async with broker.test_client() as client:
        assert (await client.call("event", {"item": "bug"}))["error"]["code"] == "internal"
        await client.expect_error(KeyError)


# What cannot be checked.


async def unknown(socket: Socket, value: Unknown) -> object:
    return value


async def prose(socket: Socket, value: "the user's name") -> object:  # type: ignore[valid-type] # noqa: F722
    return value


async def opaque(socket: Socket, value: Opaque) -> object:
    return value


async def opaques(socket: Socket, value: list[Opaque] | None) -> object:
    return value


async def text_or_data(socket: Socket, value: str | bytes) -> object:
    return value


async def call(socket: Socket, value: Callable[..., Any]) -> object:
    return value


async def no_type(socket: Socket, value: 3) -> object:  # type: ignore[valid-type]
    return value


@pytest.mark.parametrize("function", [opaque, opaques, text_or_data, call, no_type])
async def test_what_no_client_can_send_is_not_checked(
    function: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert await sent(function, 7) == 7
    assert "checked" not in caplog.text


@pytest.mark.parametrize("function", [unknown, prose])
async def test_an_annotation_that_cannot_be_found_is_logged_once_and_not_checked(
    function: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert await sent(function, 7) == 7
    (record,) = [record for record in caplog.records if "is not checked" in record.getMessage()]
    assert record.levelname == "WARNING"
    assert function.__qualname__ in record.getMessage()
    caplog.clear()
    assert await sent(function, 7) == 7
    assert "is not checked" not in caplog.text


async def typed_beside_unknown(socket: Unknown, user: User, other: Unknown = None) -> str:
    return repr(user)


async def test_the_other_annotations_of_such_a_handler_are_checked() -> None:
    assert await sent(typed_beside_unknown, {"name": "ann"}) == repr(User("ann"))
    assert (await sent(typed_beside_unknown, 1))["error"]["code"] == "bad_arguments"


@attrs.define
class Stamped:
    text: str
    checked: bool = attrs.field(init=False, default=False)


@dataclasses.dataclass
class Outer:
    inner: list[Stamped]


class HoldsOpaque(msgspec.Struct):
    opaque: Opaque | None = None


async def two_untagged(socket: Socket, value: User | Message) -> None: ...


async def with_opaque(socket: Socket, value: HoldsOpaque) -> None: ...


async def stamped(socket: Socket, value: dict[str, Outer]) -> None: ...


async def variadic(socket: Socket, *values: User | Message) -> None: ...


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


async def mixed(socket: Socket, value: Mixed) -> None: ...


async def mixed_inside(socket: Socket, value: dict[str, Mixed | None]) -> None: ...


async def literal_of_enum(socket: Socket, value: Literal[Colour.RED]) -> None: ...


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (two_untagged, r"two_untagged: .*`value`.* tagged"),
        (variadic, r"variadic: .*values"),
        (with_opaque, r"no client can send Opaque"),
        (stamped, r"Stamped\.checked, which is declared with init=False"),
        (mixed, r"mixed: .*`value`.* all str or all int .*Mixed"),
        (mixed_inside, r"mixed_inside: .* all str or all int .*Mixed"),
        (literal_of_enum, r"literal_of_enum: .*Literal may only contain"),
    ],
)
def test_a_model_or_choice_that_can_never_be_checked_is_refused(function: Any, why: str) -> None:
    broker = Broker()
    with pytest.raises(TypeError, match=why):
        broker.on("event", function)
    assert broker.listeners("event") == []
    broker.on("connection")(connected_with_a_model)  # hooks are not called by clients


async def connected_with_a_model(socket: User | Message) -> None: ...


def test_a_handler_without_annotations_is_checked_for_nothing() -> None:
    async def plain(socket, *args): ...  # type: ignore[no-untyped-def]

    async def anything(socket: Socket, a: Any, b: object, *rest: object, k: int = 0) -> None: ...

    assert Handler.of(plain, lead=1).payload is None
    assert Handler.of(anything, lead=1).payload is None


# Whatever a client sends.

NAMES = (
    *("text", "author", "tags", "picture", "name", "age", "x", "y", "item", "at", "parts"),
    *("query", "limit", "type", "radius", "side"),
)

json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["red", "a", "circle", "square", "2024-05-01T12:00:00Z"])
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=8,
)


def is_message(value: Any) -> bool:
    return (
        type(value) is Message
        and type(value.text) is str
        and (value.author is None or is_user(value.author))
        and type(value.tags) is list
        and all(type(tag) is str for tag in value.tags)
        and type(value.picture) is bytes
    )


def is_user(value: Any) -> bool:
    return type(value) is User and type(value.name) is str and type(value.age) is int


def is_move(value: Any) -> bool:
    return type(value) is Move and type(value.x) is type(value.y) is int and value.x >= 0


def is_order(value: Any) -> bool:
    return (
        type(value) is Order
        and type(value.item) is str
        and (value.at is None or type(value.at) is dt.datetime)
        and all(map(is_order, value.parts))
    )


def is_filters(value: Any) -> bool:
    return (
        type(value) is dict
        and type(value["query"]) is str
        and type(value.get("limit", 0)) is int
        and value.keys() <= {"query", "limit"}
    )


KINDS: list[tuple[Any, Callable[[Any], bool]]] = [
    (struct, is_message),
    (attrs_class, is_move),
    (dataclass, is_order),
    (typed_dict, is_filters),
    (many, lambda value: type(value) is list and all(map(is_user, value))),
    (perhaps, lambda value: value is None or is_user(value)),
    (either, lambda value: isinstance(value, Circle | Square)),
    (text, lambda value: type(value) is str),
    (integer, lambda value: type(value) is int),
    (number, lambda value: type(value) is float),
    (data, lambda value: type(value) is bytes),
    (enumerated, lambda value: value is Colour.RED),
    (distinct, lambda value: type(value) is set),
]


@pytest.mark.parametrize(("function", "fits"), KINDS, ids=lambda it: getattr(it, "__name__", ""))
@given(value=json)
def test_whatever_is_sent_the_handler_gets_its_type_or_nothing(
    function: Any, fits: Callable[[Any], bool], value: Any
) -> None:
    call = Call(Handler.of(function, lead=1), (None,))
    try:
        call.take([value])
    except EventError as error:
        refused = error
    else:
        assert fits(call.args[0])
        return
    assert refused.code == "bad_arguments"
