"""Which server the rows are held against, and the fixtures that reach it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from .endpoint import Endpoint
from .peers import PEERS, Server, Servers, require_node
from .real_clients import Client, Run


def pytest_addoption(parser: pytest.Parser) -> None:
    # Known only when this directory is named on the command line; elsewhere the environment says.
    parser.addoption("--peer", choices=PEERS, help="the server under test (or ATRIO_PEER)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "atrio_only: a trap of Node's that ours mends; not run against Node's server"
    )


def _peer(config: pytest.Config) -> str:
    peer = config.getoption("--peer", None) or os.environ.get("ATRIO_PEER", "atrio")
    if peer not in PEERS:
        raise pytest.UsageError(f"ATRIO_PEER: expected one of {PEERS}, saw {peer!r}")
    return str(peer)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("atrio_only") and _peer(item.config) != "atrio":
        pytest.skip("Node's server has this trap")


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    servers = Servers(_peer(request.config))
    yield servers
    servers.stop()


@pytest.fixture(autouse=True)
def _servers_are_well(servers: Servers) -> Iterator[None]:
    """Whatever a test's client does, no server dies of it or has an error of its own."""
    yield
    servers.check()


@pytest.fixture(params=["calm-engine", "calm-broker"])
def endpoint(request: pytest.FixtureRequest, servers: Servers) -> Endpoint:
    """Both: the Engine.IO echo, and Engine.IO below Socket.IO; with the default heartbeat."""
    return servers[request.param].endpoint


@pytest.fixture
def engine(servers: Servers) -> Endpoint:
    """The Engine.IO echo, with the default heartbeat."""
    return servers["calm-engine"].endpoint


@pytest.fixture
def broker(servers: Servers) -> Endpoint:
    """The Socket.IO app, with the default heartbeat."""
    return servers["calm-broker"].endpoint


@pytest.fixture(params=["engine", "broker"])
def quick(request: pytest.FixtureRequest, servers: Servers) -> Endpoint:
    """Both, with the times of the outside suites: heartbeat 0.3 s and 0.2 s."""
    return servers[request.param].endpoint


@pytest.fixture
def quick_engine(servers: Servers) -> Endpoint:
    """The Engine.IO echo, heartbeat 0.3 s and 0.2 s."""
    return servers["engine"].endpoint


@pytest.fixture
def quick_broker(servers: Servers) -> Endpoint:
    """The Socket.IO app, heartbeat 0.3 s and 0.2 s, connect timeout 1 s."""
    return servers["broker"].endpoint


@pytest.fixture
def guarded(servers: Servers) -> Endpoint:
    """An Engine.IO echo that allows one foreign origin and sets a cookie; default heartbeat."""
    return servers["guarded-engine"].endpoint


@pytest.fixture
def meeting(servers: Servers) -> Server:
    """The Socket.IO app in which the real clients meet."""
    return servers["meeting"]


@pytest.fixture(params=["json", "msgpack"])
def run(request: pytest.FixtureRequest, client: Client, servers: Servers) -> Run:
    """Runs a scenario in the meeting, with either parser on both sides."""
    server = servers["meeting" if request.param == "json" else "msgpack-meeting"]

    async def run(script: str, mode: str) -> dict[str, Any]:
        return await client.run(script, server.url, mode, request.param)

    return run


@pytest.fixture
def client() -> Client:
    """Runs a real client of Node's."""
    require_node()
    return Client()
