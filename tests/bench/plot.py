"""The ratios as a picture: an SVG with bars on a logarithmic scale, for light and dark pages."""

from __future__ import annotations

import math
from html import escape

from .peers import PEERS
from .results import Results
from .scenarios import COMPARED
from .table import TIMES

# Colours that stand out from white and from nearly black, and from each other for most eyes.
_COLOURS = {"node": "#3a923a", "bun": "#c2823a", "uws": "#8f7bc4", "pysio": "#4a86c5"}
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.axis { stroke: #8b949e; stroke-width: 1 }
.even { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .even { stroke: #e6edf3 }
}
"""
_WIDTH = 820
_LEFT = 290  # for the names
_RIGHT = 50  # for a number behind the longest bar
_TOP = 44
_BAR = 9
_GAP = 10


def plot(results: Results) -> str:
    """Return the picture: one group of bars for each scenario, one bar for each peer."""
    peers = [peer for peer in results.servers(PEERS) if peer != "atrio"]
    groups = []
    for name, figure in COMPARED.items():
        ratios = {peer: results.ratio(name, peer) for peer in peers}
        known = {peer: ratio for peer, ratio in ratios.items() if ratio}
        if known and not name.endswith(("-p50", "-p99")):
            groups.append((figure.title, known))
    every = [ratio for _, ratios in groups for ratio in ratios.values()] or [1.0]
    low = math.floor(min(0.0, math.log10(min(every))))
    high = math.ceil(max(1.0, math.log10(max(every))))

    def x(ratio: float) -> float:
        inner = _WIDTH - _LEFT - _RIGHT
        return _LEFT + inner * (math.log10(ratio) - low) / (high - low)

    drawn: list[str] = []
    y = _TOP + _GAP
    for title, ratios in groups:
        middle = y + _BAR * len(ratios) / 2 + 4
        drawn.append(
            f'<text x="{_LEFT - 10}" y="{middle:g}" text-anchor="end">{escape(title)}</text>'
        )
        for peer, ratio in ratios.items():
            left, right = sorted((x(1), x(ratio)))
            drawn.append(
                f'<rect x="{left:.1f}" y="{y}" width="{max(1, right - left):.1f}" '
                f'height="{_BAR - 1}" fill="{_COLOURS[peer]}"/>'
                f'<text x="{right + 4:.1f}" y="{y + _BAR - 1}" style="font-size: 9px">'
                f"{ratio:.3g}</text>"
            )
            y += _BAR
        y += _GAP
    axes = [
        f'<line class="{"even" if power == 0 else "axis"}" x1="{at:.1f}" y1="{_TOP}" '
        f'x2="{at:.1f}" y2="{y}"/>'
        f'<text x="{at:.1f}" y="{y + 16}" text-anchor="middle">{10**power:g} {TIMES}</text>'
        for power in range(low, high + 1)
        for at in [x(10**power)]
    ]
    legend, at = [], _LEFT
    for peer in peers:
        legend.append(
            f'<rect x="{at}" y="24" width="10" height="10" fill="{_COLOURS[peer]}"/>'
            f'<text x="{at + 14}" y="33">{escape(PEERS[peer].title)}</text>'
        )
        at += 120
    height = y + 26
    title = "How many times as good atrio is: right of 1 it is ahead"
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{title}</title>",
            f"<style>{_STYLE}</style>",
            f'<text x="{_LEFT}" y="14">{title}</text>',
            *axes,
            *legend,
            *drawn,
            "</svg>\n",
        ]
    )
