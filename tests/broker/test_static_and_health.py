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


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [
        ("gzip, deflate, br", "br", b"brotli"),
        ("gzip", "gzip", b"gzipped"),
        ("br;q=0.5, gzip", "gzip", b"gzipped"),
        ("br;q=0", None, b"1"),
        ("deflate", None, b"1"),
        ("", None, b"1"),
    ],
)
async def test_a_file_is_sent_as_it_lies_compressed_beside_itself(
    accepted: str, coding: str | None, body: bytes, site: Path, http: Callable[..., Any]
) -> None:
    (site / "app.js").write_text("1")
    (site / "app.js.br").write_bytes(b"brotli")
    (site / "app.js.gz").write_bytes(b"gzipped")
    (site / "index.html.gz").symlink_to(site.parent / "secret.txt")
    broker = Broker()
    broker.static("/", site)
    async with broker, http(broker) as client:
        status, headers, seen = await client.request("GET", "/app.js", Accept_Encoding=accepted)
        assert (status, seen, headers.get("content-encoding")) == (200, body, coding)
        assert "javascript" in headers["content-type"]
        assert headers["vary"] == "Accept-Encoding"
        again = await client.request(
            "GET", "/app.js", Accept_Encoding=accepted, If_None_Match=headers["etag"]
        )
        assert (again[0], again[2], again[1]["vary"]) == (304, b"", "Accept-Encoding")
        other = await client.request("GET", "/", Accept_Encoding=accepted)
        assert "vary" not in other[1]
        assert "content-encoding" not in other[1]


@pytest.mark.parametrize(
    ("known", "status"),
    [("{}", 304), ('"x", {}', 304), ("W/{}", 304), ("*", 304), ('"x"', 200), ("", 200)],
)
async def test_a_file_that_the_client_has_is_not_sent_again(
    known: str, status: int, site: Path, http: Callable[..., Any]
) -> None:
    broker = Broker()
    broker.static("/", site)
    async with broker, http(broker) as client:
        tag = (await client.request("GET", "/"))[1]["etag"]
        answer = await client.request("GET", "/", If_None_Match=known.format(tag))
        assert answer[0] == status
        assert answer[1]["etag"] == tag


async def test_an_upgrade_elsewhere_is_answered_and_its_connection_closed(
    site: Path, http: Callable[..., Any]
) -> None:
    """As Node's destroyUpgrade, but at once, and with an answer that says where to go."""
    broker = Broker()
    broker.static("/page", site)
    for target, expected in (("/other/?EIO=4&transport=websocket", 404), ("/page", 200)):
        async with broker, http(broker) as client:
            status, headers, body = await client.request(
                "GET",
                target,
                Connection="Upgrade",
                Upgrade="websocket",
                Sec_WebSocket_Version="13",
                Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
            )
            assert (status, headers["connection"]) == (expected, "close")
            assert b"/socket.io/" in body or expected == 200
            assert await client.stream.receive_some() == b""


async def test_healthz_answers_when_asked_for(http: Callable[..., Any]) -> None:
    broker = Broker(healthz="/healthz")
    async with broker, http(broker) as client:
        assert (await client.request("GET", "/healthz"))[0] == 200
    async with Broker() as plain, http(plain) as client:
        assert (await client.request("GET", "/healthz"))[0] == 404
