"""Error of spot sums that follows from the number of samples: the basis of numbers that are chosen, and of warnings.

The sum of a spot over its pixels at one sample depends on the distance s of its node from the Ewald sphere only: it is
the profile of the coherent block projected on the diffracted ray, p(s). The sum of the image is the mean of p(s) over
samples. For rays to pixels all over the detector and blocks in all orientations, that mean is compared with the exact
one, over the normal distributions of blocks and beam and the rotation range. `specs/sampling.md`
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from cubragg.plan.quasi_random import uniform_points
from cubragg.plan.sample_points import draw_domains
from cubragg.plan.spreads import SpectralLine, Spreads

#: Reflections that the error is averaged over.
REFLECTIONS = 32
#: Spindle steps of the reference for each 1/L of the path, and their largest number.
_PER_PASSAGE, _MOST = 12.0, 2**16
#: Largest |s| in units of 1/L that profiles are tabulated to, points per unit, and points of the cosine transform.
_REACH, _PER_UNIT, _NODES = 20.0, 40, 100
#: Standard deviation of a Gaussian profile in units of 1/L.
_GAUSSIAN_SIGMA = 0.39686


class Conditions(NamedTuple):
    """What the error of spot sums depends on.

    Attributes
    ----------
    directions
        `REFLECTIONS` unit vectors to pixels all over the detector.
    beam, spindle, across
        Unit vectors of the beam, the spindle, and the two directions across the beam.
    wavelength, width
        Mean wavelength [m] and rotation range [rad].
    block
        Longest edge of the coherent block [m].
    gaussian
        Whether its profile is Gaussian rather than that of a parallelepiped.
    mosaicity, strain, divergence
        Standard deviations; of the mosaicity the largest [rad].
    channels
        The spectrum.
    """

    directions: tuple[tuple[float, float, float], ...]
    beam: tuple[float, float, float]
    spindle: tuple[float, float, float]
    across: tuple[tuple[float, float, float], tuple[float, float, float]]
    wavelength: float
    width: float
    block: float
    gaussian: bool
    mosaicity: float
    strain: float
    divergence: tuple[float, float]
    channels: tuple[SpectralLine, ...]


@functools.cache
def _cosines() -> np.ndarray:
    """Return the direction cosines of rays in cubes turned at random, float64 [reflection, 3]."""
    u, v = uniform_points(REFLECTIONS, 2).T
    z, azimuth = 2.0 * u - 1.0, 2.0 * math.pi * v
    return np.abs(np.stack([np.sqrt(1.0 - z * z) * np.cos(azimuth), np.sqrt(1.0 - z * z) * np.sin(azimuth), z], axis=1))


class _Profile:
    """p(s) of a reflection, averaged over a normal distribution of s with standard deviation ``sigma`` [1/L].

    The Fourier transform of p(s) of a cube is its overlap with itself, shifted by x along the ray: prod (1 - |x c_j|)
    with the direction cosines c.
    """

    def __init__(self, conditions: Conditions, number: int, sigma: float) -> None:
        self._gaussian = math.hypot(_GAUSSIAN_SIGMA, sigma) if conditions.gaussian else 0.0
        if not conditions.gaussian:
            cosine = _cosines()[number]
            end = min(1.0 / float(cosine.max()), 1.0 / max(sigma, 1e-9))  # exp(-2 pi^2) = 3e-9
            x = (np.arange(_NODES) + 0.5) / _NODES * end
            weight = np.prod(np.maximum(1.0 - x * cosine[:, None], 0.0), axis=0)
            weight *= 2.0 * end / _NODES * np.exp(-2.0 * (math.pi * sigma * x) ** 2)
            self._s = np.arange(0.0, _REACH + 6.0 * sigma, max(1.0, sigma) / _PER_UNIT)
            self._p = weight @ np.cos(2.0 * math.pi * x[:, None] * self._s)

    def mean(self, s: np.ndarray) -> float:
        """Return the mean over values of s [1/L]."""
        if self._gaussian:
            return float(np.exp(-0.5 * (s / self._gaussian) ** 2).mean()) * _GAUSSIAN_SIGMA / self._gaussian
        return float(np.interp(np.abs(s), self._s, self._p, right=0.0).mean())


class _Node(NamedTuple):
    """A node near the sphere [1/m], on it at the fraction ``place`` of the range in a rotation, and its ray."""

    number: int
    vector: np.ndarray
    ray: np.ndarray
    place: float


def _nodes(conditions: Conditions) -> list[_Node]:
    beam, place = np.array(conditions.beam), uniform_points(REFLECTIONS, 3)[:, 2].tolist()
    found = []
    for number, (direction, at) in enumerate(zip(conditions.directions, place, strict=True)):
        ray = np.array(direction)
        vector = (ray - beam) / conditions.wavelength
        if float(np.linalg.norm(vector)) * conditions.block < 1.0:
            continue  # the direct beam
        if conditions.width == 0.0:  # on both sides of the sphere
            around = math.hypot(_GAUSSIAN_SIGMA / conditions.block, *_widths(conditions, vector, ray))
            vector = vector + (2.0 * at - 1.0) * around * ray
        found.append(_Node(number, vector, ray, at))
    return found


def _widths(conditions: Conditions, vector: np.ndarray, ray: np.ndarray) -> tuple[float, ...]:
    """Return the standard deviations of s of a node [1/m]: mosaicity, strain, divergence."""
    along, across = float(ray @ vector), np.array(conditions.across) @ ray
    return (conditions.mosaicity * float(np.linalg.norm(np.cross(vector, ray))), conditions.strain * abs(along),
            *(np.array(conditions.divergence) * np.abs(across) / conditions.wavelength).tolist())


def _exact(conditions: Conditions, node: _Node) -> float:
    """Return the mean of p(s) over the distributions, to first order in them, and over the rotation range."""
    steps = 1 if conditions.width == 0.0 else int(min(max(_PER_PASSAGE * passage(conditions), 64), _MOST))
    phi = conditions.width * ((np.arange(steps) + 0.5) / steps - node.place)
    turned = _turned(node.vector, np.array(conditions.spindle), phi) if conditions.width else node.vector[None]
    total = 0.0
    for channel in conditions.channels:
        s = np.linalg.norm(np.array(conditions.beam) / channel.wavelength + turned, axis=1) - 1.0 / channel.wavelength
        dispersion = channel.bandwidth * float(node.ray @ node.vector)
        sigma = math.hypot(dispersion, *_widths(conditions, node.vector, node.ray)) * conditions.block
        total += channel.fraction * _Profile(conditions, node.number, sigma).mean(s * conditions.block)
    return total


def _sums(conditions: Conditions, phi_steps: int, domain_count: int, ray_count: int) -> np.ndarray:
    """Return the mean of p(s) over spindle steps and domains, float64 [reflection]."""
    domains = draw_domains(domain_count, ray_count, Spreads(
        (conditions.mosaicity,) * 3, 0.0, np.eye(3), conditions.strain, conditions.divergence, conditions.channels))
    incident = np.array(conditions.beam) + domains.direction @ np.array(conditions.across)
    incident /= np.linalg.norm(incident, axis=1)[:, None]
    ray = np.arange(domain_count) % ray_count
    k0, radius = (incident / domains.wavelength[:, None])[ray], (1.0 / domains.wavelength)[ray]
    result = np.zeros(REFLECTIONS)
    for node in _nodes(conditions):
        turned = node.vector[None, None]
        if conditions.width > 0.0:
            phi = conditions.width * ((np.arange(phi_steps)[:, None] + domains.phase) / phi_steps - node.place)
            turned = _turned(node.vector, np.array(conditions.spindle), phi)
        # First order in the rotation of a domain, with the length of the node.
        turned = turned + np.cross(domains.rotation, turned)
        length = np.linalg.norm(node.vector) * (1.0 - domains.strain)
        turned *= (length / np.linalg.norm(turned, axis=2))[..., None]
        s = np.linalg.norm(k0 + turned, axis=2) - radius
        result[node.number] = _Profile(conditions, node.number, 0.0).mean(s.reshape(-1) * conditions.block)
    return result


def _turned(vector: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Return the vector turned about a unit axis by each angle [...], float64 [..., 3]."""
    along = axis * (axis @ vector)
    return along + np.cos(angle)[..., None] * (vector - along) + np.sin(angle)[..., None] * np.cross(axis, vector)


