"""Counts of an image whose expected photons come in bands of rows, and are not kept.

A pixel depends on itself alone in most steps of a response, from its photons up to the first step that needs the whole
image (point spread, wide pixels, bad pixels). These steps take a band while it is in the cache; the others follow when
all bands are there. The counts are those of `detected_counts`, to the bit. Decision 0005 has the reason.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cubragg.detect.exposure import Exposure
from cubragg.detect.response_chain import Counting, Step, applied_steps, finished
from cubragg.experiment.response_settings import Response


class BandedCounts:
    """Counts that are drawn band by band.

    Parameters
    ----------
    response, exposure
        The response, and the exposure of the whole image.
    shape
        (slow, fast) size of the image.
    """

    def __init__(self, response: Response, exposure: Exposure, shape: tuple[int, int]) -> None:
        self._response, self._exposure = response, exposure
        self._of_bands, self._of_image = _divided(response)
        self._counts = np.zeros(shape, dtype=np.int32)

    @staticmethod
    def suits(response: Response) -> bool:
        """Return whether the response draws its counts before a step that needs the whole image."""
        return any(isinstance(step, Counting) for step in _divided(response)[0])

    def add(self, first_row: int, photons: np.ndarray) -> None:
        """Draw the counts of a band of expected photons [rows, fast], which begins at a row of the image."""
        rows = slice(first_row, first_row + len(photons))
        drawn = self._counts[rows] if self._counts.dtype == np.int32 else None
        exposure = replace(self._exposure.rows(rows.start, rows.stop), counts=drawn)
        band = photons
        for step in self._of_bands:
            band = step(band, self._response, exposure)
        if not self._of_image:
            band = finished(band, self._response, exposure)
        if band is drawn:
            return
        if band.dtype != np.int32 and self._counts.dtype == np.int32:
            self._counts = self._counts.astype(band.dtype)
        self._counts[rows] = band

    def counts(self) -> np.ndarray:
        """Return the counts after the last band; int32, or float64 of whole numbers above 2^31 - 1."""
        for step in self._of_image:
            self._counts = step(self._counts, self._response, self._exposure)
        return finished(self._counts, self._response, self._exposure) if self._of_image else self._counts


def _divided(response: Response) -> tuple[list[Step], list[Step]]:
    """Return the steps that take bands, and those from the first on that needs the whole image."""
    steps = applied_steps(response)
    number = next((place for place, step in enumerate(steps) if step.whole), len(steps))
    return steps[:number], steps[number:]
