"""Node's own adapters in a process, on a Redis that is none (`cluster_node.mjs`); ours beside it.

What a node publishes is decoded by ours, and what ours encodes is given to it, as Redis would.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal

import attrs
import trio

from protocol.cluster.classic import Classic
from protocol.cluster.formats import Appended, Format, Outgoing, Wire
from protocol.cluster.messages import Answer, Envelope, Message, Request
from protocol.cluster.sharded import Sharded
from protocol.cluster.streams import StreamsWire
from protocol.socketio import JSON, Packet

from .peers import HERE
from .real_clients import Running

FormatName = Literal["classic", "sharded", "streams"]
NAMESPACE = "/chat"


def with_bytes(value: Any) -> Any:
    """Return what JSON has no words for: bytes."""
    if isinstance(value, list):
        return [with_bytes(inner) for inner in value]
    if isinstance(value, dict):
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        return {key: with_bytes(inner) for key, inner in value.items()}
    return value


def shown(data: bytes) -> dict[str, str]:
    """Return how bytes are told to the process."""
    return {"$bytes": base64.b64encode(data).decode()}


@attrs.frozen
class Sent:
    """What a socket of Node's got."""

    socket: str
    packet: Packet
    volatile: bool
    compress: bool


class ClusterNode:
    """A node of Node's, and `wire`, ours beside it."""

    def __init__(self, process: trio.Process, format_: Format, node: str) -> None:
        self._process = process
        self._running = Running(process)
        self.wire: Wire = format_.wire(NAMESPACE, node)
        self.uid = ""
        self.listens: list[str] = []
        self.said: list[dict[str, Any]] = []

    async def do(self, what: str, **command: Any) -> list[Envelope]:
        """Have it do something; returns what ours hears of that. `said` has all it said."""
        self.said = []
        assert self._process.stdin is not None
        line = json.dumps({"do": what} | command)
        await self._process.stdin.send_all(line.encode() + b"\n")
        while not (said := with_bytes(await self._running.next_line())).get("done"):
            self.said.append(said)
            if "listens" in said:
                self.listens.append(said["channel"])
        envelopes = [self._hear(said) for said in self.said]
        return [envelope for envelope in envelopes if envelope is not None]

    def _hear(self, said: dict[str, Any]) -> Envelope | None:
        if "published" in said:
            return self.wire.decode(said["channel"], said["data"])
        if "appended" in said:
            assert isinstance(self.wire, StreamsWire)
            return self.wire.decode_entry(fields_of(said["fields"]), "1-0")
        return None

    async def hear(self, sent: Outgoing) -> list[Envelope]:
        """Have it hear what we send; returns what ours hears of that."""
        if isinstance(sent, Appended):
            fields = {name.decode(): data.decode() for name, data in sent.fields.items()}
            return await self.do("entry", stream=sent.stream, fields=fields)
        return await self.do("inject", channel=sent.channel, data=shown(sent.data))

    async def hear_request(self, request: Request) -> list[Envelope]:
        """Have it hear a request of ours."""
        return await self.hear(self.wire.encode(request))

    async def hear_answer(self, answer: Answer) -> None:
        """Have it hear an answer of ours."""
        await self.hear(self.wire.encode_answer(answer, self.uid))

    async def socket(self, id_: str, **facts: Any) -> None:
        """Give it a socket."""
        await self.do("socket", id=id_, **facts)

    async def rooms(self, id_: str) -> set[str]:
        """Return which rooms a socket of its is in."""
        await self.do("rooms", id=id_)
        return set(self.word("rooms"))

    def word(self, name: str) -> Any:
        """Return the one thing it said of this kind."""
        [word] = [said[name] for said in self.said if name in said]
        return word

    def sent(self) -> list[Sent]:
        """Return what its sockets got."""
        return [
            Sent(
                said["sent"],
                _packet_of(said["packets"]),
                said.get("volatile", False),
                said.get("compress", True),
            )
            for said in self.said
            if "sent" in said
        ]


def _packet_of(messages: list[str | bytes]) -> Packet:
    decoder = JSON.decoder()
    packet = [decoder.add(message) for message in messages][-1]
    assert packet is not None
    return packet


def fields_of(said: dict[str, str]) -> dict[bytes, bytes]:
    """Return an entry as Redis gives it."""
    return {name.encode(): data.encode() for name, data in said.items()}


def only(envelopes: list[Envelope]) -> Message:
    """Return the message that was heard, which is one."""
    [envelope] = envelopes
    return envelope.message


@asynccontextmanager
async def node_process(script: str, *args: str) -> AsyncIterator[trio.Process]:
    """Run a script of this folder in Node, with pipes, and end it with the block."""
    run = partial(
        trio.run_process,
        ["node", str(HERE / script), *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(run)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        async with process.stdin, process.stdout, process.stderr:
            yield process
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def cluster_node(
    name: FormatName, format_: Format, node: str = "atrio", **options: Any
) -> AsyncIterator[ClusterNode]:
    """Start a node of Node's with these options, and end it with the block."""
    async with node_process("cluster_node.mjs", name, json.dumps(options)) as process:
        peer = ClusterNode(process, format_, node)
        await peer.do("nothing")
        peer.uid = peer.listens[-1].split("#")[-2]
        yield peer


@attrs.frozen
class Setting:
    """One format with the same options on both sides."""

    name: FormatName
    format_: Format
    options: dict[str, Any] = attrs.field(factory=dict)

    def node(self, node: str = "atrio") -> Any:
        """Start a node of Node's with it."""
        return cluster_node(self.name, self.format_, node, **self.options)

    @property
    def is_classic(self) -> bool:
        return isinstance(self.format_, Classic)

    @property
    def is_sharded(self) -> bool:
        return isinstance(self.format_, Sharded)
