"""The distributions of an analytic image as Gaussians: block, mosaicity, strain, beam. `specs/analytic.md`, section 1.

Reciprocal lengths are in 1/A and angles in radians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cubragg.crystallography.shapes import SHAPES, CoherentBlock
from cubragg.crystallography.shapes.crystal_shape import CrystalShape, ReciprocalShape

#: Fewest cells along an axis with which the sum over nodes equals that of the nearest node.
LEAST_CELLS = 3


class Channel(NamedTuple):
    """Part of the beam: a Gaussian of wavelength and direction about its mean.

    Attributes
    ----------
    wavelength_A, incident, weight
        Mean wavelength [A] and direction (unit vector [3]), and its share of the photons.
    covariance
        float64 [4, 4], of the relative deviation of the wavelength and of the deviation of the direction (x, y, z).
    """

    wavelength_A: float
    incident: np.ndarray
    weight: float
    covariance: np.ndarray

    @property
    def k0(self) -> np.ndarray:
        """Wave vector of the incident beam, float64 [3] [1/A]."""
        return self.incident / self.wavelength_A


@dataclass(frozen=True, eq=False)
class SpotModel:
    """The distributions that make a spot.

    Attributes
    ----------
    stars
        float64 [3, 3], rows a*, b*, c* at phi = 0 [1/A].
    block
        float64 [3, 3], covariance of the shape transform of a coherent block at phi = 0 [1/A^2].
    integral
        Integral of the squared lattice amplitude about a node over reciprocal space [1/A^3]: c Na Nb Nc V*.
    mosaicity
        float64 [3, 3], covariance of the rotation vector of a domain at phi = 0 [rad^2].
    strain
        Standard deviation of the relative change of the cell.
    centre
        Mean illuminated position, from the origin of the panels [m] [3].
    position
        float64 [3, 3], covariance of the illuminated position in the crystal, in the laboratory [m^2].
    channels
        Parts of the beam.
    spindle, start, width
        Spindle axis (unit vector [3]), angle at the start of the image, and rotation range of the image [rad].
    """

    stars: np.ndarray
    block: np.ndarray
    integral: float
    mosaicity: np.ndarray
    strain: float
    centre: np.ndarray
    position: np.ndarray
    channels: tuple[Channel, ...]
    spindle: np.ndarray
    start: float
    width: float


def block_covariance(shape: CrystalShape, block: CoherentBlock) -> np.ndarray:
    """Return the covariance, float64 [3, 3] [1/A^2], of the Gaussian with height and integral of a squared amplitude.

    A Gaussian of three equal standard deviations sigma in the coordinates in which the shape is round has the integral
    (2 pi)^(3/2) sigma^3 times its height.
    """
    height = (shape.peak * block.count) ** 2
    volume = shape.integral(block) / (height * (2.0 * math.pi) ** 1.5)  # product of the deviations, in indices
    if isinstance(shape, ReciprocalShape):
        return np.eye(3) * np.cbrt(volume / block.volume) ** 2
    sigma = np.cbrt(volume * block.count) / np.array(block.cells)
    return np.einsum("i,ij,ik->jk", np.square(sigma), block.stars, block.stars)


def block_integral(shape: CrystalShape, block: CoherentBlock) -> float:
    """Return the integral of the squared amplitude about a node over reciprocal space [1/A^3]."""
    return shape.integral(block) / block.volume


def mosaic_covariance(sigma_rad: tuple[float, float, float], axes: np.ndarray) -> np.ndarray:
    """Return the covariance of rotations, float64 [3, 3] [rad^2], of standard deviations about ``axes`` in columns."""
    return np.einsum("i,ji,ki->jk", np.square(sigma_rad), axes, axes)


def channel_of(incident: np.ndarray, wavelength_A: np.ndarray, weight: np.ndarray) -> Channel:
    """Return the Gaussian with the mean and covariance of sources: directions [n, 3], wavelengths [n] [A], weights."""
    share = weight / weight.sum()
    direction = share @ incident
    direction = direction / np.linalg.norm(direction)
    mean = float(share @ wavelength_A)
    deviations = np.column_stack([wavelength_A / mean - 1.0, incident - direction])
    centred = deviations - share @ deviations
    return Channel(mean, direction, 1.0, np.einsum("n,ni,nj->ij", share, centred, centred))


def spread_channel(incident: np.ndarray, wavelength_A: float, weight: float, bandwidth: float,
                   divergence: tuple[tuple[float, np.ndarray], ...]) -> Channel:
    """Return a channel of a ``bandwidth`` and of ``divergence``: standard deviations [rad] along unit vectors."""
    covariance = np.zeros((4, 4))
    covariance[0, 0] = bandwidth * bandwidth
    for sigma, axis in divergence:
        covariance[1:, 1:] += sigma * sigma * np.outer(axis, axis)
    return Channel(wavelength_A, incident, weight, covariance)


def gaussian_block(name: str, block: CoherentBlock) -> tuple[np.ndarray, float]:
    """Return covariance [1/A^2] and integral [1/A^3] of a shape by its name in `SHAPES`."""
    shape = SHAPES[name]
    return block_covariance(shape, block), block_integral(shape, block)
