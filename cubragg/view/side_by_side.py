"""Draw two images of the same pixels side by side, with their difference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cubragg.view.annotations import Paper
from cubragg.view.colours import (
    COLOUR_MAPS,
    LOG_SPAN,
    UNKNOWN,
    Limits,
    Style,
    diverging,
    levels,
    limits,
    paint,
    signed_levels,
    without_beam,
    without_masked,
)
from cubragg.view.drawn_view import DrawnView
from cubragg.view.figure import save_figure
from cubragg.view.figure_parts import (
    BOTTOM,
    LEFT,
    TOP,
    Canvas,
    bar_of,
    difference_bar,
    mark,
    masked_colour,
    panel,
)
from cubragg.view.notes import Notes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Longest edge up to which pixels are enlarged, shortest edge, and space between A and B [pixel of the picture].
_LONG_ENOUGH, _SHORTEST, _BETWEEN = 640, 200, 26
_LONGEST = 900
#: The scale of differences ends at this part of the scale of the images at least: rounding stays white.
_SMALLEST_REACH = 1e-3
#: Largest end of a scale, so that differences of its numbers are finite.
_LARGEST = 1e300


@dataclass(frozen=True, eq=False)
class ImagePair:
    """Two images of the same pixels, and what a picture shows of them.

    Attributes
    ----------
    a, b
        float64 [slow, fast].
    names
        Names of both.
    mask
        bool [slow, fast], False where a pixel is valid in one of them only or in neither; ``None``: all are.
    notes
        Beam, panels, resolution; the unit of both.
    """

    a: np.ndarray
    b: np.ndarray
    names: tuple[str, str]
    mask: np.ndarray | None
    notes: Notes

    def scale(self, style: Style, top: float | None = None) -> Limits:
        """Return the ends of the common scale of both images; ``top``, if given, is the upper one."""
        beam = self.notes.near_beam(self.a.shape)
        ends = [limits(without_beam(without_masked(image, self.mask), beam), style) for image in (self.a, self.b)]
        high = min(max(one.high for one in ends) if top is None else top, _LARGEST)
        low = min(min(one.low for one in ends), high / 2.0)
        return Limits(max(low, high / LOG_SPAN) if style.scale == "log" and style.percentiles is None else low, high)

    def difference(self) -> np.ndarray:
        """Return a - b, NaN where a pixel is masked, or neither is finite."""
        with np.errstate(invalid="ignore"):  # inf - inf
            return without_masked(self.a - self.b, self.mask)

    def reach(self, ends: Limits) -> float:
        """Return the difference of full colour: as the scale of an image would end, but see `_SMALLEST_REACH`."""
        found = np.abs(self.difference())
        beam = self.notes.near_beam(self.a.shape)
        high = limits(without_beam(found, beam), Style()).high if np.nanmax(found, initial=0.0) > 0.0 else 0.0
        return min(max(high, _SMALLEST_REACH * ends.high), _LARGEST)


def write_pair(path: Path | str, pair: ImagePair, style: Style, top: float | None = None) -> None:
    """Write the figure of two images as a PNG, SVG or PDF file (see `draw_pair`).

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    draw_pair(figure, pair, style, top)
    save_figure(path, figure, style.dpi)


def draw_pair(figure: Figure, pair: ImagePair, style: Style, top: float | None = None) -> None:
    """Draw A and B on one scale, and A - B in red and blue, into an empty figure, and set the figure's size.

    All three have the marks of the notes. ``top`` is the upper end of the scale of A and B.
    """
    ends = pair.scale(style, top)
    reach = pair.reach(ends)
    unit = pair.notes.unit
    bars = bar_of(ends, style, unit), difference_bar(reach, style.scale, unit)
    images = [without_masked(image, pair.mask) for image in (pair.a, pair.b)]
    views = [DrawnView(pair.notes, image, _LONGEST) for image in images]
    width, height = size_px = views[0].enlarged(_LONG_ENOUGH, _SHORTEST)
    lefts = (LEFT, LEFT + width + _BETWEEN, LEFT + 2 * width + _BETWEEN + bars[0].room)
    canvas = Canvas(figure, lefts[2] + width + bars[1].room, BOTTOM + height + TOP)
    colours = [paint(levels(view.pixels, ends, style.scale), style.colours) for view in views]
    differences = views[0].signed(pair.difference())
    colours.append(diverging(signed_levels(differences, reach, style.scale)))
    titles = (f"A: {pair.names[0]}", f"B: {pair.names[1]}", "A \N{MINUS SIGN} B")
    for number, (left, title, painted) in enumerate(zip(lefts, titles, colours, strict=True)):
        axes = panel(canvas, left, size_px, views[0], painted)
        if number:
            axes.set_ylabel("")
            axes.set_yticklabels([])
        canvas.title(left, width, title)
        mark(Paper(axes, views[0].size[::-1], size_px, number == 2 or COLOUR_MAPS[style.colours].is_light), views[0],
             pair.notes)
    canvas.facts(LEFT, pair.notes.facts)
    masked = next(filter(None, (masked_colour(view.pixels, style.colours) for view in views)), None)
    bars[0].draw(canvas, lefts[1] + width, height, masked)
    bars[1].draw(canvas, lefts[2] + width, height, UNKNOWN if np.isnan(differences).any() else None)
