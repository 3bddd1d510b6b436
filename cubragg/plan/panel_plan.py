"""The panels to render, in SI units, limited to the region of interest.

The pixels of a panel that a convention placed are numbered in the convention's frame, which is computed in nanoBragg's
order of arithmetic: its image is bit for bit that part of the image of the whole detector. `specs/panels.md`
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm, unit
from cubragg.experiment.conventions import frame_of
from cubragg.experiment.detector import Detector, Placed
from cubragg.experiment.detector_frame import DetectorFrame, Laboratory
from cubragg.experiment.panel import Panel
from cubragg.experiment.sampling import ROI
from cubragg.experiment.sensor import Layers, View, nanobragg_layers, physical_layers, sensor_of

#: Smallest cosine of a ray with the normal that layers are computed for.
_GRAZING = 0.1
#: Slow and fast pixels of the image.
Window = tuple[slice, slice]


class PanelPlan(NamedTuple):
    """A panel to render.

    Attributes
    ----------
    number, name
        Its index in the detector's list of panels, and its name.
    window
        Slow and fast pixels of the image that it covers.
    origin
        Outer corner of pixel 0 0 of its geometry, from the crystal [m].
    fast, slow, normal
        Unit vectors along its edges, which need not be perpendicular, and the normal that points away from the crystal.
    edges, area
        Edges of a pixel along fast and slow [m], and its area [m^2].
    distance, close_distance
        Distance to its plane along the beam, which is the radius of a curved detector, and along the normal [m].
    first_pixel
        Fast and slow position of its first pixel in its geometry [pixel].
    layers
        The layers of its sensor.
    roi, mask
        Region of interest, ends included, and pixels to render (``None``: all), counted from the panel's first pixel.
    """

    number: int
    name: str
    window: Window
    origin: Vector
    fast: Vector
    slow: Vector
    normal: Vector
    edges: tuple[float, float]
    area: float
    distance: float
    close_distance: float
    first_pixel: tuple[int, int]
    layers: Layers
    roi: ROI
    mask: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int]:
        """(slow, fast) size of the panel in pixels."""
        rows, columns = self.window
        return rows.stop - rows.start, columns.stop - columns.start

    @property
    def width(self) -> int:
        """Number of pixels in a row of the region of interest."""
        return self.roi[1] - self.roi[0] + 1

    @property
    def pixel_count(self) -> int:
        """Number of pixels in the region of interest."""
        return self.width * (self.roi[3] - self.roi[2] + 1)

    def pixel_at(self, index: int) -> tuple[int, int]:
        """Return the (fast, slow) pixel of the panel with an ROI index."""
        row, column = divmod(index, self.width)
        return column + self.roi[0], row + self.roi[2]

    def in_image(self, fast: int, slow: int) -> tuple[int, int]:
        """Return the (fast, slow) pixel of the image for a pixel of the panel."""
        return fast + self.window[1].start, slow + self.window[0].start


def panel_plans(detector: Detector, placed: Placed, semantics: str, roi: ROI, mask: np.ndarray | None
                ) -> tuple[PanelPlan, ...]:
    """Return the panels with a pixel to render; ``roi`` and ``mask`` are those of the image."""
    found = []
    for number, panel in enumerate(placed.panels):
        region = _region(panel, roi)
        if region[0] > region[1] or region[2] > region[3]:
            continue
        live = None if mask is None else np.ascontiguousarray(mask[panel.window])
        if live is not None:
            inside = live[region[2]:region[3] + 1, region[0]:region[1] + 1]
            if not inside.any():
                continue
            live = None if inside.all() else live
        found.append(_plan(number, panel, placed.frame.laboratory, region, live, detector, semantics))
    return tuple(found)


def _region(panel: Panel, roi: ROI) -> ROI:
    """Return the part of the ROI on a panel, counted from its first pixel; empty if a minimum exceeds its maximum."""
    (fast, slow), (rows, columns) = panel.offset, panel.window
    return (max(roi[0], fast) - fast, min(roi[1] + 1, columns.stop) - 1 - fast,
            max(roi[2], slow) - slow, min(roi[3] + 1, rows.stop) - 1 - slow)


def _plan(number: int, panel: Panel, laboratory: Laboratory, roi: ROI, mask: np.ndarray | None, detector: Detector,
          semantics: str) -> PanelPlan:
    frame = frame_of(panel, laboratory)
    edges = frame.pixel_size, frame.slow_pixel_size
    area, first_pixel = edges[0] * edges[1], (0, 0)
    if panel.made_by is None:
        area *= norm(cross(frame.fast, frame.slow))
    else:
        first_pixel = panel.made_by.first_pixel
    return PanelPlan(number, panel.name, panel.window, frame.pix0, frame.fast, frame.slow, frame.normal, edges, area,
                     frame.distance, frame.close_distance, first_pixel, _layers(panel, frame, detector, semantics), roi,
                     mask)


def _layers(panel: Panel, frame: DetectorFrame, detector: Detector, semantics: str) -> Layers:
    """Return the layers of a panel's sensor."""
    sensor = sensor_of(panel.thickness_um or 0.0, panel.attenuation_um)
    if semantics != "physical":
        return nanobragg_layers(sensor, detector.thick_steps)
    # Rays meet a curved detector along its normal.
    cosine = 1.0 if detector.curved else _least_cosine(frame)
    return physical_layers(sensor, detector.thick_steps, View(cosine, min(frame.pixel_size, frame.slow_pixel_size)))


def _least_cosine(frame: DetectorFrame) -> float:
    """Return the smallest cosine with the normal of the rays to the corners."""
    corners = [combine((1.0, frame.pix0), (fast, frame.fast), (slow, frame.slow))
               for fast in (0.0, frame.detsize_fast) for slow in (0.0, frame.detsize_slow)]
    return max(min(dot(unit(corner), frame.normal) for corner in corners), _GRAZING)


def coarsest(placed: Placed) -> DetectorFrame:
    """Return the frame whose pixels subtend the largest angle.

    Its ``distance`` is along the beam for panels of a convention, else to the nearest point of the panel.
    """
    def frame_at_distance(panel: Panel) -> DetectorFrame:
        frame = frame_of(panel, placed.frame.laboratory)
        return frame if panel.made_by is not None else frame._replace(distance=_nearest_m(frame))

    return max(map(frame_at_distance, placed.panels),
               key=lambda frame: max(frame.pixel_size, frame.slow_pixel_size) / frame.distance)


def _nearest_m(frame: DetectorFrame) -> float:
    """Return the distance from the sample to the nearest point of a panel [m]."""
    fast, slow = min(max(frame.fclose, 0.0), frame.detsize_fast), min(max(frame.sclose, 0.0), frame.detsize_slow)
    return norm(combine((1.0, frame.pix0), (fast, frame.fast), (slow, frame.slow)))
