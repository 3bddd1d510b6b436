"""The panels of an image as file formats need them, and whether one flat picture can stand for them.

SMV and miniCBF have a distance, a beam centre and a pixel size, and nothing else: their readers
take the picture for one that faces the beam, its fast axis along the spindle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cubragg.crystallography.vectors import Vector, combine, cross, dot, norm
from cubragg.errors import FormatError
from cubragg.experiment.detector import Detector, DetectorGeometry
from cubragg.experiment.panel import live_pixels

#: Directions closer than this are one direction: far below a pixel over any detector.
_SAME_DIRECTION = 1e-6
#: A panel this share of a pixel off the common grid is off the grid.
_OFF_GRID = 1e-2


class Tile(NamedTuple):
    """One panel of an image.

    ``geometry`` is its own in the laboratory [m], ``offset`` the fast and slow place of its first pixel in the
    image [pixel], ``material`` that of its sensor (empty: not known), ``thickness_m`` that of the sensor layers
    that were rendered (0: none).
    """

    geometry: DetectorGeometry
    offset: tuple[int, int]
    name: str
    material: str
    thickness_m: float

    @property
    def window(self) -> tuple[slice, slice]:
        """Where it lies in the image: slow, fast."""
        fast, slow = self.offset
        return slice(slow, slow + self.geometry.slow_pixels), slice(fast, fast + self.geometry.fast_pixels)


def tiles_of(detector: Detector, geometry: DetectorGeometry) -> tuple[Tile, ...]:
    """The panels of a detector placed at ``geometry``; the detector itself where it has none."""
    placed = zip(detector.panel_geometries(geometry), detector.panel_sensors(), strict=True)
    if not detector.panels:
        return tuple(Tile(place, (0, 0), "", "", sensor.thickness_m) for place, sensor in placed)
    return tuple(Tile(place, panel.offset, panel.name, panel.material, sensor.thickness_m)
                 for panel, (place, sensor) in zip(detector.panels, placed, strict=True))


def live(detector: Detector, mask: np.ndarray | None) -> np.ndarray:
    """bool [slow, fast]: pixels that exist and are not masked."""
    whole = np.ones(detector.shape(), dtype=bool) if mask is None else np.array(mask, dtype=bool)
    existing = live_pixels(detector.panels) if detector.panels else None
    return whole if existing is None else whole & existing


def facing_geometry(tiles: Sequence[Tile], shape: tuple[int, int], *, rotating: bool) -> DetectorGeometry:
    """The one flat picture of ``shape`` (slow, fast) that the tiles make.

    It faces the beam; seen from the sample, fast and slow axis are those of a right-handed picture; and if the
    crystal is ``rotating``, it turns about the fast axis. Tiles lie on one grid of pixels.

    Raises
    ------
    FormatError
        If they make none, saying why.
    """
    first = tiles[0]
    whole = _whole(first, shape)
    for tile in tiles[1:]:
        _check_on_grid(tile, first, whole)
    fast, slow, beam = whole.fast, whole.slow, whole.beam
    if abs(dot(fast, beam)) > _SAME_DIRECTION or abs(dot(slow, beam)) > _SAME_DIRECTION:
        raise FormatError("got a detector that does not face the beam")
    if _apart(cross(fast, slow), beam):
        raise FormatError("got a left-handed picture (the fast axis, the slow axis and the beam)")
    if rotating and _apart(whole.spindle, fast):
        raise FormatError("got a spindle that is not along the fast axis")
    return whole


def _apart(x: Vector, y: Vector) -> bool:
    return norm(combine((1.0, x), (-1.0, y))) > _SAME_DIRECTION


def _whole(tile: Tile, shape: tuple[int, int]) -> DetectorGeometry:
    """The plane of a tile, from the first pixel of the image on."""
    slow_pixels, fast_pixels = shape
    geometry, (fast_offset, slow_offset) = tile.geometry, tile.offset
    fast_shift, slow_shift = fast_offset * geometry.pixel_size, slow_offset * geometry.slow_pixel_size
    pix0 = combine((1.0, geometry.pix0), (-fast_shift, geometry.fast), (-slow_shift, geometry.slow))
    return geometry._replace(
        fast_pixels=fast_pixels, slow_pixels=slow_pixels, pix0=pix0,
        fbeam=geometry.fbeam + fast_shift, sbeam=geometry.sbeam + slow_shift,
        fclose=geometry.fclose + fast_shift, sclose=geometry.sclose + slow_shift,
        detsize_fast=fast_pixels * geometry.pixel_size, detsize_slow=slow_pixels * geometry.slow_pixel_size)


def _check_on_grid(tile: Tile, first: Tile, whole: DetectorGeometry) -> None:
    geometry = tile.geometry
    sizes = geometry.pixel_size, geometry.slow_pixel_size
    fast_shift, slow_shift = tile.offset[0] * sizes[0], tile.offset[1] * sizes[1]
    if sizes != (whole.pixel_size, whole.slow_pixel_size):
        raise FormatError(f"got panels {first.name!r} and {tile.name!r} with pixels of different size")
    if _apart(geometry.fast, whole.fast) or _apart(geometry.slow, whole.slow):
        raise FormatError(f"got panels {first.name!r} and {tile.name!r} turned against one another")
    expected = combine((1.0, whole.pix0), (fast_shift, whole.fast), (slow_shift, whole.slow))
    off = norm(combine((1.0, geometry.pix0), (-1.0, expected)))
    if off > _OFF_GRID * min(sizes):
        raise FormatError(f"got panel {tile.name!r} {1e6 * off:.3g} um off the grid of pixels of {first.name!r}")


def sensor_of(tiles: Sequence[Tile]) -> tuple[str, float]:
    """Material and thickness [m] of the sensor layers that were rendered; thickness 0: none were.

    Raises
    ------
    FormatError
        If panels differ in them.
    """
    sensors = {(tile.material or "Si", tile.thickness_m) for tile in tiles}
    if len(sensors) > 1:
        raise FormatError(f"got {len(sensors)} different sensors: "
                          + ", ".join(f"{material} of {1e6 * thickness:g} um" for material, thickness in
                                      sorted(sensors)))
    return sensors.pop()


def trusted_of(detector: Detector) -> tuple[float, float] | None:
    """The range of counts that all panels trust; ``None`` where none says."""
    ranges = [panel.trusted for panel in detector.panels if panel.trusted is not None]
    return (max(low for low, _ in ranges), min(high for _, high in ranges)) if ranges else None
