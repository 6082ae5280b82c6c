"""The one error that bytes from a peer can cause.

Whatever bytes come in, a codec returns packets or raises `ProtocolError`, and nothing else.
"""

from __future__ import annotations


class ProtocolError(Exception):
    """The peer broke the protocol; the text says what was expected and what was seen."""
