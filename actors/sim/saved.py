"""What a failing test leaves behind in `.sim/`: its schedule, to be tried first, and pictures."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

from .errors import BadToken, words
from .mermaid import mermaid
from .page import page
from .places import leaf
from .run import Run
from .story import Story
from .tape import decode

_LONGEST_NAME = 60


class Saved:
    """The files of one test, below the root of the project's tests."""

    def __init__(self, root: Path, nodeid: str) -> None:
        self._root = root
        self._nodeid = nodeid
        readable = re.sub(r"\W+", "-", nodeid.rpartition("::")[2]).strip("-")[:_LONGEST_NAME]
        # Two tests of one name, in different files, are told apart by the sum.
        self._stem = f"{readable}-{zlib.crc32(nodeid.encode()):08x}"

    def _file(self, kind: str) -> Path:
        return self._root / ".sim" / f"{self._stem}.{kind}"

    def token(self) -> str | None:
        """Return the schedule that failed last time; None when there is none to be read."""
        try:
            token = json.loads(self._file("json").read_text("utf-8"))["token"]
            decode(token)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BadToken):
            return None
        return str(token)

    def forget(self) -> None:
        """Remove the files: the test passes again."""
        for kind in ("json", "mmd", "html"):
            self._file(kind).unlink(missing_ok=True)

    def save(self, run: Run, story: Story) -> list[str]:
        """Write the files; return the lines that name the pictures, or say why there are none."""
        try:
            return self._write(run, story)
        except OSError as error:
            return [f"not saved: {error}"]

    def _write(self, run: Run, story: Story) -> list[str]:
        folder = self._root / ".sim"
        folder.mkdir(exist_ok=True)
        (folder / ".gitignore").write_text("*\n", "utf-8")
        assert run.error is not None
        saved = {
            "test": self._nodeid,
            "token": run.token,
            "seed": run.seed,
            "error": words(leaf(run.error))[:300],
        }
        self._file("json").write_text(json.dumps(saved, indent=1) + "\n", "utf-8")
        self._file("mmd").write_text(mermaid(story), "utf-8")
        self._file("html").write_text(page(story), "utf-8")
        names = [self._file(kind).relative_to(self._root) for kind in ("mmd", "html")]
        return [f"diagram:  {names[0]} (Mermaid)", f"page:     {names[1]} (to step through)"]
