"""Panels: the flat rectangles of pixels that a detector is made of.

A panel is placed in its detector's frame, so that distance, beam centre and tilts of the
detector move all of its panels together. `specs/panels.md`
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cubragg import checks, units
from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm, unit
from cubragg.errors import ConfigError

#: Cosine between fast and slow axis of a panel from which it counts as skewed, not as badly measured.
_SKEW = 0.02
#: Planes whose normals differ by less, and which lie closer than this share of a pixel, are one plane.
_SAME_NORMAL = 1e-3
_SAME_PLANE = 0.5
#: What rounding makes of a whole number of pixels, relative to it and at least.
_GRID = 1e-9
#: Panels of one plane may reach this far into one another [pixel]: measured positions are not exact.
_TOLERATED_OVERLAP = 1.0


def same_arrays(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Equal arrays, or both absent."""
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


@dataclass(frozen=True, eq=False)
class Panel:
    """A flat rectangle of pixels.

    Attributes
    ----------
    fast_pixels, slow_pixels, pixel_fast_mm, pixel_slow_mm
        Its size [pixel] and the edges of a pixel [mm].
    origin_mm
        Outer corner of the first pixel: along the detector's fast, slow and normal axes, from the detector's own
        first corner [mm].
    fast, slow
        Directions of its axes, as components along the detector's fast, slow and normal axes; made unit vectors.
    offset
        Fast and slow place of its first pixel in the image [pixel].
    name
        For messages and for files that name panels.
    thickness_um, attenuation_um
        Sensor thickness and attenuation depth [um]; ``None``: the detector's.
    material
        Of the sensor, as files name it (``Si``, ``CdTe``); empty: not known.
    mask
        bool [slow, fast]; False pixels are gaps or dead: they are skipped and stay 0.
    trusted
        Lowest and highest count that can be trusted; ``None``: not known.
    """

    fast_pixels: int
    slow_pixels: int
    pixel_fast_mm: float
    pixel_slow_mm: float
    origin_mm: Vector = (0.0, 0.0, 0.0)
    fast: Vector = (1.0, 0.0, 0.0)
    slow: Vector = (0.0, 1.0, 0.0)
    offset: tuple[int, int] = (0, 0)
    name: str = ""
    thickness_um: float | None = None
    attenuation_um: float | None = None
    material: str = ""
    mask: np.ndarray | None = field(default=None, repr=False)
    trusted: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        where = f"panel {self.name}" if self.name else "panel"
        for axis in ("fast", "slow"):
            checks.integer(f"{where}: {axis}_pixels", "the size in pixels", getattr(self, f"{axis}_pixels"), at_least=1)
            checks.number(f"{where}: pixel_{axis}_mm", "the pixel size", getattr(self, f"pixel_{axis}_mm"), "mm",
                          above=0.0)
            checks.vector(f"{where}: {axis}", "an axis", getattr(self, axis), nonzero=True)
            object.__setattr__(self, axis, _unit(getattr(self, axis)))
        checks.vector(f"{where}: origin_mm", "the origin", self.origin_mm, "mm")
        if len(self.offset) != 2:
            raise ConfigError(f"{where}: offset", f"got {len(self.offset)} numbers; an offset needs 2")
        for place in self.offset:
            checks.integer(f"{where}: offset", "the place in the image", place, at_least=0)
        if abs(dot(self.fast, self.slow)) > _SKEW:
            raise ConfigError(f"{where}: slow", f"got axes whose cosine is {dot(self.fast, self.slow):.3g}; "
                              "the slow axis must be perpendicular to the fast one")
        checks.number(f"{where}: thickness_um", "the sensor thickness", self.thickness_um, "um", optional=True,
                      at_least=0.0)
        if self.attenuation_um is not None and not math.isinf(self.attenuation_um):
            checks.number(f"{where}: attenuation_um", "the attenuation depth", self.attenuation_um, "um", at_least=0.0)
        if self.trusted is not None:
            checks.vector(f"{where}: trusted", "the trusted range", self.trusted, length=2)
        if self.mask is not None:
            mask = np.array(self.mask, dtype=bool, order="C")
            if mask.shape != (self.slow_pixels, self.fast_pixels):
                raise ConfigError(f"{where}: mask", f"got a mask of {' x '.join(map(str, mask.shape[::-1]))} pixels; "
                                  f"the panel has {self.fast_pixels} x {self.slow_pixels}")
            mask.setflags(write=False)
            object.__setattr__(self, "mask", mask)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Panel):
            return NotImplemented
        mine, theirs = ({name: value for name, value in vars(part).items() if name != "mask"} for part in (self, other))
        return mine == theirs and same_arrays(self.mask, other.mask)

    @property
    def window(self) -> tuple[slice, slice]:
        """Where it lies in the image: slow, fast."""
        fast, slow = self.offset
        return slice(slow, slow + self.slow_pixels), slice(fast, fast + self.fast_pixels)

    @property
    def corners_mm(self) -> list[Vector]:
        """Its corners in the detector's frame, in a ring [mm]."""
        width, height = self.fast_pixels * self.pixel_fast_mm, self.slow_pixels * self.pixel_slow_mm
        return [combine((1.0, self.origin_mm), (f, self.fast), (s, self.slow))
                for f, s in ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))]


