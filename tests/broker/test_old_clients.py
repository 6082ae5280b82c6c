"""Clients that speak what atrio does not are told which do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker import Broker, ConnectionFailure

POLL = "/socket.io/?EIO=4&transport=polling"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    ("target", "named"),
    [
        # As socket.io-client 2 asks, whatever else is in its query.
        (POLL.replace("EIO=4", "EIO=3"), {}),
        (POLL.replace("EIO=4", "EIO=3") + "&b64=1&j=0", {}),
        (POLL.replace("EIO=4", "EIO=3").replace("polling", "websocket"), UPGRADE),
    ],
)
async def test_a_client_of_protocol_3_reads_which_versions_work(
    target: str, named: dict[str, str], http: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    failures: list[ConnectionFailure] = []
    broker.on_connection_error(failures.append)
    async with broker, http(broker) as client:
        status, _, body = await client.request("GET", target, **named)
        assert status == 400
        assert broker.statistics().connections == 0
    (failure,) = failures
    assert (failure.code, failure.message) == (5, "Unsupported protocol version")
    assert failure.context["protocol"] == "3"
    for text in (body.decode(), caplog.text, str(failure.context["hint"])):
        assert "3.x or 4.x" in text
        assert "socket.io-client 4" in text


async def test_a_client_that_wants_jsonp_reads_that_there_is_none(
    http: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    failures: list[ConnectionFailure] = []
    broker.on_connection_error(failures.append)
    async with broker, http(broker) as client:
        status, headers, body = await client.request("GET", f"{POLL}&j=0")
        assert status == 400
        assert headers["content-type"] == "application/json"
        assert broker.statistics().connections == 0
    (failure,) = failures
    assert (failure.code, failure.context["name"]) == (3, "JSONP")
    for text in (body.decode(), caplog.text, str(failure.context["hint"])):
        assert "JSONP" in text
