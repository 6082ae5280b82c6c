"""How much of an outbox is kept back by the gates of its sockets."""

from __future__ import annotations

import attrs

from broker.values.encoded import Encoded


@attrs.define
class Held:
    """`bytes` and `packets` that gates keep back, and what of them no policy may drop."""

    bytes: int = 0
    packets: int = 0
    kept_bytes: int = 0
    kept_packets: int = 0

    def count(self, encoded: Encoded, sign: int) -> None:
        """Count something that is kept back (`sign` 1), or is no more (-1)."""
        self.bytes += sign * len(encoded.wire)
        self.packets += sign * encoded.packets
        if encoded.kept:
            self.kept_bytes += sign * len(encoded.wire)
            self.kept_packets += sign * encoded.packets
