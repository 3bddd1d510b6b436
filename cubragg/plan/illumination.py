"""The illuminated part of the crystal: its volume, the number of blocks in it, and where it is.

The fluence is that of the centre of the beam; the number of blocks holds the illuminated fraction. Lengths in m.
`specs/crystal.md`
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cubragg import units
from cubragg.crystallography.vectors import Vector, combine, rotate_axis
from cubragg.experiment.beam import Beam
from cubragg.experiment.conventions import DetectorFrame
from cubragg.experiment.crystal import Crystal
from cubragg.experiment.one_or_several import several
from cubragg.plan.quasi_random import uniform_points

#: Rays along each direction across the beam, at the nodes of Gauss and Legendre.
_RAYS = 48
#: Standard deviations at which a Gaussian beam ends, exp(-12.5) = 4e-6 of its centre.
_GAUSSIAN_END = 5.0
#: Largest number of points that are drawn for each one that is kept.
_MOST_CANDIDATES = 256


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
    """Return the centre of the crystal at a spindle angle [rad], relative to spindle and beam [m].

    R(phi) offset + wobble cos(cycles phi + phase).
    """
    offset, wobble = (tuple(units.m_from_mm(value) for value in vector) for vector in (
        crystal.offset_mm, crystal.wobble_mm))
    turned = rotate_axis(offset, spindle, phi)  # type: ignore[arg-type]
    if not any(wobble):
        return turned
    factor = math.cos(crystal.wobble_cycles * phi + units.rad_from_deg(crystal.wobble_phase_deg))
    return combine((1.0, turned), (factor, wobble))  # type: ignore[arg-type]


def path_m(crystal: Crystal, width: float) -> float:
    """Return the largest length of the path of the centre of the crystal in a rotation range [rad] [m]."""
    offset, wobble = (units.m_from_mm(math.hypot(*vector)) for vector in (crystal.offset_mm, crystal.wobble_mm))
    return width * (offset + crystal.wobble_cycles * wobble)


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


class _Window(NamedTuple):
    """Rectangle across the beam that holds the illuminated part: lower edges and sizes, float64 [2] [m].

    ``covered``: the whole crystal is in it.
    """

    low: np.ndarray
    size: np.ndarray
    covered: bool


def _window(body: Body, beam: Beam, section: tuple[float, float] | None, across: np.ndarray) -> _Window | None:
    """Return the rectangle, or ``None`` where the crystal is outside the beam."""
    low, high, covered = [], [], True
    for axis, direction in enumerate(across):
        centre, extent = float(direction @ body.centre), body.extent(direction)
        reach = math.inf
        if section is not None:
            reach = section[axis] * (0.5 if beam.profile == "flat" else _GAUSSIAN_END / units.FWHM_PER_SIGMA)
        low.append(max(centre - extent, -reach))
        high.append(min(centre + extent, reach))
        covered &= low[-1] == centre - extent and high[-1] == centre + extent
    size = np.array(high) - np.array(low)
    return _Window(np.array(low), size, covered) if np.all(size > 0.0) else None


def _rays(body: Body, window: _Window, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return places across the beam in the body's shadow, float64 [2, n] [m], and the area of each [n] [m^2]."""
    nodes, weights = np.polynomial.legendre.leggauss(_RAYS)
    centre = across @ body.centre
    first = window.low[0] + (nodes + 1.0) / 2.0 * window.size[0]
    far, near = (sign * shadow_edge(body, across, sign * (first - centre[0])) + centre[1] for sign in (1.0, -1.0))
    low, high = np.maximum(near, window.low[1]), np.minimum(far, window.low[1] + window.size[1])
    half = np.maximum(high - low, 0.0) / 2.0
    second = (low + high)[:, None] / 2.0 + half[:, None] * nodes
    area = (weights * window.size[0] / 2.0 * half)[:, None] * weights
    return np.stack([np.repeat(first, _RAYS), second.reshape(-1)]), area.reshape(-1)


