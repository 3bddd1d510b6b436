"""Bar charts as SVG text, for pages of HTML: no script, no font file, no library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

#: Size of a chart, and the space around its bars: left, right, top, bottom [SVG units].
_WIDTH, _HEIGHT = 360.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 8.0, 22.0, 30.0


def histogram(title: str, values: np.ndarray, unit: str = "", bins: int = 24) -> str:
    """Return a chart of the distribution of numbers [n], none of which is NaN."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(values, min(bins, max(4, len(values) // 2)), (low, high))
    label = f"mean {values.mean():.5g}, standard deviation {values.std():.3g}"
    return bars(title, counts, (f"{edges[0]:.4g}", f"{edges[-1]:.4g}"), f"{label} {unit}".strip())


def bars(title: str, heights: Sequence[float] | np.ndarray, ends: tuple[str, str], label: str) -> str:
    """Return a chart of bars side by side.

    Parameters
    ----------
    title
        Above the bars.
    heights
        Height of each bar, >= 0 [n].
    ends
        What is written below the first and the last bar.
    label
        Below the chart, between the ends.
    """
    heights = np.asarray(heights, dtype=float)
    top = max(float(heights.max(initial=0.0)), 1e-300)
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(heights), 1)
    room = _HEIGHT - _TOP - _BOTTOM
    shapes = "".join(
        f'<rect x="{_LEFT + place * step:.2f}" y="{_TOP + room * (1.0 - height / top):.2f}" '
        f'width="{max(step - 1.0, 0.5):.2f}" height="{room * height / top:.2f}"><title>{height:.5g}</title></rect>'
        for place, height in enumerate(heights))
    base = _HEIGHT - _BOTTOM
    return (f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape(title)}">'
            f'<text x="{_LEFT:g}" y="14" font-weight="600">{escape(title)}</text>'
            f'<g fill="#3b6ea5">{shapes}</g>'
            f'<path d="M{_LEFT:g} {_TOP:g}V{base:g}H{_WIDTH - _RIGHT:g}" stroke="#777" fill="none"/>'
            f'<g fill="#444"><text x="{_LEFT - 4:g}" y="{_TOP + 8:g}" text-anchor="end">{top:.4g}</text>'
            f'<text x="{_LEFT - 4:g}" y="{base:g}" text-anchor="end">0</text>'
            f'<text x="{_LEFT:g}" y="{base + 12:g}">{escape(ends[0])}</text>'
            f'<text x="{_WIDTH - _RIGHT:g}" y="{base + 12:g}" text-anchor="end">{escape(ends[1])}</text>'
            f'<text x="{_LEFT:g}" y="{base + 26:g}">{escape(label)}</text></g></svg>')
