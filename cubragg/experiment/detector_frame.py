"""Geometry of one flat detector in the laboratory, as nanoBragg prints it. `specs/geometry.md`"""

from __future__ import annotations

from typing import NamedTuple

from cubragg.crystallography.frames import dials_rotation
from cubragg.crystallography.vectors import Matrix, Vector, dot

#: x, y and z of the frame in which nanoBragg prints DIALS_ORIGIN.
_DIALS_AXES: tuple[Vector, Vector, Vector] = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0))


class Laboratory(NamedTuple):
    """Unit vectors of the laboratory: the beam, its E vector, and the spindle."""

    beam: Vector
    polar: Vector
    spindle: Vector


class DetectorFrame(NamedTuple):
    """Geometry of one flat detector in the laboratory, as nanoBragg prints it [m, rad].

    ``pix0`` is the outer corner of the first pixel seen from the crystal;
    ``fast``, ``slow``, ``normal`` are unit vectors; ``fbeam``, ``sbeam`` and
    ``fclose``, ``sclose`` are the positions of the direct beam and of the nearest
    point, from that corner along fast and slow. ``xbeam``, ``ybeam`` are the beam
    centre as given or by default, in the convention's own sense. ``pixel_size`` is
    the edge along fast. ``outermost`` is the outermost axis of a goniometer of several, which no
    other axis moves (``None``: the spindle).
    """

    convention: str
    pivot: str
    fast_pixels: int
    slow_pixels: int
    pixel_size: float
    slow_pixel_size: float
    pix0: Vector
    fast: Vector
    slow: Vector
    normal: Vector
    beam: Vector
    polar: Vector
    vert: Vector
    spindle: Vector
    twotheta_axis: Vector
    twotheta: float
    distance: float
    close_distance: float
    xbeam: float
    ybeam: float
    xclose: float
    yclose: float
    fbeam: float
    sbeam: float
    fclose: float
    sclose: float
    detsize_fast: float
    detsize_slow: float
    outermost: Vector | None = None

    @property
    def orgx(self) -> float:
        """XDS ORGX [pixel]."""
        return self.fclose / self.pixel_size + 0.5

    @property
    def orgy(self) -> float:
        """XDS ORGY [pixel]."""
        return self.sclose / self.slow_pixel_size + 0.5

    @property
    def dials_origin_mm(self) -> Vector:
        """Origin of the detector in the frame of DIALS [mm]."""
        x, y, z = _DIALS_AXES
        return (1000.0 * dot(self.pix0, x), 1000.0 * dot(self.pix0, y), 1000.0 * dot(self.pix0, z))

    def dials_rotation(self) -> Matrix:
        """Return the proper rotation from this laboratory into the frame of DIALS; see `frames.dials_rotation`."""
        # Not by a spindle that other axes move: frames of sweeps at their different angles are the same.
        return dials_rotation(self.beam, self.outermost or self.spindle, self.polar, self.fast, self.slow)

    @property
    def beam_in_detector(self) -> Vector:
        """Direction of the beam along fast, slow and normal (XDS INCIDENT_BEAM_DIRECTION)."""
        return (dot(self.beam, self.fast), dot(self.beam, self.slow), dot(self.beam, self.normal))

    @property
    def laboratory(self) -> Laboratory:
        """Directions of beam, E vector and spindle."""
        return Laboratory(self.beam, self.polar, self.spindle)
