"""Frames out: the exact header of each size, and what a websocket library makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode

from protocol.websocket import FrameSplitter, Passed, binary_frame, text_frame

SIZES = [
    (0, b"\x00"),
    (1, b"\x01"),
    (125, b"\x7d"),
    (126, b"\x7e\x00\x7e"),
    (127, b"\x7e\x00\x7f"),
    (256, b"\x7e\x01\x00"),
    (65_535, b"\x7e\xff\xff"),
    (65_536, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    (1_000_000, b"\x7f\x00\x00\x00\x00\x00\x0f\x42\x40"),
]


def received_by_a_client(data: bytes) -> list[tuple[Opcode, str | bytes]]:
    """Return the whole messages in `data`, as a websocket library reads them in a client."""
    client = FrameProtocol(client=True, extensions=[])
    client.receive_bytes(data)
    messages: list[tuple[Opcode, str | bytes]] = []
    for frame in client.received_frames():
        assert isinstance(frame.payload, str | bytes)
        assert frame.frame_finished
        assert frame.message_finished
        messages.append((frame.opcode, frame.payload))
    return messages


@pytest.mark.parametrize(("size", "header"), SIZES)
def test_the_size_of_a_text_has_the_fewest_bytes(size: int, header: bytes) -> None:
    payload = b"x" * size
    frame = text_frame(payload)
    assert frame == b"\x81" + header + payload
    assert received_by_a_client(frame) == [(Opcode.TEXT, payload.decode())]


@pytest.mark.parametrize(("size", "header"), SIZES)
def test_the_size_of_a_binary_message_has_the_fewest_bytes(size: int, header: bytes) -> None:
    payload = b"\xff" * size
    frame = binary_frame(payload)
    assert frame == b"\x82" + header + payload
    assert received_by_a_client(frame) == [(Opcode.BINARY, payload)]


@settings(deadline=None, max_examples=100)
@given(messages=st.lists(st.text() | st.binary(), max_size=6))
def test_frames_one_behind_the_other_are_their_messages(messages: list[str | bytes]) -> None:
    data = b"".join(
        text_frame(message.encode()) if isinstance(message, str) else binary_frame(message)
        for message in messages
    )
    assert received_by_a_client(data) == [
        (Opcode.TEXT if isinstance(message, str) else Opcode.BINARY, message)
        for message in messages
    ]


def test_a_client_that_sends_frames_as_we_do_is_left_to_the_library() -> None:
    # Ours are not masked, and what clients send must be.
    frame = text_frame(b"a")
    assert list(FrameSplitter(1000).feed(frame)) == [Passed(frame, ends_message=True)]
