"""python-socketio's AsyncClient: `python pysio_client.py URL MODE PARSER`; says what it saw."""

from __future__ import annotations

import asyncio
import json
import sys
import types
from typing import Any

import msgspec
import socketio  # type: ignore[import-untyped]

DEADLINE = 30.0

TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": None}

SERIALIZER = "msgpack" if sys.argv[3:] == ["msgpack"] else "default"


def provide_msgpack() -> None:
    """Stand in for the package msgpack, which python-socketio's packets go through.

    msgspec is here anyway, and has the same bytes for the same values.
    """

    def dumps(value: Any, default: Any) -> bytes:
        return msgspec.msgpack.encode(value, enc_hook=default)

    def loads(data: bytes, ext_hook: Any) -> Any:
        return msgspec.msgpack.decode(data, ext_hook=ext_hook)

    module = types.ModuleType("msgpack")
    vars(module).update(dumps=dumps, loads=loads, ExtType=msgspec.msgpack.Ext)
    sys.modules["msgpack"] = module


class Listener:
    """A client that keeps what it hears: events by namespace and name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = socketio.AsyncClient(reconnection=False, serializer=SERIALIZER)
        self._heard: dict[tuple[str, str], asyncio.Queue[list[Any]]] = {}
        self.gone = asyncio.Queue[list[Any]]()
        for namespace in ("/", "/chat"):
            self.client.on("*", self._keeper(namespace), namespace=namespace)
            self.client.on("disconnect", self._note_end(namespace), namespace=namespace)
            self.client.on("question", self._answer, namespace=namespace)

    def _keeper(self, namespace: str) -> Any:
        async def keep(event: str, *args: Any) -> None:
            self._queue(namespace, event).put_nowait(list(args))

        return keep

    def _note_end(self, namespace: str) -> Any:
        async def note(reason: str) -> None:
            self.gone.put_nowait([namespace, reason])

        return note

    async def _answer(self, *args: Any) -> dict[str, Any]:
        return {"to": list(args)}

    def _queue(self, namespace: str, event: str) -> asyncio.Queue[list[Any]]:
        return self._heard.setdefault((namespace, event), asyncio.Queue())

    async def connect(self, url: str, mode: str, *namespaces: str) -> None:
        await self.client.connect(
            url,
            transports=TRANSPORTS[mode],
            namespaces=list(namespaces),
            auth={"name": self.name},
        )

    async def hear(self, event: str, namespace: str = "/") -> list[Any]:
        return await self._queue(namespace, event).get()

    def unheard(self, event: str, namespace: str = "/") -> int:
        """Return how many of these have come that nobody asked for."""
        return self._queue(namespace, event).qsize()

    async def call(self, event: str, *args: Any, namespace: str = "/") -> Any:
        return await self.client.call(event, args, namespace=namespace)


async def run(url: str, mode: str) -> dict[str, Any]:
    ann, bob = Listener("ann"), Listener("bob")
    await ann.connect(url, mode, "/", "/chat")
    await bob.connect(url, mode, "/")
    seen: dict[str, Any] = {"auth": await ann.hear("auth"), "transport": ann.client.transport()}
    seen["ids"] = len({ann.client.get_sid("/"), ann.client.get_sid("/chat"), bob.client.sid})

    # Events and acknowledgements, in both namespaces.
    await ann.client.emit("message", (1, "two", {"three": [True, None]}))
    seen["back"] = await ann.hear("message-back")
    seen["called"] = await ann.call("message-with-ack", {"three": [3.5]})
    seen["several"] = await ann.call("message-with-ack", 1, "two")
    seen["chat"] = await ann.call("message-with-ack", "in chat", namespace="/chat")
    seen["asked"] = await ann.call("ask-me", "how", 1)

    # Bytes.
    data = bytes(range(256)) * 100
    await ann.client.emit("message", (data, {"a": [b"", b"\0\xff"]}))
    seen["bytes_back"] = await ann.hear("message-back") == [data, {"a": [b"", b"\0\xff"]}]
    seen["bytes_called"] = await ann.call("message-with-ack", {"a": data}) == {"a": data}
    seen["bytes_asked"] = await ann.call("ask-me", data) == {"to": [data]}

    # Rooms. A call's answer comes behind what its client was told before.
    seen["joined"] = [await ann.call("join", "one", "two"), await bob.call("join", "one")]
    await ann.call("tell-others", "one", "to bob", b"\1")
    told = await bob.hear("told")
    seen["told"] = [told[0], told[1] == b"\1"]
    await bob.call("tell-all", ["one", "two"], "once each")
    seen["union"] = [await ann.hear("told"), await bob.hear("told")]
    await ann.call("leave", "one")
    await bob.call("tell-all", ["one"], "without ann")
    seen["left"] = await bob.hear("told")
    await ann.call("message-with-ack")
    seen["unheard"] = [ann.unheard("told"), bob.unheard("told")]

    # Endings: the server's word for the client's, and the client's word for the server's.
    await ann.call("join", "watchers")
    await bob.client.disconnect()
    seen["bob_left"] = [await bob.gone.get(), await ann.hear("gone")]
    await ann.client.emit("kick-me", False, namespace="/chat")
    seen["kicked_from_chat"] = await ann.gone.get()
    seen["still_in_main"] = await ann.call("message-with-ack", "still here")
    await ann.client.emit("kick-me", True)
    seen["kicked"] = await ann.gone.get()
    await ann.client.wait()
    return seen


async def refused(url: str, mode: str) -> Any:
    """Connect to a namespace that does not exist."""
    listener = Listener("cid")
    errors = asyncio.Queue[Any]()

    async def note(error: Any) -> None:
        errors.put_nowait(error)

    listener.client.on("connect_error", note, namespace="/nowhere")
    try:
        await listener.connect(url, mode, "/nowhere")
    except socketio.exceptions.ConnectionError:
        return await errors.get()
    return None


async def main(url: str, mode: str) -> None:
    async with asyncio.timeout(DEADLINE):
        seen = await run(url, mode)
        seen["refused"] = await refused(url, mode)
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    provide_msgpack()
    asyncio.run(main(sys.argv[1], sys.argv[2]))
