"""Writes the HTML page of a comparison, self-contained and without scripts."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from cubragg.compare.peaks import Peak
from cubragg.compare.pictures import Previews
from cubragg.view.drawn_view import DrawnView
from cubragg.view.html_page import page, png_address, table
from cubragg.view.png import png_bytes

if TYPE_CHECKING:
    from cubragg.compare.comparison import Comparison, Side

#: Rows of the peak table, and dots of the scatter plot.
PEAK_ROWS = 60
DOTS = 2500

_STYLE = """
.verdict { display: inline-block; padding: .35rem .8rem; border-radius: 4px; font-weight: 600; }
.good { background: #e3f4e6; color: #14532d; } .bad { background: #fde8e8; color: #8b1a1a; }
.panels { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { font-size: .85rem; color: #444; margin-top: .35rem; overflow-wrap: anywhere; }
figure svg { width: 100%; height: auto; border: 1px solid #9aa0a6; display: block; }
.pair { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 2rem; align-items: start; }
.peaks th, .peaks td { text-align: right; padding: .15rem .8rem; }
.unmatched { color: #b00020; }
code { font-size: .85rem; overflow-wrap: anywhere; background: #f4f5f7; padding: .1rem .3rem; }
"""


def html(comparison: Comparison, figures: Sequence[tuple[str, str]], drawn: Previews, when: datetime) -> str:
    """The page as HTML text.

    Parameters
    ----------
    comparison
        The comparison.
    figures
        Names and texts of the figures.
    drawn
        Pictures of the images and of their difference.
    when
        Date of the page.
    """
    parts = _parts(comparison, figures, drawn, when)
    return page(f"cubragg compare {when:%Y-%m-%d %H:%M}", parts, _STYLE)


def _parts(comparison: Comparison, figures: Sequence[tuple[str, str]], drawn: Previews, when: datetime
           ) -> Iterator[str]:
    metrics = comparison.metrics
    kind = "good" if comparison.passed else "bad"
    yield f"<h1>cubragg compare</h1>\n<p class='note'>{when:%Y-%m-%d %H:%M:%S}</p>"
    yield f"<p class='verdict {kind}'>{escape(comparison.verdict)}</p>"
    for note in comparison.notes:
        yield f"<p class='note'>{escape(note)}</p>"
    yield "<div class='panels'>"
    only_a, only_b = _unmatched(metrics.peaks_a, [pair.a for pair in metrics.pairs]), _unmatched(
        metrics.peaks_b, [pair.b for pair in metrics.pairs])
    unit = comparison.picture.unit.removesuffix("/pixel")
    yield _panel(drawn.a, drawn.view, [pair.a for pair in metrics.pairs], only_a,
                 f"A: {comparison.a.name}. White is 0, black {drawn.black:.4g} {unit}; circles mark the strongest "
                 "peaks, unmatched ones in red.")
    yield _panel(drawn.b, drawn.view, [pair.b for pair in metrics.pairs], only_b,
                 f"B: {comparison.b.name}. Same scale.")
    meaning = "No difference." if metrics.max_difference == 0.0 else (
        f"A - B: red from +{drawn.reach:.4g}, blue from -{drawn.reach:.4g} {unit}, on a square-root scale.")
    yield _panel(drawn.difference, drawn.view, [], [], meaning)
    yield "</div>\n<div class='pair'>\n<div><h2>Figures</h2>"
    yield table([*figures, *((f"time {name}", f"{side.seconds:.3g} s") for name, side in (
        ("A", comparison.a), ("B", comparison.b)) if side.seconds is not None)])
    yield from _commands(comparison)
    yield "</div>\n<div><h2>Pixels of A against pixels of B</h2>"
    yield _scatter(comparison)
    yield "</div>\n</div>"
    yield from _peak_table(comparison, only_a, only_b)


def _unmatched(peaks: Sequence[Peak], paired: Sequence[Peak]) -> list[Peak]:
    matched = set(paired)
    return [peak for peak in peaks if peak not in matched]


def _panel(image: np.ndarray, view: DrawnView, paired: Sequence[Peak], unmatched: Sequence[Peak], caption: str) -> str:
    """A figure of an image with circles around its peaks."""
    down, right = view.size
    radius = max(down, right) / 60.0
    circles = "".join(
        f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" stroke="{colour}"/>'
        for peaks, colour in ((paired[:PEAK_ROWS], "#e08a00"), (unmatched[:PEAK_ROWS], "#d4002a"))
        for x, y in zip(*view.positions(np.array([peak.fast + 0.5 for peak in peaks]),
                                        np.array([peak.slow + 0.5 for peak in peaks])), strict=True))
    return (f'<figure><svg viewBox="0 0 {right} {down}" role="img">'
            f'<image href="{png_address(png_bytes(image))}" width="{right}" height="{down}" '
            'preserveAspectRatio="none" style="image-rendering: pixelated"/>'
            f'<g fill="none" stroke-width="{radius / 6.0:.3f}">{circles}</g></svg>'
            f"<figcaption>{escape(caption)}</figcaption></figure>")


def _commands(comparison: Comparison) -> Iterator[str]:
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        yield f"<p><b>{name}</b>: <code>{escape(_origin(side))}</code></p>"


def _origin(side: Side) -> str:
    """The command line that rendered an image, or the name, format and size of its file."""
    if side.command:
        return shlex.join(side.command)
    return f"{side.name} ({side.form}, {side.pixels.shape[1]} x {side.pixels.shape[0]} pixels)"


def _scatter(comparison: Comparison) -> str:
    """Scatter plot of pixel values of A against B, on logarithmic axes if they span more than two decades."""
    x, y = _dots(comparison)
    if not len(x):
        return "<p class='note'>No pixel is above 0 in both images.</p>"
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    logarithmic = high > 100.0 * low
    if logarithmic:
        x, y, low, high = np.log10(x), np.log10(y), math.log10(low), math.log10(high)
    else:
        low = 0.0
    margin = 0.03 * (high - low or 1.0)
    low, high = low - margin, high + margin
    size, left, bottom = 420.0, 74.0, 46.0

    def across(value: float) -> float:
        return left + size * (value - low) / (high - low)

    def up(value: float) -> float:
        return 8.0 + size * (high - value) / (high - low)

    parts = [f'<svg viewBox="0 0 {left + size + 10:.0f} {size + bottom + 8:.0f}" role="img" '
             'style="max-width: 560px; width: 100%" font-size="12" font-family="system-ui, sans-serif">',
             f'<rect x="{left}" y="8" width="{size}" height="{size}" fill="none" stroke="#9aa0a6"/>',
             f'<line x1="{across(low):.1f}" y1="{up(low):.1f}" x2="{across(high):.1f}" y2="{up(high):.1f}" '
             'stroke="#c9ccd1"/>']
    for tick, label in _ticks(low, high, logarithmic):
        parts.append(f'<path d="M{across(tick):.1f} {size + 8:.1f}v5M{left} {up(tick):.1f}h-5" stroke="#666"/>'
                     f'<text x="{across(tick):.1f}" y="{size + 26:.1f}" text-anchor="middle">{label}</text>'
                     f'<text x="{left - 8}" y="{up(tick) + 4:.1f}" text-anchor="end">{label}</text>')
    parts.append('<g fill="#2166ac" fill-opacity="0.45">' + "".join(
        f'<circle cx="{across(p):.1f}" cy="{up(q):.1f}" r="2"/>' for p, q in zip(x.tolist(), y.tolist(), strict=True))
        + "</g>")
    unit = comparison.picture.unit.removesuffix("/pixel")
    parts.append(f'<text x="{left + size / 2}" y="{size + 44}" text-anchor="middle">B [{unit}]</text>'
                 f'<text transform="translate(13 {8 + size / 2}) rotate(-90)" text-anchor="middle">A [{unit}]</text>')
    return "".join(parts) + (f"</svg><p class='note'>{len(x)} pixels above 0 in both images: the strongest, and others "
                             "evenly spaced in rank. The line is A = B.</p>")


def _dots(comparison: Comparison) -> tuple[np.ndarray, np.ndarray]:
    """Values of B and A at up to `DOTS` pixels, the strongest ones and others evenly spaced in rank."""
    a, b = comparison.a.pixels, comparison.b.pixels
    if comparison.roi is not None:
        fast_min, fast_max, slow_min, slow_max = comparison.roi
        a, b = (image[slow_min:slow_max + 1, fast_min:fast_max + 1] for image in (a, b))
    positive = np.isfinite(a) & np.isfinite(b) & (a > 0.0) & (b > 0.0)
    x, y = b[positive], a[positive]
    order = np.argsort(x, kind="stable")[::-1]
    if len(order) > DOTS:
        rest = order[DOTS // 5:]
        order = np.concatenate([order[:DOTS // 5], rest[np.linspace(0, len(rest) - 1, DOTS - DOTS // 5).astype(int)]])
    return x[order], y[order]


def _ticks(low: float, high: float, logarithmic: bool) -> list[tuple[float, str]]:
    if logarithmic:
        step = max(1, math.ceil((high - low) / 6.0))
        return [(float(power), f"1e{power}") for power in range(math.ceil(low), math.floor(high) + 1, step)]
    decade = 10.0 ** math.floor(math.log10((high - low) / 2.0))
    gap = decade * next(factor for factor in (1.0, 2.0, 5.0) if (high - low) / (factor * decade) <= 8.0)
    return [(i * gap, f"{i * gap:g}") for i in range(math.ceil(low / gap), math.floor(high / gap) + 1)]


def _peak_table(comparison: Comparison, only_a: Sequence[Peak], only_b: Sequence[Peak]) -> Iterator[str]:
    metrics = comparison.metrics
    table = [(pair.a, pair.b, pair.distance) for pair in metrics.pairs]
    unmatched: list[tuple[Peak | None, Peak | None, float]] = [(peak, None, math.nan) for peak in only_a]
    unmatched += [(None, peak, math.nan) for peak in only_b]
    unmatched.sort(key=lambda row: -(row[0] or row[1] or Peak(0.0, 0.0, 0.0)).value)
    shown = [*unmatched[:PEAK_ROWS // 2], *table][:PEAK_ROWS]
    yield "<h2>Peaks</h2>"
    if not shown:
        yield "<p class='note'>No peak in either image.</p>"
        return
    yield (f"<p class='note'>{len(shown)} of {len(table) + len(unmatched)}, unmatched ones first. Positions are "
           "fast, slow [pixel], heights in photons. summary.json contains all peaks.</p>")
    yield ("<table class='peaks'><tr><th>fast A</th><th>slow A</th><th>height A</th><th>fast B</th><th>slow B</th>"
           "<th>height B</th><th>A/B</th><th>distance</th></tr>")
    for a, b, distance in shown:
        kind = "" if a and b else " class='unmatched'"
        ratio = f"{a.value / b.value:.8f}" if a and b and b.value else ""
        apart = f"{distance:.3f}" if a and b else "unmatched"
        yield f"<tr{kind}>{_cells(a)}{_cells(b)}<td>{ratio}</td><td>{apart}</td></tr>"
    yield "</table>"


def _cells(peak: Peak | None) -> str:
    if peak is None:
        return "<td></td><td></td><td></td>"
    return f"<td>{peak.fast:.2f}</td><td>{peak.slow:.2f}</td><td>{peak.value:.6g}</td>"
