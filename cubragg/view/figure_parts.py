"""Parts of figures, placed in pixels: the image, the two lines above it, colour bars, marks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cubragg.view.annotations import Paper
from cubragg.view.colours import COLOUR_MAPS, Limits, Style, diverging, levels, paint, signed_levels
from cubragg.view.drawn_view import DrawnView
from cubragg.view.notes import Notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Margins of an image [pixel of the picture].
LEFT, BOTTOM, TOP = 78, 62, 70
#: Dots per inch of a figure whose style gives none.
DPI = 100.0
#: Width of a colour bar, its distance from the image, and the width of a digit beside it [pixel of the picture].
_BAR, _GAP, _DIGIT = 18, 22, 10


class Canvas:
    """A figure of a size in pixels, whose parts are placed in pixels from the lower left corner."""

    def __init__(self, figure: Figure, width: int, height: int) -> None:
        self.figure, self.width, self.height = figure, width, height
        figure.set_size_inches(width / DPI, height / DPI)
        figure.set_dpi(DPI)
        figure.set_facecolor("white")

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """Return new axes in a rectangle."""
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width,
                                     height / self.height))

    def text(self, left: float, bottom: float, text: str, **settings: Any) -> None:
        """Draw text; dollar signs, which file names may contain, are no formulas."""
        self.figure.text(left / self.width, bottom / self.height, text, parse_math=False, **settings)

    def title(self, left: float, width: float, text: str) -> None:
        """Draw a title above an image of this width; of a long one only the end."""
        most = int(width // 11)
        shown = text if len(text) <= most else "\N{HORIZONTAL ELLIPSIS}" + text[1 - most:]
        self.text(left, self.height - 26, shown, fontsize=13, weight="bold")

    def facts(self, left: float, text: str) -> None:
        """Draw the line below the titles."""
        self.text(left, self.height - 52, text, fontsize=11, color="0.25")


class Bar(NamedTuple):
    """A colour bar: colours uint8 [n, 1, 3] from top to bottom, values and their levels from 0 to 1, and a label."""

    colours: np.ndarray
    ticks: np.ndarray
    levels: np.ndarray
    label: str

    @property
    def texts(self) -> list[str]:
        """The numbers beside the bar."""
        return [f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in self.ticks]

    @property
    def room(self) -> int:
        """Width that the bar needs beside an image [pixel of the picture]."""
        return max(128, _GAP + _BAR + 8 + _DIGIT * max((len(text) for text in self.texts), default=0) + 36)

    def draw(self, canvas: Canvas, left: float, height: float, masked: str | None) -> None:
        """Draw the bar to the right of an image; below it the colour "rrggbb" of masked pixels, if there are any."""
        left += _GAP
        bar = canvas.axes(left, BOTTOM, _BAR, height)
        bar.imshow(self.colours, aspect="auto", extent=(0, 1, 0, 1))
        bar.set_yticks(self.levels, self.texts)
        bar.set_xticks([])
        bar.yaxis.tick_right()
        bar.tick_params(labelsize=11)
        bar.yaxis.set_label_position("right")
        bar.set_ylabel(self.label, fontsize=11)
        if masked is not None:
            patch = canvas.axes(left, 20, 18, 18)
            patch.set_facecolor(f"#{masked}")
            patch.set_xticks([])
            patch.set_yticks([])
            canvas.text(left + 25, 24, "masked", fontsize=11)


def bar_of(ends: Limits, style: Style, unit: str) -> Bar:
    """Return the colour bar of an image."""
    ticks = _ticks(ends, style.scale)
    label = unit if style.scale == "linear" else f"{unit} ({style.scale} scale)"
    colours = paint(np.linspace(1.0, 0.0, 256)[:, None], style.colours)
    return Bar(colours, ticks, levels(ticks, ends, style.scale), label)


def difference_bar(reach: float, scale: str, unit: str) -> Bar:
    """Return the colour bar of a difference, from -reach to reach."""
    if scale == "linear":
        ticks = _ticks(Limits(-reach, reach), scale)
    else:
        above = _ticks(Limits(0.0, reach), scale="sqrt")
        ticks = np.unique(np.concatenate([-above, above]))
        places = 0.5 + 0.5 * signed_levels(ticks, reach, scale)
        apart = [0]
        for index in range(1, len(ticks)):  # the root pushes small values apart and large ones together
            if places[index] - places[apart[-1]] > 0.04:
                apart.append(index)
        ticks = ticks[apart] + 0.0  # no -0
    label = f"A \N{MINUS SIGN} B [{unit}]" + ("" if scale == "linear" else " (sqrt scale)")
    return Bar(diverging(np.linspace(1.0, -1.0, 257)[:, None]), ticks,
               0.5 + 0.5 * signed_levels(ticks, reach, scale), label)


def panel(canvas: Canvas, left: float, size_px: tuple[int, int], view: DrawnView, colours: np.ndarray) -> Axes:
    """Draw colours uint8 [down, right, 3] of the view's pixels, with axes in its units, and return the axes."""
    axes = canvas.axes(left, BOTTOM, *size_px)
    axes.imshow(colours, interpolation="nearest", aspect="auto", extent=view.extent)
    axes.set_xlim(0, view.size[1])
    axes.set_ylim(view.size[0], 0)
    view.label(axes)
    axes.tick_params(labelsize=11, direction="out")
    return axes


def mark(paper: Paper, view: DrawnView, notes: Notes) -> None:
    """Draw scale bar, beam centre, rings and spots, as far as they are known."""
    if view.pixel_mm:
        paper.scale_bar(view.pixel_mm)
    if view.beam is not None:
        paper.beam(*view.beam)
    if notes.resolution_A is not None:
        paper.rings(view.of(notes.resolution_A), view.beam)
    if notes.spots is not None:
        paper.spots(*view.positions(notes.spots.fast_px, notes.spots.slow_px), notes.spots.hkl)


def masked_colour(pixels: np.ndarray, colours: str) -> str | None:
    """Return the colour "rrggbb" of masked pixels if the drawn pixels have any."""
    return COLOUR_MAPS[colours].masked if np.isnan(pixels).any() else None


def _ticks(ends: Limits, scale: str) -> np.ndarray:
    """Return round values between the ends, at distinguishable distances."""
    from matplotlib.ticker import MaxNLocator

    if scale == "log":
        exponents = np.arange(math.ceil(math.log10(ends.low) - 1e-9), math.floor(math.log10(ends.high) + 1e-9) + 1)
        ticks = 10.0 ** exponents[::-(-len(exponents) // 8) or 1]
        if len(ticks) > 1:
            return ticks
    ticks = np.asarray(MaxNLocator(6).tick_values(ends.low, ends.high))
    slack = 1e-9 * (ends.high - ends.low)
    return ticks[(ticks >= ends.low - slack) & (ticks <= ends.high + slack)]
