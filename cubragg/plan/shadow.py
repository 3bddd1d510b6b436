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
from cubragg.plan.quasi_random import normal_probabilities, normal_quantiles
from cubragg.plan.workspace import Workspace

#: Pixels of a block, and sub-pixels along each edge of a pixel of the direct beam.
_BLOCK = 1 << 18
_BEAM_SUBPIXELS = 8
#: Size of the beam in pixels below which its rays are traced instead, and the number of these across the beam, at least
#: and for each pixel.
_NARROW, _RAYS, _RAYS_OF_A_PIXEL = 4.0, 256, 64


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

    They are parallel: the profile of the beam, divided by its area, over 8 x 8 sub-pixels, or rays of equal photons
    where a width of the beam is less than some pixels.
    """
    image = np.zeros(plan.shape, dtype=np.float32)
    edge = units.m_from_mm(beam.beamsize_mm)
    section = beam.cross_section_m() or (edge, edge)
    for panel in plan.panels:
        if not np.dot(panel.normal, plan.geometry.beam) > 0.0:
            continue
        narrow = min(section) < _NARROW * max(panel.edges)
        (_add_rays if narrow else _add_profile)(plan, panel, beam, section, image[panel.window])
    return image


def _add_rays(plan: Plan, panel: PanelPlan, beam: Beam, section: tuple[float, float], image: np.ndarray) -> None:
    """Add the photons of a narrow beam to the image of a panel."""
    direction, pixel = np.array(plan.geometry.beam), min(panel.edges)
    counts = [max(_RAYS, math.ceil(_RAYS_OF_A_PIXEL * width / pixel)) for width in section]
    u, v = (width * _beam_quantiles(beam, count) for width, count in zip(section, counts, strict=True))
    rays = u[:, None] * np.array(plan.geometry.polar)[:, None, None] + v * np.array(plan.geometry.vert)[:, None, None]
    rays = rays.reshape(3, -1) - np.array(panel.origin)[:, None]
    normal = np.array(panel.normal)
    on_panel = rays - direction[:, None] * (normal @ rays / (normal @ direction))
    steps = np.array((panel.fast, panel.slow)) * np.array(panel.edges)[:, None]
    place = np.linalg.lstsq(steps.T, on_panel, rcond=None)[0] - np.array(panel.first_pixel)[:, None]
    fast, slow = np.floor(place).astype(np.intp)
    fast_min, fast_max, slow_min, slow_max = panel.roi
    hit = (fast >= fast_min) & (fast <= fast_max) & (slow >= slow_min) & (slow <= slow_max)
    pixels, photons = np.unique(slow[hit] * image.shape[1] + fast[hit], return_counts=True)
    if panel.mask is not None:
        photons = photons * panel.mask.reshape(-1)[pixels]
    image.flat[pixels] += photons * (beam.photons() * beam.direct_fraction / rays.shape[1])


def _beam_quantiles(beam: Beam, count: int) -> np.ndarray:
    """Return the positions [count] across a beam of width 1, FWHM or edge, that have equal numbers of photons."""
    probability = (np.arange(count) + 0.5) / count
    return probability - 0.5 if beam.profile == "flat" else normal_quantiles(probability) / units.FWHM_PER_SIGMA


def _add_profile(plan: Plan, panel: PanelPlan, beam: Beam, section: tuple[float, float], image: np.ndarray) -> None:
    """Add the photons of a beam of several pixels to the image of a panel."""
    area = section[0] * section[1] * (math.pi / (4.0 * math.log(2.0)) if beam.profile == "gaussian" else 1.0)
    across = np.array((plan.geometry.polar, plan.geometry.vert))
    fine = replace(plan, oversample=_BEAM_SUBPIXELS, parts=())
    slow, fast = _around_the_beam(fine, panel, section)
    total = np.zeros(len(slow))
    for sub_slow, sub_fast in np.ndindex(_BEAM_SUBPIXELS, _BEAM_SUBPIXELS):
        pixels = SubPixels(fine, panel, fast, slow, 0, sub_slow, sub_fast, Workspace(len(slow)))
        total += profile(beam, section, across @ pixels.position)
    cosine = float(np.dot(panel.normal, plan.geometry.beam))
    photons = beam.photons() * beam.direct_fraction * panel.area * cosine / (area * _BEAM_SUBPIXELS**2) * total
    image[slow.astype(np.intp), fast.astype(np.intp)] = photons


def _around_the_beam(plan: Plan, panel: PanelPlan, section: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return slow and fast of the pixels to render within three widths of the beam, float64 [n] each."""
    origin = np.array(panel.origin)
    steps = np.array((panel.fast, panel.slow)) * np.array(panel.edges)[:, None]
    towards = float(np.dot(panel.normal, plan.geometry.beam))
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
