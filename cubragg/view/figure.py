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
from cubragg.experiment.panel import Panel
from cubragg.io.files.atomic import atomic_path
from cubragg.view import annotations as marks
from cubragg.view.assembly import Assembly, panel_at
from cubragg.view.colours import COLOUR_MAPS, Limits, Style, levels, limits, paint, shrunk, without_beam, without_masked
from cubragg.view.png import is_vector, write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Longest edge of the drawn image [pixel of the picture]: larger images are shrunk, pixels of smaller ones enlarged.
_LONGEST, _LONG_ENOUGH = 1800, 900
#: Shortest edge of the drawn image, for narrow images [pixel of the picture].
_SHORTEST = 160
#: Margins around the image [pixel of the picture]: left, right, bottom, top.
_MARGINS = (78, 128, 62, 70)
_DPI = 100.0
#: The direct beam is what is nearer to the beam centre than this part of the detector's longer edge.
_BEAM_PART = 40.0


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
    assembly
        The panels as they lie in space; ``None``: the image is drawn as it is stored.
    panels
        Placed panels, if they are known.
    pixel_mm
        Smallest edge of a pixel [mm]; 0: not known.
    """

    title: str = ""
    facts: str = ""
    unit: str = "photons/pixel"
    resolution_A: np.ndarray | None = None
    beam_px: tuple[float, float] | None = None
    spots: Spots | None = None
    zoom: bool = False
    assembly: Assembly | None = None
    panels: tuple[Panel, ...] = ()
    pixel_mm: float = 0.0

    @property
    def marked(self) -> bool:
        """Whether the picture is a figure, with more than the pixels."""
        return self.resolution_A is not None or self.spots is not None or self.zoom

    def near_beam(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return the pixels of the direct beam, bool [slow, fast]; ``None`` if the beam centre is not known."""
        if self.assembly is not None:
            return self.assembly.near_beam(max(self.assembly.size_mm) / _BEAM_PART)
        if self.beam_px is None:
            return None
        rows, columns = np.ogrid[:shape[0], :shape[1]]
        return np.hypot(columns + 0.5 - self.beam_px[0], rows + 0.5 - self.beam_px[1]) <= max(shape) / _BEAM_PART


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
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix.lower()[1:] if is_vector(path) else "png",
                       dpi=style.dpi or _DPI)


def draw(figure: Figure, image: np.ndarray, style: Style, notes: Notes, mask: np.ndarray | None = None) -> None:
    """Draw an image [slow, fast] with its notes into an empty figure, and set the figure's size.

    Large images are reduced to the maximum of each block, which keeps spots. Pixels where ``mask`` is False, and
    NaN, have a colour of their own.
    """
    values = without_masked(image, mask)
    beam = notes.near_beam(image.shape)
    ends = limits(without_beam(values, beam), style)
    view = _View(notes, values)
    slow, fast = view.size
    enlarged = max(1, round(_LONG_ENOUGH / max(view.pixels.shape)))
    width, height = (max(_SHORTEST, enlarged * size) for size in (view.pixels.shape[1], view.pixels.shape[0]))
    left, right, bottom, top = _MARGINS
    canvas = (left + width + right, bottom + height + top)
    figure.set_size_inches(canvas[0] / _DPI, canvas[1] / _DPI)
    figure.set_dpi(_DPI)
    figure.set_facecolor("white")
    axes = figure.add_axes((left / canvas[0], bottom / canvas[1], width / canvas[0], height / canvas[1]))
    axes.imshow(paint(levels(view.pixels, ends, style.scale), style.colours), interpolation="nearest", aspect="auto",
                extent=view.extent)
    axes.set_xlim(0, fast)
    axes.set_ylim(slow, 0)
    view.label(axes)
    axes.tick_params(labelsize=11, direction="out")
    _head(figure, notes, canvas)
    _colour_bar(figure, canvas, ends, style, notes.unit, bool(np.isnan(view.pixels).any()))
    paper = marks.Paper(axes, (fast, slow), (width, height), COLOUR_MAPS[style.colours].is_light)
    brightest = _brightest(values, beam) if notes.zoom else None
    if brightest is not None:
        _close_up(figure, paper, canvas, values, brightest, style, view)
    if view.pixel_mm:
        paper.scale_bar(view.pixel_mm)
    if view.beam is not None:
        paper.beam(*view.beam)
    if notes.resolution_A is not None:
        paper.rings(view.of(notes.resolution_A), view.beam)
    if notes.spots is not None:
        paper.spots(*view.positions(notes.spots.fast_px, notes.spots.slow_px), notes.spots.hkl)


