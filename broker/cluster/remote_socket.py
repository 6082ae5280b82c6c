"""A socket of another node: what is known of it, and how it is reached."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from broker.rooms.target import Publisher, Target
from broker.values.handshake import Handshake, Headers
from protocol.cluster.messages import SocketFacts
from protocol.values import fault_of, plain

logger = logging.getLogger("atrio.adapter")


@attrs.define(eq=False)
class RemoteSocket:
    """A connected socket of another node, as it was when `fetch_sockets` asked for it.

    `id`, `rooms`, `data` and `handshake` are as the socket's own, but a copy: to change `data` here
    changes nothing there. What is done to it is done on its node, soon after the call returns.
    """

    id: str
    rooms: frozenset[str]
    data: Any
    handshake: Handshake
    _namespace: Publisher = attrs.field(repr=False)

    @property
    def _target(self) -> Target:
        return self._namespace.target_type(self._namespace).also_to((self.id,))

    async def emit(self, event: str, *args: Any) -> None:
        """Send it an event, if it is still there. Raises as `Target.emit`."""
        await self._target.emit(event, *args)

    async def join(self, *rooms: str) -> None:
        """Let it into rooms; that one refuses it is not told here."""
        await self._target.sockets_join(*rooms)

    async def leave(self, *rooms: str) -> None:
        """Let it out of rooms."""
        await self._target.sockets_leave(*rooms)

    async def disconnect(self, close: bool = False) -> None:
        """End it; `close`: its connection, too."""
        await self._target.disconnect_sockets(close)


class LocalSocket(Protocol):
    """A socket of this node, as it is described to others."""

    id: str
    data: dict[str, Any]
    handshake: Handshake

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms it is in, and its own id."""


def facts_of(socket: LocalSocket) -> SocketFacts:
    """Describe a socket. What of its `data` cannot be sent as an event's argument is left out."""
    data = {}
    for key, value in socket.data.items():
        if isinstance(key, str) and (fault := fault_of(value)) is None:
            data[key] = plain(value)
        else:
            logger.debug("socket %s: data[%r] is for this node alone: %s", socket.id, key, fault)
    return SocketFacts(socket.id, _described(socket.handshake), tuple(sorted(socket.rooms)), data)


def _described(handshake: Handshake) -> dict[str, Any]:
    """Return a handshake in Node's words."""
    came = dt.datetime.fromtimestamp(handshake.time, dt.UTC)
    return {
        "headers": dict(handshake.headers),
        "time": came.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"),
        "address": handshake.address,
        "xdomain": "origin" in handshake.headers,
        "secure": handshake.secure,
        "issued": int(handshake.time * 1000),
        "url": handshake.url,
        "query": dict(handshake.query),
        "auth": plain(handshake.auth),
    }


def remote_socket(facts: SocketFacts, namespace: Publisher) -> RemoteSocket:
    """Return what stands for a socket of another node. What that tells amiss is as if untold."""
    told = facts.handshake if isinstance(facts.handshake, dict) else {}
    issued = told.get("issued")
    handshake = Handshake(
        headers=Headers(
            (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in _texts(told.get("headers")).items()
        ),
        query=_texts(told.get("query")),
        address=str(told.get("address", "")),
        secure=told.get("secure") is True,
        url=str(told.get("url", "")),
        time=issued / 1000 if isinstance(issued, int | float) else 0.0,
        auth=told["auth"] if isinstance(told.get("auth"), dict) else {},
    )
    return RemoteSocket(facts.id, frozenset(facts.rooms), facts.data, handshake, namespace)


def _texts(values: object) -> dict[str, str]:
    """Return what is text; of several (Node has cookies so), all, joined by commas."""
    if not isinstance(values, Mapping):
        return {}
    return {
        str(name): ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in values.items()
    }
