"""The option `profile`: which of Node's traps are there.

Each flag is one behaviour of Node's server that a program ported from there may rest on, and that
`strict` mends. `docs/compat.md` has all of them, and those that no profile has.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import attrs

ProfileName: TypeAlias = Literal["strict", "node"]


@attrs.frozen(kw_only=True)
class Traps:
    """Each flag says what is so when it is True, and what is so instead."""

    empty_target_is_everybody: bool = False
    """`to()` chooses nothing, and so everybody. Else it reaches nobody, whatever is chained."""

    own_rooms_are_rooms: bool = False
    """The room with a socket's id as its name is a room like any other: others may join it, and
    the socket may leave it, and then is not left out of its own broadcasts. Else it is the
    socket's alone, and for good."""

    failed_middleware_is_silent: bool = False
    """A client whose middleware has failed is told nothing. Else it gets a CONNECT_ERROR."""

    admission_has_no_deadline: bool = False
    """Middleware, and checks for a namespace, may take as long as the client is there. Else they
    have `middleware_timeout`."""

    middleware_emits_at_once: bool = False
    """What a middleware emits to its socket comes before the CONNECT packet, and also when the
    client is refused. Else it comes behind that packet, or not; so it does for who is recovered."""

    failed_handler_is_silent: bool = False
    """A handler that fails gives no ack. Else it gives one with the code `internal`."""

    acks_of_one_have_no_deadline: bool = False
    """A socket's `emit_with_ack` without a timeout waits as long as the socket is there. Else it
    waits for `ack_timeout`."""

    upgrades_are_refused_with_400: bool = False
    """Every refused websocket handshake gets 400 and a text. Else it has the status of its
    refusal."""

    connect_timeout_is_one_shot: bool = False
    """Only a new connection has to be in a namespace by `connect_timeout`; once it has been in one
    it may stay for ever. Else the time begins anew when it leaves its last."""

    bare_packets_are_accepted: bool = False
    """An event or ack without its array is ignored, and white space is read as in a number of
    JavaScript: `42 ["a"]` asks for an ack with the id 0. Else they end the connection."""


STRICT = Traps()
NODE = Traps(**{field.name: True for field in attrs.fields(Traps)})

PROFILES: Mapping[ProfileName, Traps] = MappingProxyType({"strict": STRICT, "node": NODE})
