"""Every format: what goes out comes in as it was, and any bytes are a message or the one error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import ProtocolError
from protocol.cluster.classic import Classic
from protocol.cluster.formats import EMITTER, Appended, Format, Outgoing, Wire
from protocol.cluster.messages import Answer, Envelope, Message, Request
from protocol.cluster.recovery import loads_session
from protocol.cluster.sharded import Sharded
from protocol.cluster.streams import Streams, StreamsWire, namespace_of

from . import strategies as messages

moderate = settings(deadline=None, max_examples=50)

CLASSIC = [Classic(), Classic(prefix="app", answer_all=True)]
CLUSTER: list[Format] = [
    Sharded(),
    Sharded(mode="static"),
    Sharded(mode="dynamic-private"),
    Streams(),
    Streams(stream_count=3, use_sharded=True),
]
classic = pytest.mark.parametrize("format_", CLASSIC, ids=repr)
cluster = pytest.mark.parametrize("format_", CLUSTER, ids=repr)
every = pytest.mark.parametrize("format_", [*CLASSIC, *CLUSTER], ids=repr)


def heard(wire: Wire, sent: Outgoing) -> Envelope | None:
    """Return what a node reads of what was sent, if it listens there."""
    if isinstance(sent, Appended):
        assert isinstance(wire, StreamsWire)
        assert namespace_of(sent.fields) == wire.namespace
        return wire.decode_entry(sent.fields, "1-0")
    return wire.decode(sent.channel, sent.data)


def round_trip(format_: Format, namespace: str, request: Request) -> None:
    here, there = (format_.wire(namespace, node) for node in ("here", "there"))
    sent = here.encode(request)
    envelope = heard(there, sent)
    assert envelope is not None
    assert envelope.message == request
    assert (envelope.node, envelope.namespace) == ("here", namespace)
    assert heard(here, sent) is None  # its own
    other = format_.wire(namespace + "x", "there")
    if isinstance(sent, Appended):
        assert isinstance(other, StreamsWire)
        assert other.decode_entry(sent.fields, "1-0") is None
    else:
        assert other.decode(sent.channel, sent.data) is None


def answer_round_trip(format_: Format, namespace: str, answer: Answer) -> None:
    here, there = (format_.wire(namespace, node) for node in ("here", "there"))
    sent = here.encode_answer(answer, "there")
    assert sent.channel in there.subscriptions.channels
    envelope = there.decode(sent.channel, sent.data)
    assert envelope is not None
    assert envelope.message == answer
    assert envelope.node in ("here", "")
    assert envelope.namespace == namespace


@classic
@moderate
@given(namespace=messages.namespaces, request=messages.commands | messages.classic_questions)
def test_what_a_node_of_classic_says_the_others_hear(
    format_: Format, namespace: str, request: Request
) -> None:
    round_trip(format_, namespace, request)


@cluster
@moderate
@given(namespace=messages.namespaces, request=messages.cluster_commands | messages.questions)
def test_what_a_node_says_the_others_hear(
    format_: Format, namespace: str, request: Request
) -> None:
    round_trip(format_, namespace, request)


@classic
@moderate
@given(namespace=messages.namespaces, answer=messages.classic_answers)
def test_an_answer_in_classic_comes_to_who_asked(
    format_: Format, namespace: str, answer: Answer
) -> None:
    answer_round_trip(format_, namespace, answer)


@cluster
@moderate
@given(namespace=messages.namespaces, answer=messages.answers)
def test_an_answer_comes_to_who_asked(format_: Format, namespace: str, answer: Answer) -> None:
    answer_round_trip(format_, namespace, answer)


@every
@moderate
@given(namespace=messages.namespaces, command=messages.commands)
def test_all_nodes_hear_what_an_emitter_says(
    format_: Format, namespace: str, command: Request
) -> None:
    sent = format_.wire(namespace, EMITTER).encode(command)
    envelope = heard(format_.wire(namespace, "here"), sent)
    assert envelope is not None
    assert envelope.message == command
    assert envelope.node in (EMITTER, "")


@every
@moderate
@given(question=messages.questions)
def test_an_emitter_cannot_ask(format_: Format, question: Request) -> None:
    with pytest.raises(ValueError, match="an emitter gets no answers"):
        format_.wire("/", EMITTER).encode(question)


# Any input.

keys = st.sampled_from(
    [
        *("uid", "nsp", "type", "data", "packet", "opts", "rooms", "except", "flags", "requestId"),
        *("sockets", "clientCount", "close", "sid", "room", "id", "handshake", "volatile", "pid"),
    ]
)
known = st.sampled_from(["/", "here", "there", "emitter", "e", 0, -1, 2, 5, 2**70, 1.5, "3"])
anything = st.recursive(
    messages.scalars | known | st.integers(0, 14),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=7),
    max_leaves=25,
)


def packed(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


def written(value: Any) -> bytes:
    return orjson.dumps(value, default=repr)


def _sized(value: Any) -> Any:
    """Return `value` without integers that msgpack has no form for."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return 7
    if isinstance(value, list):
        return [_sized(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _sized(inner) for key, inner in value.items()}
    return value


plausible = anything.map(_sized)
noise = (
    plausible.map(packed)
    | plausible.map(written)
    | st.binary()
    | st.binary().map(lambda data: b"{" + data)
    | st.sampled_from([b"{" + b'"a":[' * 5000, b"\x91" * 5000, b"\x81\xa1a" * 200, b""])
)


def channels(wire: Wire) -> list[str]:
    return [
        *wire.subscriptions.channels,
        *(pattern.replace("*", "") for pattern in wire.subscriptions.patterns),
        "socket.io#/#room#",
        "elsewhere",
        "",
    ]


def is_read(decode: Callable[[], Envelope | Message | None]) -> None:
    try:
        read = decode()
    except ProtocolError as error:
        assert str(error).startswith("expected ")  # noqa: PT017
    else:
        assert read is None or isinstance(getattr(read, "message", read), Message)


@every
@moderate
@given(data=noise)
def test_any_bytes_are_a_message_or_the_one_error(format_: Format, data: bytes) -> None:
    wire = format_.wire("/", "here")
    for channel in channels(wire):
        is_read(lambda channel=channel: wire.decode(channel, data))  # type: ignore[misc]


@every
@settings(deadline=None, max_examples=80)
@given(
    said=messages.commands | messages.questions,
    position=st.integers(0, 10_000),
    removed=st.integers(0, 3),
    added=st.binary(max_size=3),
)
def test_a_damaged_message_is_a_message_or_the_one_error(
    format_: Format, said: Request, position: int, removed: int, added: bytes
) -> None:
    sent = format_.wire("/", "there").encode(said)
    wire = format_.wire("/", "here")
    if isinstance(sent, Appended):
        assert isinstance(wire, StreamsWire)
        for name, data in sent.fields.items():
            at = position % (len(data) + 1)
            damaged = dict(sent.fields) | {name: data[:at] + added + data[at + removed :]}
            is_read(lambda damaged=damaged: wire.decode_entry(damaged, "1-0"))  # type: ignore[misc]
            is_read(lambda damaged=damaged: wire.decode_missed(damaged, "1-0"))  # type: ignore[misc]
        return
    at = position % (len(sent.data) + 1)
    data = sent.data[:at] + added + sent.data[at + removed :]
    is_read(lambda: wire.decode(sent.channel, data))


entries = st.dictionaries(
    st.sampled_from([b"uid", b"nsp", b"type", b"data"]) | st.binary(max_size=3),
    noise | st.sampled_from([b"/", b"there", b"3", b"8", "²".encode(), b"9" * 50]),
    max_size=5,
)


@moderate
@given(entry=entries | entries.map(lambda entry: entry | {b"nsp": b"/", b"type": b"3"}))
def test_any_entry_is_a_message_or_the_one_error(entry: dict[bytes, bytes]) -> None:
    wire = Streams().wire("/", "here")
    namespace_of(entry)
    is_read(lambda: wire.decode_entry(entry, "1-0"))
    is_read(lambda: wire.decode_missed(entry, "1-0"))


@moderate
@given(data=noise)
def test_any_saved_session_is_one_or_the_one_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        loads_session(data)
