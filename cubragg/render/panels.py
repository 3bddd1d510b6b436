"""From a detector of many panels to one run a panel, and back to one image.

Each panel is rendered as a run of its own, on its own geometry, and pasted into the image.
The runs share everything else. A panel on its detector's own grid of pixels keeps the
detector's geometry and counts its pixels from its place there: the bits are those that the
undivided detector has. `specs/panels.md`
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cubragg.experiment.detector import Detector, DetectorGeometry, Layers
from cubragg.experiment.panels import grid_place
from cubragg.experiment.sampling import ROI
from cubragg.experiment.vectors import combine, norm

if TYPE_CHECKING:
    from cubragg.render.plan import RenderPlan

Window = tuple[slice, slice]
Progress = Callable[[int, int], None]
#: Renders a plan without panels: the image, and the pixel that switched interpolation off.
Run = Callable[["RenderPlan", Progress | None], tuple[np.ndarray, tuple[int, int] | None]]


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


class PanelPart(NamedTuple):
    """The plan of one run, and the part of the image that it fills."""

    plan: RenderPlan
    window: Window


def placed_panels(detector: Detector, geometry: DetectorGeometry, geometries: tuple[DetectorGeometry, ...], roi: ROI,
                  mask: np.ndarray | None) -> tuple[PlacedPanel, ...] | None:
    """The panels with a pixel to render; ``None`` for a detector that is one panel itself.

    Parameters
    ----------
    geometry, geometries
        The detector as placed, and its panels.
    roi, mask
        Of the image.
    """
    if not detector.panels:
        return None
    found = []
    for number, (panel, own, layers) in enumerate(zip(detector.panels, geometries, detector.panel_layers(),
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
        found.append(PlacedPanel(number, panel.window, own if place is None else geometry, layers, place or (0, 0),
                                 region, live))
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


def panel_parts(plan: RenderPlan) -> list[PanelPart]:
    """The runs that make the image of a plan, none for what is not rendered; the plan itself without panels."""
    if plan.panels is None:
        return [PanelPart(plan, (slice(0, plan.shape[0]), slice(0, plan.shape[1])))]
    return [_part(plan, panel) for panel in plan.panels]


def _part(plan: RenderPlan, panel: PlacedPanel) -> PanelPart:
    rows, columns = panel.window
    shape = rows.stop - rows.start, columns.stop - columns.start
    return PanelPart(replace(plan, geometry=panel.geometry, layers=panel.layers, first_pixel=panel.first_pixel,
                             shape=shape, roi=panel.roi, mask=panel.mask, panels=None), panel.window)


def part_at(plan: RenderPlan, fast: int, slow: int) -> PanelPart | None:
    """The run that renders a pixel of the image; ``None`` if none does."""
    if plan.panels is None:
        return panel_parts(plan)[0]
    for panel in plan.panels:
        rows, columns = panel.window
        if rows.start <= slow < rows.stop and columns.start <= fast < columns.stop:
            return _part(plan, panel)
    return None


def place_count(plan: RenderPlan) -> int:
    """Pixels of the region of a run."""
    fast_min, fast_max, slow_min, slow_max = plan.roi
    return (fast_max - fast_min + 1) * (slow_max - slow_min + 1)


def render_panels(plan: RenderPlan, run: Run, progress: Progress | None
                  ) -> tuple[np.ndarray, tuple[int, int] | None]:
    """The float32 image [slow, fast] of a plan, and the first pixel that switched interpolation off.

    Parameters
    ----------
    run
        Renders one panel; what its calls share is its own affair.
    progress
        Called with (pixels done, pixels in all) of the whole image.
    """
    if plan.panels is None:
        return run(plan, progress)
    image, stopped_at = np.zeros(plan.shape, dtype=np.float32), None
    parts = panel_parts(plan)
    before, total = 0, sum(place_count(part.plan) for part in parts)
    for part in parts:
        image[part.window], stop = run(part.plan, _counted_on(progress, before, total))
        before += place_count(part.plan)
        if stopped_at is None and stop is not None:
            stopped_at = in_image(part, *stop)
    return image, stopped_at


def in_image(part: PanelPart, fast: int, slow: int) -> tuple[int, int]:
    """The (fast, slow) pixel of the image that is a run's."""
    return fast + part.window[1].start, slow + part.window[0].start


def _counted_on(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    told = progress
    return lambda done, _: told(before + done, total)
