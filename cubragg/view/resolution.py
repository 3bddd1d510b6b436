"""The resolution that each pixel records, however its panel is placed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cubragg.crystallography.vectors import scale
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.experiment.panel import Panel, Spot, image_shape, panel_in_beam
from cubragg.plan.pixel_factors import on_cylinder

#: Pixels worked on at a time; what they need stays in the cache.
_BLOCK = 2**17


def beam_spot(panels: Sequence[Panel], frame: DetectorFrame) -> Spot | None:
    """Where the direct beam hits the image of placed panels; ``None`` where it misses the front of their planes.

    The distance and beam centre of ``frame`` are those of the C program, which leaves two-theta out of them.
    """
    panel = panel_in_beam(panels, frame.beam)
    spot = panel.spot(frame.beam)
    if spot is None or spot.distance_mm <= 0.0:
        return None
    return Spot(panel.offset[0] + spot.fast_px, panel.offset[1] + spot.slow_px, spot.distance_mm)


def image_resolution(panels: Sequence[Panel], frame: DetectorFrame, wavelength_A: float, *, curved: bool = False
                     ) -> np.ndarray:
    """d [A] of each pixel of the image of placed panels, float64 [slow, fast]; NaN between panels."""
    result = np.full(image_shape(panels), np.nan)
    for panel in panels:
        result[panel.window] = resolution_map(panel, frame, wavelength_A, curved=curved)
    return result


def resolution_map(panel: Panel, frame: DetectorFrame, wavelength_A: float, *, curved: bool = False) -> np.ndarray:
    """d [A] at the centre of each pixel, float64 [slow, fast]; inf where the direct beam hits.

    With d the unit vector to the pixel and i that of the beam, the scattering vector is (d - i)/lambda and the
    resolution its inverse length: Bragg's lambda / (2 sin theta).

    Parameters
    ----------
    panel, frame
        A placed panel, and its detector's frame.
    wavelength_A
        Wavelength [A].
    curved
        The panel is bent to a cylinder about the sample.
    """
    slow_pixels, fast_pixels = panel.slow_pixels, panel.fast_pixels
    result = np.empty((slow_pixels, fast_pixels))
    fast_px = np.arange(fast_pixels) + 0.5
    fast, slow, origin = (np.array(scale(vector, 1e-3))[:, None] for vector in (
        panel.fast_mm, panel.slow_mm, panel.origin_mm))
    beam = np.array(frame.beam)[:, None]
    rows = max(1, _BLOCK // fast_pixels)
    for first in range(0, slow_pixels, rows):
        numbers = np.arange(first, min(first + rows, slow_pixels))
        position = fast * np.tile(fast_px, len(numbers)) + slow * (np.repeat(numbers, fast_pixels) + 0.5) + origin
        if curved:
            position = on_cylinder(frame, frame.beam, position)
        q = position / np.sqrt((position * position).sum(axis=0)) - beam
        with np.errstate(divide="ignore"):
            spacing = wavelength_A / np.sqrt((q * q).sum(axis=0))
        result[numbers] = spacing.reshape(len(numbers), fast_pixels)
    return result
