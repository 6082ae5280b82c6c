"""The diagrams of simulated runs, in Mermaid itself: it accepts them, and shows what was meant."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sim.mermaid import mermaid
from actors.sim.story import Story

from .peers import NODE_MODULES, Servers, require_chromium, unavailable
from .real_clients import CLIENTS
from .sim_stories import NASTY, everything, large, message, nasty, story

# It starts a browser first, maybe beside other work.
_PATIENCE = 60.0

_PIECES = [
    *"#;:%$<>&{}[]()\\/|-+~`'\"@,. \n\t*=!?^_",
    *("end", "style", "classDef", "wrap:", "nowrap:", "note", "title", "participant", "%%", "-->>"),
    *(
        "¶ß",
        "ﬂ°",
        "&lt;",
        "#35;",
        "<br/>",
        "$$",
        "%%{",
        "}%%",
        "init",
        "\u2028",
        "\u202e",
        "é",
        "日",
    ),
]
texts = st.lists(st.sampled_from(_PIECES) | st.text(max_size=4), max_size=12).map("".join)


class Mermaid:
    """A browser with Mermaid in it, which draws one diagram after the other."""

    def __init__(self, chromium: str) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self._process = subprocess.Popen(
            ["node", str(CLIENTS / "mermaid.mjs"), chromium],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def draw(self, diagram: str) -> list[str]:
        """Return the texts in the picture of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(diagram).encode() + b"\n")
        self._process.stdin.flush()
        seen: dict[str, Any] = json.loads(self._next_line())
        assert "error" not in seen, f"{seen['error']}\n{diagram}"
        assert seen["ran"] is None
        texts: list[str] = seen["texts"]
        return texts

    def _next_line(self) -> bytes:
        assert self._process.stdout is not None
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                assert selector.select(_PATIENCE), "Mermaid does not answer"
                if not (piece := os.read(self._process.stdout.fileno(), 65_536)):
                    self._log.seek(0)
                    raise AssertionError(f"Mermaid has ended: {self._log.read().decode()}")
                line += piece
        return line

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            assert self._process.wait(_PATIENCE) == 0
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._log.close()


@pytest.fixture(scope="module")
def picture(servers: Servers) -> Iterator[Mermaid]:
    """Mermaid in the system's Chromium; without them these tests do not run."""
    if servers.peer != "atrio":
        pytest.skip("no server has a part in it")
    chromium = require_chromium()
    if not (NODE_MODULES / "@mermaid-js" / "tiny").is_dir():
        unavailable("needs Node's packages: apt-get install -y nodejs npm, then .ci/test")
    running = Mermaid(chromium)
    yield running
    running.stop()


@pytest.mark.parametrize("text", NASTY)
def test_any_text_is_accepted_anywhere(picture: Mermaid, text: str) -> None:
    picture.draw(mermaid(nasty(text)))


@pytest.mark.parametrize(
    "text", [text for text in NASTY if text.isprintable() and 0 < len(text.strip()) < 60]
)
def test_a_text_is_shown_as_it_is(picture: Mermaid, text: str) -> None:
    shown = picture.draw(mermaid(story([message(7, "one", "two", text, sent_at=3)], title=text)))
    assert f"{text} @7 (sent @3)" in shown
    assert text in shown  # the title


@settings(deadline=None, max_examples=60)
@given(texts, texts)
def test_generated_texts_are_accepted_and_shown(picture: Mermaid, text: str, name: str) -> None:
    picture.draw(mermaid(nasty(text, name)))
    words = " ".join(text.split())
    if words.isprintable() and 0 < len(words) <= 60:
        shown = picture.draw(mermaid(story([message(7, "one", "two", text)])))
        assert f"{words} @7" in shown


def test_a_failure_is_drawn_with_all_that_led_to_it(picture: Mermaid) -> None:
    shown = picture.draw(mermaid(everything()))
    assert "('leave', 2, <send>) @122 (sent @108)" in shown
    assert "('join', 3, <send>) never received (sent @109)" in shown
    assert {"registry", "room", "client#2", "client#3", "conn0"} <= set(shown)


@pytest.mark.parametrize(
    "drawn",
    [story(), story(outcome="Deadlock: nothing", failed_at=3), large(3000, 40), large(200, 2)],
    ids=["nothing", "a failure only", "many lanes", "two lanes"],
)
def test_runs_of_any_size_are_accepted(picture: Mermaid, drawn: Story) -> None:
    picture.draw(mermaid(drawn))
    picture.draw(mermaid(drawn, last=500))
