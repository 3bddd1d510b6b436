"""Bounds of numbers from files and users.

Within them, products and quotients of a few numbers stay finite in double precision. They are far wider than what is
measured, so that a number outside is an error of the file or of its unit.
"""

from __future__ import annotations

from typing import NamedTuple


class Range(NamedTuple):
    """Accepted values, ends included."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, float | int) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


#: Magnitude of any number; and of a positive one that others are divided by.
LARGEST, SMALLEST = 1e60, 1e-60
#: Edges of the unit cell, and of a gap between lattice planes of one.
CELL_EDGE_A = Range(0.1, 1e5)
CELL_ANGLE_DEG = Range(1.0, 179.0)
#: Photon energies from 1 eV to 100 MeV.
WAVELENGTH_A = Range(1e-4, 2e4)
#: Edges of pixels, and distances of the detector and coordinates on it.
PIXEL_EDGE_MM, LENGTH_MM = Range(1e-6, 1e5), Range(-1e9, 1e9)
#: Fraction of the beam along the polarization axis, and Kahn's factor.
POLARIZATION_FRACTION, KAHN_FACTOR = Range(0.0, 1.0), Range(-1.0, 1.0)
ANGLE_DEG = Range(-1e6, 1e6)
#: Atoms: occupancy, which some files give above 1; B factor, which refinement can make negative; coordinates.
OCCUPANCY, B_FACTOR_A2, COORDINATE_A = Range(0.0, 10.0), Range(-100.0, 1e5), Range(-1e5, 1e5)
