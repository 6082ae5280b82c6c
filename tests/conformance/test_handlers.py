"""Listeners, middleware, parents: what the official client notices of them."""

from __future__ import annotations

from typing import Any

import pytest

from .peers import Server, Servers
from .real_clients import MODES, Client


@pytest.fixture
def handlers(servers: Servers) -> Server:
    """The app in which everything is registered that can be."""
    return servers["handlers"]


async def seen_by(client: Client, handlers: Server, mode: str = "websocket") -> dict[str, Any]:
    seen: dict[str, Any] = await client.run("handlers.mjs", handlers.url, mode)
    return seen


@pytest.mark.parametrize("mode", MODES)
async def test_listeners_then_middleware_then_handlers(
    client: Client, handlers: Server, mode: str
) -> None:
    seen = await seen_by(client, handlers, mode)
    assert seen["order"] == ["first order", "any order", "use order", "on x"]
    assert seen["changed"] == "after"
    assert seen["errors"] == ["muted: be quiet"]


async def test_once_and_off(client: Client, handlers: Server) -> None:
    seen = await seen_by(client, handlers)
    assert seen["once"] == ["once", "on"]
    assert seen["off"] == ["off", "on"]


async def test_outgoing_listeners_hear_broadcasts(client: Client, handlers: Server) -> None:
    assert (await seen_by(client, handlers))["outgoing"] == [["told", "to all"]]


async def test_room_events(client: Client, handlers: Server) -> None:
    seen = await seen_by(client, handlers)
    assert seen["rooms"] == ["create tea", "join tea", "leave tea", "delete tea"]


async def test_a_parent_reaches_all_its_children(client: Client, handlers: Server) -> None:
    seen = await seen_by(client, handlers)
    assert seen["parents"] == ["staff", "all", "all"]
    assert seen["strays"] == []


@pytest.mark.atrio_only
async def test_what_middleware_refuses_is_answered(client: Client, handlers: Server) -> None:
    seen = await seen_by(client, handlers)
    assert seen["muted"] == {"error": {"code": "muted", "message": "be quiet"}}


@pytest.mark.atrio_only
async def test_what_has_no_handler_may_have_one(client: Client, handlers: Server) -> None:
    assert (await seen_by(client, handlers))["fallback"] == [["what", 7]]


@pytest.mark.atrio_only
async def test_handlers_in_a_class(client: Client, handlers: Server) -> None:
    assert (await seen_by(client, handlers))["counted"] == 1
