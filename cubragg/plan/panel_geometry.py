"""The panels of a detector as they stand before the sample, cut to what is rendered.

A panel on its detector's own grid of pixels keeps the detector's geometry and counts its pixels
from its place there: the bits are those that the undivided detector has. `specs/panels.md`
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.crystallography.vectors import combine, norm
from cubragg.experiment.detector import Detector, DetectorGeometry
from cubragg.experiment.experiment import Experiment
from cubragg.experiment.panel import grid_place
from cubragg.experiment.sampling import ROI
from cubragg.experiment.sensor import Layers

#: Slow and fast pixels of the image.
Window = tuple[slice, slice]


class PlacedPanel(NamedTuple):
    """A panel that is rendered.

    Attributes
    ----------
    number
        Its place in the detector's list.
    window
        Slow and fast pixels of the image that it fills.
    geometry, layers, first_pixel
        What replaces the detector's in its plan.
    roi, mask
        The region and the live pixels, counted from its own first pixel.
    """

    number: int
    window: Window
    geometry: DetectorGeometry
    layers: Layers
    first_pixel: tuple[int, int]
    roi: ROI
    mask: np.ndarray | None


def placed_panels(experiment: Experiment, geometry: DetectorGeometry, geometries: tuple[DetectorGeometry, ...],
                  roi: ROI, mask: np.ndarray | None) -> tuple[PlacedPanel, ...] | None:
    """The panels with a pixel to render; ``None`` for a detector that is one panel itself.

    Parameters
    ----------
    geometry, geometries
        The detector as placed, and its panels.
    roi, mask
        Of the image.
    """
    detector = experiment.detector
    if not detector.panels:
        return None
    found = []
    for number, (panel, own, sensor) in enumerate(zip(detector.panels, geometries, detector.panel_sensors(),
                                                      strict=True)):
        (fast, slow), (rows, columns) = panel.offset, panel.window
        region = (max(roi[0], fast) - fast, min(roi[1] + 1, columns.stop) - 1 - fast,
                  max(roi[2], slow) - slow, min(roi[3] + 1, rows.stop) - 1 - slow)
        if region[0] > region[1] or region[2] > region[3]:
            continue
        live = None if mask is None else np.ascontiguousarray(mask[panel.window])
        if live is not None:
            inside = live[region[2]:region[3] + 1, region[0]:region[1] + 1]
            if not inside.any():
                continue
            live = None if inside.all() else live
        place = grid_place(panel, detector.pixel_size_mm)
        own = own if place is None else geometry
        found.append(PlacedPanel(number, panel.window, own, detector.layers(sensor, own, experiment.semantics),
                                 place or (0, 0), region, live))
    return tuple(found)


def coarsest(detector: Detector, geometry: DetectorGeometry, geometries: tuple[DetectorGeometry, ...]
             ) -> DetectorGeometry:
    """The geometry whose pixels span the largest angle; its ``distance`` is that of the panel's nearest point.

    The detector's own, distance along the beam, for a detector without panels and for panels on its grid.
    """
    found = [own._replace(distance=_nearest_m(own)) if grid_place(panel, detector.pixel_size_mm) is None else geometry
             for panel, own in zip(detector.panels, geometries, strict=True)] if detector.panels else [geometry]
    return max(found, key=lambda own: max(own.pixel_size, own.slow_pixel_size) / own.distance)


def _nearest_m(panel: DetectorGeometry) -> float:
    """From the sample to the nearest point of a panel [m]."""
    fast, slow = min(max(panel.fclose, 0.0), panel.detsize_fast), min(max(panel.sclose, 0.0), panel.detsize_slow)
    return norm(combine((1.0, panel.pix0), (fast, panel.fast), (slow, panel.slow)))
