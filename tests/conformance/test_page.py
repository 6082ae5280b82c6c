"""The page of the built-in chat, in Chromium: what people see of it, and what their browsers say.

`clients/page.mjs` drives the browser and tells what it saw; what ought to be seen is said here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest
import trio

from .peers import Servers, require_chromium
from .real_clients import Client

# A first start compiles what it imports, maybe beside other work.
_START = 30.0

READABLE = 4.5  # WCAG 2, level AA, for text of any size

BAD_NAME = "A name has 1 to 32 characters."
BAD_TEXT = "A message has 1 to 2000 characters."
BAD_TOKEN = "This is not the admin token."


@pytest.fixture(autouse=True)
def chromium(servers: Servers) -> str:
    """The system's Chromium; without it, or Node, these tests do not run."""
    if servers.peer != "atrio":
        pytest.skip("the page is of atrio's own chat")
    return require_chromium()


class Served:
    """`atrio serve` as a process, at `url`; it can be killed and started again there."""

    def __init__(self, nursery: trio.Nursery, log: IO[bytes], *args: str) -> None:
        self.url = ""
        self._nursery = nursery
        self._log = log
        self._args = args
        self._process: trio.Process | None = None

    async def start(self) -> None:
        port = self.url.rstrip("/").rpartition(":")[2] or "0"
        command = [Path(sys.executable).with_name("atrio"), "serve", "--port", port, *self._args]
        self._process = await self._nursery.start(
            partial(
                trio.run_process,
                command,
                stdout=subprocess.PIPE,
                stderr=self._log,
                check=False,
                deliver_cancel=_kill,
                env={**os.environ, "PYTHONWARNINGS": "error"},
            )
        )
        line = b""
        with trio.fail_after(_START):
            assert self._process.stdout is not None
            while not line.endswith(b"\n"):
                piece = await self._process.stdout.receive_some()
                assert piece, f"it did not start: {line!r}"
                line += piece
        word, _, url = line.decode().strip().rpartition(" ")
        assert word == "atrio listening on", line
        assert self.url in {"", f"{url}/"}
        self.url = f"{url}/"

    async def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def _served(*args: str) -> AsyncIterator[Served]:
    with tempfile.TemporaryFile() as log:
        async with trio.open_nursery() as nursery:
            server = Served(nursery, log, *args)
            await server.start()
            yield server
            nursery.cancel_scope.cancel()
        log.seek(0)
        said = log.read().decode()
        assert "Traceback" not in said, said


async def _kill(process: trio.Process) -> None:
    process.kill()


Browse = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def browse(client: Client, chromium: str) -> Browse:
    """`seen = await browse(scenario, server)`; steps, by name, are what the test does meanwhile."""

    async def browse(
        scenario: str, server: Served, **steps: Callable[[], Awaitable[None]]
    ) -> dict[str, Any]:
        async with client.start("page.mjs", scenario, server.url, chromium) as running:
            while "step" in (seen := await running.next_line()):
                await steps[seen["step"]]()
            await running.end()
        # All that was loaded came from the server, and the browser has nothing to complain of.
        host = server.url.removeprefix("http:").rstrip("/")
        assert seen["origins"] == [f"http:{host}", f"ws:{host}"]
        assert seen["complaints"] == []
        return seen

    return browse


async def test_two_browsers_chat_go_from_room_to_room_and_can_be_listened_to(
    browse: Browse,
) -> None:
    async with _served() as server:
        seen = await browse("chat", server)
    both = ["Hello Ben", "Hello Anna"]
    assert seen["together"] == {"anna": both, "ben": both}
    assert seen["aloud"] == {
        "live": "polite",
        "messages": both,
        "notices": ["Cleo joined general", "Cleo left general", "Ben joined general"],
        "status": "Connected",
    }
    assert seen["apart"] == {
        "anna": {"messages": ["Only here in tech"], "notices": []},
        "ben": {
            "messages": [*both, "Only here in general"],
            "notices": ["Anna left general"],
        },
        "cleo": {"messages": ["Only here in random"], "notices": []},
    }


