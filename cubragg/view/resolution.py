"""The resolution that each pixel records, on a detector however it stands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.experiment.detector import Detector, DetectorGeometry
from cubragg.plan.pixel_factors import on_cylinder

#: Pixels worked on at a time; what they need stays in the cache.
_BLOCK = 2**17


class BeamSpot(NamedTuple):
    """Where the direct beam hits a panel's plane: along fast and slow [pixel] and its distance [m]."""

    fast_px: float
    slow_px: float
    distance: float


def beam_spot(geometry: DetectorGeometry) -> BeamSpot | None:
    """Where the direct beam hits; ``None`` if it misses the plane.

    The distance and beam centre of `DetectorGeometry` are those of the C program, which leaves two-theta out of
    them; pix0 and the axes are where the pixels are.
    """
    along_fast, along_slow, along_normal = geometry.beam_in_detector
    if along_normal <= 0.0:
        return None
    distance = geometry.close_distance / along_normal
    return BeamSpot((geometry.fclose + distance * along_fast) / geometry.pixel_size,
                    (geometry.sclose + distance * along_slow) / geometry.slow_pixel_size, distance)


def image_resolution(detector: Detector, geometry: DetectorGeometry, wavelength_A: float) -> np.ndarray:
    """d [A] of each pixel of the image of a detector, float64 [slow, fast]; NaN between panels.

    ``geometry`` is the detector as placed, each panel has its own in it.
    """
    if not detector.panels:
        return resolution_map(geometry, wavelength_A, curved=detector.curved)
    result = np.full(detector.shape(), np.nan)
    for panel, placed in zip(detector.panels, detector.panel_geometries(geometry), strict=True):
        result[panel.window] = resolution_map(placed, wavelength_A)
    return result


def resolution_map(geometry: DetectorGeometry, wavelength_A: float, *, curved: bool = False) -> np.ndarray:
    """d [A] at the centre of each pixel, float64 [slow, fast]; inf where the direct beam hits.

    With d the unit vector to the pixel and i that of the beam, the scattering vector is (d - i)/lambda and the
    resolution its inverse length: Bragg's lambda / (2 sin theta).

    Parameters
    ----------
    geometry
        The panel as placed.
    wavelength_A
        Wavelength [A].
    curved
        The panel is bent to a cylinder about the sample.
    """
    slow_pixels, fast_pixels = geometry.slow_pixels, geometry.fast_pixels
    result = np.empty((slow_pixels, fast_pixels))
    along_fast = geometry.pixel_size * (np.arange(fast_pixels) + 0.5)
    fast_axis, slow_axis, pix0, beam = (np.array(vector)[:, None] for vector in (
        geometry.fast, geometry.slow, geometry.pix0, geometry.beam))
    rows = max(1, _BLOCK // fast_pixels)
    for first in range(0, slow_pixels, rows):
        numbers = np.arange(first, min(first + rows, slow_pixels))
        along_slow = geometry.slow_pixel_size * (np.repeat(numbers, fast_pixels) + 0.5)
        position = fast_axis * np.tile(along_fast, len(numbers)) + slow_axis * along_slow + pix0
        if curved:
            position = on_cylinder(geometry, geometry.beam, position)
        q = position / np.sqrt((position * position).sum(axis=0)) - beam
        with np.errstate(divide="ignore"):
            spacing = wavelength_A / np.sqrt((q * q).sum(axis=0))
        result[numbers] = spacing.reshape(len(numbers), fast_pixels)
    return result
