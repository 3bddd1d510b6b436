"""What the steps of a detector's response need to know of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from cubragg.detect.counting import CountingBackend


class PanelArea(NamedTuple):
    """Where a panel is in the image: slow and fast pixels, and the edges of a pixel along fast and slow [um]."""

    window: tuple[slice, slice]
    pixel_um: tuple[float, float]


@dataclass(frozen=True)
class Exposure:
    """An image to be detected, or a band of its rows.

    Attributes
    ----------
    panels
        The panels of the detector.
    live
        Pixels with a value, bool [slow, fast]; ``None``: all.
    exposure_s
        Exposure time [s], for rates.
    seed, shot
        Seed of what changes from image to image, and number of the image.
    backend, threads
        Backend of the Poisson deviates and its threads; see `draw_counts`.
    first_row
        Row of the whole image with which the band begins; random numbers depend on the place of a pixel in the image.
    counts
        int32 [slow, fast] into which counts are drawn; ``None``: into a new array.
    """

    panels: Sequence[PanelArea]
    live: np.ndarray | None
    exposure_s: float
    seed: int
    shot: int
    backend: CountingBackend = "auto"
    threads: int | None = None
    first_row: int = 0
    counts: np.ndarray | None = None

    def rows(self, first: int, end: int) -> Exposure:
        """Return the exposure of the rows ``first`` to ``end``, without the last."""
        panels = []
        for (rows, columns), pixel_um in self.panels:
            inside = slice(max(rows.start, first) - first, min(rows.stop, end) - first)
            if inside.start < inside.stop:
                panels.append(PanelArea((inside, columns), pixel_um))
        return replace(self, panels=panels, live=None if self.live is None else self.live[first:end],
                       first_row=self.first_row + first)
