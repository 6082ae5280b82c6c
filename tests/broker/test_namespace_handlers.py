"""Handlers as methods of a class."""

from __future__ import annotations

import re

import pytest

from broker import Broker, NamespaceHandlers, Socket


class Chat(NamespaceHandlers):
    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    async def on_connect(self, socket: Socket) -> None:
        self.seen.append(("connect", socket.id))

    async def on_disconnect(self, socket: Socket, reason: str) -> None:
        self.seen.append(("disconnect", socket.id, str(reason)))

    async def on_error(self, socket: Socket, error: Exception, event: str) -> None:
        self.seen.append(("error", str(error), event))

    async def on_message(self, socket: Socket, text: str) -> str:
        return text.upper()

    async def on_fail(self, socket: Socket) -> None:
        raise LookupError("fail")


async def test_its_methods_are_hooks_and_handlers() -> None:
    broker = Broker()
    chat = broker.of("/chat").register(Chat())
    async with broker.test_client("/chat") as client:
        assert await client.call("message", "hi") == "HI"
        assert (await client.call("message"))["error"]["code"] == "bad_arguments"
        assert (await client.call("fail"))["error"]["code"] == "internal"
    assert chat.seen == [
        ("connect", client.id),
        ("error", "fail", "fail"),
        ("disconnect", client.id, "transport close"),
    ]


async def test_inherited_methods_count_and_parents_have_them() -> None:
    class Louder(Chat):
        async def on_message(self, socket: Socket, text: str) -> str:
            return f"{await super().on_message(socket, text)}!"

        async def on_more(self, socket: Socket) -> str:
            return socket.namespace.name

    broker = Broker()
    broker.of(re.compile("^/org-")).register(Louder())
    broker.register(Chat())
    async with broker, broker.test_client("/org-a") as one, broker.test_client() as two:
        assert await one.call("message", "hi") == "HI!"
        assert await one.call("more") == "/org-a"
        assert await two.call("message", "hi") == "HI"


def test_what_can_never_be_called_registers_nothing() -> None:
    class Sync(NamespaceHandlers):
        async def on_fine(self, socket: Socket) -> None: ...

        def on_message(self, socket: Socket) -> None: ...

    class Wrong(NamespaceHandlers):
        async def on_disconnect(self, socket: Socket) -> None: ...

    class Attribute(NamespaceHandlers):
        on_message = 3

    class NotOne:
        async def on_message(self, socket: Socket) -> None: ...

    broker = Broker()
    for bad in (Sync(), Wrong(), Attribute(), NotOne(), Chat):
        with pytest.raises(TypeError):
            broker.register(bad)  # type: ignore[type-var]
    assert not broker.listeners("fine")


async def test_methods_named_as_what_no_client_calls_are_called_by_none() -> None:
    seen: list[object] = []

    class Watching(NamespaceHandlers):
        async def on_any(self, socket: Socket, event: str, *args: object) -> None:
            seen.append(("any", event))

        async def on_unhandled(self, socket: Socket, event: str, *args: object) -> str:
            return f"no {event}"

        async def on_expired(self, sid: object, data: object, rooms: object) -> None:
            seen.append("expired")

        async def on_slow(self, socket: Socket) -> None:
            seen.append("slow")

        async def on_hello(self, socket: Socket) -> str:
            return "hi"

    broker = Broker()
    broker.register(Watching())
    async with broker, broker.test_client() as client:
        assert await client.call("hello") == "hi"
        assert await client.call("expired", {"victim": 1}, ["room"]) == "no expired"
        assert await client.call("slow") == "no slow"
    assert seen == [("any", "hello"), ("any", "expired"), ("any", "slow")]


def test_off_takes_a_method_away() -> None:
    broker = Broker()
    chat = broker.register(Chat())
    broker.off("message", chat.on_message)
    assert broker.listeners("message") == []
