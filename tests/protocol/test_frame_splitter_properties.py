"""Frames in, whatever comes and however it is cut; with a websocket library behind the splitter."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from protocol.websocket import FrameSplitter, Passed

MAX_SIZE = 140
FIN, MASKED = 0x80, 0x80
CONTROL = 0x8

Flat = list[str | bytes | tuple[int, bool]]


def frame(first: int, payload: bytes, mask: bytes | None) -> bytes:
    masked = 0 if mask is None else MASKED
    size = len(payload)
    if size < 126:
        head = bytes([first, masked | size])
    else:
        head = bytes([first, masked | 126]) + size.to_bytes(2, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


payloads = (
    st.text(max_size=6).map(str.encode)
    | st.binary(max_size=6)
    | st.integers(124, 150).map(lambda size: b"x" * size)
)
masks = st.binary(min_size=4, max_size=4)
# Mostly what clients send: whole messages, control frames, fragments. And now and then anything.
good = st.builds(frame, st.sampled_from([0x81, 0x82, 0x89, 0x8A]), payloads, masks)
unmasked = st.builds(frame, st.sampled_from([0x81, 0x82, 0x89, 0x80]), payloads, st.none())
odd = st.builds(frame, st.integers(0, 255), payloads, st.none() | masks)
# Fragments, control frames and whole messages in any order, which is wrong more often than not.
disorder = st.lists(
    st.sampled_from([0x01, 0x02, 0x00, 0x80, 0x81, 0x82, 0x89]), min_size=2, max_size=6
).map(lambda firsts: b"".join(frame(first, b"a", b"mask") for first in firsts))
# A fragmented message with what may stand in it.
whole = st.builds(
    lambda kind, parts, mask: b"".join(
        [
            frame(kind, parts[0], mask),
            *(frame(0x00, part, mask) + frame(0x89, b"p", mask) for part in parts[1:]),
            frame(0x80, b"end", mask),
        ]
    ),
    st.sampled_from([0x01, 0x02]),
    st.lists(st.just(b"part") | st.just("é".encode()), min_size=1, max_size=3),
    masks,
)
# A message in the middle of another, which only the library may refuse.
interrupted = st.builds(
    lambda kind, pings, inner: b"".join(
        frame(first, b"a", b"mask") for first in (kind, *[0x89] * pings, inner, 0x80)
    ),
    st.sampled_from([0x01, 0x02]),
    st.integers(0, 2),
    st.sampled_from([0x81, 0x82, 0x01, 0x02]),
)
valid_streams = st.lists(good | good | whole, max_size=8).map(b"".join)
streams = st.lists(good | whole | interrupted | disorder | unmasked | odd, max_size=8).map(b"".join)
anything = st.binary(max_size=60) | streams


@st.composite
def cut(draw: st.DrawFn, source: st.SearchStrategy[bytes]) -> list[bytes]:
    """Draw bytes and cut them anywhere, often within headers."""
    data = draw(source)
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=10))
    edges = [0, *sorted(cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def flat(items: Iterable[str | bytes | Passed]) -> Flat:
    found: Flat = []
    for item in items:
        if isinstance(item, Passed):
            found += [(byte, False) for byte in item.data[:-1]]
            found.append((item.data[-1], item.ends_message))
        else:
            found.append(item)
    return found


def fed(chunks: list[bytes]) -> list[str | bytes | Passed]:
    splitter = FrameSplitter(MAX_SIZE)
    return [item for chunk in chunks for item in splitter.feed(chunk)]


@settings(deadline=None, max_examples=200)
@given(chunks=cut(anything))
def test_no_input_raises_and_no_cut_changes_what_comes(chunks: list[bytes]) -> None:
    stream = b"".join(chunks)
    expected = flat(fed([stream]))
    assert flat(fed(chunks)) == expected
    assert flat(fed([stream[index : index + 1] for index in range(len(stream))])) == expected


@settings(deadline=None, max_examples=100)
@given(chunks=cut(anything))
def test_passed_bytes_are_bytes_of_the_stream_in_their_order(chunks: list[bytes]) -> None:
    remaining = iter(b"".join(chunks))
    for item in fed(chunks):
        if isinstance(item, Passed):
            assert all(byte in remaining for byte in item.data)
        else:
            assert len(item.encode() if isinstance(item, str) else item) <= MAX_SIZE


# The library alone must hear the same as the library behind the splitter.

REFUSED = "refused"
Heard = tuple[str, str | bytes]  # "message" or the kind of control frame, and its data


class Library:
    """A websocket library in a server; `heard` is what it has made of what it was given."""

    def __init__(self) -> None:
        self.protocol = FrameProtocol(client=False, extensions=[])
        self.heard: list[Heard] = []
        self.parts: list[str | bytes] = []
        self.refused = False

    def receive(self, data: bytes) -> int:
        """Take `data`; return how many messages it completes."""
        if self.refused:
            return 0
        self.protocol.receive_bytes(data)
        messages = 0
        try:
            for part in self.protocol.received_frames():
                if part.opcode & CONTROL:
                    self.heard.append((part.opcode.name, repr(part.payload)))
                    continue
                assert isinstance(part.payload, str | bytes)
                self.parts.append(part.payload)
                if part.frame_finished and part.message_finished:
                    empty = self.parts[0][:0]
                    self.heard.append(("message", empty.join(self.parts)))  # type: ignore[arg-type]
                    self.parts = []
                    messages += 1
        except ParseFailed as error:
            self.refused = True
            self.heard.append((REFUSED, str(error.code)))
        return messages


def heard_alone(stream: bytes) -> list[Heard]:
    library = Library()
    library.receive(stream)
    return library.heard


def heard_behind(chunks: list[bytes]) -> list[Heard]:
    """Let the library have what is passed; what it has refused is the end, as in a session."""
    library = Library()
    splitter = FrameSplitter(MAX_SIZE)
    for chunk in chunks:
        for item in splitter.feed(chunk):
            if library.refused:
                return library.heard
            if isinstance(item, Passed):
                messages = library.receive(item.data)
                assert library.refused or messages == item.ends_message
            else:
                library.heard.append(("message", item))
    return library.heard


@settings(deadline=None, max_examples=100)
@given(chunks=cut(valid_streams))
def test_a_stream_is_the_same_with_and_without_a_splitter(chunks: list[bytes]) -> None:
    alone = heard_alone(b"".join(chunks))
    assert heard_behind(chunks) == alone


@settings(deadline=None, max_examples=200)
@given(chunks=cut(streams))
def test_a_broken_stream_is_refused_at_the_same_place_with_a_splitter(chunks: list[bytes]) -> None:
    alone = heard_alone(b"".join(chunks))
    assert heard_behind(chunks) == alone
