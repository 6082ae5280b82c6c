"""How many clients there may be: in all, and from one address.

A client takes its place before the program is asked whether it may come, and has it until its
session ends. Who has no address, as over a unix socket, counts in all only.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from broker.values.options import EngineOptions

from .refusals import FULL, TOO_MANY_CONNECTIONS, Refused


class Place:
    """One client's place; `leave` gives it back, once."""

    __slots__ = ("_address", "_places")

    def __init__(self, places: Places, address: str) -> None:
        self._places: Places | None = places
        self._address = address

    def leave(self) -> None:
        """Give it back; harmless when that has happened."""
        places, self._places = self._places, None
        if places is not None:
            places.give_back(self._address)


class Places:
    """The places of one life; `taken` in all, `by_address` of those that have one."""

    def __init__(self, options: EngineOptions) -> None:
        self._most = options.max_connections
        self._most_of_one = options.max_connections_per_address
        self.taken = 0
        self.by_address: Counter[str] = Counter()

    def take(self, address: str) -> Place:
        """Return a place for a client from this address; raises `Refused`."""
        if self._most is not None and self.taken >= self._most:
            raise Refused(
                FULL, f"max_connections={self._most}", mendable=True, name="TOO_MANY_CONNECTIONS"
            )
        counted = block_of(address)
        if self._most_of_one is not None and self.by_address[counted] >= self._most_of_one:
            raise Refused(
                TOO_MANY_CONNECTIONS,
                f"max_connections_per_address={self._most_of_one}, from {counted}",
                mendable=True,
                name="TOO_MANY_CONNECTIONS",
            )
        self.taken += 1
        if self._most_of_one is not None and counted:
            self.by_address[counted] += 1
        return Place(self, counted)

    def give_back(self, counted: str) -> None:
        """Take a place back: a `Place` does this once."""
        self.taken -= 1
        self.by_address[counted] -= 1
        if self.by_address[counted] <= 0:
            del self.by_address[counted]


def block_of(address: str) -> str:
    """Return what counts as one address: of IPv6 a /64.

    A /64 is one network's, often one household's or one machine's, and who has it has all its
    2^64 addresses. An IPv4 address in the form of IPv6 counts as what it is.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))
