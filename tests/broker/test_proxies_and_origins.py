"""Which pages may connect, and which headers of a proxy are believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import h11
import pytest
import trio_websocket

from broker import Broker, Socket
from broker.sessions.http import Peer, read_request

OPEN = "/socket.io/?EIO=4&transport=polling"


@pytest.mark.parametrize(
    ("allowed", "origin", "served"),
    [
        ((), None, True),
        ((), "http://test.invalid", True),
        ((), "HTTP://Test.Invalid", True),
        ((), "https://test.invalid", False),
        ((), "http://test.invalid:81", False),
        ((), "http://evil.example", False),
        ((), "null", False),
        (("https://app.example",), "https://app.example", True),
        (("https://app.example",), "https://app.example.evil.example", False),
        (("https://app.example",), "http://app.example", False),
        (("https://app.example",), "http://test.invalid", True),
        (("*",), "http://evil.example", True),
        (("*",), "null", True),
    ],
)
async def test_an_origin_is_judged_alike_on_both_transports(
    allowed: tuple[str, ...],
    origin: str | None,
    served: bool,
    http: Callable[..., Any],
    wire: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker(cors_allowed_origins=allowed)
    named = {} if origin is None else {"Origin": origin}
    async with broker:
        async with http(broker) as client:
            status, headers, body = await client.request("GET", OPEN, **named)
        fields = [(name.encode(), value.encode()) for name, value in named.items()]
        if served:
            assert status == 200
            foreign = origin is not None and origin.lower() != "http://test.invalid"
            assert ("access-control-allow-origin" in headers) == foreign
            async with wire(broker, headers=fields):
                pass
        else:
            assert (status, json.loads(body)["code"]) == (403, 4)
            assert "access-control-allow-origin" not in headers
            for text in (str(origin), "cors_allowed_origins", *allowed):
                assert text in caplog.text
            with pytest.raises(ExceptionGroup) as refused:
                async with wire(broker, headers=fields):
                    pass
            rejected = refused.value
            while isinstance(rejected, ExceptionGroup):
                rejected = rejected.exceptions[0]  # type: ignore[assignment]
            assert isinstance(rejected, trio_websocket.ConnectionRejected)
            assert rejected.status_code == 403


async def test_forwarded_headers_of_a_stranger_are_not_believed(wire: Callable[..., Any]) -> None:
    broker = Broker()
    sockets: list[Socket] = []

    @broker.use
    async def note(socket: Socket) -> None:
        sockets.append(socket)

    headers = [(b"X-Forwarded-For", b"6.6.6.6"), (b"X-Forwarded-Proto", b"https")]
    async with broker, wire(broker, headers=headers) as client:
        await client.enter()
        assert sockets[0].handshake.address != "6.6.6.6"
        assert not sockets[0].handshake.secure


@pytest.mark.parametrize(
    ("peer", "headers", "address", "secure", "host"),
    [
        ("9.9.9.9", {"for": "1.1.1.1", "proto": "https", "host": "x"}, "9.9.9.9", False, "own"),
        ("10.0.0.1", {}, "10.0.0.1", False, "own"),
        ("10.0.0.1", {"for": "1.1.1.1"}, "1.1.1.1", False, "own"),
        # What the client itself wrote stands in front, and is not believed.
        ("10.0.0.1", {"for": "6.6.6.6, 1.1.1.1"}, "1.1.1.1", False, "own"),
        ("10.0.0.1", {"for": "1.1.1.1, 10.0.0.2"}, "1.1.1.1", False, "own"),
        ("10.0.0.1", {"for": "10.0.0.3, 10.0.0.2"}, "10.0.0.3", False, "own"),
        ("10.0.0.1", {"proto": "https", "host": "chat.example"}, "10.0.0.1", True, "chat.example"),
        ("10.0.0.1", {"proto": "HTTPS"}, "10.0.0.1", True, "own"),
        ("10.0.0.1", {"for": "2001:db8::1"}, "2001:db8::1", False, "own"),
        ("::1", {"for": "1.1.1.1"}, "1.1.1.1", False, "own"),
        ("", {"for": "1.1.1.1"}, "", False, "own"),
    ],
)
def test_a_trusted_proxy_tells_who_the_client_is(
    peer: str, headers: dict[str, str], address: str, secure: bool, host: str
) -> None:
    event = h11.Request(
        method="GET",
        target="/",
        headers=[
            ("Host", "own"),
            *((f"X-Forwarded-{name}", value) for name, value in headers.items()),
        ],
    )
    trusted = Broker(trusted_proxies=("10.0.0.0/8", "::1/128")).options.trusted_proxies
    request = read_request(event, Peer(peer, secure=False), trusted)
    assert (request.address, request.secure, request.host) == (address, secure, host)
