"""The illuminated part of the crystal: its volume, the number of blocks in it, and where it is.

The fluence is that of the centre of the beam; the number of blocks holds the illuminated fraction. Lengths in m.
`specs/crystal.md`
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector, rotate_axis
from cubragg.experiment.beam import Beam
from cubragg.experiment.conventions import DetectorFrame
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.one_or_several import several

#: Rays along each direction across the beam; volumes are right to 2e-4, the worst being a cylinder along the beam.
_RAYS = 400
#: Standard deviations at which a Gaussian beam ends, exp(-12.5) = 4e-6 of its centre.
_GAUSSIAN_END = 5.0
#: Full width at half maximum of a Gaussian over its standard deviation.
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


class Illumination(NamedTuple):
    """The illuminated part of the crystal at one spindle angle.

    Attributes
    ----------
    crystal_volume, volume, block_volume
        Of the crystal, of the crystal weighted by the beam's profile relative to its centre, and of a coherent
        block [m^3].
    blocks
        Factor on the photons of one block: ``volume`` / ``block_volume``, 1 without a crystal size.
    position
        Mean illuminated position relative to the spindle axis and the beam [m].
    covariance
        float64 [3, 3], covariance of the illuminated position [m^2], which widens spots on the detector.
    """

    crystal_volume: float
    volume: float
    block_volume: float
    blocks: float
    position: Vector
    covariance: np.ndarray

    @property
    def fraction(self) -> float:
        """Illuminated fraction of the crystal."""
        return self.volume / self.crystal_volume


class Body(NamedTuple):
    """A box, ellipsoid or elliptical cylinder (along the third axis).

    ``centre`` [m]; ``axes`` float64 [3, 3], unit vectors in columns; ``half`` float64 [3], half edges or radii [m].
    """

    habit: str
    centre: np.ndarray
    axes: np.ndarray
    half: np.ndarray

    @property
    def volume(self) -> float:
        """Volume [m^3]."""
        return {"box": 8.0, "sphere": 4.0 / 3.0 * math.pi, "cylinder": 2.0 * math.pi}[self.habit] * float(
            np.prod(self.half))

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of a uniformly drawn position, float64 [3, 3] [m^2]."""
        per_half = {"box": (1 / 3, 1 / 3, 1 / 3), "sphere": (0.2, 0.2, 0.2), "cylinder": (0.25, 0.25, 1 / 3)}
        return (self.axes * (self.half**2 * per_half[self.habit])) @ self.axes.T

    def extent(self, direction: np.ndarray) -> float:
        """Return the largest distance from the centre along a unit vector [m]."""
        x, y, z = np.abs(self.half * (direction @ self.axes)).tolist()
        return {"box": x + y + z, "sphere": math.hypot(x, y, z), "cylinder": math.hypot(x, y) + z}[self.habit]

    def chords(self, points: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where rays along a unit vector through ``points`` [n, 3] enter and leave [m]; equal if they miss."""
        origin, slope = (points - self.centre) @ self.axes / self.half, direction @ self.axes / self.half
        slabs = {"box": (0, 1, 2), "sphere": (), "cylinder": (2,)}[self.habit]
        round_axes = [axis for axis in range(3) if axis not in slabs]
        start, end = np.full(len(points), -np.inf), np.full(len(points), np.inf)
        for axis in slabs:
            with np.errstate(divide="ignore", invalid="ignore"):
                first, second = ((side - origin[:, axis]) / slope[axis] for side in (-1.0, 1.0))
            if slope[axis] == 0.0:
                first = np.where(np.abs(origin[:, axis]) <= 1.0, -np.inf, np.inf)
                second = -first
            start, end = np.maximum(start, np.minimum(first, second)), np.minimum(end, np.maximum(first, second))
        if round_axes:
            o, d = origin[:, round_axes], slope[round_axes]
            square, middle, rest = d @ d, o @ d, 1.0 - np.einsum("ij,ij->i", o, o)
            if square == 0.0:
                end = np.where(rest >= 0.0, end, start)
            else:
                root = middle * middle + square * rest
                half = np.sqrt(np.maximum(root, 0.0)) / square
                start, end = np.maximum(start, -middle / square - half), np.minimum(end, -middle / square + half)
        return start, np.maximum(end, start)


def crystal_body(crystal: Crystal, frame: np.ndarray, spindle: Vector, phi: float) -> Body | None:
    """Return the crystal at a spindle angle [rad]; ``None`` without a size.

    ``frame`` float64 [3, 3] holds the axes of the crystal at phi = 0 in columns.
    """
    if crystal.size_mm is None:
        return None
    half = np.array([units.m_from_mm(edge) / 2.0 for edge in several(crystal.size_mm)])
    axes = np.array([rotate_axis(tuple(axis), spindle, phi) for axis in frame.T.tolist()]).T
    return Body(crystal.habit, np.array(centre_m(crystal, spindle, phi)), axes, half)


def centre_m(crystal: Crystal, spindle: Vector, phi: float) -> Vector:
    """Return the centre of the crystal at a spindle angle [rad], relative to spindle and beam [m]."""
    x, y, z = crystal.offset_mm
    return rotate_axis((units.m_from_mm(x), units.m_from_mm(y), units.m_from_mm(z)), spindle, phi)


def illumination_of(crystal: Crystal, beam: Beam, geometry: DetectorFrame, frame: np.ndarray, block_volume: float,
                    phi: float) -> Illumination:
    """Return the illumination at a spindle angle [rad].

    Parameters
    ----------
    geometry
        The laboratory axes.
    frame
        Axes of the crystal at phi = 0, float64 [3, 3] in columns.
    block_volume
        Of a coherent block [m^3].
    """
    body = crystal_body(crystal, frame, geometry.spindle, phi)
    across = np.array((geometry.polar, geometry.vert))
    section = beam.cross_section_m()
    if body is None:
        centre = centre_m(crystal, geometry.spindle, phi)
        blocks = 1.0 if section is None else float(profile(beam, section, across @ np.array([centre]).T)[0])
        return Illumination(block_volume, blocks * block_volume, block_volume, blocks, centre, np.zeros((3, 3)))
    if section is None or (beam.profile == "flat" and _inside(body, section, across)):
        return Illumination(body.volume, body.volume, block_volume, body.volume / block_volume,
                            tuple(body.centre.tolist()), body.covariance)
    volume, position, covariance = _overlap(body, beam, section, across, np.array(geometry.beam))
    return Illumination(body.volume, volume, block_volume, volume / block_volume, tuple(position.tolist()), covariance)


def profile(beam: Beam, section: tuple[float, float], across: np.ndarray) -> np.ndarray:
    """Return the fluence relative to the centre of the beam [n] at positions ``across`` it [2, n] [m]."""
    relative = np.abs(across) / np.array(section)[:, None]
    if beam.profile == "flat":
        return np.all(relative <= 0.5, axis=0).astype(np.float64)
    return np.exp(-4.0 * math.log(2.0) * np.sum(relative * relative, axis=0))


def _inside(body: Body, section: tuple[float, float], across: np.ndarray) -> bool:
    """Return whether the body is inside a flat beam."""
    return all(abs(float(direction @ body.centre)) + body.extent(direction) <= edge / 2.0
               for direction, edge in zip(across, section, strict=True))


def _overlap(body: Body, beam: Beam, section: tuple[float, float], across: np.ndarray, along: np.ndarray
             ) -> tuple[float, np.ndarray, np.ndarray]:
    """Return volume [m^3], mean [m] and covariance [m^2] of the illuminated position; volume 0 outside the beam.

    By the midpoint rule over rays along the beam, exact along each of them; where the rays cover the crystal, its
    volume times the mean of the profile, so that errors at its edges cancel.
    """
    grids, area, covered = [], 1.0, True
    for direction, edge in zip(across, section, strict=True):
        centre, extent = float(direction @ body.centre), body.extent(direction)
        reach = edge / 2.0 if beam.profile == "flat" else edge / FWHM_PER_SIGMA * _GAUSSIAN_END
        low, high = max(centre - extent, -reach), min(centre + extent, reach)
        if not low < high:
            return 0.0, body.centre, np.zeros((3, 3))
        area *= (high - low) / _RAYS
        covered &= low == centre - extent and high == centre + extent
        grids.append(low + (np.arange(_RAYS) + 0.5) * (high - low) / _RAYS)
    points2 = np.stack([axis.reshape(-1) for axis in np.meshgrid(*grids, indexing="ij")])
    points = points2.T @ across
    start, end = body.chords(points, along)
    chord = end - start
    weight = chord * profile(beam, section, points2)
    total = float(weight.sum())
    if not total > 0.0:
        return 0.0, body.centre, np.zeros((3, 3))
    weight /= total
    middle = points + ((start + end) / 2.0)[:, None] * along
    mean = weight @ middle
    offset = middle - mean
    covariance = (offset * weight[:, None]).T @ offset
    covariance += float(weight @ chord**2) / 12.0 * np.outer(along, along)
    return total * (body.volume / float(chord.sum()) if covered else area), mean, covariance
