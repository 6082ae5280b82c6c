"""Deflated messages, whatever they hold and however they are cut; beside another's library."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol

from protocol.deflate import Inflater, InflatingSplitter, deflated_binary_frame, deflated_text_frame
from protocol.websocket import Passed

from .frames import BINARY, CONTINUATION, FIN, PING, RSV1, TEXT, deflated, fragments
from .frames import frame as masked

MAX_SIZE = 300
AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

# Bytes, and what is to be heard of them: messages, and control frames as (name, payload).
Heard = str | bytes | tuple[str, bytes]

texts = st.text(max_size=30) | st.integers(0, 70).map(lambda size: "é" * size)
payloads = texts.map(str.encode) | st.binary(max_size=40)
pings = st.binary(max_size=3).map(
    lambda payload: (masked(FIN | PING, payload), [("PING", payload)])
)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[Heard]]:
    """One message, plain or deflated, whole or in fragments with pings between."""
    message = draw(texts | st.binary(max_size=40))
    opcode = TEXT if isinstance(message, str) else BINARY
    payload = message.encode() if isinstance(message, str) else message
    if draw(st.booleans()):
        return masked(FIN | opcode, payload), [message]
    stream, heard = b"", list[Heard]()
    for index, one in enumerate(
        fragments(opcode, payload, *draw(st.lists(st.integers(0, 50), max_size=4)))
    ):
        for ping, its in draw(st.lists(pings, max_size=2)) if index else ():
            stream += ping
            heard += its
        stream += one
    return stream, [*heard, message]


valid = st.lists(messages() | pings, max_size=6).map(
    lambda parts: (
        b"".join(data for data, _ in parts),
        [one for _, heard in parts for one in heard],
    )
)
firsts = st.sampled_from(
    [
        opcode | final | reserved
        for opcode in (TEXT, BINARY, CONTINUATION, PING)
        for final in (0, FIN)
        for reserved in (0, RSV1)
    ]
)
bodies = payloads | payloads.map(deflated) | st.just(deflated(b"a" * 10_000))
odd = st.builds(masked, firsts | st.integers(0, 255), bodies)
streams = st.lists(messages().map(lambda one: one[0]) | odd, max_size=6).map(b"".join) | st.binary(
    max_size=60
)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(data)) for place in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


cuts = st.lists(st.integers(0, 300), max_size=10)


def inflated(chunks: Iterable[bytes]) -> bytes:
    inflater = Inflater(MAX_SIZE)
    return b"".join(piece for chunk in chunks for piece in inflater.feed(chunk))


@settings(deadline=None, max_examples=200)
@given(stream=streams, cuts=cuts)
def test_no_input_raises_and_no_cut_changes_what_comes(stream: bytes, cuts: list[int]) -> None:
    expected = inflated([stream])
    assert inflated(cut(stream, cuts)) == expected
    assert inflated(stream[index : index + 1] for index in range(len(stream))) == expected


@settings(deadline=None, max_examples=100)
@given(stream=streams)
def test_no_message_is_larger_than_is_allowed(stream: bytes) -> None:
    for item in InflatingSplitter(MAX_SIZE).feed(stream):
        if not isinstance(item, Passed):
            assert len(item.encode() if isinstance(item, str) else item) <= MAX_SIZE


@settings(deadline=None, max_examples=200)
@given(sent=valid, cuts=cuts)
def test_a_good_stream_is_heard_in_its_order(
    sent: tuple[bytes, list[Heard]], cuts: list[int]
) -> None:
    stream, expected = sent
    library = FrameProtocol(client=False, extensions=[])
    heard: list[Heard] = []
    splitter = InflatingSplitter(MAX_SIZE)
    for chunk in cut(stream, cuts):
        for item in splitter.feed(chunk):
            if isinstance(item, Passed):
                library.receive_bytes(item.data)
                parts = library.received_frames()
                heard += [(part.opcode.name, bytes(part.payload)) for part in parts]  # type: ignore[arg-type]
            else:
                heard.append(item)
    assert heard == expected


@settings(deadline=None, max_examples=100)
@given(
    sent=st.lists(st.text() | st.binary() | st.just("long" * 99), max_size=5),
    threshold=st.integers(0, 50),
)
def test_what_goes_out_is_what_a_client_hears(sent: list[str | bytes], threshold: int) -> None:
    extension = PerMessageDeflate()
    extension.finalize(AGREED)
    client = FrameProtocol(client=True, extensions=[extension])
    for message in sent:
        if isinstance(message, str):
            client.receive_bytes(deflated_text_frame(message.encode(), threshold))
        else:
            client.receive_bytes(deflated_binary_frame(message, threshold))
    heard = [
        part.payload if isinstance(part.payload, str) else bytes(part.payload)  # type: ignore[arg-type]
        for part in client.received_frames()
    ]
    assert heard == sent
