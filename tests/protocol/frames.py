"""What a client that deflates its messages sends."""

from __future__ import annotations

import zlib
from itertools import pairwise

FIN, RSV1, MASKED = 0x80, 0x40, 0x80
CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9

MASK = b"\x37\xfa\x21\x3d"


def deflated(payload: bytes, level: int = 6, bits: int = 15) -> bytes:
    """Deflate a message, as RFC 7692, 7.2.1, has it."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -bits)
    data = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert data.endswith(b"\0\0\xff\xff")
    return data[:-4]


def frame(first: int, payload: bytes = b"", mask: bytes | None = MASK) -> bytes:
    """Return a frame as a client sends it."""
    size = len(payload)
    masked = 0 if mask is None else MASKED
    if size < 126:
        head = bytes([first, masked | size])
    elif size < 1 << 16:
        head = bytes([first, masked | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, masked | 127]) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def fragments(opcode: int, payload: bytes, *cuts: int) -> list[bytes]:
    """Return the frames of a deflated message whose data is cut there."""
    data = deflated(payload)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    frames = []
    for index, (start, end) in enumerate(pairwise(edges)):
        first = opcode | RSV1 if index == 0 else CONTINUATION
        final = FIN if index == len(edges) - 2 else 0
        frames.append(frame(final | first, data[start:end]))
    return frames
