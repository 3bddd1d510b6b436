"""Powder rings of hexagonal ice.

The photons of a ring are those of a powder of volume V (B. E. Warren, X-ray Diffraction, section 4.4): r_e^2 times
fluence times V lambda^3 m F^2 / (4 v^2 sin(theta)) times the polarization factor, with m planes of structure factor F
and a cell of volume v. Along the radius a ring is Gaussian in 1/d.
"""

from __future__ import annotations

import itertools
import math
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.philox import Effect, uniforms

#: Cell of ice Ih near 100 K [A], and the isotropic B of its atoms [A^2].
A, C, B_ISO = 4.5, 7.33, 1.5
#: Atoms of the asymmetric unit in P 63/m m c: element, x, y, z, occupancy. Source: S. W. Peterson and H. A. Levy, Acta
#: Cryst. 10 (1957) 70: disordered hydrogen, on both ends of each bond with half occupancy.
ATOMS = (("O", 1 / 3, 2 / 3, 0.0622, 1.0), ("H", 1 / 3, 2 / 3, 0.197, 0.5), ("H", 0.455, 0.910, 0.018, 0.5))
#: Smallest spacing of a ring [A], and rings fainter than this fraction of the strongest, which are left out.
_FINEST, _FAINTEST = 0.9, 1e-3
_REACH = 5.0  # standard deviations


class Ring(NamedTuple):
    """A ring: spacing d [A], and m F^2 over all its planes [electron^2]."""

    d_A: float
    strength: float


@cache
def ice_rings() -> tuple[Ring, ...]:
    """Return the rings of hexagonal ice, largest spacing first."""
    import gemmi

    operations = gemmi.find_spacegroup_by_name("P 63/m m c").operations()
    volume = A * A * C * math.sqrt(0.75)
    atoms = []
    for element, *position, occupancy in ATOMS:
        images = [np.mod(op.apply_to_xyz(position), 1.0) for op in operations]
        different = {tuple(np.round(image, 4) % 1.0): image for image in images}
        atoms.append((gemmi.Element(element), np.array(list(different.values())), occupancy))
    strengths: dict[float, float] = {}
    reach = math.ceil(1.2 * A / _FINEST), math.ceil(C / _FINEST)
    for h, k, l in itertools.product(*(range(-n, n + 1) for n in (reach[0], reach[0], reach[1]))):  # noqa: E741
        s2 = 4.0 / 3.0 * (h * h + h * k + k * k) / A**2 + l * l / C**2
        if not 0.0 < s2 <= _FINEST**-2:
            continue
        f = sum(occupancy * element.it92.calculate_sf(s2 / 4.0) * np.exp(2j * np.pi * places @ (h, k, l)).sum()
                for element, places, occupancy in atoms)
        d = round(s2**-0.5, 6)
        strengths[d] = strengths.get(d, 0.0) + abs(f) ** 2 * math.exp(-B_ISO * s2 / 2.0) / volume**2
    strongest = max(strengths.values())
    return tuple(Ring(d, strengths[d]) for d in sorted(strengths, reverse=True) if strengths[d] > _FAINTEST * strongest)


def ice_intensity(wavelength_A: float, s: np.ndarray, azimuth: np.ndarray | None, fwhm_per_A: float, grains: int | None,
                  seed: int) -> np.ndarray:
    """Return photons per steradian of one A of ice, for r_e^2 times photons in the beam of 1 A^2, unpolarized.

    Parameters
    ----------
    s
        1/d [1/A] of each direction.
    azimuth
        Angle of each direction about the beam [rad], for ``grains``.
    fwhm_per_A
        Width of rings in s [1/A].
    grains
        Spots in each ring; ``None``: a smooth ring.
    seed
        Seed of the spots.
    """
    sigma = fwhm_per_A / units.FWHM_PER_SIGMA
    found = np.zeros(s.shape)
    for number, ring in enumerate(ice_rings()):
        node = 1.0 / ring.d_A
        sine = wavelength_A * node / 2.0
        if sine >= 1.0:
            continue
        near = np.abs(s - node) < _REACH * sigma
        if not near.any():
            continue
        cosine = math.sqrt(1.0 - sine * sine)
        # Photons of the ring, over its solid angle 2 pi sin(2 theta) d(2 theta), with d(2 theta) = lambda ds / cos.
        whole = wavelength_A**3 * ring.strength / (4.0 * sine)
        profile = np.exp(-0.5 * ((s[near] - node) / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))
        around = 1.0 if grains is None or azimuth is None else _spots(azimuth[near], sigma / (node * cosine), grains,
                                                                      seed, number)
        found[near] += whole * profile * around * cosine / wavelength_A / (2.0 * math.pi * 2.0 * sine * cosine)
    return found


def _spots(azimuth: np.ndarray, sigma: float, grains: int, seed: int, ring: int) -> np.ndarray:
    """Return the density of spots around a ring at azimuths [rad], with a mean of 1."""
    density = _spot_density(sigma, grains, seed, ring)
    return density[(np.mod(azimuth, 2.0 * np.pi) / (2.0 * np.pi) * len(density)).astype(np.intp) % len(density)]


@lru_cache(maxsize=256)
def _spot_density(sigma: float, grains: int, seed: int, ring: int) -> np.ndarray:
    """Return the density of spots in equal steps of azimuth, which are finer than the spots."""
    index = np.arange(grains) + ring * grains
    centres = uniforms(seed, 0, Effect.ICE, index)
    weights = -np.log(uniforms(seed, 0, Effect.ICE, index, draw=1))  # exponential: most reflections are faint
    steps = max(256, math.ceil(2.0 * math.pi / sigma * 8.0))
    comb = np.bincount((centres * steps).astype(np.intp) % steps, weights, steps) / weights.sum()
    frequency = np.arange(steps // 2 + 1)
    density: np.ndarray = np.fft.irfft(np.fft.rfft(comb) * np.exp(-0.5 * (frequency * sigma) ** 2), steps) * steps
    return np.maximum(density, 0.0)
