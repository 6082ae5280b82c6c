"""Which namespaces there are: those of the program, and those that come to be for a client.

A pattern or a check is a parent: its children have its handlers. A child that came to be for a
client ends with the broker's life, or as its option says, when it is empty; what the program has
asked for by its name stays.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import trio

from actors import Supervisor
from broker.handlers.listeners import Handlers
from broker.rooms.home import Cluster, Home
from broker.rooms.namespace_actor import NamespaceActor
from broker.rooms.room import RoomTypes
from broker.rooms.room_events import RoomEvents
from broker.values.options import Options

from .namespace import Check, DynamicNamespace, Namespace

logger = logging.getLogger("atrio.broker")

# To Python's `$`, unlike JavaScript's, a pattern may end before a line break; and a name with such
# a character looks like another where it is shown.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Directory:
    """The namespaces of one broker, by their names; iterating gives those there are now."""

    def __init__(self, options: Options, node: Cluster | None = None) -> None:
        """`node`: the part of the broker in a cluster; None: it is alone."""
        self._options = options
        self._node = node
        self._namespaces: dict[str, Namespace] = {}
        self._parents: list[DynamicNamespace] = []
        self._supervisor: Supervisor | None = None
        self.listeners: list[Callable[[Namespace], object]] = []
        """Those that hear of each namespace that comes to be."""

    def __iter__(self) -> Iterator[Namespace]:
        return iter(list(self._namespaces.values()))

    # Its life.

    def enter_cluster(self) -> None:
        """Raise RuntimeError for a room's type that does not say what it is in a cluster."""
        for each in (*self._parents, *self):
            each.room_types.enter_cluster()

    def begin(self, supervisor: Supervisor) -> None:
        """Begin a life, whose tasks `supervisor` owns: all namespaces begin."""
        self._supervisor = supervisor
        for namespace in self:
            namespace.start(supervisor)
        for parent in self._parents:
            parent.alive = True

    def end(self) -> None:
        """End it; children that came to be for a client are forgotten."""
        self._supervisor = None
        for parent in self._parents:
            parent.alive = False
        for namespace in self:
            namespace.stop()
            if not namespace.lasting:
                self._forget(namespace)

    # What the program asks for.

    def of(self, name: str) -> Namespace:
        """Return a namespace, which is created if need be; raises ValueError."""
        name = name if name.startswith("/") else f"/{name}"
        if "," in name:
            raise ValueError(f"a namespace's name holds no comma, saw {name!r}")
        if _CONTROL.search(name):
            raise ValueError(f"a namespace's name holds no control characters, saw {name!r}")
        if len(name) > (longest := self._options.max_name_length):
            raise ValueError(
                f"a namespace's name has at most max_name_length={longest} characters, saw "
                f"{len(name)}: {name[:20]!r}…"
            )
        namespace = self._namespaces.get(name)
        if namespace is None:
            if "*" in name:
                logger.warning(
                    "of(%r) is one namespace, with the star in its name: for all whose names fit "
                    "it is of(re.compile(...)), or of(check)",
                    name,
                )
            parent = next((each for each in self._parents if each.has_pattern_for(name)), None)
            namespace = self._add(name, parent)
        namespace.lasting = True
        return namespace

    def of_parent(self, fits: re.Pattern[str] | Check) -> DynamicNamespace:
        """Return a new parent; raises TypeError."""
        parent = DynamicNamespace(fits, self._options, self._node)
        parent.alive = self._supervisor is not None
        if parent.alive and self._node is not None:
            parent.room_types.enter_cluster()
        self._parents.append(parent)
        return parent

    def _add(self, name: str, parent: DynamicNamespace | None) -> Namespace:
        if parent is None:
            namespace = Namespace(
                name, self._options, Handlers(), RoomTypes(), RoomEvents(), self._node
            )
        else:
            namespace = parent.bear(name)
            if self._options.cleanup_empty_child_namespaces:
                namespace.keeper = self
        self._namespaces[name] = namespace
        if self._supervisor is not None:
            namespace.start(self._supervisor)
            if self._node is not None:
                namespace.room_types.enter_cluster()
        for listener in self.listeners:
            try:
                listener(namespace)
            except Exception:
                logger.exception("the listener %r failed for %r", listener, namespace)
        return namespace

    def _forget(self, namespace: Namespace) -> None:
        del self._namespaces[namespace.name]
        if namespace.parent is not None:
            namespace.parent.forget(namespace)

    # Children that rest when nobody needs them.

    def present(self, name: str) -> NamespaceActor | None:
        """Return the actor of the namespace of this name, if it lives."""
        namespace = self._namespaces.get(name)
        return None if namespace is None else namespace.actor

    def wake(self, home: Home) -> NamespaceActor | None:
        """Begin a child anew that somebody still holds, or return who bears its name now."""
        assert isinstance(home, Namespace)
        if self._supervisor is None:
            return None
        namespace = self._namespaces.get(home.name)
        if namespace is None:
            namespace = self._namespaces[home.name] = home
            if home.parent is not None:
                home.parent.adopt(home)
        return namespace.actor or namespace.start(self._supervisor)

    def rest(self, home: Home) -> None:
        """Forget a child; one that the program has asked for is still known, with its handlers."""
        assert isinstance(home, Namespace)
        home.stop()
        if not home.lasting:
            self._forget(home)

    # What a client asks for.

    def known(self, name: str) -> Home | None:
        """Return the namespace if it exists, and lets in every client."""
        namespace = self._namespaces.get(name)
        if namespace is None or namespace.parent is None or namespace.parent.has_pattern_for(name):
            return namespace
        return None  # each client is asked for anew: the answer may depend on its `auth`

    async def found(self, name: str, auth: dict[str, Any]) -> Home | None:
        """Return the namespace, or the one that comes to be for this client, or None."""
        if _CONTROL.search(name):
            return None
        there = self._namespaces.get(name)
        parents = self._parents if there is None or there.parent is None else [there.parent]
        for parent in list(parents):
            if await self._fits(parent, name, auth):
                # Another client, or the program, may have been quicker.
                return self._namespaces.get(name) or self._add(name, parent)
        return None

    async def _fits(self, parent: DynamicNamespace, name: str, auth: dict[str, Any]) -> bool:
        if isinstance(parent.fits, re.Pattern):
            return parent.has_pattern_for(name)
        limit = self._options.admission_timeout
        try:
            with trio.move_on_after(limit):
                return await parent.fits(name, auth) is True
        except Exception:
            logger.exception("the check of namespace %r by %r failed", name, parent.fits)
            return False
        logger.warning(
            "the check of namespace %r by %r took longer than middleware_timeout=%g s",
            name,
            parent.fits,
            limit,
        )
        return False
