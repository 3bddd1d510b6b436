"""Draw annotated pictures with matplotlib: resolution rings, beam centre, spots, a close-up, a colour bar.

matplotlib is optional and imported only when a figure is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cubragg.errors import ConfigError
from cubragg.io.files.atomic import atomic_path
from cubragg.view.annotations import Paper
from cubragg.view.colours import COLOUR_MAPS, Limits, Style, levels, limits, paint, without_beam, without_masked
from cubragg.view.drawn_view import DrawnView
from cubragg.view.figure_parts import BOTTOM, DPI, LEFT, TOP, Canvas, bar_of, mark, masked_colour, panel
from cubragg.view.notes import Notes
from cubragg.view.png import is_vector, write_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Pixels of images with a shorter longest edge than this are enlarged, and the shortest edge of a drawn image
#: [pixel of the picture].
_LONG_ENOUGH, _SHORTEST = 1100, 160


def require_matplotlib(provenance: str) -> None:
    """Raise an error if matplotlib is not installed.

    Raises
    ------
    ConfigError
        It starts with ``provenance``, the flag that needs matplotlib.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ConfigError(provenance, "needs matplotlib; pip install 'cubragg[plot]'") from None


def write_picture(path: Path | str, image: np.ndarray, style: Style, notes: Notes,
                  mask: np.ndarray | None = None) -> None:
    """Write an image [slow, fast] as a PNG, SVG or PDF file, by the ending of the name.

    A PNG file has the pixels only if ``notes`` has no marks and ``style`` no resolution in dots per inch.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    if notes.marked or style.dpi is not None or is_vector(path):
        write_figure(path, image, style, notes, mask)
    else:
        write_png(path, image, style, mask, assembly=notes.assembly, beam=notes.near_beam(image.shape))


def write_figure(path: Path | str, image: np.ndarray, style: Style, notes: Notes,
                 mask: np.ndarray | None = None) -> None:
    """Write the figure of an image [slow, fast] as a PNG, SVG or PDF file (see `draw`).

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    draw(figure, image, style, notes, mask)
    save_figure(path, figure, style.dpi)


def save_figure(path: Path | str, figure: Figure, dpi: float | None) -> None:
    """Write a figure as a PNG, SVG or PDF file, by the ending of the name.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix.lower()[1:] if is_vector(path) else "png", dpi=dpi or DPI)


def draw(figure: Figure, image: np.ndarray, style: Style, notes: Notes, mask: np.ndarray | None = None) -> None:
    """Draw an image [slow, fast] with its notes into an empty figure, and set the figure's size.

    Large images are reduced to the maximum of each block, which keeps spots. Pixels where ``mask`` is False, and
    NaN, have a colour of their own.
    """
    values = without_masked(image, mask)
    beam = notes.near_beam(image.shape)
    ends = limits(without_beam(values, beam), style)
    view = DrawnView(notes, values)
    size_px = view.enlarged(_LONG_ENOUGH, _SHORTEST)
    bar = bar_of(ends, style, notes.unit)
    canvas = Canvas(figure, LEFT + size_px[0] + bar.room, BOTTOM + size_px[1] + TOP)
    axes = panel(canvas, LEFT, size_px, view, paint(levels(view.pixels, ends, style.scale), style.colours))
    canvas.title(LEFT, canvas.width - LEFT, notes.title)
    canvas.facts(LEFT, notes.facts)
    bar.draw(canvas, LEFT + size_px[0], size_px[1], masked_colour(view.pixels, style.colours))
    paper = Paper(axes, view.size[::-1], size_px, COLOUR_MAPS[style.colours].is_light)
    brightest = _brightest(values, beam) if notes.zoom else None
    if brightest is not None:
        _close_up(canvas, paper, values, brightest, style, view)
    mark(paper, view, notes)


def _brightest(values: np.ndarray, beam: np.ndarray | None) -> tuple[int, int] | None:
    """Return (fast, slow) of the brightest pixel outside the direct beam; ``None`` if no pixel is above 0."""
    known = np.isfinite(values) if beam is None else np.isfinite(values) & ~beam
    found = np.where(known, values, 0.0)
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    return (int(column), int(row)) if found[row, column] > 0.0 else None


def _close_up(canvas: Canvas, paper: Paper, values: np.ndarray, position: tuple[int, int], style: Style,
              view: DrawnView) -> None:
    """Draw the surroundings of a stored pixel enlarged, in the emptiest corner, scaled from 0 to their own maximum."""
    half = int(np.clip(max(view.size) / 150, 5, 15))
    column, row = position
    window = view.window(column, row, values.shape)
    first_fast, first_slow = max(column - half, window[1].start), max(row - half, window[0].start)
    part = values[first_slow:min(row + half + 1, window[0].stop), first_fast:min(column + half + 1, window[1].stop)]
    edge = max(part.shape)
    scale = max(1, int(0.22 * min(paper.size_px)) // edge)
    width, height = scale * part.shape[1], scale * part.shape[0]
    shown = view.part(first_fast, first_slow, part.shape[1], part.shape[0])
    box = paper.emptiest_corner(width, height, view.pixels, (shown[0] + shown[2] / 2.0, shown[1] + shown[3] / 2.0))
    inset = canvas.axes(LEFT + box.left, BOTTOM + paper.size_px[1] - box.bottom, width, height)
    ends = Limits(limits(part, style).low if style.scale == "log" else 0.0, float(values[row, column]))
    if not ends.low < ends.high:
        ends = limits(part, style)
    inset.imshow(paint(levels(part, ends, style.scale), style.colours), interpolation="nearest", aspect="auto")
    paper.frame(inset, box, shown, f"{_number(values[row, column])} at {column}, {row}")


def _number(value: float) -> str:
    """Counts as whole numbers, others with five digits."""
    return f"{value:.0f}" if value == round(value) and value < 1e9 else f"{value:.5g}"
