"""Frames in: whole data frames come out as messages, all other bytes as they were, in order."""

from __future__ import annotations

import pytest

from protocol.websocket import FrameSplitter, Passed

FIN, MASKED = 0x80, 0x80
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

# What a splitter yields, byte by byte: a message, or one passed byte and whether it ends a message.
Flat = list[str | bytes | tuple[int, bool]]


def frame(
    first: int, payload: bytes = b"", *, mask: bytes | None = b"\x37\xfa\x21\x3d", length: int = 0
) -> bytes:
    """Return a frame as a client sends it; `length`: so many bytes hold its size (0: fewest)."""
    masked = 0 if mask is None else MASKED
    size = len(payload)
    length = length or (1 if size < 126 else 2 if size < 1 << 16 else 8)
    head = {
        1: bytes([first, masked | size & 0x7F]),
        2: bytes([first, masked | 126]) + (size & 0xFFFF).to_bytes(2, "big"),
        8: bytes([first, masked | 127]) + size.to_bytes(8, "big"),
    }[length]
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def flat(splitter: FrameSplitter, *chunks: bytes) -> Flat:
    found: Flat = []
    for chunk in chunks:
        for item in splitter.feed(chunk):
            if isinstance(item, Passed):
                assert item.data
                found += [(byte, False) for byte in item.data[:-1]]
                found.append((item.data[-1], item.ends_message))
            else:
                found.append(item)
    return found


def passed(data: bytes, *, ends_message: bool = False) -> Flat:
    return [*((byte, False) for byte in data[:-1]), (data[-1], ends_message)]


def split(*chunks: bytes, max_size: int = 1000) -> Flat:
    return flat(FrameSplitter(max_size), *chunks)


# The order of all that may come.


def conversation(filler: str) -> tuple[bytes, Flat]:
    """Return [text, ping, text, fragment, ping, fragment, text, close] and what it must give."""
    one, two, three = (f"{number}{filler}" for number in ("one", "twö", "three"))
    ping = frame(FIN | PING, b"p")
    first = frame(TEXT, b"fra" + filler.encode())
    last = frame(FIN | CONTINUATION, b"gment")
    close = frame(FIN | CLOSE, b"\x03\xe8bye")
    stream = [
        frame(FIN | TEXT, one.encode()), ping, frame(FIN | TEXT, two.encode()),
        first, ping, last, frame(FIN | TEXT, three.encode()), close,
    ]  # fmt: skip
    expected: Flat = [
        one, *passed(ping), two, *passed(first), *passed(ping),
        *passed(last, ends_message=True), three, *passed(close),
    ]  # fmt: skip
    return b"".join(stream), expected


@pytest.mark.parametrize("filler", ["", "x" * 130], ids=["short", "long"])
def test_a_cut_at_any_position_gives_one_and_the_same_sequence(filler: str) -> None:
    stream, expected = conversation(filler)
    assert split(stream) == expected
    for cut in range(len(stream) + 1):
        assert split(stream[:cut], stream[cut:]) == expected


def test_two_cuts_at_any_positions_give_one_and_the_same_sequence() -> None:
    stream, expected = conversation("")
    for one in range(len(stream) + 1):
        for other in range(one, len(stream) + 1):
            assert split(stream[:one], stream[one:other], stream[other:]) == expected


@pytest.mark.parametrize("filler", ["", "x" * 130], ids=["short", "long"])
def test_bytes_one_by_one_give_one_and_the_same_sequence(filler: str) -> None:
    stream, expected = conversation(filler)
    assert split(*(stream[index : index + 1] for index in range(len(stream)))) == expected


def test_what_is_passed_never_holds_bytes_of_two_frames() -> None:
    frames = [frame(FIN | PING), frame(TEXT, b"a"), frame(FIN | PONG, b"b"), frame(FIN, b"c")]
    items = list(FrameSplitter(1000).feed(b"".join(frames)))
    assert items == [Passed(one, ends_message=one is frames[-1]) for one in frames]


def test_each_item_comes_as_soon_as_its_bytes_are_there() -> None:
    splitter = FrameSplitter(1000)
    text, ping = frame(FIN | TEXT, b"ab"), frame(FIN | PING, b"cd")
    assert flat(splitter, text[:-1]) == []
    assert flat(splitter, text[-1:] + ping[:7]) == ["ab", *passed(ping[:7])]
    assert flat(splitter, ping[7:]) == passed(ping[7:])


def test_nothing_gives_nothing() -> None:
    assert split(b"", b"") == []


