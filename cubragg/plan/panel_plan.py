"""The panels of a detector, cut to what is rendered, in SI units.

A panel on its detector's own grid of pixels keeps the detector's geometry and counts its pixels
from its place there: the bits are those that the undivided detector has. `specs/panels.md`
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.crystallography.vectors import Vector, combine, norm
from cubragg.experiment.detector import Detector, DetectorGeometry
from cubragg.experiment.panel import Panel, grid_place
from cubragg.experiment.sampling import ROI
from cubragg.experiment.sensor import Layers, Sensor

#: Slow and fast pixels of the image.
Window = tuple[slice, slice]


class PanelPlace(NamedTuple):
    """A panel of the detector: its name, where its first pixel is in the image (fast, slow) [pixel], its geometry."""

    name: str
    offset: tuple[int, int]
    geometry: DetectorGeometry


class PanelPlan(NamedTuple):
    """A panel to render.

    Attributes
    ----------
    number, name
        Its place in the detector's list, and its name there.
    window
        Slow and fast pixels of the image that it fills.
    origin
        Outer corner of pixel 0 0 of its geometry, from the crystal [m].
    fast, slow, normal
        Unit vectors along its edges, and away from the crystal.
    edges
        Edges of a pixel along fast and slow [m].
    distance, close_distance
        To its plane along the beam, which is the radius of a curved detector; and along the normal [m].
    first_pixel
        Fast and slow place of its first pixel on the geometry.
    layers
        Layers of its sensor.
    roi, mask
        The region, ends included, and the pixels to render (``None``: all), counted from its own first pixel.
    """

    number: int
    name: str
    window: Window
    origin: Vector
    fast: Vector
    slow: Vector
    normal: Vector
    edges: tuple[float, float]
    distance: float
    close_distance: float
    first_pixel: tuple[int, int]
    layers: Layers
    roi: ROI
    mask: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int]:
        """(slow, fast) size in pixels."""
        rows, columns = self.window
        return rows.stop - rows.start, columns.stop - columns.start

    @property
    def width(self) -> int:
        """Pixels of a row of the region."""
        return self.roi[1] - self.roi[0] + 1

    @property
    def pixel_count(self) -> int:
        """Pixels of the region."""
        return self.width * (self.roi[3] - self.roi[2] + 1)

    def pixel_at(self, index: int) -> tuple[int, int]:
        """The (fast, slow) pixel of the panel with a roi index, its number in the region."""
        row, column = divmod(index, self.width)
        return column + self.roi[0], row + self.roi[2]

    def in_image(self, fast: int, slow: int) -> tuple[int, int]:
        """The (fast, slow) pixel of the image that is a pixel of the panel."""
        return fast + self.window[1].start, slow + self.window[0].start


def panel_plans(detector: Detector, geometry: DetectorGeometry, geometries: tuple[DetectorGeometry, ...],
                semantics: str, roi: ROI, mask: np.ndarray | None) -> tuple[PanelPlan, ...]:
    """The panels with a pixel to render.

    Parameters
    ----------
    geometry, geometries
        The detector as placed, and its panels.
    roi, mask
        Of the image.
    """
    found = []
    sensors = detector.panel_sensors()
    for number, (panel, own, sensor) in enumerate(zip(_panels(detector), geometries, sensors, strict=True)):
        region = _region(panel, roi)
        if region[0] > region[1] or region[2] > region[3]:
            continue
        live = None if mask is None else np.ascontiguousarray(mask[panel.window])
        if live is not None:
            inside = live[region[2]:region[3] + 1, region[0]:region[1] + 1]
            if not inside.any():
                continue
            live = None if inside.all() else live
        place = grid_place(panel, detector.pixel_size_mm)
        found.append(_plan(number, panel, own if place is None else geometry, place or (0, 0), region, live,
                           detector, sensor, semantics))
    return tuple(found)


def panel_places(detector: Detector, geometries: tuple[DetectorGeometry, ...]) -> tuple[PanelPlace, ...]:
    """All panels of a detector, ``geometries`` being where they are."""
    return tuple(PanelPlace(panel.name, panel.offset, geometry)
                 for panel, geometry in zip(_panels(detector), geometries, strict=True))


def _panels(detector: Detector) -> tuple[Panel, ...]:
    """The panels of a detector; one that has none is a panel itself."""
    slow_pixels, fast_pixels = detector.shape()
    return detector.panels or (Panel(fast_pixels, slow_pixels, detector.pixel_size_mm, detector.pixel_size_mm),)


def _region(panel: Panel, roi: ROI) -> ROI:
    """The part of the region on a panel, counted from its first pixel; empty where a minimum exceeds its maximum."""
    (fast, slow), (rows, columns) = panel.offset, panel.window
    return (max(roi[0], fast) - fast, min(roi[1] + 1, columns.stop) - 1 - fast,
            max(roi[2], slow) - slow, min(roi[3] + 1, rows.stop) - 1 - slow)


def _plan(number: int, panel: Panel, placed: DetectorGeometry, first_pixel: tuple[int, int], roi: ROI,
          mask: np.ndarray | None, detector: Detector, sensor: Sensor, semantics: str) -> PanelPlan:
    return PanelPlan(number, panel.name, panel.window, placed.pix0, placed.fast, placed.slow, placed.normal,
                     (placed.pixel_size, placed.slow_pixel_size), placed.distance, placed.close_distance, first_pixel,
                     detector.layers(sensor, placed, semantics), roi, mask)


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