async def test_refusals_are_shown_where_one_can_mend_it(browse: Browse) -> None:
    async with _served() as server:
        seen = await browse("refusals", server)
    refused = {"error": BAD_NAME, "focus": "name-input"}
    assert seen["names"] == {"empty": refused, "blank": refused, "long": refused}
    assert seen["goneError"] == ""
    kept = {"error": BAD_TEXT, "kept": True}
    assert seen["texts"] == {"empty": kept, "blank": kept, "long": kept}
    assert seen["sent"] == [2000]  # as long as may be; of the refused ones, none


async def test_names_and_messages_stay_text_and_nothing_inline_would_run(browse: Browse) -> None:
    async with _served() as server:
        seen = await browse("markup", server)
    assert seen["author"] == seen["name"] == "<img src=x onerror=hit=1>"
    assert seen["windows"] == [{"hit": None, "made": 0}] * 3
    # If some got in after all, the policy would not let it run.
    assert "default-src 'none'" in seen["policy"]
    assert "script-src 'self'" in seen["policy"]
    assert "unsafe-" not in seen["policy"]
    assert seen["blocked"] == {
        "directives": ["script-src-attr", "script-src-elem", "style-src-attr"],
        "hit": None,
    }


async def test_all_of_it_works_by_keyboard_with_the_focus_in_sight(browse: Browse) -> None:
    async with _served() as server:
        seen = await browse("keyboard", server)
    # After each act the focus is where the next one would begin.
    assert seen["focus"] == [
        "name-input",
        "message-input",
        "room-tech",
        "admin-title",
        "message-input",
        "name-input",
    ]
    for way in seen["ways"].values():
        assert not [stop for stop in way if "unseen" in stop], way
        assert len(way) <= 6


async def test_every_view_can_be_read_and_fits_a_phone(browse: Browse) -> None:
    async with _served("--admin-token", "the token") as server:
        seen = await browse("looks", server)
    parts = set()
    for look in seen["looks"]:
        where = f"{look['view']}, {look['width']} px, {look['colorScheme']}"
        assert look["tooWide"] <= 0, where
        assert _poor(look["texts"]) == [], where
        parts |= {text["part"] for text in look["texts"]}
    # … and what matters was there to be measured.
    assert parts >= {
        "p.text",
        "own p.text",
        "own time.",
        "p.author",
        "p.author::before",
        "p.notice",
        "p.error",
        "p.lead",
        "placeholder",
        "button.primary",
        "button.small",
        "span.room-name",
        "a.admin-link",
        "dd.",
    }


def _poor(texts: list[dict[str, Any]]) -> list[str]:
    return [
        f"{text['part']} {text['text'][:20]!r}: {text['contrast']:.2f}"
        for text in texts
        if text["contrast"] < READABLE
    ]


async def test_the_admin_view_shows_what_happens_as_it_happens(browse: Browse) -> None:
    async with _served() as server:
        seen = await browse("admin", server)
    assert seen["during"] == {"general": "0 members, 0 messages", "tech": "1 member, 1 message"}
    assert seen["totals"] | {"Uptime": ""} == {
        "Uptime": "",
        "Connections": "2",
        "Sockets": "2",
        "Memberships": "1",
    }
    assert seen["form"] is False  # this machine is asked for no token


async def test_the_admin_view_opens_to_the_right_token_only(browse: Browse) -> None:
    async with _served("--admin-token", "the token") as server:
        seen = await browse("token", server)
    assert seen["none"] == seen["wrong"] == BAD_TOKEN
    assert seen["hidden"] is True


async def test_after_a_crash_the_page_says_so_and_returns_to_its_room(browse: Browse) -> None:
    async with _served() as server:
        seen = await browse("reconnect", server, kill=server.kill, start=server.start)
    assert seen["before"] == []
    assert re.fullmatch(r"Reconnecting( in \d+ s)? …", seen["state"])
    assert _poor(seen["stale"]) == []
    assert seen["refused"] == "You are not connected right now."
    assert seen["kept"] == "Meanwhile"
    assert seen["messages"] == ["After"]
    # The browser itself tells of each attempt that finds nobody; the page adds nothing to that.
    assert [line for line in seen["meanwhile"] if "ERR_CONNECTION_REFUSED" not in line] == []