# Messages.


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 125, 126, 127, 65_535, 65_536, 70_001])
def test_messages_of_every_size_are_unmasked(size: int) -> None:
    payload = bytes(65 + index % 26 for index in range(size))
    text, binary = frame(FIN | TEXT, payload), frame(FIN | BINARY, payload)
    assert split(text + binary, max_size=size) == [payload.decode(), payload]
    for cut in (1, 2, 4, 6, 8, 10, 13, 14, len(text) - 1):
        assert split(text[:cut], text[cut:], max_size=size) == [payload.decode()]


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04"])
def test_any_mask_is_undone(mask: bytes) -> None:
    assert split(frame(FIN | TEXT, "é😀\0".encode(), mask=mask)) == ["é😀\0"]


# Left to the library, whole and byte by byte.

FRAGMENT = frame(TEXT, b"fragment")
LEFT_TO_THE_LIBRARY = {
    "oversized text": (frame(FIN | TEXT, b"x" * 11), True),
    "oversized binary": (frame(FIN | BINARY, b"x" * 200), True),
    "oversized, 8 bytes of size": (frame(FIN | BINARY, b"x" * 70_000), True),
    "unmasked text": (frame(FIN | TEXT, b"a", mask=None), True),
    "unmasked and empty": (frame(FIN | BINARY, mask=None), True),
    "unmasked ping": (frame(FIN | PING, b"a", mask=None), False),
    "reserved bit 1": (frame(FIN | 0x40 | TEXT, b"a"), True),
    "reserved bit 2": (frame(FIN | 0x20 | BINARY, b"a"), True),
    "reserved bit 3": (frame(FIN | 0x10 | TEXT, b"a"), True),
    "bad UTF-8": (frame(FIN | TEXT, b"a\xff"), True),
    "half a character": (frame(FIN | TEXT, "é".encode()[:1]), True),
    "surrogates in UTF-8": (frame(FIN | TEXT, b"\xed\xa0\x80"), True),
    "continuation of nothing": (frame(FIN | CONTINUATION, b"a"), True),
    "close": (frame(FIN | CLOSE, b"\x03\xe8"), False),
    "ping": (frame(FIN | PING, b"a"), False),
    "pong": (frame(FIN | PONG), False),
    "ping in parts": (frame(PING, b"a"), False),
    "large ping": (frame(FIN | PING, b"a" * 126), False),
    **{
        f"reserved opcode {opcode:x}": (frame(FIN | opcode, b"a"), False)
        for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)
    },
}


@pytest.mark.parametrize("name", LEFT_TO_THE_LIBRARY)
def test_what_is_no_whole_good_data_frame_is_passed_as_it_was(name: str) -> None:
    odd, ends = LEFT_TO_THE_LIBRARY[name]
    before, behind = frame(FIN | TEXT, b"before"), frame(FIN | BINARY, b"behind")
    expected = ["before", *passed(odd, ends_message=ends), b"behind"]
    stream = before + odd + behind
    assert split(stream, max_size=10) == expected
    for cut in [*range(len(before), len(before) + 20), len(before + odd) - 1, len(before + odd)]:
        assert split(stream[:cut], stream[cut:], max_size=10) == expected


@pytest.mark.parametrize(("size", "length"), [(0, 2), (5, 2), (125, 2), (5, 8), (126, 8)])
@pytest.mark.parametrize("first", [FIN | TEXT, FIN | BINARY])
def test_a_size_in_more_bytes_than_it_needs_is_passed(first: int, size: int, length: int) -> None:
    # RFC 6455, 5.2: the fewest bytes must be used; the library refuses the rest.
    odd = frame(first, b"x" * size, length=length)
    assert split(odd) == passed(odd, ends_message=True)


def test_an_oversized_frame_is_passed_before_it_is_whole() -> None:
    huge = bytes([FIN | BINARY, MASKED | 127]) + b"\xff" * 8 + b"mask"
    assert split(huge, b"x" * 100) == passed(huge + b"x" * 100)


@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_whole_frame_within_a_fragmented_message_is_passed(kind: int) -> None:
    inner, behind = frame(FIN | kind, b"whole"), frame(FIN | TEXT, b"behind")
    expected = [*passed(FRAGMENT), *passed(inner, ends_message=True), "behind"]
    stream = FRAGMENT + inner + behind
    assert split(stream) == expected
    for cut in range(len(stream)):
        assert split(stream[:cut], stream[cut:]) == expected


def test_a_message_of_many_fragments_ends_with_its_last() -> None:
    middle, last = frame(CONTINUATION, b"b"), frame(FIN | CONTINUATION)
    stream = FRAGMENT + middle + frame(FIN | PONG) + middle + last
    expected = passed(stream, ends_message=True)
    assert split(stream + frame(FIN | TEXT, b"a")) == [*expected, "a"]


def test_an_empty_fragment_opens_a_message_too() -> None:
    opening, last = frame(BINARY), frame(FIN | CONTINUATION)
    stream = opening + last + frame(FIN | TEXT, b"a")
    assert split(stream) == [*passed(opening), *passed(last, ends_message=True), "a"]