class _View:
    """The image as it is drawn: stored, in pixels, or assembled, in pixels of the picture.

    Attributes
    ----------
    pixels
        Drawn pixels, float [down, right].
    size
        Height and width of the axes, which are in pixels from the upper left corner.
    extent
        Left, right, lower and upper edge of the drawn pixels on the axes.
    beam
        Beam centre on the axes; ``None``: not known.
    pixel_mm
        Unit of the axes [mm]; 0: not known.
    """

    def __init__(self, notes: Notes, values: np.ndarray) -> None:
        self._notes, self._assembly = notes, notes.assembly
        self.beam, self.pixel_mm = notes.beam_px, notes.pixel_mm
        if self._assembly is None:
            self.pixels, block = shrunk(values, _LONGEST)
            self.size = values.shape
        else:
            self.pixels, block = self._assembly.shown(values, _LONGEST), 1
            self.size = self.pixels.shape
            self.pixel_mm = self._assembly.step_mm(_LONGEST)
            self.beam = None
            if self._assembly.beam_mm is not None:
                right, down = self._assembly.beam_mm
                left, top = self._assembly.corner_mm
                self.beam = ((right - left) / self.pixel_mm, (down - top) / self.pixel_mm)
        self.extent = (0, self.pixels.shape[1] * block, self.pixels.shape[0] * block, 0)

    def of(self, image: np.ndarray) -> np.ndarray:
        """Return another image of the same pixels on the axes, a value for each of their units."""
        return image if self._assembly is None else self._assembly.shown(image, _LONGEST)

    def positions(self, fast_px: np.ndarray, slow_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return positions in the stored image as positions on the axes."""
        if self._assembly is None:
            return np.asarray(fast_px), np.asarray(slow_px)
        place = (self._assembly.position_mm(fast_px, slow_px) - self._assembly.corner_mm) / self.pixel_mm
        return place[:, 0], place[:, 1]

    def window(self, fast: int, slow: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Return the stored pixels around one that are its neighbours on the detector."""
        panel = None if self._assembly is None else panel_at(self._notes.panels, fast, slow)
        return (slice(0, shape[0]), slice(0, shape[1])) if panel is None else panel.window

    def part(self, first_fast: int, first_slow: int, fast: int, slow: int) -> tuple[float, float, float, float]:
        """Return left, top, width and height on the axes of a rectangle of stored pixels."""
        x, y = self.positions(np.array([first_fast, first_fast + fast] * 2, float),
                              np.repeat([first_slow, first_slow + slow], 2).astype(float))
        return float(x.min()), float(y.min()), float(np.ptp(x)), float(np.ptp(y))

    def label(self, axes: Axes) -> None:
        """Label the axes: pixels of the stored image, or millimetres from the beam."""
        if self._assembly is None:
            axes.set_xlabel("fast [pixel]", fontsize=12)
            axes.set_ylabel("slow [pixel]", fontsize=12)
            return
        from matplotlib.ticker import MaxNLocator

        names = ("right", "down")
        zero = self.beam or (0.0, 0.0)
        origin = "the beam" if self.beam else "the corner"
        for number, (axis, size) in enumerate(((axes.xaxis, self.size[1]), (axes.yaxis, self.size[0]))):
            ends = (-zero[number] * self.pixel_mm, (size - zero[number]) * self.pixel_mm)
            ticks = [tick for tick in MaxNLocator(8).tick_values(*ends) if ends[0] <= tick <= ends[1]]
            axis.set_ticks([tick / self.pixel_mm + zero[number] for tick in ticks], [f"{tick:g}" for tick in ticks])
            axis.set_label_text(f"{names[number]} from {origin}, seen from the crystal [mm]", fontsize=12)


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


def _brightest(values: np.ndarray, beam: np.ndarray | None) -> tuple[int, int] | None:
    """Return (fast, slow) of the brightest pixel outside the direct beam; ``None`` if no pixel is above 0."""
    known = np.isfinite(values) if beam is None else np.isfinite(values) & ~beam
    found = np.where(known, values, 0.0)
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    return (int(column), int(row)) if found[row, column] > 0.0 else None


def _close_up(figure: Figure, paper: marks.Paper, canvas: tuple[int, int], values: np.ndarray,
              position: tuple[int, int], style: Style, view: _View) -> None:
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
    left, _, bottom, _ = _MARGINS
    inset = figure.add_axes(((left + box.left) / canvas[0], (bottom + paper.size_px[1] - box.bottom) / canvas[1],
                             width / canvas[0], height / canvas[1]))
    ends = Limits(limits(part, style).low if style.scale == "log" else 0.0, float(values[row, column]))
    if not ends.low < ends.high:
        ends = limits(part, style)
    inset.imshow(paint(levels(part, ends, style.scale), style.colours), interpolation="nearest", aspect="auto")
    paper.frame(inset, box, shown, f"{values[row, column]:.5g} at {column}, {row}")
