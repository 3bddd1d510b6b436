"""The background of shots whose beam or detector differ, computed at every eighth pixel and interpolated.

Factors that depend only on the position of a point are kept while detector and beam direction stay the same, and the
intensity of the scattering is looked up in a table: a shot with another wavelength costs little more than a copy of the
map.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.background.scattering_geometry import absorbed, move_origin, rays_of, rendered_pixels
from cubragg.background.scattering_parts import parts_of
from cubragg.background.upsampling import coarse_places, upsample
from cubragg.crystallography.vectors import Vector
from cubragg.experiment.background_settings import Background
from cubragg.experiment.sensor import Layers
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace

#: Entries of a table of intensities, which is that of the nearest entry: 1e-5 of the range of stol apart.
_ENTRIES = 2**17
#: Depth in the sensor is rounded to this [m]: that of photons depends on the wavelength, but by much less.
_DEPTH_M = 5e-6
#: Largest number of points that are kept, of all panels and scattering positions along the beam.
_KEPT_POINTS = 4_000_000
_KEPT_TABLES = 8
_POINTS: OrderedDict[tuple[object, ...], Points] = OrderedDict()
_TABLES: OrderedDict[tuple[object, ...], dict[float, Table]] = OrderedDict()


class Points(NamedTuple):
    """Points of a panel seen from a place on the beam, for one direction of the beam; float32 [n].

    ``length`` is |d - i| of the directions of scattered and incident ray, ``weight`` the solid angle of a pixel times
    polarization, and ``parallax`` the cosine of the scattered ray and the normal of the panel.
    """

    length: np.ndarray
    weight: np.ndarray
    parallax: np.ndarray


class Table(NamedTuple):
    """Photons per steradian from a place on the beam, per photon, float32 [m]; ``per_stol`` entries in 1/A."""

    photons: np.ndarray
    per_stol: float


def coarse_map(plan: Plan, background: Background, photons: float) -> np.ndarray:
    """Return the photons that air, water and other amorphous material scatter, float32 [slow, fast].

    Parameters
    ----------
    plan
        The plan of the image.
    background
        The background, without ice.
    photons
        Photons in the beam.
    """
    image = np.zeros(plan.shape, dtype=np.float32)
    tables = _tables(background)
    if not tables:
        return image
    for panel in plan.panels:
        fast_min, fast_max, slow_min, slow_max = panel.roi
        rows, columns = panel.window
        part = image[rows.start + slow_min:rows.start + slow_max + 1,
                     columns.start + fast_min:columns.start + fast_max + 1]
        upsample(_scattered(plan, panel, tables, photons), part)
    rendered = rendered_pixels(plan)
    if not rendered.all():
        image[~rendered] = 0.0
    return image


def _scattered(plan: Plan, panel: PanelPlan, tables: dict[float, Table], photons: float) -> np.ndarray:
    """Return photons at the points of a panel, float32 [slow points, fast points]."""
    slow, fast = (coarse_places(last - first + 1) + first for first, last in (panel.roi[2:], panel.roi[:2]))
    total = np.zeros(len(slow) * len(fast), dtype=np.float32)
    rays = rays_of(plan)
    for offset, table in tables.items():
        for direction, wavelength, fraction in rays:
            points = _points(plan, panel, offset, tuple(direction), (slow, fast))
            index = points.length * np.float32(0.5 * units.ANGSTROM_M / wavelength * table.per_stol)
            np.minimum(index, np.float32(_ENTRIES - 1), out=index)
            scattered = table.photons[index.astype(np.int32)]
            scattered *= points.weight
            if panel.layers.mu_per_m > 0.0:
                scattered *= absorbed(panel.layers, points.parallax)
            total += np.float32(photons * fraction) * scattered
    return total.reshape(len(slow), len(fast))


def _points(plan: Plan, panel: PanelPlan, offset: float, direction: Vector, places: tuple[np.ndarray, np.ndarray]
            ) -> Points:
    """Return points of a panel, which are kept."""
    depth = _DEPTH_M * round(panel.layers.depth_m(panel.layers.count // 2) / _DEPTH_M)
    key = (panel.origin, panel.fast, panel.slow, panel.edges, panel.first_pixel, panel.roi, depth, offset, direction,
           plan.geometry, plan.point_pixel, plan.curved, plan.polarized, plan.kahn_factor)
    points = _POINTS.get(key)
    if points is None:
        one = panel._replace(layers=Layers(1, 0.0, depth, 0.0, 0.0, 0.0))
        points = _POINTS[key] = _computed_points(dataclasses.replace(plan, oversample=1), one, offset, direction,
                                                 places)
        while len(_POINTS) > 1 and sum(len(kept.length) for kept in _POINTS.values()) > _KEPT_POINTS:
            _POINTS.popitem(last=False)
    return points


def _computed_points(plan: Plan, panel: PanelPlan, offset: float, direction: Vector,
                     places: tuple[np.ndarray, np.ndarray]) -> Points:
    fast, slow = np.meshgrid(places[1], places[0])
    pixels = SubPixels(plan, panel, fast.ravel(), slow.ravel(), 0, 0, 0, Workspace(fast.size))
    nearer = move_origin(pixels, plan, panel, offset)
    weight = pixels.solid_angle() * nearer
    q = pixels.scattering(direction, 1.0)
    length = np.sqrt((q * q).sum(axis=0))
    if plan.polarized:
        weight = weight * pixels.polarization(direction)
    parallax = np.abs(np.tensordot(np.array(panel.normal), pixels.direction, axes=1))
    return Points(length.astype(np.float32), weight.astype(np.float32), parallax.astype(np.float32))


def _tables(background: Background) -> dict[float, Table]:
    """Return the table of each place on the beam, by its offset [m]; they are kept."""
    key = (background.water_um, background.air_mm, *(
        (scatterer.table.tobytes(), scatterer.path_mm, scatterer.density_g_cm3, scatterer.molecular_weight)
        for scatterer in background.scatterers))
    found = _TABLES.get(key)
    if found is None:
        found = _TABLES[key] = _computed_tables(background)
        if len(_TABLES) > _KEPT_TABLES:
            _TABLES.popitem(last=False)
    return found


def _computed_tables(background: Background) -> dict[float, Table]:
    # The wavelength has no effect here: only ice, which is not on coarse maps, needs it.
    parts = list(parts_of(background, 1.0))
    ends = [1.0, *(float(scatterer.table[-1, 0]) for scatterer in background.scatterers)]
    stol = np.linspace(0.0, max(ends), _ENTRIES)
    found = {}
    for offset in dict.fromkeys(part.offset for part in parts):
        intensity = np.sum([part.intensity(2.0 * stol, None) for part in parts if part.offset == offset], axis=0)
        found[offset] = Table((units.THOMSON_CROSS_SECTION_M2 * intensity).astype(np.float32),
                              (_ENTRIES - 1) / max(ends))
    return found
