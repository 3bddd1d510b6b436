"""Draw annotated pictures with matplotlib: resolution rings, beam centre, spots, a close-up, a colour bar.

matplotlib is optional and imported only when a figure is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cubragg.errors import ConfigError
from cubragg.io.files.atomic import atomic_path
from cubragg.view import annotations as marks
from cubragg.view.colours import COLOUR_MAPS, Limits, Style, levels, limits, paint, shrunk, without_masked
from cubragg.view.png import write_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Longest edge of the drawn image [pixel of the picture]: larger images are shrunk, pixels of smaller ones enlarged.
_LONGEST, _LONG_ENOUGH = 1800, 900
#: Shortest edge of the drawn image, for narrow images [pixel of the picture].
_SHORTEST = 160
#: Margins around the image [pixel of the picture]: left, right, bottom, top.
_MARGINS = (78, 128, 62, 70)
_DPI = 100.0


class Spots(NamedTuple):
    """Predicted spots: positions [pixel], float [n] (the centre of pixel i is i + 0.5), and hkl, int [n, 3]."""

    fast_px: np.ndarray
    slow_px: np.ndarray
    hkl: np.ndarray


@dataclass(frozen=True, eq=False)
class Notes:
    """Text and marks of a figure.

    Attributes
    ----------
    title, facts
        The two lines above the image.
    unit
        Unit of the values.
    resolution_A
        d of each pixel [A], float [slow, fast], for rings; NaN between panels. ``None``: no rings.
    beam_px
        Beam centre along fast and slow [pixel]; ``None``: not known.
    spots
        Predicted spots; ``None``: none are drawn.
    zoom
        Whether the brightest spot is shown enlarged.
    """

    title: str = ""
    facts: str = ""
    unit: str = "photons/pixel"
    resolution_A: np.ndarray | None = None
    beam_px: tuple[float, float] | None = None
    spots: Spots | None = None
    zoom: bool = False


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
    """Write an image [slow, fast] as a PNG file: a figure, or the pixels only if ``notes`` has no marks.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    if notes.resolution_A is None and notes.spots is None and not notes.zoom:
        write_png(path, image, style, mask)
    else:
        write_figure(path, image, style, notes, mask)


