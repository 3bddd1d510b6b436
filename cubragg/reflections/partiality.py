"""Partiality: the fraction of a reflection that is in an image.

In a rotation image it is the photons divided by those of a full passage through the Ewald sphere, at the
image's photons per degree. In a still it is the height of the profile on the sphere, relative to its peak.
`specs/truth.md`
"""

from __future__ import annotations

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import SHAPES
from cubragg.crystallography.vectors import rotate_axis
from cubragg.plan.panel_plan import PanelPlan
from cubragg.plan.pixel_factors import SubPixels
from cubragg.plan.plan import Plan
from cubragg.plan.workspace import Workspace
from cubragg.reflections.ewald import cell_volume, offset_on_sphere, profile_metric

#: Smallest component of a node's velocity along the diffracted beam, relative to |r|; below, there is no partiality.
_GRAZING = 0.01
#: Offsets of reflections from the sphere, over several orientations, that are computed at once.
_OFFSETS = 16384


def partiality(plan: Plan, panel: PanelPlan, hkl: np.ndarray, F: np.ndarray, phi: np.ndarray, fast: np.ndarray,
               slow: np.ndarray, photons: np.ndarray) -> np.ndarray:
    """Return the partiality [n]; NaN where it is not defined.

    Parameters
    ----------
    plan, panel
        Plan of the image, and the panel of the reflections.
    hkl, F
        Reflections [n, 3] and their structure factors [n].
    phi, fast, slow, photons
        Centroids [rad], [pixel] and photons [n].
    """
    if not len(hkl):
        return np.zeros(0)
    if not plan.rotates:
        return _still(plan, hkl)
    full = _full_passage(plan, panel, hkl, F, phi, fast, slow)
    return np.divide(photons, full, out=np.full(len(hkl), np.nan), where=full > 0.0)


def _still(plan: Plan, hkl: np.ndarray) -> np.ndarray:
    """Return the squared lattice factor on the sphere relative to its peak [n], averaged over orientations."""
    if plan.parts:
        return np.mean([_still(part, hkl) for part in plan.parts], axis=0)
    metric, sources = profile_metric(plan), plan.sources
    weights = sources.weight if plan.rules.per_sample else np.ones(len(sources.weight))
    total = np.zeros(len(hkl))
    orientations = plan.cell_axes.reshape(-1, 3, 3)
    at_once = max(1, _OFFSETS // len(hkl))
    for weight, incident, wavelength in zip(weights, sources.incident, sources.wavelength_m.tolist(), strict=True):
        for first in range(0, len(orientations), at_once):
            offset = offset_on_sphere(hkl, orientations[first:first + at_once], incident, wavelength, metric)
            height = _height(plan, np.ascontiguousarray(offset.reshape(-1, 3).T))
            total += weight * height.reshape(offset.shape[:-1]).sum(axis=0)
    return total / (weights.sum() * len(orientations))


def _height(plan: Plan, offset: np.ndarray) -> np.ndarray:
    """Return the relative squared lattice factor [n] at ``offset`` [3, n] from a node; 0 if another node is nearer."""
    shape, block = SHAPES[plan.crystal_shape], plan.block
    inside = np.all(np.abs(offset) <= 0.5, axis=0)
    offset = np.where(inside, offset, 0.0)
    amplitude = shape.amplitude(offset, np.zeros_like(offset), block, Workspace(offset.shape[1]))
    return np.where(inside, np.square(amplitude / (shape.peak * block.count)), 0.0)


def _full_passage(plan: Plan, panel: PanelPlan, hkl: np.ndarray, F: np.ndarray, phi: np.ndarray, fast: np.ndarray,
                  slow: np.ndarray) -> np.ndarray:
    """Return the photons [n] of a full passage through the sphere, at the photons per degree of this image.

    With d3q = dOmega / lambda^2 |(m x r).n| dphi for a node r that rotates about m and diffracts along n, the
    integral of the squared lattice factor over solid angle and phi is lambda^2 / (V |(m x r).n|) times that
    over index space.
    """
    geometry, sources = plan.geometry, plan.sources
    weights = sources.weight if plan.rules.per_sample else np.ones(len(sources.weight))
    incident = np.array(geometry.beam) if not sources.from_list else np.average(sources.incident, 0, weights)
    wavelength = float(np.average(sources.wavelength_m, weights=weights)) / units.ANGSTROM_M
    stars = np.array((plan.lattice.a_star, plan.lattice.b_star, plan.lattice.c_star))
    nodes = np.array([rotate_axis(tuple(r), geometry.spindle, angle)
                      for r, angle in zip((hkl @ stars).tolist(), phi.tolist(), strict=True)])
    beam = nodes + incident / wavelength
    normal = beam / np.linalg.norm(beam, axis=1)[:, None]
    velocity = np.cross(np.array(geometry.spindle), nodes)
    speed = np.abs(np.einsum("ij,ij->i", velocity, normal))
    grazing = speed <= _GRAZING * np.linalg.norm(nodes, axis=1)
    with np.errstate(divide="ignore"):
        integral = (wavelength * wavelength / (cell_volume(plan) * speed)
                    * SHAPES[plan.crystal_shape].integral(plan.block))
    integral[grazing] = np.nan
    return (units.THOMSON_CROSS_SECTION_M2 * plan.bragg_fluence / plan.phi.width * F * F * integral
            * _corrections(plan, panel, fast, slow))


def _corrections(plan: Plan, panel: PanelPlan, fast: np.ndarray, slow: np.ndarray) -> np.ndarray:
    """Return polarization x absorption in all layers x solid angle of the pixel over the exact one [n], at positions
    [pixel]."""
    n, layers, normal = plan.oversample, panel.layers, panel.normal
    counted = range(layers.count) if plan.rules.per_sample else range(layers.count - 1, layers.count)
    factor = np.zeros(len(fast))
    for layer in counted:
        sub = SubPixels(plan, panel, fast - 0.5 / n, slow - 0.5 / n, layer, 0, 0, Workspace(len(fast)))
        x, y, z = sub.direction
        towards = x * normal[0] + y * normal[1] + z * normal[2]
        of_layer = sub.solid_angle() * sub.path ** 2 / (panel.area * towards)
        if layers.thickness_m > 0.0:
            of_layer = of_layer * sub.capture_fraction()
        if plan.polarized:
            of_layer = of_layer * sub.polarization(plan.geometry.beam)
        factor += of_layer
    # In nanobragg semantics the factors of the last layer are applied to all layers.
    return factor if plan.rules.per_sample else factor * layers.count
