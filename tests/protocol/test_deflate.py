"""permessage-deflate: what is agreed, what goes out, and what becomes of what comes in."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode

from protocol.deflate import (
    InflatingSplitter,
    deflated_binary_frame,
    deflated_text_frame,
    negotiated,
)
from protocol.websocket import Passed, binary_frame, text_frame

from .frames import BINARY, CLOSE, CONTINUATION, FIN, MASK, PING, RSV1, TEXT, deflated, fragments
from .frames import frame as masked

PLAIN = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
LIMIT = 1000


# What is agreed.


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        pytest.param("permessage-deflate", PLAIN, id="bare"),
        pytest.param("permessage-deflate; client_max_window_bits", PLAIN, id="Chromium"),
        pytest.param("permessage-deflate;client_max_window_bits=10", PLAIN, id="smaller window"),
        pytest.param('permessage-deflate; client_max_window_bits="10"', PLAIN, id="quoted"),
        pytest.param(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            PLAIN,
            id="no context",
        ),
        pytest.param(
            "permessage-deflate; server_max_window_bits=15",
            f"{PLAIN}; server_max_window_bits=15",
            id="the whole window",
        ),
        pytest.param("permessage-deflate; server_max_window_bits=10", None, id="our window"),
        pytest.param(
            "permessage-deflate; server_max_window_bits=10, permessage-deflate", PLAIN, id="second"
        ),
        pytest.param("x-webkit-deflate-frame , permessage-deflate", PLAIN, id="another before"),
        pytest.param('foo; a="b"; c, permessage-deflate', PLAIN, id="another with parameters"),
        pytest.param(" ,, permessage-deflate ,\t,", PLAIN, id="empty elements"),
        pytest.param("permessage-deflate; unknown", None, id="unknown parameter"),
        pytest.param("permessage-deflate; unknown=1, permessage-deflate", PLAIN, id="then known"),
        pytest.param("permessage-deflate; server_max_window_bits", None, id="no value"),
        pytest.param("permessage-deflate; server_max_window_bits=16", None, id="too many bits"),
        pytest.param("permessage-deflate; client_max_window_bits=7", None, id="too few bits"),
        pytest.param("permessage-deflate; client_max_window_bits=08", None, id="leading zero"),
        pytest.param("permessage-deflate; server_no_context_takeover=1", None, id="a value"),
        pytest.param(
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            None,
            id="one parameter twice",
        ),
        pytest.param("permessage-deflate; =, permessage-deflate", None, id="no grammar"),
        pytest.param('permessage-deflate; a="b, permessage-deflate', None, id="open quote"),
        pytest.param("permessage-deflate permessage-deflate", None, id="no comma"),
        pytest.param("permessage-deflat", None, id="another"),
        pytest.param("", None, id="nothing"),
        pytest.param(", ,", None, id="commas"),
    ],
)
def test_the_first_offer_that_can_be_met_is_answered(offers: str, answer: str | None) -> None:
    assert negotiated(offers) == answer


def test_a_long_header_takes_no_long_time() -> None:
    for text in ("a" + " " * 60_000 + "b", "," * 60_000 + "?", "a" + " ;b" * 20_000 + "="):
        assert negotiated(text) is None


# Out.


def heard_by_a_client(data: bytes) -> list[tuple[Opcode, str | bytes]]:
    """Return the messages in `data`, as a library with the extension reads them in a client."""
    extension = PerMessageDeflate()
    extension.finalize(PLAIN)
    client = FrameProtocol(client=True, extensions=[extension])
    client.receive_bytes(data)
    heard: list[tuple[Opcode, str | bytes]] = []
    for part in client.received_frames():
        assert isinstance(part.payload, str | bytes | bytearray)
        assert part.message_finished
        whole = part.payload if isinstance(part.payload, str) else bytes(part.payload)
        heard.append((part.opcode, whole))
    return heard


def test_a_deflated_frame_is_smaller_and_says_so() -> None:
    text, data = "é" * 1000, b"\xff" * 100_000
    first, second = deflated_text_frame(text.encode(), 2000), deflated_binary_frame(data, 1)
    assert first[0] == FIN | RSV1 | TEXT
    assert second[0] == FIN | RSV1 | BINARY
    assert len(first + second) < 1000
    # One behind the other: neither needs to know the other.
    assert heard_by_a_client(first + second) == [(Opcode.TEXT, text), (Opcode.BINARY, data)]
    assert heard_by_a_client(second + first) == [(Opcode.BINARY, data), (Opcode.TEXT, text)]


def test_what_is_below_the_threshold_is_not_deflated() -> None:
    assert deflated_text_frame(b"a" * 999, 1000) == text_frame(b"a" * 999)
    assert deflated_binary_frame(b"a" * 999, 1000) == binary_frame(b"a" * 999)


def test_what_deflating_makes_no_smaller_is_not_deflated() -> None:
    packed = deflated(bytes(range(256)) * 4)
    for data in (b"", b"a", packed):
        assert deflated_binary_frame(data, 0) == binary_frame(data)


# In.


def split(*chunks: bytes) -> list[str | bytes | Passed]:
    splitter = InflatingSplitter(LIMIT)
    return [item for chunk in chunks for item in splitter.feed(chunk)]


def joined(items: list[str | bytes | Passed]) -> list[str | bytes]:
    """Return the messages, and what is passed on as one piece of bytes with an X before it."""
    found: list[str | bytes] = []
    passes = False
    for item in items:
        if isinstance(item, Passed):
            before = found.pop() if passes else b"X"
            assert isinstance(before, bytes)
            found.append(before + item.data)
        else:
            found.append(item)
        passes = isinstance(item, Passed)
    return found


def test_deflated_and_plain_messages_come_in_their_order() -> None:
    ping = masked(FIN | PING, b"p")
    stream = [
        masked(FIN | RSV1 | TEXT, deflated(("é" * 100).encode())),
        masked(FIN | TEXT, b"plain"),
        masked(FIN | RSV1 | BINARY, deflated(b"\xff" * 1000)),
        *fragments(TEXT, b"fragments", 1, 3)[:2],
        ping,
        fragments(TEXT, b"fragments", 1, 3)[2],
        masked(FIN | BINARY, b"\0"),
    ]
    expected = ["é" * 100, "plain", b"\xff" * 1000, b"X" + ping, "fragments", b"\0"]
    whole = b"".join(stream)
    assert joined(split(whole)) == expected
    assert joined(split(*(whole[index : index + 1] for index in range(len(whole))))) == expected
    for cut in range(len(whole)):
        assert joined(split(whole[:cut], whole[cut:])) == expected


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("bits", [9, 15])
@pytest.mark.parametrize("size", [0, 1, 500, LIMIT])
def test_any_level_and_window_is_inflated(level: int, bits: int, size: int) -> None:
    payload = bytes(index * index % 251 for index in range(size))
    data = deflated(payload, level, bits)
    if len(data) <= LIMIT:  # what is larger before than behind is refused as it is too large
        assert split(masked(FIN | RSV1 | BINARY, data)) == [payload]


def test_a_message_whose_data_has_an_end_is_inflated() -> None:
    """The example of RFC 7692, 7.2.3.4."""
    ended = b"\xf3\x48\xcd\xc9\xc9\x07\0\0"
    stream = masked(FIN | RSV1 | TEXT, ended)
    assert split(stream + stream) == ["Hello", "Hello"]
    # And in fragments, some of them behind the end.
    parts = [masked(RSV1 | TEXT, ended[:-1]), masked(CONTINUATION, b"\0"), masked(FIN)]
    assert split(*parts, stream) == ["Hello", "Hello"]


def test_a_message_of_several_blocks_is_inflated() -> None:
    """The examples of RFC 7692, 7.2.3.5 and 7.2.3.3."""
    for data in (b"\xf2\x48\x05\0\0\0\xff\xff\xca\xc9\xc9\x07\0", b"\0\x05\0\xfa\xffHello\0"):
        assert split(masked(FIN | RSV1 | TEXT, data)) == ["Hello"]


PASSED_AS_THEY_CAME = {
    "deflated ping": masked(FIN | RSV1 | PING, b"a"),
    "deflated close": masked(FIN | RSV1 | CLOSE, b"\x03\xe8"),
    "deflated continuation": masked(FIN | RSV1 | CONTINUATION, deflated(b"a")),
    "reserved bit 2": masked(FIN | RSV1 | 0x20 | TEXT, deflated(b"a")),
    "reserved bit 3, not deflated": masked(FIN | 0x10 | TEXT, b"a"),
    "reserved opcode": masked(FIN | RSV1 | 0x3, b"a"),
    "unmasked": masked(FIN | RSV1 | TEXT, deflated(b"a"), None),
    "no deflated data": masked(FIN | RSV1 | TEXT, b"\xff" * 50),
    "half of deflated data": masked(FIN | RSV1 | TEXT, deflated(b"abc" * 9 + b"d" * 9)[:-3]),
    "no data at all": masked(FIN | RSV1 | TEXT, b""),
    "more bytes of size than needed": (
        bytes((FIN | RSV1 | TEXT, 0xFE, 0, 3)) + MASK + deflated(b"a")
    ),
}


@pytest.mark.parametrize("name", PASSED_AS_THEY_CAME)
def test_what_breaks_the_rules_is_passed_as_it_came(name: str) -> None:
    odd = PASSED_AS_THEY_CAME[name]
    before = masked(FIN | TEXT, b"before")
    assert joined(split(before + odd)) == ["before", b"X" + odd]


def test_bad_data_in_a_fragment_goes_on_with_nothing() -> None:
    first, last = masked(RSV1 | TEXT, deflated(b"a")), masked(FIN | CONTINUATION, b"\xff" * 50)
    assert joined(split(first + last)) == [b"X" + last]


@pytest.mark.parametrize(
    "inner",
    [
        masked(FIN | TEXT, b"a"),
        masked(BINARY, b"a"),
        masked(FIN | RSV1 | TEXT, deflated(b"a")),
        masked(FIN | RSV1 | CONTINUATION, deflated(b"a")),
    ],
    ids=["a message", "a fragment", "deflated", "deflated continuation"],
)
def test_a_message_within_a_deflated_one_is_passed_behind_a_beginning(inner: bytes) -> None:
    begun = masked(TEXT, b"", b"\0\0\0\0")
    first = masked(RSV1 | TEXT, deflated(b"a"))
    assert joined(split(first + inner)) == [b"X" + begun + inner]


def test_bad_utf_8_is_passed_on_inflated() -> None:
    bad = masked(FIN | TEXT, b"a\xff", b"\0\0\0\0")
    assert split(masked(FIN | RSV1 | TEXT, deflated(b"a\xff"))) == [Passed(bad, ends_message=True)]


def bombs() -> dict[str, bytes]:
    bomb = deflated(b"a" * 100_000)
    assert len(bomb) < LIMIT // 4
    cut = len(bomb) // 2
    return {
        "one byte too many": masked(FIN | RSV1 | TEXT, deflated(b"a" * (LIMIT + 1))),
        "a bomb": masked(FIN | RSV1 | TEXT, bomb),
        "a bomb in fragments": masked(RSV1 | BINARY, bomb[:cut]) + masked(FIN, bomb[cut:]),
        "a bomb that never ends": masked(RSV1 | BINARY, bomb),
        "many fragments": masked(RSV1 | TEXT, deflated(b"a" * 300) + b"\0\0\xff\xff")
        + masked(CONTINUATION, deflated(b"b" * 300) + b"\0\0\xff\xff") * 4,
        "too large before it is inflated": masked(FIN | RSV1 | TEXT, b"a" * (LIMIT + 1))[:20],
        "the largest size there is": bytes((FIN | RSV1 | TEXT, 0xFF)) + b"\xff" * 8 + MASK,
    }


@pytest.mark.parametrize("name", bombs())
def test_what_is_too_large_is_passed_as_a_message_that_is_too_large(name: str) -> None:
    items = split(masked(FIN | TEXT, b"before") + bombs()[name], masked(FIN | TEXT, b"behind"))
    assert items[0] == "before"
    passed = b"".join(item.data for item in items[1:] if isinstance(item, Passed))
    assert passed == masked(FIN | BINARY, bytes(LIMIT + 1), b"\0\0\0\0")
    assert items[-1] == Passed(passed[-len(items[-1].data) :], ends_message=True)  # type: ignore[union-attr]


def test_a_bomb_takes_no_more_memory_than_a_message_may() -> None:
    limit = 100_000
    bombs = masked(FIN | RSV1 | BINARY, deflated(bytes(limit))) * 100
    bomb = masked(FIN | RSV1 | BINARY, deflated(bytes(80_000_000), 9))
    assert len(bomb) < limit
    splitter = InflatingSplitter(limit)
    tracemalloc.start()
    try:
        # Many that are just small enough, in one read: one is inflated at a time.
        assert sum(len(item) for item in splitter.feed(bombs) if isinstance(item, bytes)) > 9e6
        assert all(isinstance(item, Passed) for item in splitter.feed(bomb))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * limit


def test_empty_fragments_take_no_memory() -> None:
    splitter = InflatingSplitter(LIMIT)
    assert list(splitter.feed(masked(RSV1 | BINARY, deflated(b"a") + b"\0\0\xff\xff"))) == []
    empty = masked(CONTINUATION) * 100 + masked(CONTINUATION, b"\0\0\0\xff\xff")
    tracemalloc.start()
    try:
        for _ in range(200):
            assert list(splitter.feed(empty)) == []
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 10_000
    assert list(splitter.feed(masked(FIN, deflated(b"b")))) == [b"ab"]


def test_data_behind_its_end_takes_no_memory() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    ended = packer.compress(b"a") + packer.flush()
    splitter = InflatingSplitter(LIMIT)
    assert list(splitter.feed(masked(RSV1 | TEXT, ended))) == []
    tracemalloc.start()
    try:
        for _ in range(200):
            assert list(splitter.feed(masked(CONTINUATION, b"x" * 900))) == []
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 10_000
    assert list(splitter.feed(masked(FIN))) == ["a"]
