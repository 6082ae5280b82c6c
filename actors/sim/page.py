"""A run as a page to step through: one HTML document that needs nothing else.

The document carries the story as JSON, and draws it itself. No text of a run can become markup or
script: in the JSON there is no `<`, the script puts texts in as text only, and the policy lets
nothing run but the script that is the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path
from string import Template

import attrs

from .story import Story

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("story.js", "drawing.js", "chart.js", "details.js", "page.js")  # one module, so ordered


def page(story: Story) -> str:
    """Return `story` as one HTML document, to be written as UTF-8."""
    style = _read("page.css")
    script = "\n".join(map(_read, _SCRIPTS))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return Template(_read("page.html")).substitute(
        title=html.escape(_encodable(f"{story.outcome} - {story.title}")),
        policy=html.escape(policy),
        style=style,
        script=script,
        story=_json(story),
    )


def _read(name: str) -> str:
    return (_PAGE / name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return what a policy allows this text by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _json(story: Story) -> str:
    """Return it as JSON for a script element; an event is the list of its fields."""
    data = attrs.asdict(story, filter=lambda attribute, _: attribute.name != "events")
    data["events"] = [attrs.astuple(event) for event in story.events]
    # `<` may end the element, in a comment of its own even the page; `&` is not special in here.
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
