"""Files that are served beside the endpoint: a page for the browser, and what it needs.

For a page or two. A site belongs behind a web server made for it.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

import attrs

from .handshake import Request
from .http import Response


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
        """Return the file a request names, or None when it names none."""
        if request.method not in ("GET", "HEAD"):
            return None
        file = self._find(request.path)
        if file is None:
            return None
        body = file.read_bytes()
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        if request.headers.get("if-none-match") == tag:
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
