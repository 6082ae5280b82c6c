"""Compressed answers to polls: when, how, and that it delays nobody."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from broker import Broker
from broker.sessions import compression
from broker.sessions.compression import chosen_coding

POLL = "/socket.io/?EIO=4&transport=polling"
TEXT = "abc" * 1000

Http = Callable[..., Any]


def unpacked(body: bytes) -> bytes:
    """Return what gzip or zlib has packed."""
    return zlib.decompress(body, 47)


@asynccontextmanager
async def entered(broker: Broker, http: Http) -> AsyncIterator[tuple[Any, str]]:
    """A polling client in `/`, and the target of its polls."""
    async with broker, http(broker) as client:
        _, _, opened = await client.request("GET", POLL)
        target = f"{POLL}&sid={json.loads(opened[1:])['sid']}"
        await client.request("POST", target, b"40")
        assert (await client.request("GET", target))[2].startswith(b"40{")
        yield client, target


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br", "gzip"),
        ("deflate", "deflate"),
        ("GZIP", "gzip"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip;q=0", None),
        ("gzip ; q=1.0", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0, *;q=0.5", "deflate"),
        ("*;q=0", None),
        ("br", None),
        ("", None),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("gzip;q=nan", None),
        ("gzip;q=2", None),
        ("gzip;level=3", None),
        (",,;;,", None),
    ],
)
async def test_an_answer_has_the_coding_that_the_client_prefers(
    accepted: str, coding: str | None, http: Http
) -> None:
    assert chosen_coding(accepted) == coding
    broker = Broker()
    async with entered(broker, http) as (client, target):
        await broker.emit("text", TEXT)
        _, headers, body = await client.request("GET", target, Accept_Encoding=accepted)
        assert headers.get("content-encoding") == coding
        assert headers["vary"] == "Accept-Encoding"
        assert headers["content-length"] == str(len(body))
        assert headers["content-type"].startswith("text/plain")
        plain = f'42["text","{TEXT}"]'.encode()
        assert (body if coding is None else unpacked(body)) == plain
        if coding is not None:
            assert len(body) < len(plain)
            assert (body[:2] == b"\x1f\x8b") == (coding == "gzip")
        assert broker.statistics().outbox_bytes == 0
        # The client goes on as before.
        await broker.emit("text", "x")
        assert (await client.request("GET", target))[2] == b'42["text","x"]'


async def test_it_begins_at_the_threshold(http: Http) -> None:
    frame = len(b'42["e",""]')
    broker = Broker(http_compression=2000)
    async with entered(broker, http) as (client, target):
        for size, coding in ((1999, None), (2000, "gzip")):
            await broker.emit("e", "a" * (size - frame))
            _, headers, body = await client.request("GET", target, Accept_Encoding="gzip")
            assert headers.get("content-encoding") == coding
            assert ("vary" in headers) == (coding is not None)
            assert len(body if coding is None else unpacked(body)) == size


@pytest.mark.parametrize("off", [None, False])
async def test_it_can_be_turned_off(off: Any, http: Http) -> None:
    broker = Broker(http_compression=off)
    async with entered(broker, http) as (client, target):
        await broker.emit("e", TEXT)
        _, headers, body = await client.request("GET", target, Accept_Encoding="gzip")
        assert "content-encoding" not in headers
        assert "vary" not in headers
        assert body == f'42["e","{TEXT}"]'.encode()


async def test_it_is_on_as_in_node() -> None:
    assert Broker().options.http_compression == 1024
    assert Broker(http_compression=True).options.http_compression == 1024


async def test_an_answer_in_which_no_event_is_worth_it_is_sent_as_it_is(http: Http) -> None:
    broker = Broker()
    async with entered(broker, http) as (client, target):
        (socket,) = broker.sockets.values()
        await socket.join("room")
        for poor in (
            broker.compress(False),
            broker.compress(True).compress(False).to("room"),
            broker.to("room").compress(False).local.except_("other"),
            socket.compress(False),
        ):
            await poor.emit("e", TEXT)
            poor.emit_nowait("e", TEXT)
            await trio.testing.wait_all_tasks_blocked()
            _, headers, body = await client.request("GET", target, Accept_Encoding="gzip")
            assert "content-encoding" not in headers
            assert body.count(TEXT.encode()) == 2
            await poor.emit("e", TEXT)
            await broker.emit("rich")
            _, headers, _ = await client.request("GET", target, Accept_Encoding="gzip")
            assert headers["content-encoding"] == "gzip"


async def test_events_emitted_at_once_are_judged_one_by_one(http: Http) -> None:
    """A room pushes together what comes together."""
    broker = Broker()
    async with entered(broker, http) as (client, target):
        (socket,) = broker.sockets.values()
        await socket.join("room")
        for poor, coding in ((False, None), (True, "gzip")):
            for compress in (False, poor, False):
                broker.to("room").compress(compress).emit_nowait("e", TEXT)
            await trio.testing.wait_all_tasks_blocked()
            _, headers, _ = await client.request("GET", target, Accept_Encoding="gzip")
            assert headers.get("content-encoding") == coding


async def test_vary_keeps_what_it_said_before(http: Http) -> None:
    broker = Broker(cors_allowed_origins="*")
    async with entered(broker, http) as (client, target):
        await broker.emit("e", TEXT)
        _, headers, _ = await client.request(
            "GET", target, Accept_Encoding="gzip", Origin="https://app.example"
        )
        assert headers["vary"] == "Origin, Accept-Encoding"


async def test_a_large_answer_is_compressed_beside_the_loop(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    compress = compression._compress

    def noted(body: bytes, coding: str) -> bytes:
        threads.append(threading.get_ident())
        return compress(body, coding)

    monkeypatch.setattr(compression, "_compress", noted)
    broker = Broker()
    async with entered(broker, http) as (client, target):
        for size in (10_000, 1_000_000):
            await broker.emit("e", "a" * size)
            _, headers, body = await client.request("GET", target, Accept_Encoding="gzip")
            assert headers["content-encoding"] == "gzip"
            assert len(unpacked(body)) == size + len(b'42["e",""]')
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, False]


@pytest.mark.parametrize("bad", [0, -1, 1.5, "1kb"])
def test_a_threshold_that_makes_no_sense_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="http_compression"):
        Broker(http_compression=bad)