def grid_place(panel: Panel, pixel_mm: float) -> tuple[int, int] | None:
    """Fast and slow place of a panel's first pixel in its detector's own grid of pixels; ``None``: it lies off it."""
    if (panel.fast, panel.slow) != ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)) or panel.origin_mm[2] != 0.0:
        return None
    if not panel.pixel_fast_mm == panel.pixel_slow_mm == pixel_mm:
        return None
    places = [component / pixel_mm for component in panel.origin_mm[:2]]
    fast, slow = map(round, places)
    errors = abs(places[0] - fast) / max(abs(fast), 1), abs(places[1] - slow) / max(abs(slow), 1)
    return None if max(errors) > _GRID else (fast, slow)


def _unit(x: Vector) -> Vector:
    """A unit vector; one that is a unit vector but for rounding keeps its bits."""
    return x if abs(norm(x) - 1.0) < 1e-15 else unit(x)


def image_shape(panels: Sequence[Panel]) -> tuple[int, int]:
    """(slow, fast) size of the image that holds all panels [pixel]."""
    return max(panel.window[0].stop for panel in panels), max(panel.window[1].stop for panel in panels)


def check_overlaps(panels: Sequence[Panel]) -> None:
    """Demand that no two panels share a pixel of the image or a place in space.

    Raises
    ------
    ConfigError
        Naming the first two that do.
    """
    for i, j in _close_pairs(panels):
        one, other, where = panels[i], panels[j], f"detector.panels[{i}]"
        names = f"{_name(other, j)} and {_name(one, i)} overlap"
        if all(a.start < b.stop and b.start < a.stop for a, b in zip(one.window, other.window, strict=True)):
            raise ConfigError(where, f"panels {names} in the image; every panel needs pixels of its own")
        if _overlap_in_space(one, other):
            raise ConfigError(where, f"panels {names} in space; they must lie side by side")


def _close_pairs(panels: Sequence[Panel]) -> list[tuple[int, int]]:
    """Pairs, the later one first, whose windows overlap or whose enclosing spheres do: few of very many."""
    if len(panels) < 2:
        return []
    corners = np.array([panel.corners_mm for panel in panels])
    centres = corners.mean(axis=1)
    radii = np.linalg.norm(corners - centres[:, None], axis=2).max(axis=1)
    windows = np.array([[(axis.start, axis.stop) for axis in panel.window] for panel in panels])
    close = (windows[:, None, :, 0] < windows[None, :, :, 1]).all(axis=2)
    close &= close.T
    close |= np.linalg.norm(centres[:, None] - centres, axis=2) < radii[:, None] + radii
    return [(int(i), int(j)) for i, j in np.argwhere(np.tril(close, -1))]


def _name(panel: Panel, number: int) -> str:
    return panel.name or str(number)


def _overlap_in_space(one: Panel, other: Panel) -> bool:
    """Two panels of one plane that reach into one another by more than a pixel (separating axes)."""
    pixel = min(one.pixel_fast_mm, one.pixel_slow_mm)
    normal, between = unit(cross(one.fast, one.slow)), combine((1.0, other.origin_mm), (-1.0, one.origin_mm))
    if norm(cross(normal, unit(cross(other.fast, other.slow)))) > _SAME_NORMAL:
        return False
    if abs(dot(between, normal)) > _SAME_PLANE * pixel:
        return False
    for axis in (one.fast, one.slow, other.fast, other.slow):
        spans = [[dot(axis, corner) for corner in panel.corners_mm] for panel in (one, other)]
        if min(map(max, spans)) - max(map(min, spans)) < _TOLERATED_OVERLAP * pixel:
            return False
    return True


def live_pixels(panels: Sequence[Panel]) -> np.ndarray | None:
    """bool [slow, fast] of the image: pixels that exist and are not masked; ``None``: all of them."""
    live = np.zeros(image_shape(panels), dtype=bool)
    for panel in panels:
        live[panel.window] = True if panel.mask is None else panel.mask
    return None if live.all() else live


def placed(panel: Panel, pix0: Vector, axes: tuple[Vector, Vector, Vector]) -> tuple[Vector, Vector, Vector]:
    """Corner [m], fast and slow axis of a panel in the laboratory; ``pix0`` [m] and ``axes`` are its detector's."""
    origin = (units.m_from_mm(component) for component in panel.origin_mm)
    corner = combine((1.0, pix0), *zip(origin, axes, strict=True))
    fast, slow = (combine(*zip(components, axes, strict=True)) for components in (panel.fast, panel.slow))
    return corner, fast, slow