def shadow_edge(body: Body, across: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the largest second coordinate across the beam in the body where the first one is ``first`` [n].

    Both from the body's centre [m]; ``across`` float64 [2, 3] holds their directions. The edge of a box is the least of
    the lines that its edges make, that of a cylinder the edge of a disc, as far along the axis as is highest.
    """
    u, v = across @ body.axes * body.half
    negligible = 1e-9 * float(np.abs(u).max())
    if body.habit == "box":
        slopes = (v / np.where(np.abs(u) > negligible, u, np.inf))[np.abs(u) > negligible]
        lines = np.abs(v[:, None] - slopes * u[:, None]).sum(axis=0)
        return np.asarray((lines[:, None] + slopes[:, None] * first).min(axis=0))
    disc, axis = (2, (float(u[2]), float(v[2]))) if body.habit == "cylinder" else (3, (0.0, 0.0))
    square = max(float(u[:disc] @ u[:disc]), negligible * negligible)
    slope = float(u[:disc] @ v[:disc]) / square
    height = math.sqrt(max(float(v[:disc] @ v[:disc]) - slope * slope * square, 0.0))
    shift: np.ndarray | float = math.copysign(1.0, axis[1])
    if abs(axis[0]) > negligible:
        # To where the edge of the disc is as steep as the axis.
        steep = math.sin(math.atan2((slope - axis[1] / axis[0]) * math.sqrt(square), height))
        shift = np.clip((first - math.sqrt(square) * steep) / axis[0], -1.0, 1.0)
    on_disc = first - shift * axis[0]
    return np.asarray(shift * axis[1] + slope * on_disc
                      + height * np.sqrt(np.maximum(1.0 - on_disc * on_disc / square, 0.0)))


def _overlap(body: Body, beam: Beam, section: tuple[float, float], across: np.ndarray, along: np.ndarray
             ) -> tuple[float, np.ndarray, np.ndarray]:
    """Return volume [m^3], mean [m] and covariance [m^2] of the illuminated position; volume 0 outside the beam.

    By a Gauss-Legendre rule over rays through the shadow of the crystal, exact along each of them; where they cover the
    crystal, its volume times the mean of the profile. Right to 2e-4 (`tests/unit/test_illumination.py`).
    """
    window = _window(body, beam, section, across)
    if window is None:
        return 0.0, body.centre, np.zeros((3, 3))
    at, per_ray = _rays(body, window, across)
    points = at.T @ across
    start, end = body.chords(points, along)
    chord = end - start
    fluence = profile(beam, section, at)
    weight = chord * fluence * per_ray
    total = float(weight.sum())
    if not total > 0.0:
        return 0.0, body.centre, np.zeros((3, 3))
    if window.covered:
        total *= body.volume / float((chord * per_ray).sum())
    weight /= float(weight.sum())
    middle = points + ((start + end) / 2.0)[:, None] * along
    mean = weight @ middle
    offset = middle - mean
    covariance = (offset * weight[:, None]).T @ offset
    covariance += float(weight @ chord**2) / 12.0 * np.outer(along, along)
    return total, mean, covariance


def illuminated_points(crystal: Crystal, beam: Beam, geometry: DetectorFrame, frame: np.ndarray, phi: float, count: int
                       ) -> np.ndarray:
    """Return evenly spread points of the illuminated crystal at a spindle angle, float64 [count, 3] [m].

    Points of the beam, kept with the probability of chord times profile; its parameters are those of
    `illumination_of`. Empty without a crystal size, or outside the beam.
    """
    body, section = crystal_body(crystal, frame, geometry.spindle, phi), beam.cross_section_m()
    across, along = np.array((geometry.polar, geometry.vert)), np.array(geometry.beam)
    window = None if body is None else _window(body, beam, section, across)
    if body is None or window is None:
        return np.zeros((0, 3))
    number = count
    while True:
        u = uniform_points(number, 4)
        at = window.low[:, None] + u.T[:2] * window.size[:, None]
        start, end = body.chords(at.T @ across, along)
        weight = (end - start) * (1.0 if section is None else profile(beam, section, at))
        kept = np.flatnonzero(weight > u[:, 3] * weight.max())[:count]
        if len(kept) == count or number > _MOST_CANDIDATES * count:
            depth = (start + u[:, 2] * (end - start))[kept]
            return (at.T @ across)[kept] + depth[:, None] * along
        number *= 2
