"""Placed panels: the flat parallelograms of pixels that a detector is made of, in the laboratory. `specs/panels.md`"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cubragg import checks
from cubragg.bounds import LARGEST, LENGTH_MM, PIXEL_EDGE_MM
from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm, scale, unit
from cubragg.errors import ConfigError
from cubragg.experiment.detector_frame import DetectorFrame
from cubragg.experiment.settings_repr import settings_repr

#: Step vectors are refused as parallel if the sine of their angle is smaller than this.
_FLAT_ANGLE = 0.1
#: Panels lie in one plane if their normals differ by less than the first and their distance is less than the second
#: number times the pixel.
_SAME_NORMAL = 1e-3
_SAME_PLANE = 0.5
#: Overlap of neighbouring panels that is not reported [pixel]: measured positions are not exact.
_TOLERATED_OVERLAP = 0.1
#: A line with a smaller component along the normal of a plane is treated as parallel to it.
_GRAZING = 1e-6
#: A plane closer to the crystal than this [mm] contains it.
_HOLDS_CRYSTAL_MM = 1e-9
#: More pixels than this cannot be addressed by the file formats (32-bit counts of bytes).
MAX_PIXELS = 2**29


def same_arrays(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Return whether two arrays are equal, or both ``None``."""
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


class MadeBy(NamedTuple):
    """The convention's frame that a panel is part of, and the fast and slow pixel of the frame where it begins."""

    frame: DetectorFrame
    first_pixel: tuple[int, int]


class Spot(NamedTuple):
    """Intersection of a line from the crystal with a panel's plane: fast and slow from the panel's corner [pixel], and
    the distance along the line [mm]."""

    fast_px: float
    slow_px: float
    distance_mm: float


