"""What the port serves beside the endpoint: pages, the health check, and 404s that help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker import Broker


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("swordfish")
    root = tmp_path / "site"
    (root / "sub").mkdir(parents=True)
    (root / "index.html").write_text("<p>home</p>")
    (root / "sub" / "ä b.js").write_text("1")
    (root / "link").symlink_to(tmp_path / "secret.txt")
    return root


async def test_a_directory_is_served_with_its_index(site: Path, http: Callable[..., Any]) -> None:
    broker = Broker()
    broker.static("/", site)
    async with broker, http(broker) as client:
        status, headers, body = await client.request("GET", "/")
        assert (status, body) == (200, b"<p>home</p>")
        assert headers["content-type"].startswith("text/html")
        assert (await client.request("HEAD", "/"))[::2] == (200, b"")
        assert (await client.request("GET", "/", If_None_Match=headers["etag"]))[0] == 304
        assert (await client.request("GET", "/sub/%C3%A4%20b.js?x=1"))[::2] == (200, b"1")
        # The endpoint's own path comes first.
        assert (await client.request("GET", "/socket.io/"))[0] == 400


@pytest.mark.parametrize(
    "target",
    [
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "//etc/passwd",
        "/link",
        "/nothing",
        "/sub",
        "/index.html/x",
        "/%00",
        "/%ff",
        "/" + "a" * 300,
        "/" + "a/" * 3000,
    ],
)
async def test_nothing_outside_and_nothing_absent_is_served(
    target: str, site: Path, http: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    broker.static("/", site)
    async with broker, http(broker) as client:
        status, _, body = await client.request("GET", target)
        assert status == 404
        assert b"swordfish" not in body
        assert "Traceback" not in caplog.text


async def test_a_404_names_the_path_of_the_endpoint(http: Callable[..., Any]) -> None:
    broker = Broker(path="/live/")
    async with broker, http(broker) as client:
        status, headers, body = await client.request("GET", "/socket.io/?EIO=4&transport=polling")
        assert status == 404
        assert b"/live/" in body
        assert headers["content-type"].startswith("text/plain")


async def test_one_file_is_served_where_it_is_said(site: Path, http: Callable[..., Any]) -> None:
    broker = Broker()
    broker.static("/app.html", site / "index.html")
    async with broker, http(broker) as client:
        assert (await client.request("GET", "/app.html"))[0] == 200
        assert (await client.request("GET", "/"))[0] == 404
        assert (await client.request("POST", "/app.html", b"x"))[0] == 404


def test_what_is_not_there_cannot_be_served(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Broker().static("/", tmp_path / "nothing")


async def test_healthz_answers_when_asked_for(http: Callable[..., Any]) -> None:
    broker = Broker(healthz="/healthz")
    async with broker, http(broker) as client:
        assert (await client.request("GET", "/healthz"))[0] == 200
    async with Broker() as plain, http(plain) as client:
        assert (await client.request("GET", "/healthz"))[0] == 404
