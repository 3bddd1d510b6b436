"""Space groups of every kind, with a cell each."""

from __future__ import annotations

import gemmi
import numpy as np

from cubragg.crystallography.symmetry import Symmetry

CUBIC, HEXAGONAL = (30.0, 30.0, 30.0, 90.0, 90.0, 90.0), (30.0, 30.0, 41.0, 90.0, 90.0, 120.0)
TETRAGONAL, ORTHORHOMBIC = (30.0, 30.0, 44.0, 90.0, 90.0, 90.0), (25.0, 31.0, 39.0, 90.0, 90.0, 90.0)
MONOCLINIC = (25.0, 31.0, 39.0, 90.0, 104.0, 90.0)
GROUPS = {
    "P 1": (21.0, 25.0, 29.0, 80.0, 95.0, 103.0), "P -1": (21.0, 25.0, 29.0, 80.0, 95.0, 103.0), "P 1 21 1": MONOCLINIC,
    "C 1 2 1": MONOCLINIC, "I 1 2 1": MONOCLINIC, "P 1 21/c 1": MONOCLINIC, "P 21 21 21": ORTHORHOMBIC,
    "I 2 2 2": ORTHORHOMBIC, "F d d 2": ORTHORHOMBIC, "P 41 21 2": TETRAGONAL, "P 43 21 2": TETRAGONAL,
    "I 41/a m d:2": TETRAGONAL, "R 3:H": HEXAGONAL, "R 3:R": (28.0, 28.0, 28.0, 75.0, 75.0, 75.0),
    "R -3 c:H": HEXAGONAL, "P 31 2 1": HEXAGONAL, "P 32 1 2": HEXAGONAL, "P 61 2 2": HEXAGONAL, "P 21 3": CUBIC,
    "P 2 3": CUBIC, "F 4 3 2": CUBIC, "I a -3 d": CUBIC, "F d -3 m:2": CUBIC,
}
DMIN_A = 4.0


def symmetry(name: str) -> Symmetry:
    return Symmetry(name, gemmi.SpaceGroup(name).operations())


def unique(name: str, dmin: float = DMIN_A) -> np.ndarray:
    return gemmi.make_miller_array(gemmi.UnitCell(*GROUPS[name]), gemmi.SpaceGroup(name), dmin)
