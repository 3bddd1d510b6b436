"""The shadow of the beam stop on the detector, and the beam itself beside it. `specs/physical.md`"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cubragg import units
from cubragg.experiment.beam import Beam
from cubragg.experiment.beam_stop import BeamStop
from cubragg.plan.illumination import profile
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.quasi_random import normal_probabilities
from cubragg.plan.workspace import Workspace

#: Pixels of a block, and sub-pixels along each edge of a pixel of the direct beam.
_BLOCK = 1 << 18
_BEAM_SUBPIXELS = 8


def shadow_map(plan: Plan, stop: BeamStop) -> np.ndarray:
    """Return the fraction of scattered photons that pass the beam stop, float32 [slow, fast]; 1 between panels.

    A ray from the illuminated crystal to a pixel crosses the plane of the stop at a distance d from its edge, inside
    < 0. The size of crystal and pixel spreads d by sigma, the fraction is Phi(d / sigma): a half-shade.
    """
    image = np.ones(plan.shape, dtype=np.float32)
    for panel in plan.panels:
        image[panel.window] = panel_shadow(plan, panel, stop)
    return image


def panel_shadow(plan: Plan, panel: PanelPlan, stop: BeamStop) -> np.ndarray:
    """Return `shadow_map` of a panel, float32 [slow, fast]."""
    slow_pixels, fast_pixels = panel.shape
    flat = np.ones(slow_pixels * fast_pixels, dtype=np.float32)
    single = replace(plan, oversample=1, parts=())
    for first in range(0, len(flat), _BLOCK):
        index = np.arange(first, min(first + _BLOCK, len(flat)))
        slow, fast = np.divmod(index, fast_pixels)
        pixels = SubPixels(single, panel, fast.astype(np.float64), slow.astype(np.float64), 0, 0, 0,
                           Workspace(len(index)))
        flat[index] = _passed(plan, panel, stop, pixels.position)
    return flat.reshape(panel.shape)


def _passed(plan: Plan, panel: PanelPlan, stop: BeamStop, position: np.ndarray) -> np.ndarray:
    """Return the fraction of photons that pass on their way to positions [3, n] [m]."""
    geometry, centre = plan.geometry, np.array(plan.illumination.position)
    across = np.array((geometry.polar, geometry.vert))
    plane = units.m_from_mm(stop.distance_mm)
    along = np.array(geometry.beam) @ position
    start = float(np.array(geometry.beam) @ centre)
    towards = along > max(plane, start)
    share = np.divide(plane - start, along - start, out=np.ones_like(along), where=towards)
    crossing = (across @ centre)[:, None] * (1.0 - share) + (across @ position) * share
    spread = float(np.trace(across @ plan.illumination.covariance @ across.T)) / 2.0
    pixel = min(panel.edges)
    sigma = np.sqrt(spread * (1.0 - share) ** 2 + (pixel * share) ** 2 / 12.0)
    passed = normal_probabilities(_outside(stop, crossing) / sigma)
    return np.where(towards, passed, 1.0).astype(np.float32)


def _outside(stop: BeamStop, points: np.ndarray) -> np.ndarray:
    """Return the distance of points across the beam [2, n] from the edge of stop and arm [m], inside < 0."""
    offset = np.array([units.m_from_mm(value) for value in stop.offset_mm])[:, None]
    u, v = points - offset
    if isinstance(stop.size_mm, tuple):
        width, height = (units.m_from_mm(edge) / 2.0 for edge in stop.size_mm)
        distance = _from_rectangle(np.abs(u) - width, np.abs(v) - height)
    else:
        distance = np.hypot(u, v) - units.m_from_mm(stop.size_mm) / 2.0
    if stop.arm_mm > 0.0:
        angle = units.rad_from_deg(stop.arm_deg)
        along, beside = math.cos(angle) * u + math.sin(angle) * v, math.cos(angle) * v - math.sin(angle) * u
        distance = np.minimum(distance, _from_rectangle(-along, np.abs(beside) - units.m_from_mm(stop.arm_mm) / 2.0))
    return distance


def _from_rectangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance from a corner region whose inside has x < 0 and y < 0."""
    return np.hypot(np.maximum(x, 0.0), np.maximum(y, 0.0)) + np.minimum(np.maximum(x, y), 0.0)


def direct_beam(plan: Plan, beam: Beam) -> np.ndarray:
    """Return the photons of the beam itself on the detector, float32 [slow, fast]: `Beam.direct_fraction` of them.

    They are parallel: the profile of the beam, divided by its area, over 8 x 8 sub-pixels.
    """
    image = np.zeros(plan.shape, dtype=np.float32)
    edge = units.m_from_mm(beam.beamsize_mm)
    section = beam.cross_section_m() or (edge, edge)
    area = section[0] * section[1] * (math.pi / (4.0 * math.log(2.0)) if beam.profile == "gaussian" else 1.0)
    across = np.array((plan.geometry.polar, plan.geometry.vert))
    fine = replace(plan, oversample=_BEAM_SUBPIXELS, parts=())
    for panel in plan.panels:
        cosine = float(np.dot(panel.normal, plan.geometry.beam))
        slow, fast = _around_the_beam(fine, panel, across, section)
        if not cosine > 0.0 or not len(slow):
            continue
        total = np.zeros(len(slow))
        for sub_slow, sub_fast in np.ndindex(_BEAM_SUBPIXELS, _BEAM_SUBPIXELS):
            pixels = SubPixels(fine, panel, fast, slow, 0, sub_slow, sub_fast, Workspace(len(slow)))
            total += profile(beam, section, across @ pixels.position)
        photons = beam.photons() * beam.direct_fraction * panel.area * cosine / (area * _BEAM_SUBPIXELS**2) * total
        image[panel.window][slow.astype(np.intp), fast.astype(np.intp)] = photons
    return image


def _around_the_beam(plan: Plan, panel: PanelPlan, across: np.ndarray, section: tuple[float, float]
                     ) -> tuple[np.ndarray, np.ndarray]:
    """Return slow and fast of the pixels to render within three widths of the beam, float64 [n] each."""
    origin = np.array(panel.origin)
    steps = np.array((panel.fast, panel.slow)) * np.array(panel.edges)[:, None]
    towards = float(np.dot(panel.normal, plan.geometry.beam))
    if not towards > 0.0:
        return np.zeros(0), np.zeros(0)
    spot = np.array(plan.geometry.beam) * (float(np.dot(origin, panel.normal)) / towards)
    centre = np.linalg.lstsq(steps.T, spot - origin, rcond=None)[0] - np.array(panel.first_pixel)
    reach = 3.0 * max(section) / min(panel.edges) / towards + 2.0
    fast_min, fast_max, slow_min, slow_max = panel.roi
    ranges = [np.arange(max(low, math.floor(middle - reach)), min(high, math.ceil(middle + reach)) + 1.0)
              for low, high, middle in ((slow_min, slow_max, centre[1]), (fast_min, fast_max, centre[0]))]
    slow, fast = (axis.reshape(-1) for axis in np.meshgrid(*ranges, indexing="ij"))
    if panel.mask is not None:
        live = panel.mask[slow.astype(np.intp), fast.astype(np.intp)]
        slow, fast = slow[live], fast[live]
    return slow, fast