def write_figure(path: Path | str, image: np.ndarray, style: Style, notes: Notes,
                 mask: np.ndarray | None = None) -> None:
    """Write the figure of an image [slow, fast] as a PNG file (see `draw`).

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure()
    draw(figure, image, style, notes, mask)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def draw(figure: Figure, image: np.ndarray, style: Style, notes: Notes, mask: np.ndarray | None = None) -> None:
    """Draw an image [slow, fast] with its notes into an empty figure, and set the figure's size.

    Large images are reduced to the maximum of each block, which keeps spots. Pixels where ``mask`` is False, and
    NaN, have a colour of their own.
    """
    values = without_masked(image, mask)
    ends = limits(values, style)
    small, block = shrunk(values, _LONGEST)
    slow, fast = image.shape
    enlarged = max(1, round(_LONG_ENOUGH / max(small.shape)))
    width, height = (max(_SHORTEST, enlarged * size) for size in (small.shape[1], small.shape[0]))
    left, right, bottom, top = _MARGINS
    canvas = (left + width + right, bottom + height + top)
    figure.set_size_inches(canvas[0] / _DPI, canvas[1] / _DPI)
    figure.set_dpi(_DPI)
    figure.set_facecolor("white")
    axes = figure.add_axes((left / canvas[0], bottom / canvas[1], width / canvas[0], height / canvas[1]))
    axes.imshow(paint(levels(small, ends, style.scale), style.colours), interpolation="nearest", aspect="auto",
                extent=(0, small.shape[1] * block, small.shape[0] * block, 0))
    axes.set_xlim(0, fast)
    axes.set_ylim(slow, 0)
    axes.set_xlabel("fast [pixel]", fontsize=12)
    axes.set_ylabel("slow [pixel]", fontsize=12)
    axes.tick_params(labelsize=11, direction="out")
    _head(figure, notes, canvas)
    _colour_bar(figure, canvas, ends, style, notes.unit, bool(np.isnan(small).any()))
    paper = marks.Paper(axes, (fast, slow), (width, height), COLOUR_MAPS[style.colours].is_light)
    brightest = _brightest(values, notes.beam_px) if notes.zoom else None
    if brightest is not None:
        _close_up(figure, paper, canvas, values, brightest, style, small)
    if notes.beam_px is not None:
        paper.beam(*notes.beam_px)
    if notes.resolution_A is not None:
        paper.rings(notes.resolution_A, notes.beam_px)
    if notes.spots is not None:
        paper.spots(notes.spots.fast_px, notes.spots.slow_px, notes.spots.hkl)


def _head(figure: Figure, notes: Notes, canvas: tuple[int, int]) -> None:
    left, _, _, _ = _MARGINS
    most_letters = (canvas[0] - left) // 10
    title = notes.title
    if len(title) > most_letters:
        title = "\N{HORIZONTAL ELLIPSIS}" + title[1 - most_letters:]
    # parse_math=False: file names may contain dollar signs
    figure.text(left / canvas[0], 1.0 - 26 / canvas[1], title, fontsize=13, weight="bold", parse_math=False)
    figure.text(left / canvas[0], 1.0 - 52 / canvas[1], notes.facts, fontsize=11, color="0.25", parse_math=False)


def _colour_bar(figure: Figure, canvas: tuple[int, int], ends: Limits, style: Style, unit: str, masked: bool) -> None:
    _, right, bottom, top = _MARGINS
    x, height = canvas[0] - right + 22, canvas[1] - bottom - top
    bar = figure.add_axes((x / canvas[0], bottom / canvas[1], 18 / canvas[0], height / canvas[1]))
    bar.imshow(paint(np.linspace(1.0, 0.0, 256)[:, None], style.colours), aspect="auto", extent=(0, 1, 0, 1))
    ticks = _ticks(ends, style.scale)
    bar.set_yticks(levels(ticks, ends, style.scale), [f"{tick:g}" for tick in ticks])
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.tick_params(labelsize=11)
    bar.yaxis.set_label_position("right")
    bar.set_ylabel(unit if style.scale == "linear" else f"{unit} ({style.scale} scale)", fontsize=11)
    if masked:
        patch = figure.add_axes((x / canvas[0], 20 / canvas[1], 18 / canvas[0], 18 / canvas[1]))
        patch.set_facecolor(f"#{COLOUR_MAPS[style.colours].masked}")
        patch.set_xticks([])
        patch.set_yticks([])
        figure.text((x + 25) / canvas[0], 24 / canvas[1], "masked", fontsize=11)


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


def _brightest(values: np.ndarray, beam_px: tuple[float, float] | None) -> tuple[int, int] | None:
    """Return (fast, slow) of the brightest pixel outside the direct beam; ``None`` if no pixel is above 0."""
    found = np.where(np.isfinite(values), values, 0.0)
    if beam_px is not None:
        slow, fast = values.shape
        reach = max(fast, slow) / 40.0
        rows, columns = np.ogrid[:slow, :fast]
        outside = np.hypot(columns + 0.5 - beam_px[0], rows + 0.5 - beam_px[1]) > reach
        found = np.where(outside, found, 0.0)
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    return (int(column), int(row)) if found[row, column] > 0.0 else None


def _close_up(figure: Figure, paper: marks.Paper, canvas: tuple[int, int], values: np.ndarray,
              position: tuple[int, int], style: Style, small: np.ndarray) -> None:
    """Draw the surroundings of a pixel enlarged, in the emptiest corner, scaled from 0 to their own maximum."""
    half = int(np.clip(max(values.shape) / 150, 5, 15))
    column, row = position
    first_fast, first_slow = max(column - half, 0), max(row - half, 0)
    part = values[first_slow:row + half + 1, first_fast:column + half + 1]
    edge = max(part.shape)
    scale = max(1, int(0.22 * min(paper.size_px)) // edge)
    width, height = scale * part.shape[1], scale * part.shape[0]
    box = paper.emptiest_corner(width, height, small, position)
    left, _, bottom, _ = _MARGINS
    inset = figure.add_axes(((left + box.left) / canvas[0], (bottom + paper.size_px[1] - box.bottom) / canvas[1],
                             width / canvas[0], height / canvas[1]))
    ends = Limits(limits(part, style).low if style.scale == "log" else 0.0, float(values[row, column]))
    if not ends.low < ends.high:
        ends = limits(part, style)
    inset.imshow(paint(levels(part, ends, style.scale), style.colours), interpolation="nearest", aspect="auto")
    paper.frame(inset, box, (first_fast, first_slow, part.shape[1], part.shape[0]),
                f"{values[row, column]:.5g} at {column}, {row}")