def passage(conditions: Conditions) -> float:
    """Return the length of the path of the outermost node through the range, in units of 1/L."""
    longest = max(float(np.linalg.norm(np.array(direction) - conditions.beam)) for direction in conditions.directions)
    return conditions.block * longest / conditions.wavelength * conditions.width


def has_domains(conditions: Conditions) -> bool:
    """Return whether anything but the spindle angle differs between samples."""
    return (conditions.mosaicity > 0.0 or conditions.strain > 0.0 or any(conditions.divergence)
            or len(conditions.channels) > 1 or conditions.channels[0].bandwidth > 0.0)


@functools.lru_cache(maxsize=64)
def _reference(conditions: Conditions) -> np.ndarray:
    result = np.zeros(REFLECTIONS)
    for node in _nodes(conditions):
        result[node.number] = _exact(conditions, node)
    return result


@functools.lru_cache(maxsize=256)
def sum_error(conditions: Conditions, phi_steps: int, domains: int, ray_count: int) -> float:
    """Return the expected error of spot sums, relative to their root mean square."""
    exact = _reference(conditions)
    if not exact.any():
        return 0.0
    difference = _sums(conditions, phi_steps, domains, ray_count) - exact
    return float(np.sqrt(np.mean(difference**2) / np.mean(exact**2)))
