"""Labels of the pixels of an image by reflection, from the photons of each reflection in each pixel.

They are those that the method analytic renders, not a threshold of the image. `specs/data-sets.md`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cubragg.engine.analytic.analytic_engine import blocks_of, box_pixels, pixel_sums
from cubragg.engine.analytic.spot_list import PanelSpots, SpotList
from cubragg.errors import ConfigError
from cubragg.reflections.reflection_table import Flags, ReflectionTable

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
        relative = (self.photons / self._peaks[self.row]).astype(np.float32)
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

    @cached_property
    def _peaks(self) -> np.ndarray:
        return _peaks(self.row, self.photons, self.reflections)


def labels_of(tables: Sequence[ReflectionTable], shape: tuple[int, int], min_photons: float) -> Labels:
    """Return the labels of an image.

    Parameters
    ----------
    tables
        Its reflections, of each crystal.
    shape
        (slow, fast) pixels of the image.
    min_photons
        Reflections with fewer photons get no pixels.

    Raises
    ------
    ConfigError
        For an image of the method sampled, which has no photons by reflection and pixel.
    """
    parts, first = [], 0
    for table in tables:
        if table.plan.method != "analytic":
            raise ConfigError("labels", "got the method sampled, which has no photons of single reflections in pixels; "
                              "analytic is accepted")
        parts += [part for spots in SpotList(table.plan).panels
                  if (part := _photons_on(table, spots, shape[1], first, min_photons)) is not None]
        first += len(table)
    if not parts:
        return Labels(shape, first, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
    row, pixel, photons = (np.concatenate(column) for column in zip(*parts, strict=True))
    keys, place = np.unique(row * (shape[0] * shape[1]) + pixel, return_inverse=True)
    photons = np.bincount(place, photons)
    row, pixel = np.divmod(keys, shape[0] * shape[1])
    own = photons >= FRACTION * _peaks(row, photons, first)[row]
    own &= photons > 0.0
    return Labels(shape, first, row[own], pixel[own], photons[own])


def _peaks(row: np.ndarray, photons: np.ndarray, count: int) -> np.ndarray:
    found = np.zeros(count)
    np.maximum.at(found, row, photons)
    return found


def _photons_on(table: ReflectionTable, spots: PanelSpots, width: int, first: int, min_photons: float
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return reflection, pixel of the image and photons [m] on a panel, a row for each spot and pixel."""
    panel = spots.panel
    rows = {(*hkl, bool(flags & Flags.ENTERING)): first + place for place, (hkl, on, flags, photons) in enumerate(zip(
        table.hkl.tolist(), table.panel.tolist(), table.flags.tolist(), table.photons.tolist(), strict=True))
        if on == panel.number and photons >= min_photons}
    row = np.array([rows.get((*hkl, entering), -1) for hkl, entering in zip(
        spots.hkl.tolist(), spots.entering.tolist(), strict=True)], dtype=np.int64)
    spots, row = spots.where(row >= 0), row[row >= 0]
    if not len(spots):
        return None
    found = []
    for block in blocks_of(spots):
        number, fast, slow = box_pixels(spots, block)
        if panel.mask is not None:
            live = panel.mask[slow, fast]
            number, fast, slow = number[live], fast[live], slow[live]
        photons = pixel_sums(table.plan, spots.records[number], fast, slow)[0]
        image = (slow + panel.window[0].start) * width + fast + panel.window[1].start
        found.append((row[number], image, photons))
    row, image, photons = (np.concatenate(column) for column in zip(*found, strict=True))
    return row, image, photons