@dataclass(frozen=True, eq=False)
class Panel:
    """A flat parallelogram of pixels, placed in the laboratory.

    The middle of pixel i, j is origin + (i + 1/2) fast + (j + 1/2) slow.

    Attributes
    ----------
    fast_pixels, slow_pixels
        Its size [pixel].
    origin_mm
        Outer corner of its first pixel, from the crystal [mm].
    fast_mm, slow_mm
        Steps from a pixel to the next one along fast and slow [mm]: neither unit vectors nor necessarily perpendicular.
    offset
        Fast and slow position of its first pixel in the image [pixel].
    name
        Name in messages, and in files that name panels.
    thickness_um, attenuation_um
        Sensor thickness and attenuation depth [um]; ``None``: those of the detector.
    material
        Material of the sensor, as files name it (``Si``, ``CdTe``); empty: not known.
    mask
        bool [slow, fast]; pixels that are False are gaps or dead: they are not rendered and stay 0.
    trusted
        Lowest and highest count that can be trusted; ``None``: not known.
    made_by
        The convention's frame that the panel is part of; ``None`` for a panel given by vectors, and after any change.
    """

    fast_pixels: int
    slow_pixels: int
    origin_mm: Vector
    fast_mm: Vector
    slow_mm: Vector
    offset: tuple[int, int] = (0, 0)
    name: str = ""
    thickness_um: float | None = None
    attenuation_um: float | None = None
    material: str = ""
    mask: np.ndarray | None = None
    trusted: tuple[float, float] | None = None
    made_by: MadeBy | None = field(default=None, init=False)

    __repr__ = settings_repr

    def __post_init__(self) -> None:
        checks.plain_fields(self, ("mask",))
        where = f"panel {self.name}" if self.name else "panel"
        for axis in ("fast", "slow"):
            checks.integer(f"{where}: {axis}_pixels", "the size in pixels", getattr(self, f"{axis}_pixels"), at_least=1,
                           at_most=MAX_PIXELS)
            checks.vector(f"{where}: {axis}_mm", "a step from pixel to pixel", getattr(self, f"{axis}_mm"), "mm",
                          nonzero=True)
            checks.number(f"{where}: {axis}_mm", "the edge of a pixel", norm(getattr(self, f"{axis}_mm")), "mm",
                          within=PIXEL_EDGE_MM)
        checks.vector(f"{where}: origin_mm", "the origin", self.origin_mm, "mm", within=LENGTH_MM)
        checks.vector(f"{where}: offset", "an offset", self.offset, length=2)
        for position in self.offset:
            checks.integer(f"{where}: offset", "the position in the image", position, at_least=0, at_most=MAX_PIXELS)
        sine = norm(cross(self.fast, self.slow))
        if not sine > _FLAT_ANGLE:
            raise ConfigError(f"{where}: slow_mm", f"got a step at {math.degrees(math.asin(sine)):.3g} deg to fast_mm; "
                              "fast and slow must not be parallel")
        checks.number(f"{where}: thickness_um", "the sensor thickness", self.thickness_um, "um", optional=True,
                      at_least=0.0)
        if self.attenuation_um != math.inf:
            checks.number(f"{where}: attenuation_um", "the attenuation depth", self.attenuation_um, "um", optional=True,
                          at_least=0.0)
        if self.trusted is not None:
            # Some files give the largest number of the type as the highest count.
            limits = self.trusted if not isinstance(self.trusted, tuple) else tuple(
                min(max(limit, -LARGEST), LARGEST) if isinstance(limit, int | float) else limit
                for limit in self.trusted)
            object.__setattr__(self, "trusted", checks.vector(f"{where}: trusted", "the trusted range", limits,
                                                              length=2))
        if self.mask is not None:
            try:
                mask = np.array(self.mask, dtype=bool, order="C")
            except ValueError:
                raise ConfigError(f"{where}: mask", "got rows of different lengths; the mask must be [slow, fast]"
                                  ) from None
            if mask.shape != (self.slow_pixels, self.fast_pixels):
                raise ConfigError(f"{where}: mask", f"got a mask of {' x '.join(map(str, mask.shape[::-1]))} pixels; "
                                  f"the panel has {self.fast_pixels} x {self.slow_pixels}")
            mask.setflags(write=False)
            object.__setattr__(self, "mask", mask)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Panel):
            return NotImplemented
        mine, theirs = ({name: value for name, value in vars(part).items() if name not in ("mask", "made_by")}
                        for part in (self, other))
        return mine == theirs and same_arrays(self.mask, other.mask)

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Edges of a pixel along fast and slow [mm], rounded to 15 digits: rotated steps differ in the last ones."""
        fast, slow = (float(f"{norm(step):.15g}") for step in (self.fast_mm, self.slow_mm))
        return fast, slow

    @property
    def fast(self) -> Vector:
        """Direction of its fast axis, a unit vector."""
        return unit(self.fast_mm)

    @property
    def slow(self) -> Vector:
        """Direction of its slow axis, a unit vector."""
        return unit(self.slow_mm)

    @property
    def normal(self) -> Vector:
        """Unit normal of its plane, away from the crystal."""
        normal = unit(cross(self.fast, self.slow))
        return scale(normal, -1.0) if dot(self.origin_mm, normal) < 0.0 else normal

    @property
    def window(self) -> tuple[slice, slice]:
        """Slow and fast pixels of the image that the panel covers."""
        fast, slow = self.offset
        return slice(slow, slow + self.slow_pixels), slice(fast, fast + self.fast_pixels)

    @property
    def corners_mm(self) -> list[Vector]:
        """The four corners in the laboratory, in order around the panel [mm]."""
        return [self.place_mm(fast, slow) for fast, slow in (
            (0.0, 0.0), (self.fast_pixels, 0.0), (self.fast_pixels, self.slow_pixels), (0.0, self.slow_pixels))]

    def place_mm(self, fast_px: float, slow_px: float) -> Vector:
        """Return the position in the laboratory [mm] of a point on the panel, given in pixels from its corner."""
        return combine((1.0, self.origin_mm), (fast_px, self.fast_mm), (slow_px, self.slow_mm))

    def spot(self, along: Vector) -> Spot | None:
        """Return where the line from the crystal along a unit vector meets the plane; ``None`` if it is parallel."""
        matrix = np.array([scale(self.fast_mm, -1.0), scale(self.slow_mm, -1.0), along]).T
        if abs(np.linalg.det(matrix)) < _GRAZING * norm(self.fast_mm) * norm(self.slow_mm):
            return None
        return Spot(*(float(x) for x in np.linalg.solve(matrix, self.origin_mm)))


def panel_in_beam(panels: Sequence[Panel], beam: Vector) -> Panel:
    """Return the panel that the beam hits, or that is nearest to it; the first if the beam meets no panel's plane."""
    def miss(panel: Panel) -> float:
        spot = panel.spot(beam)
        if spot is None or spot.distance_mm <= 0.0:
            return math.inf
        fast_mm, slow_mm = panel.pixel_mm
        return math.hypot(fast_mm * max(0.0, -spot.fast_px, spot.fast_px - panel.fast_pixels),
                          slow_mm * max(0.0, -spot.slow_px, spot.slow_px - panel.slow_pixels))

    return min(panels, key=miss)


