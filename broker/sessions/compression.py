"""Compressed answers: which coding a client takes, and how it is made.

Source: RFC 9110, sections 8.4.1 and 12.5.3. A large body is compressed in a thread, so that the
others need not wait: zlib takes about 10 ms for a megabyte of JSON, and lets go of the lock.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

import trio

# By preference where the client has none; the number is zlib's for the format. HTTP's deflate is
# zlib's format, not raw deflate.
_CODINGS = {"gzip": 31, "deflate": 15}

# zlib's quickest: of its usual level it takes a third of the time, for an eighth more bytes.
_LEVEL = 1
# So much takes longer than the way to a thread and back.
_LARGE = 65_536

_ACCEPTED = re.compile(r"\s*([^\s;]+)\s*(?:;\s*[qQ]\s*=\s*([01](?:\.\d{0,3})?)\s*)?")


def chosen_coding(accepted: str, offered: Iterable[str] = tuple(_CODINGS)) -> str | None:
    """Return the coding that suits an `Accept-Encoding` best; None: as it is.

    `offered`: those there are, by our own preference.
    """
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        if (found := _ACCEPTED.fullmatch(part)) is not None:
            weights[found[1].lower()] = float(found[2] or 1)
    rest = weights.get("*", 0.0)
    best = max(offered, key=lambda coding: weights.get(coding, rest), default="identity")
    weight = weights.get(best, rest)
    chosen = best != "identity" and weight > 0 and weight >= weights.get("identity", 0.0)
    return best if chosen else None


async def compressed(body: bytes, coding: str) -> bytes:
    """Return the body in a coding that was chosen."""
    if len(body) < _LARGE:
        return _compress(body, coding)
    return await trio.to_thread.run_sync(_compress, body, coding)


def _compress(body: bytes, coding: str) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _CODINGS[coding])
    return packer.compress(body) + packer.flush()
