"""An image as figures draw it: as it is stored, or its panels as they lie in space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cubragg.view.assembly import panel_at
from cubragg.view.colours import shrunk
from cubragg.view.notes import Notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Longest edge of a drawn image [pixel of the picture].
LONGEST_EDGE = 1800


class DrawnView:
    """An image as it is drawn: stored, in pixels, or assembled, in pixels of the picture.

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

    Parameters
    ----------
    notes
        Where the panels and the beam are.
    values
        Float [slow, fast], NaN in masked pixels.
    longest_edge
        Larger images are reduced to the maximum of each block, which keeps spots.
    """

    def __init__(self, notes: Notes, values: np.ndarray, longest_edge: int = LONGEST_EDGE) -> None:
        self._notes, self._assembly, self._longest = notes, notes.assembly, longest_edge
        self.beam, self.pixel_mm = notes.beam_px, notes.pixel_mm
        if self._assembly is None:
            self.pixels, block = shrunk(values, self._longest)
            self.size = values.shape
        else:
            self.pixels, block = self._assembly.shown(values, self._longest), 1
            self.size = self.pixels.shape
            self.pixel_mm = self._assembly.step_mm(self._longest)
            self.beam = None
            if self._assembly.beam_mm is not None:
                right, down = self._assembly.beam_mm
                left, top = self._assembly.corner_mm
                self.beam = ((right - left) / self.pixel_mm, (down - top) / self.pixel_mm)
        self.extent = (0, self.pixels.shape[1] * block, self.pixels.shape[0] * block, 0)

    def of(self, image: np.ndarray) -> np.ndarray:
        """Return another image of the same pixels on the axes, a value for each of their units."""
        return image if self._assembly is None else self._assembly.shown(image, self._longest)

    def signed(self, difference: np.ndarray) -> np.ndarray:
        """Return the drawn pixels of a difference [slow, fast]: of each block the value furthest from 0."""
        above, below = (self._drawn(np.where(np.isnan(difference), np.nan, np.maximum(sign * difference, 0.0)))
                        for sign in (1.0, -1.0))
        return np.where(below > above, -below, above)

    def _drawn(self, image: np.ndarray) -> np.ndarray:
        if self._assembly is None:
            return shrunk(image, self._longest)[0]
        return self._assembly.shown(image, self._longest)

    def enlarged(self, longest_edge: int, shortest_edge: int) -> tuple[int, int]:
        """Return width and height at which to draw: a whole multiple of the drawn pixels, near ``longest_edge``."""
        factor = max(1, round(longest_edge / max(self.pixels.shape)))
        height, width = (max(shortest_edge, factor * size) for size in self.pixels.shape)
        return width, height

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