def image_shape(panels: Sequence[Panel]) -> tuple[int, int]:
    """Return the (slow, fast) size of the image that contains all panels [pixel]."""
    return max(panel.window[0].stop for panel in panels), max(panel.window[1].stop for panel in panels)


def live_pixels(panels: Sequence[Panel], mask: np.ndarray | None = None) -> np.ndarray | None:
    """Return a bool [slow, fast] image, True for pixels of panels that are not masked; ``None`` if that is every
    pixel."""
    shape = image_shape(panels)
    if mask is None and len(panels) == 1 and panels[0].mask is None and panels[0].window == (
            slice(0, shape[0]), slice(0, shape[1])):
        return None
    live = np.zeros(shape, dtype=bool)
    for panel in panels:
        live[panel.window] = True if panel.mask is None else panel.mask
    if mask is not None:
        live &= mask
    return None if live.all() else live


def check_panels(panels: Sequence[Panel]) -> None:
    """Raise if the panels overlap in the image, the image is too large for files, or a plane contains the crystal.

    Raises
    ------
    ConfigError
        Naming the first panels of which that is not so.
    """
    if panels:
        slow, fast = image_shape(panels)
        if slow * fast > MAX_PIXELS:
            raise ConfigError("detector.panels", f"got {fast} x {slow} pixels; the file formats hold "
                              f"at most {MAX_PIXELS}")
    for number, panel in enumerate(panels):
        close = dot(panel.origin_mm, panel.normal)
        if not close > _HOLDS_CRYSTAL_MM:
            raise ConfigError(f"detector.panels[{number}]", f"got a panel whose plane is {close:g} mm from the "
                              "crystal; it must not contain the crystal")
    windows = np.array([[(axis.start, axis.stop) for axis in panel.window] for panel in panels]).reshape(-1, 2, 2)
    shared = (windows[:, None, :, 0] < windows[None, :, :, 1]).all(axis=2)
    for i, j in np.argwhere(np.tril(shared & shared.T, -1)):
        raise ConfigError(f"detector.panels[{i}]", f"panels {_name(panels[j], j)} and {_name(panels[i], i)} overlap in "
                          "the image; a pixel may belong to one panel only")


class Overlap(NamedTuple):
    """Two panels, by name or number, and the depth of their overlap [pixel]."""

    one: str
    other: str
    pixels: float


def overlaps_in_space(panels: Sequence[Panel]) -> list[Overlap]:
    """Return the pairs of panels in one plane that overlap in space, the largest overlap first."""
    if len(panels) < 2:
        return []
    corners = np.array([panel.corners_mm for panel in panels])
    centres = corners.mean(axis=1)
    radii = np.linalg.norm(corners - centres[:, None], axis=2).max(axis=1)
    close = np.linalg.norm(centres[:, None] - centres, axis=2) < radii[:, None] + radii
    later, earlier = np.nonzero(np.tril(close, -1))
    depths = _depths_px(panels, corners, earlier, later)
    found = [Overlap(_name(panels[j], j), _name(panels[i], i), float(depth))
             for i, j, depth in zip(later.tolist(), earlier.tolist(), depths, strict=True)
             if depth > _TOLERATED_OVERLAP]
    return sorted(found, key=lambda overlap: -overlap.pixels)


def _name(panel: Panel, number: int) -> str:
    return panel.name or str(number)


def _depths_px(panels: Sequence[Panel], corners: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the depth of overlap of pairs of panels [pixel], by separating axes; 0 for panels of different planes.

    ``corners`` float64 [panel, 4, 3] [mm], ``one`` and ``other`` int [pair].
    """
    edges = np.array([(panel.fast, panel.slow) for panel in panels])
    normals = np.array([panel.normal for panel in panels])
    pixels = np.array([min(panel.pixel_mm) for panel in panels])[one]
    between = np.einsum("pa,pa->p", corners[other, 0] - corners[one, 0], normals[one])
    sine = np.linalg.norm(np.cross(normals[one], normals[other]), axis=1)
    across = np.cross(normals[one][:, None], np.concatenate([edges[one], edges[other]], axis=1))
    projections = [np.einsum("pka,pca->pkc", across, corners[number]) for number in (one, other)]
    shared = (np.minimum(*(values.max(axis=2) for values in projections))
              - np.maximum(*(values.min(axis=2) for values in projections)))
    coplanar = (sine <= _SAME_NORMAL) & (np.abs(between) <= _SAME_PLANE * pixels)
    return np.where(coplanar, np.maximum(shared.min(axis=1), 0.0) / pixels, 0.0)
