"""Labels of the pixels of an image by reflection, from the photons of each reflection in each pixel.

They are those that are rendered, not a threshold of the image. `specs/data-sets.md`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cubragg.engine.analytic.panel_spots import PanelSpots
from cubragg.engine.analytic.spot_list import SpotList
from cubragg.reflections.panel_sums import ImageSums, ReflectionCodes
from cubragg.reflections.reflection_pixels import ReflectionPixels, joined, reflection_pixels, rows_by_code
from cubragg.reflections.reflection_table import Flags, ReflectionTable
from cubragg.reflections.sampled_pixels import sampled_pixels

#: A pixel belongs to a reflection if it has at least this fraction of the photons of its brightest pixel.
FRACTION = 0.1


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of an image, from the list of the pixels that belong to each reflection.

    Attributes
    ----------
    shape
        (slow, fast) pixels of the image.
    reflections
        Number of reflections, of all crystals one after the other.
    row, pixel, photons
        Reflection int64 [m], pixel of the image, slow * width + fast, int64 [m], and the reflection's expected photons
        in it, float64 [m]; in the order of reflections and pixels.
    """

    shape: tuple[int, int]
    reflections: int
    row: np.ndarray
    pixel: np.ndarray
    photons: np.ndarray

    def __repr__(self) -> str:
        slow, fast = self.shape
        return f"<cubragg labels of {fast} x {slow} pixels: {len(self.pixel)} pixels of {self.reflections} reflections>"

    @property
    def mask(self) -> np.ndarray:
        """1 + the number of the reflection with most photons in each pixel, 0 without one; uint32 [slow, fast]."""
        found = np.zeros(self.shape[0] * self.shape[1], dtype=np.uint32)
        order = np.argsort(self.photons, kind="stable")
        found[self.pixel[order]] = self.row[order] + 1  # the last assignment holds: that of the most photons
        return found.reshape(self.shape)

    @property
    def heat(self) -> np.ndarray:
        """Photons of a reflection in each pixel over those in its brightest one, the largest of all reflections; 0
        without one; float32 [slow, fast]."""
        found = np.zeros(self.shape[0] * self.shape[1], dtype=np.float32)
        most = np.zeros(self.reflections)
        np.maximum.at(most, self.row, self.photons)
        relative = (self.photons / most[self.row]).astype(np.float32)
        order = np.argsort(relative, kind="stable")
        found[self.pixel[order]] = relative[order]
        return found.reshape(self.shape)

    @property
    def boxes(self) -> np.ndarray:
        """First and last fast and slow pixel of each reflection, int32 [n, 4] (fast, fast, slow, slow); -1 for those
        without a pixel."""
        slow, fast = np.divmod(self.pixel, self.shape[1])
        found = np.full((self.reflections, 4), -1, dtype=np.int32)
        for column, values in ((1, fast), (3, slow)):
            np.maximum.at(found[:, column], self.row, values.astype(np.int32))
        low = np.where(found < 0, -1, np.iinfo(np.int32).max).astype(np.int32)
        for column, values in ((1, fast), (3, slow)):
            np.minimum.at(low[:, column], self.row, values.astype(np.int32))
        found[:, 0], found[:, 2] = low[:, 1], low[:, 3]
        return found

    @property
    def pixels(self) -> np.ndarray:
        """Number of the pixels of each reflection, int64 [n]."""
        return np.bincount(self.row, minlength=self.reflections)

    @property
    def overlapped(self) -> np.ndarray:
        """Number of the pixels of each reflection that belong to another one too, int64 [n]."""
        _, place, count = np.unique(self.pixel, return_inverse=True, return_counts=True)
        return np.bincount(self.row[count[place] > 1], minlength=self.reflections)


def labels_of(tables: Sequence[ReflectionTable], shape: tuple[int, int], min_photons: float,
              threads: int | None = None, backend: str = "auto", photons: Sequence[np.ndarray | None] | None = None,
              sums: Sequence[ImageSums | None] | None = None) -> Labels:
    """Return the labels of an image.

    Parameters
    ----------
    tables
        Its reflections, of each crystal.
    shape
        (slow, fast) pixels of the image.
    min_photons
        Reflections with fewer photons get no pixels.
    threads, backend
        As for `predict.reflection_table`.
    photons
        The image of each crystal without background, float32 [slow, fast], where it is known: the method sampled leaves
        out pixels without photons.
    sums
        The sums of each crystal's image, where it was rendered with them.

    Raises
    ------
    ConfigError
        As `predict.require_reflection_sums`.
    """
    parts, first = [], 0
    none = [None] * len(tables)
    for table, image, known in zip(tables, photons or none, sums or none, strict=True):
        if table.plan.method == "analytic":
            found = _analytic_pixels(table, shape[1], min_photons, threads, backend)
        else:
            found = sampled_pixels(table, shape[1], min_photons, FRACTION, threads, backend, image, known)
        parts.append(found._replace(row=first + found.row))
        first += len(table)
    return Labels(shape, first, *joined(parts))


def _analytic_pixels(table: ReflectionTable, width: int, min_photons: float, threads: int | None, backend: str
                     ) -> ReflectionPixels:
    """Return the pixels of the reflections of an image of the method analytic, by their rows in its table."""
    parts = []
    for spots in SpotList(table.plan, backend).panels:
        row = _rows_of(table, spots, min_photons)
        lit = row >= 0
        if lit.any():
            parts.append(reflection_pixels(table.plan, spots.where(lit), row[lit], width, FRACTION, threads, backend))
    return joined(parts)


def _rows_of(table: ReflectionTable, spots: PanelSpots, min_photons: float) -> np.ndarray:
    """Return the row of the table of each spot, int64 [n]; -1 for those with fewer photons."""
    rows = np.flatnonzero((table.panel == spots.panel.number) & (table.photons >= min_photons))
    if not len(rows) or not len(spots):
        return np.full(len(spots), -1)
    codes = ReflectionCodes(np.maximum(np.abs(spots.hkl).max(axis=0), np.abs(table.hkl[rows]).max(axis=0)))
    return rows_by_code(rows, codes.pack(table.hkl[rows].T.copy(), (table.flags[rows] & Flags.ENTERING) != 0),
                        codes.pack(spots.hkl.T.copy(), spots.entering))
