"""Files that are served beside the endpoint: a page for the browser, and what it needs.

For a page or two. A site belongs behind a web server made for it.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

import attrs

from broker.sessions.compression import chosen_coding
from broker.sessions.http import Response
from broker.values.handshake import Request


@attrs.frozen
class Static:
    """What lies under one URL: a file, or a directory with its `index.html`."""

    url: str
    root: Path

    @classmethod
    def of(cls, url: str, root: str | Path) -> Static:
        """Check the arguments; raises ValueError or FileNotFoundError."""
        if not url.startswith("/"):
            raise ValueError(f"expected a URL path like '/', saw {url!r}")
        resolved = Path(root).resolve()
        if not resolved.exists():
            raise FileNotFoundError(f"there is nothing to serve at {resolved}")
        return cls(url.rstrip("/"), resolved)

    def respond(self, request: Request) -> Response | None:
        """Return the file a request names, or None when it names none.

        Where there is a `.br` or `.gz` of it that the client takes, that is sent.
        """
        if request.method not in ("GET", "HEAD"):
            return None
        file = self._find(request.path)
        if file is None:
            return None
        packed = _packed(file)
        coding = chosen_coding(request.headers.get("accept-encoding", ""), packed)
        body = (file if coding is None else packed[coding]).read_bytes()
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        if packed:
            headers["Vary"] = "Accept-Encoding"
        if coding is not None:
            headers["Content-Encoding"] = coding
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        if _is_known(tag, request.headers.get("if-none-match", "")):
            return Response(304, b"", kind, headers)
        return Response(200, body, kind, headers)

    def _find(self, path: str) -> Path | None:
        if self.root.is_file():
            return self.root if path.rstrip("/") == self.url else None
        if path != self.url and not path.startswith(self.url + "/"):
            return None
        try:
            file = (self.root / path[len(self.url) :].lstrip("/")).resolve()
            file = file / "index.html" if file.is_dir() else file
            return file if file.is_relative_to(self.root) and file.is_file() else None
        except (OSError, ValueError):
            return None  # no file can have such a name


def _packed(file: Path) -> dict[str, Path]:
    """Return where a file lies compressed beside itself, by coding, the best first."""
    beside = {"br": Path(f"{file}.br"), "gzip": Path(f"{file}.gz")}
    return {
        coding: path
        for coding, path in beside.items()
        if path.is_file() and not path.is_symlink()  # a link might lead outside
    }


def _is_known(tag: str, known: str) -> bool:
    """Whether an `If-None-Match` names the file (RFC 9110, section 13.1.2)."""
    tags = [each.strip().removeprefix("W/") for each in known.split(",")]
    return tag in tags or "*" in tags
