"""Options: what they refuse, and that the refusal names the option and what was seen."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

from broker import Broker, Options

SECONDS = (
    "ping_interval",
    "ping_timeout",
    "upgrade_timeout",
    "connect_timeout",
    "middleware_timeout",
    "handler_timeout",
    "ack_timeout",
    "slow_timeout",
    "headers_timeout",
    "request_timeout",
    "rate_burst",
)
COUNTS = (
    "max_http_buffer_size",
    "max_inbox_bytes",
    "max_inbox_packets",
    "max_outbox_bytes",
    "max_outbox_packets",
    "max_attachments",
    "max_name_length",
    "max_namespaces_per_connection",
    "max_rooms_per_socket",
)
OPTIONAL_COUNTS = (
    "max_packets_per_second",
    "max_bytes_per_second",
    "max_connections",
    "max_connections_per_address",
)


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("bad", [0, -1, math.nan, "10", True])
def test_times_are_positive_seconds(name: str, bad: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Options(**{name: bad})


@pytest.mark.parametrize("name", ["handler_grace", "disconnect_timeout", "grace", "flush_delay"])
def test_graces_may_be_zero_but_not_less(name: str) -> None:
    assert getattr(Options(**{name: 0}), name) == 0  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=name):
        Options(**{name: -0.001})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ping_interval", "ping_timeout"])
def test_a_heartbeat_that_no_client_can_be_told_is_refused(name: str) -> None:
    """The open packet holds both, in milliseconds: infinity would fail every connection."""
    with pytest.raises(ValueError, match=name):
        Options(**{name: math.inf})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("bad", [0, -5, 1.5, "1", None, math.nan])
def test_sizes_are_positive_whole_numbers(name: str, bad: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Options(**{name: bad})


@pytest.mark.parametrize("name", OPTIONAL_COUNTS)
def test_limits_that_may_be_off_are_off_or_positive_whole_numbers(name: str) -> None:
    assert getattr(Options(), name) is None
    assert getattr(Options(**{name: 1}), name) == 1  # type: ignore[arg-type]
    for bad in (0, -5, 1.5, "1", True):
        with pytest.raises(ValueError, match=name):
            Options(**{name: bad})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("transports", ()),
        ("transports", ("webtransport",)),
        ("overflow", "drop_all"),
        ("cors_allowed_origins", ("app.example",)),
        ("cors_allowed_origins", ("https://app.example/",)),
        ("trusted_proxies", ("10.0.0.1/8",)),
        ("trusted_proxies", ("proxy.example",)),
        ("healthz", "healthz"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_what_was_seen(name: str, bad: Any) -> None:
    with pytest.raises(ValueError, match=name) as refused:
        Options(**{name: bad})
    seen = bad[0] if isinstance(bad, tuple) and bad else bad
    assert str(seen) in str(refused.value)


@pytest.mark.parametrize("bad", ["a b", "a;b", "a=b", "a\r\nSet-Cookie: x", "ü"])
def test_a_cookie_name_that_breaks_the_header_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="cookie"):
        Options(cookie=bad)


def test_options_are_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Options().grace = 3.0  # type: ignore[misc]


def test_a_broker_takes_options_or_names_but_not_both_nor_unknown_ones() -> None:
    assert Broker(ping_interval=10).options == Broker(Options(ping_interval=10)).options
    with pytest.raises(TypeError):
        Broker(Options(), ping_interval=10)
    with pytest.raises(TypeError, match="ping_intervall"):
        Broker(ping_intervall=10)


def test_the_defaults_are_those_of_the_contract() -> None:
    expected = {
        "path": "/socket.io/",
        "transports": ("polling", "websocket"),
        "ping_interval": 25.0,
        "ping_timeout": 20.0,
        "max_http_buffer_size": 1_000_000,
        "allow_upgrades": True,
        "upgrade_timeout": 10.0,
        "connect_timeout": 45.0,
        "middleware_timeout": 10.0,
        "handler_grace": 5.0,
        "handler_timeout": None,
        "disconnect_timeout": 5.0,
        "ack_timeout": 10.0,
        "cors_allowed_origins": (),
        "cookie": None,
        "overflow": "disconnect",
        "slow_timeout": 30.0,
        "flush_delay": 0.001,
        "grace": 5.0,
        "trusted_proxies": (),
        "healthz": None,
    }
    options = Options()
    assert {name: getattr(options, name) for name in expected} == expected
