"""Intersection of the Ewald sphere with reflection profiles. Lengths in m, reciprocal ones in 1/m. `specs/truth.md`"""

from __future__ import annotations

import numpy as np

from cubragg import units
from cubragg.crystallography.shapes import SHAPES
from cubragg.plan.plan import Plan

#: Height of a reflection profile, relative to its peak, at which it ends.
_TAIL = 1e-6


def profile_metric(plan: Plan) -> np.ndarray:
    """Return float64 [3, 3], the quadratic form in fractional indices that is 1 where a reflection profile ends."""
    shape, block = SHAPES[plan.crystal_shape], plan.block
    return shape.metric(block) / shape.width_sqr(block, _TAIL)


def offset_on_sphere(hkl: np.ndarray, axes: np.ndarray, incident: np.ndarray, wavelength: float, metric: np.ndarray
                     ) -> np.ndarray:
    """Return the offset in indices [..., n, 3] of the points of the sphere where profiles of reflections are highest.

    Parameters
    ----------
    axes
        Cell axes of one or several orientations, float64 [..., 3, 3] [m].
    incident, wavelength
        Unit vector [3] of the beam, and wavelength [m].
    metric
        Of `profile_metric`.
    """
    stars = np.linalg.inv(axes).swapaxes(-1, -2)
    beam = hkl @ stars + incident / wavelength
    length = np.linalg.norm(beam, axis=-1)
    along = beam / length[..., None] @ stars.swapaxes(-1, -2)
    widths = along @ np.linalg.inv(metric)
    return -((length - 1.0 / wavelength) / np.einsum("...j,...j->...", widths, along))[..., None] * widths


def cell_volume(plan: Plan) -> float:
    """Return the volume of the rendered cell [A^3]."""
    return abs(float(np.linalg.det(plan.cell_axes[0, 0]))) / units.ANGSTROM_M ** 3
