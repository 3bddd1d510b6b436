"""What the steps of a detector's response need to know of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cubragg.detect.counting import CountingBackend


class PanelArea(NamedTuple):
    """Where a panel is in the image: slow and fast pixels, and the edges of a pixel along fast and slow [um]."""

    window: tuple[slice, slice]
    pixel_um: tuple[float, float]


@dataclass(frozen=True)
class Exposure:
    """An image to be detected.

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
    """

    panels: Sequence[PanelArea]
    live: np.ndarray | None
    exposure_s: float
    seed: int
    shot: int
    backend: CountingBackend = "auto"
    threads: int | None = None
