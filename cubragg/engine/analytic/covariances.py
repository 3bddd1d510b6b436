"""Covariance of the spot of each reflection: block, mosaicity, beam, strain, footprint. `specs/analytic.md`, section 1.

Arrays are over reflections: vectors float64 [n, 3] [1/A], covariances float64 [n, 3, 3] [1/A^2].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cubragg.engine.analytic.spot_model import Channel, SpotModel


def rotations(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Return rotation matrices float64 [n, 3, 3] about a unit axis by angles [n] [rad]."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) * c + s * cross + (1.0 - c) * np.outer(axis, axis)


def turned(covariance: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return R C R^T [n, 3, 3] of a covariance [3, 3] and matrices R [n, 3, 3]."""
    if not covariance.any():
        return np.zeros_like(matrices)
    isotropic = covariance[0, 0] * np.eye(3)
    if np.array_equal(covariance, isotropic):
        return np.broadcast_to(covariance, matrices.shape)
    return matrices @ covariance @ matrices.transpose(0, 2, 1)


def cross_matrices(vectors: np.ndarray) -> np.ndarray:
    """Return [n, 3, 3], the matrices [G]x with [G]x w = G x w."""
    result = np.zeros((len(vectors), 3, 3))
    x, y, z = vectors.T
    result[:, 0, 1], result[:, 0, 2] = -z, y
    result[:, 1, 0], result[:, 1, 2] = z, -x
    result[:, 2, 0], result[:, 2, 1] = -y, x
    return result


def mosaic_part(G: np.ndarray, rotation_covariance: np.ndarray) -> np.ndarray:
    """Return M = [G]x D [G]x^T, D [n, 3, 3] or [3, 3] in the laboratory."""
    cross = cross_matrices(G)
    return cross @ rotation_covariance @ cross.transpose(0, 2, 1)


def beam_part(G: np.ndarray, channel: Channel) -> tuple[np.ndarray, np.ndarray]:
    """Return B = Cov(G x + di / lambda), and Cov(x, G x + di / lambda) [n, 3], x the relative wavelength deviation."""
    covariance, inverse = channel.covariance, 1.0 / channel.wavelength_A
    mixed = G * covariance[0, 0] + covariance[0, 1:] * inverse
    cross = G[:, :, None] * (covariance[0, 1:] * inverse)
    return (covariance[0, 0] * G[:, :, None] * G[:, None, :] + cross + cross.transpose(0, 2, 1)
            + covariance[1:, 1:] * inverse * inverse), mixed


def across(k: np.ndarray) -> np.ndarray:
    """Return the projections 1 - k k^T [n, 3, 3] of unit vectors [n, 3]."""
    return np.eye(3) - k[:, :, None] * k[:, None, :]


def footprint_part(k: np.ndarray, distance: np.ndarray, position: np.ndarray, wavelength_A: float) -> np.ndarray:
    """Return X, the blur by positions in the crystal of covariance ``position`` [3, 3] or [n, 3, 3] [m^2].

    ``k`` are unit vectors of the diffracted rays and ``distance`` [n] their length from crystal to pixel [m].
    """
    projection = across(k)
    return projection @ position @ projection / np.square(wavelength_A * distance)[:, None, None]


class Spread(NamedTuple):
    """Distributions of nodes, turned to the laboratory.

    Attributes
    ----------
    covariance
        float64 [n, 3, 3], block + mosaicity + beam + strain [1/A^2].
    block, rotation
        float64 [n, 3, 3]: covariances of the block's deviations [1/A^2] and of mosaic rotations [rad^2].
    mixed
        Cov(x, G x + di / lambda) [n, 3], x the relative wavelength deviation.
    strain_sqr, channel
        Variance of the relative change of the cell, and the channel of the beam.
    """

    covariance: np.ndarray
    block: np.ndarray
    rotation: np.ndarray
    mixed: np.ndarray
    strain_sqr: float
    channel: Channel

    def where(self, chosen: np.ndarray) -> Spread:
        """Return some of the nodes."""
        return Spread(self.covariance[chosen], self.block[chosen], self.rotation[chosen], self.mixed[chosen],
                      self.strain_sqr, self.channel)


def spread_of(model: SpotModel, channel: Channel, G: np.ndarray, phi: np.ndarray) -> Spread:
    """Return the distributions of nodes at ``G`` [n, 3] at spindle angles ``phi`` [n]."""
    matrices = rotations(model.spindle, phi)
    block, rotation = turned(model.block, matrices), turned(model.mosaicity, matrices)
    B, mixed = beam_part(G, channel)
    strain_sqr = model.strain * model.strain
    covariance = block + mosaic_part(G, rotation) + B + strain_sqr * G[:, :, None] * G[:, None, :]
    return Spread(covariance, block, rotation, mixed, strain_sqr, channel)


def excitation_variance(model: SpotModel, channel: Channel, G: np.ndarray, k: np.ndarray, phi: np.ndarray
                        ) -> np.ndarray:
    """Return k^T C k [n] of the covariances C of nodes, along unit vectors k [n, 3], without the covariances."""
    inverse = 1.0 / channel.wavelength_A
    # In the crystal's axes, from which block and mosaicity are turned.
    in_crystal, across = (turned_about(model.spindle, -phi, vectors) for vectors in (k, np.cross(G, k)))
    radial, beam = dot(G, k.T), channel.covariance
    return (_along(in_crystal, model.block)
            + _along(across, model.mosaicity)
            + (beam[0, 0] + model.strain * model.strain) * radial * radial
            + 2.0 * inverse * radial * dot(k, beam[0, 1:])
            + inverse * inverse * _along(k, beam[1:, 1:]))


def turned_about(axis: np.ndarray, angle: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return vectors [n, 3] turned about a unit axis by angles [n] [rad]."""
    s, c = np.sin(angle), np.cos(angle)
    (a, b, d), (x, y, z) = axis, vectors.T
    rest = (1.0 - c) * dot(vectors, axis)
    return np.stack([x * c + (b * z - d * y) * s + rest * a, y * c + (d * x - a * z) * s + rest * b,
                     z * c + (a * y - b * x) * s + rest * d], axis=1)


def dot(vectors: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the scalar products [n] of vectors [n, 3] with one vector [3] or with columns [3, n].

    Matrix products may round those of a vector differently among other vectors.
    """
    x, y, z = vectors.T
    product: np.ndarray = x * other[0] + y * other[1] + z * other[2]
    return product


def _along(vectors: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return v^T C v [n] of vectors [n, 3] and a covariance [3, 3]."""
    return dot(vectors, np.stack([dot(vectors, row) for row in covariance]))
