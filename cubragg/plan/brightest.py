"""The brightest reflection that an image can hold, by Darwin's law: a figure to check by hand. `specs/crystal.md`"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import SHAPES
from cubragg.plan.plan import Plan

#: Largest amplitudes that are looked at.
_CANDIDATES = 1000
#: Standard deviation of a block's profile along a ray in units of 1/L.
_BLOCK_SIGMA = 0.4


class Brightest(NamedTuple):
    """A reflection: h, k, l, its amplitude [electrons] and d [A], and its photons on an image that it is best on."""

    hkl: tuple[int, int, int]
    F: float
    d_A: float
    photons: float


def brightest(plan: Plan) -> Brightest | None:
    """Return the brightest reflection, before polarization and absorption; ``None`` without one.

    photons = r_e^2 fluence blocks F^2 c Ncells V* lambda^2 erf(w v / (sqrt(8) sigma_s)) / (w v), with the rotation
    range w, the speed v = |g| cos(theta) of a node that passes the sphere most steeply, and the standard deviation
    sigma_s of its distance from the sphere: the passage of a Gaussian node that is on the sphere in the middle of the
    range.
    """
    factors = plan.factors
    stars = np.array((plan.lattice.a_star, plan.lattice.b_star, plan.lattice.c_star))
    wavelength = units.angstrom_from_m(plan.wavelength)
    if factors.grid is None:
        hkl, F = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]), np.full(3, abs(factors.default_F))
    else:
        flat = np.abs(factors.grid).reshape(-1)
        count = min(_CANDIDATES, flat.size)
        places = np.argpartition(flat, flat.size - count)[flat.size - count:]
        hkl = np.stack(np.unravel_index(places, factors.grid.shape), axis=1) + np.array(factors.origin)
        F = flat[places]
    length = np.linalg.norm(hkl @ stars, axis=1)
    seen = (F > 0.0) & (length > 0.0) & (length < 2.0 / wavelength) & (length * plan.dmin / units.ANGSTROM_M < 1.0)
    if not seen.any():
        return None
    hkl, F, length = hkl[seen], F[seen], length[seen]
    cosine = np.sqrt(1.0 - np.square(wavelength * length / 2.0))
    passage, sigma = plan.phi.width * length * cosine, np.sqrt(_variance(plan, length, cosine))
    rock = np.sqrt(2.0 * math.pi) * sigma  # of a still
    if plan.phi.width > 0.0:
        rock = passage / np.array([math.erf(x) for x in (passage / (math.sqrt(8.0) * sigma)).tolist()])
    volume = 1.0 / abs(float(np.linalg.det(stars)))
    integral = SHAPES[plan.crystal_shape].integral(plan.block)
    photons = (units.THOMSON_CROSS_SECTION_M2 * plan.bragg_fluence * F * F * integral * wavelength**2
               / (volume * rock))
    best = int(photons.argmax())
    h, k, l = hkl[best].tolist()  # noqa: E741
    return Brightest((h, k, l), float(F[best]), 1.0 / float(length[best]), float(photons[best]))


def _variance(plan: Plan, length: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Return the variance of the distance of nodes from the sphere [1/A^2]."""
    spreads = plan.spreads
    edge = float(np.linalg.norm((plan.lattice.a, plan.lattice.b, plan.lattice.c), axis=1) @ plan.cells) / 3.0
    mean = sum(channel.fraction * channel.wavelength for channel in spreads.channels)
    spectral = sum(channel.fraction * (channel.bandwidth**2 + (channel.wavelength / mean - 1.0) ** 2)
                   for channel in spreads.channels)
    angular = max(spreads.mosaicity) ** 2 + max(spreads.divergence) ** 2
    sine = np.sqrt(1.0 - cosine * cosine)
    return ((_BLOCK_SIGMA / edge) ** 2 + np.square(length * cosine) * angular
            + np.square(length * sine) * (spectral + spreads.strain**2))
